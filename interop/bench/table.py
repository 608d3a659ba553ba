#!/usr/bin/env python3
"""The table of docs/performance.md: every load for amqpd compiled, amqpd interpreted and RabbitMQ, in one run.

    python -m interop.bench.table --command .venv/bin/amqpd [--rounds 3] [--seconds 2] [--only W1,W4] [--json FILE]

Starts the brokers itself: amqpd with a data directory and its defaults, RabbitMQ with its own. The loads are those of
compare.py, which runs them: load by load, and within a load round by round, so that what else happens on the machine
happens to all. A figure is the median of the rounds. Beside them stands LavinMQ's ratio to RabbitMQ as it was measured
once, elsewhere, with the same load generator; the goal is twice that (for latency, where it is the ratio of p50s: not
above it, for machines are not equally fast to wake somebody up).

Ends with the table in Markdown. Takes about five minutes; the machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from interop.amqpd_server import ROOT
from interop.bench.brokers import amqpd, rabbitmq
from interop.bench.compare import LOADS, Figures, Target, build, loads, median, report, run_rounds
from interop.broker import Broker

COMPILED: Final = "amqpd"
INTERPRETED: Final = "interpreted"
RABBITMQ: Final = "rabbitmq"
GOAL: Final = 2.0  # times LavinMQ's ratio


@dataclass(frozen=True)
class LavinMQ:
    """LavinMQ on one load, on another machine, with RabbitMQ 4.0 beside it.

    Args:
        ratio: its messages a second, RabbitMQ's being 1; None for a latency load.
        p50_ratio: its p50, RabbitMQ's being 1; None for the others.
    """

    ratio: float | None = None
    p50_ratio: float | None = None


LAVINMQ: Final = {
    "W1": LavinMQ(8.2),
    "W2": LavinMQ(2.9),
    "W3": LavinMQ(2.2),
    "W4": LavinMQ(10.6),
    "W5": LavinMQ(7.6),
    "W6": LavinMQ(10.4),
    "W7": LavinMQ(1.3),
    "W8": LavinMQ(0.46),
    "W9": LavinMQ(11.1),
    "L1": LavinMQ(p50_ratio=0.44),  # 0.15 ms beside 0.34
    "L2": LavinMQ(p50_ratio=0.16),  # 0.11 ms beside 0.68
}
HEADINGS: Final = (
    "load",
    "amqpd msg/s · CPU µs",
    "interpreted",
    "RabbitMQ",
    "amqpd / RabbitMQ",
    "LavinMQ / RabbitMQ",
    "twice that?",
    "p50, p99 ms",
)

Medians = dict[str, Figures | None]


@contextlib.contextmanager
def target(name: str, starting: contextlib.AbstractContextManager[Broker]) -> Iterator[Target]:
    """A broker, while it runs."""
    with starting as broker:
        print(f"{name}: {broker.name}", flush=True)
        yield Target(name, broker.port, broker.pid)


def interpreter_of(command: str) -> str:
    """The interpreted form, run by the Python that the command's program belongs to.

    Raises:
        RuntimeError: it is not the interpreted form.
    """
    python = Path(command).parent / "python"
    line = subprocess.run([python, "-m", "amqpd", "--version"], cwd=ROOT, check=True, capture_output=True, text=True)
    if "interpreted" not in line.stdout:
        raise RuntimeError(f"{python} -m amqpd in {ROOT} is not the interpreted form: {line.stdout.strip()}")
    return f"{python} -m amqpd"


def row(key: str, medians: Medians) -> tuple[str, ...]:
    """One load's line of the table."""
    ours, theirs = medians.get(COMPILED), medians.get(RABBITMQ)
    figures = [figures_text(medians.get(name)) for name in (COMPILED, INTERPRETED, RABBITMQ)]
    age = "-" if ours is None else f"{ours.p50_us / 1000:.2f}, {ours.p99_us / 1000:.2f}"
    return f"{key} {LOADS[key].title}", *figures, *verdict(LAVINMQ[key], ours, theirs), age


def figures_text(found: Figures | None) -> str:
    """Rate and cost."""
    if found is None:
        return "failed"
    cpu = "" if found.cpu_us is None else f" · {found.cpu_us:.2f}"
    return f"{found.deliver_per_s:,.0f}{cpu}"


def verdict(lavinmq: LavinMQ, ours: Figures | None, theirs: Figures | None) -> tuple[str, str, str]:
    """amqpd's ratio, LavinMQ's, and whether the goal is reached."""
    if lavinmq.p50_ratio is not None:
        goal_text = f"p50 x {lavinmq.p50_ratio:.2f}"
        if ours is None or theirs is None:
            return "-", goal_text, "-"
        ratio = ours.p50_us / max(theirs.p50_us, 1)
        reached = ratio <= lavinmq.p50_ratio
        return f"p50 x {ratio:.2f}", goal_text, "yes (not above)" if reached else "**no** (above)"
    assert lavinmq.ratio is not None  # one of the two is there
    if ours is None or theirs is None:
        return "-", f"{lavinmq.ratio}", "-"
    ratio = ours.deliver_per_s / max(theirs.deliver_per_s, 1)
    goal = GOAL * lavinmq.ratio
    return f"{ratio:.1f}", f"{lavinmq.ratio}", f"{'yes' if ratio >= goal else '**no**'} ({ratio / lavinmq.ratio:.1f} x)"


def markdown(results: dict[str, Medians]) -> Iterator[str]:
    """The table."""
    yield "| " + " | ".join(HEADINGS) + " |"
    yield "|---" * len(HEADINGS) + "|"
    for key, medians in results.items():
        yield "| " + " | ".join(row(key, medians)) + " |"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", default=".venv/bin/amqpd", help="the compiled amqpd (.venv/bin/amqpd)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each load on each broker (3)")
    parser.add_argument("--seconds", type=float, default=2, help="length of a run (2)")
    parser.add_argument("--only", type=loads, default=list(LOADS), metavar="W1,W4", help="these loads, not all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the medians there too")
    return parser.parse_args()


def main() -> None:
    """Run the loads, print them as they come, and the table at the end."""
    options = parse_arguments()
    command = str(Path(options.command).absolute())
    results: dict[str, Medians] = {}
    with contextlib.ExitStack() as stack:
        program = build(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        targets = [
            stack.enter_context(target(COMPILED, amqpd(command))),
            stack.enter_context(target(INTERPRETED, amqpd(interpreter_of(command)))),
            stack.enter_context(target(RABBITMQ, rabbitmq())),
        ]
        for key in options.only:
            figures = run_rounds(program, key, targets, options.rounds, options.seconds)
            results[key] = {name: median(runs) for name, runs in figures.items()}
            report(key, results[key])
    load = os.getloadavg()
    print(f"\n{os.cpu_count()} cores, load {load[0]:.1f} at the end\n")
    print("\n".join(markdown(results)))
    if options.json:
        written = {key: {name: one and asdict(one) for name, one in found.items()} for key, found in results.items()}
        options.json.write_text(json.dumps(written, indent=1) + "\n")
    sys.exit(any(one is None for found in results.values() for one in found.values()))


if __name__ == "__main__":
    main()
