#!/usr/bin/env python3
"""What a backlog of millions of durable messages costs: memory, a restart after SIGKILL, and the rate of draining it.

    python -m interop.bench.backlog [--command .venv/bin/amqpd] [--messages 10000000]

Publishes with confirms into a durable queue, kills the broker, starts it again on the same directory, and consumes with
acknowledgements: every message must come, in order and once. Before and after that the same clients use a short queue,
publishing and consuming at once. Memory is the highest resident memory (VmHWM) in MB of 1,000,000 octets; the time of
the restart is from the start of the process to its ready file, and the operating system has none of the broker's files
in its cache then. The exit status is 1 when a limit is broken.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from interop.bench.idle import row
from interop.bench.numbered import BODY, Consumer, Publisher, declare, run
from interop.bench.topology import cpu_seconds
from interop.durability.victim import Victim

BACKLOG: Final = "backlog"
SHORT: Final = "short"
SHORT_PART: Final = 10  # of the backlog's messages, so many times less go through the short queue at a time
SHORT_LEAST: Final = 50_000


@dataclass(frozen=True)
class Limits:
    """What a backlog may cost.

    Args:
        memory: MB, at any time.
        restart: seconds.
        drain: the rate of draining it, as a part of the rate of a short queue.
    """

    memory: float = 150
    restart: float = 5
    drain: float = 0.5


@dataclass
class Load:
    """What clients did, and what that took.

    Args:
        waiting: the most messages that were in the queue or on their way.
        cpu: seconds of the broker.
    """

    messages: int = 0
    seconds: float = 0.0
    waiting: int = 0
    cpu: float = 0.0

    def add(self, pid: int, *clients: Publisher | Consumer, messages: int) -> None:
        """Let clients work until they are done.

        Raises:
            RuntimeError, TimeoutError: see ``run`` and their ``close``.
        """
        before = cpu_seconds(pid)
        seconds, waiting = run(*clients)
        self.cpu += cpu_seconds(pid) - before
        self.seconds += seconds
        self.messages += messages
        self.waiting = max(self.waiting, waiting)
        for client in clients:
            client.close()

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    def __str__(self) -> str:
        """For people."""
        return f"{self.seconds:.1f} s, {self.cpu / self.messages * 1e6:.2f} µs CPU a message"


class Backlog:
    """One measurement.

    Args:
        victim: a broker that does not run yet, on an empty directory.
        messages: of the backlog.
        say: prints a row of the table: what, figure, note.

    Attributes:
        memory: MB, the highest of all.
        filling, draining, short: what the clients did.
        restart: seconds.
    """

    def __init__(self, victim: Victim, messages: int, say: Callable[[str, str, str], None]) -> None:
        self.filling = Load()
        self.draining = Load()
        self.short = Load()
        self.memory = self.restart = 0.0
        self._victim = victim
        self._messages = messages
        self._say = say

    def run(self) -> None:
        """Measure.

        Raises:
            RuntimeError: messages are missing, not in order or there twice, or the broker does not start or stop.
            TimeoutError: the broker does nothing any more.
        """
        self._start()
        self._fill()
        self._victim.kill()
        forget(self._victim.data)
        self._restart()
        self._use_short_queue()
        self._drain()
        self._use_short_queue()
        self._victim.stop()
        self._say(
            "short queue, before and after",
            f"{self.short.rate:,.0f}/s",
            f"{self.short}; {self.short.waiting:,} waiting",
        )
        self._say("drain / short queue", f"{self.draining.rate / self.short.rate:.2f}", "")

    def broken(self, limits: Limits) -> list[str]:
        """What is not within limits."""
        drain = self.draining.rate / self.short.rate
        checks = (
            (self.memory < limits.memory, f"{self.memory:.1f} MB of memory; the limit is {limits.memory:g} MB"),
            (self.restart < limits.restart, f"{self.restart:.2f} s to restart; the limit is {limits.restart:g} s"),
            (drain >= limits.drain, f"drained at {drain:.2f} of a short queue's rate; the limit is {limits.drain:g}"),
        )
        return [text for holds, text in checks if not holds]

    def _start(self) -> None:
        self._victim.begin()
        self._victim.wait_until_ready()

    def _fill(self) -> None:
        victim = self._victim
        declare(victim.port, BACKLOG)
        publisher = Publisher(victim.port, BACKLOG, self._messages)
        self.filling.add(victim.pid, publisher, messages=self._messages)
        self._say(f"publish {self._messages:,}, confirmed", f"{self.filling.rate:,.0f}/s", str(self.filling))
        self._say_memory("memory, highest while publishing")
        stored = sum(path.stat().st_size for path in victim.data.rglob("*") if path.is_file())
        self._say("on disk", f"{stored / 1e6:,.1f} MB", f"{stored / self._messages:.1f} octets a message")

    def _restart(self) -> None:
        self._start()
        self.restart = self._victim.seconds
        self._say("SIGKILL, restart to ready", f"{self.restart:.2f} s", "")
        self._say_memory("memory, highest until ready")
        found = declare(self._victim.port, BACKLOG, passive=True)
        if found != self._messages:
            raise RuntimeError(f"{found:,} messages after the restart, {self._messages:,} were confirmed")

    def _drain(self) -> None:
        victim = self._victim
        consumer = Consumer(victim.port, BACKLOG, self._messages)
        self.draining.add(victim.pid, consumer, messages=self._messages)
        self._say("drain, in order, acknowledged", f"{self.draining.rate:,.0f}/s", str(self.draining))
        self._say_memory("memory, highest while draining")

    def _use_short_queue(self) -> None:
        victim = self._victim
        messages = max(SHORT_LEAST, self._messages // SHORT_PART)
        declare(victim.port, SHORT)
        publisher = Publisher(victim.port, SHORT, messages)
        consumer = Consumer(victim.port, SHORT, messages)
        self.short.add(victim.pid, publisher, consumer, messages=messages)

    def _say_memory(self, what: str) -> None:
        highest = highest_memory(self._victim.pid)
        self.memory = max(self.memory, highest)
        self._say(what, f"{highest:.1f} MB", "")


def highest_memory(pid: int) -> float:
    """The most MB of memory that a process ever had resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(row for row in status.splitlines() if row.startswith("VmHWM:")).split()[1]
    return int(kib) * 1024 / 1e6


