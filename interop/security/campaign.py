"""Running attacks: a fresh broker and a neighbour for each, and a table of what it cost them."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from typing import Final

from interop.security.attacks import Attack
from interop.security.neighbour import Neighbour
from interop.security.target import Target

MIB: Final = 1024 * 1024
FILES: Final = 25_000  # that the attacker may open


@dataclass(frozen=True)
class Outcome:
    """What an attack came to.

    Args:
        attack: which one.
        did: what it says that it did.
        seconds: it took.
        memory: octets that the broker took for it, at most.
        p99: milliseconds in which the neighbour got 99 of 100 messages.
        longest: milliseconds that it waited at most.
    """

    attack: Attack
    did: str
    seconds: float
    memory: int
    p99: float
    longest: float


def allow_files() -> None:
    """Let this process open as many files as an attack needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES:
        most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def run(attack: Attack, certificates: tuple[str, ...], long: bool = False) -> Outcome:
    """Attack a broker that was started for it.

    Args:
        certificates: what make_certificates() gave.
    """
    allow_files()
    wrapper = ("prlimit", f"--nofile={attack.files}:{attack.files}") if attack.files else ()
    with Target((*attack.options, *certificates), wrapper) as target, Neighbour(target.port) as neighbour:
        target.forget_peak()
        before, _ = target.memory()
        begun = time.monotonic()
        did = attack.run(target, attack.long if long else attack.short)
        seconds = time.monotonic() - begun
        _, peak = target.memory()
    return Outcome(attack, did, seconds, max(peak - before, 0), neighbour.at(0.99), neighbour.at(1))


def table(outcomes: list[Outcome]) -> str:
    """Outcomes as aligned lines."""
    lines = [f"{'attack':<18}{'seconds':>8}{'memory':>10}{'p99':>9}{'longest':>10}   what was done"]
    lines.extend(
        f"{one.attack.name:<18}{one.seconds:>8.1f}{one.memory / MIB:>6.1f} MiB{one.p99:>6.1f} ms"
        f"{one.longest:>7.1f} ms   {one.did}"
        for one in outcomes
    )
    return "\n".join(lines)