def forget(folder: Path) -> None:
    """Let the operating system drop the files below a folder from its cache, so that they are read from the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())  # only what is written can be dropped
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(messages: int, command: str, say: Callable[[str, str, str], None]) -> Backlog:
    """Measure on a temporary directory.

    Args:
        command: of the broker; empty for AMQPD_COMMAND, or the one of this checkout.

    Raises:
        RuntimeError: messages are missing, not in order or there twice, or the broker does not start or stop.
        TimeoutError: the broker does nothing any more.
    """
    with tempfile.TemporaryDirectory(prefix="amqpd-backlog-") as home:
        victim = Victim(Path(home), command)
        say(victim.version, "", f"messages of {BODY} octets")
        backlog = Backlog(victim, messages, say)
        try:
            backlog.run()
        finally:
            victim.kill()
        return backlog


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", default="", help="of the broker (AMQPD_COMMAND, else python -m amqpd)")
    parser.add_argument("--messages", type=int, default=10_000_000, help="of the backlog (10000000)")
    parser.add_argument("--memory", type=float, default=Limits.memory, help="limit in MB (150)")
    parser.add_argument("--restart", type=float, default=Limits.restart, help="limit in seconds (5)")
    parser.add_argument("--drain", type=float, default=Limits.drain, help="least part of a short queue's rate (0.5)")
    options = parser.parse_args()
    backlog = measure(options.messages, options.command, row)
    broken = backlog.broken(Limits(options.memory, options.restart, options.drain))
    for text in broken:
        print(f"broken: {text}")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
