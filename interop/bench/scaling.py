#!/usr/bin/env python3
"""What a message costs as there is more and more of something: connections, queues, bindings, consumers, backlog.

    python -m interop.bench.scaling --command .venv/bin/amqpd [--only connections,queues] [--most 100000]
        [--brokers amqpd,rabbitmq] [--json docs/pictures/scaling.json]

The load is the same at every point: RATE messages a second for a few seconds, a few of them every millisecond, so that
a message costs what it costs and not what a batch of thousands comes to for each. Figures: the broker's CPU time a
message (from the kernel's scheduler, all threads), and how old messages were when they arrived. A broker starts anew
for every curve; RabbitMQ's curves end where a point would take minutes to prepare. ``curves.py`` draws the result.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from interop.bench.axes import AXES, Axis
from interop.bench.brokers import amqpd, rabbitmq
from interop.bench.idle import allow_many_files
from interop.bench.steady import Load
from interop.broker import Broker

RATE: Final = 10_000
SECONDS: Final = 1.5
ROUNDS: Final = 3


@dataclass(frozen=True)
class Point:
    """What a message costs at one size.

    Args:
        size: how much there is.
        cpu_us: microseconds of the broker's CPU.
        p50_ms, p99_ms: age on arrival; None where it means nothing.
    """

    size: int
    cpu_us: float
    p50_ms: float | None
    p99_ms: float | None


def cpu_ns(pid: int) -> int:
    """Nanoseconds that the threads of a process have run."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it ended meanwhile
            total += int((task / "schedstat").read_text().split()[0])
    return total


@contextlib.contextmanager
def first_of_all(pid: int, wanted: bool) -> Iterator[None]:
    """Let a process and this one have the processor whenever they want it, if that is wanted.

    Raises:
        PermissionError: this user may not.
    """
    tasks = [int(task.name) for task in (*Path(f"/proc/{pid}/task").iterdir(), *Path("/proc/self/task").iterdir())]
    for task in tasks if wanted else ():
        os.sched_setscheduler(task, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        for task in tasks if wanted else ():
            os.sched_setscheduler(task, os.SCHED_OTHER, os.sched_param(0))


def measure(axis: Axis, broker: Broker, size: int, seconds: float, first: bool) -> Point:
    """Bring the broker to a size, and load it a few times; the median of each figure."""
    load = axis.at(size)
    with first_of_all(broker.pid, first):
        return repeated(load, broker, size, seconds)


def repeated(load: Load, broker: Broker, size: int, seconds: float) -> Point:
    """The median of a few runs, figure by figure."""
    rounds: list[tuple[float, float | None, float | None]] = []
    for _ in range(ROUNDS):
        load.run(RATE, 0.2)  # whatever happens at first only
        before = cpu_ns(broker.pid)
        messages, ages = load.run(RATE, seconds)
        cpu = (cpu_ns(broker.pid) - before) / 1000 / messages
        ages.sort()
        ranks = [ages[len(ages) * rank // 100] * 1e3 for rank in (50, 99)] if ages else [None, None]
        rounds.append((cpu, ranks[0], ranks[1]))
    return Point(size, statistics.median(cpu for cpu, _, _ in rounds), *(middle(rounds, rank) for rank in (1, 2)))


def middle(rounds: list[tuple[float, float | None, float | None]], place: int) -> float | None:
    """The median of a figure that may mean nothing."""
    figures = [figure for one in rounds if (figure := one[place]) is not None]
    return statistics.median(figures) if figures else None


RABBITMQ_CONFIG: Final = "heartbeat = 0\nvm_memory_high_watermark.relative = 0.7"
BROKERS: Final = ("amqpd", "rabbitmq")


def curve(name: str, key: str, options: argparse.Namespace) -> Iterator[Point]:
    """The points of one curve of one broker, as they are measured.

    Raises:
        OSError, RuntimeError, TimeoutError: it got no further.
    """
    make = AXES[key]
    starting = amqpd(options.command) if name == "amqpd" else rabbitmq(RABBITMQ_CONFIG)
    limit = min(options.most, make.most if name == "amqpd" else make.most_of_others)
    with starting as broker, contextlib.closing(make(broker.port)) as axis:
        for size in [size for size in make.sizes if size <= limit]:
            begun = time.monotonic()
            point = measure(axis, broker, size, options.seconds, options.realtime)
            age = "" if point.p50_ms is None else f"p50 {point.p50_ms:8.2f} ms  p99 {point.p99_ms:8.2f} ms"
            took = f"({time.monotonic() - begun:.0f} s)"
            print(f"{key:<12} {name:<9} {size:>10,}  {point.cpu_us:8.2f} µs CPU  {age}  {took}", flush=True)
            yield point


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", default="", help="how amqpd is started (AMQPD_COMMAND, else python -m amqpd)")
    parser.add_argument("--only", default=",".join(AXES), help="these curves, not all: " + ", ".join(AXES))
    parser.add_argument("--brokers", default=",".join(BROKERS), help="of amqpd and rabbitmq")
    parser.add_argument("--most", type=int, default=10**9, help="no larger sizes")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"length of a run ({SECONDS})")
    parser.add_argument("--realtime", action="store_true", help="broker and load go before all else on this machine")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add the points there")
    return parser.parse_args()


def main() -> None:
    """Measure, print every point, and keep them."""
    options = parse_arguments()
    allow_many_files()
    found = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    for key in options.only.split(","):
        for name in options.brokers.split(","):
            points: list[dict[str, object]] = []
            try:
                for point in curve(name, key, options):
                    points.append(vars(point))
                    found.setdefault(key, {})[name] = points
                    keep(options.json, found)
            except (OSError, RuntimeError, TimeoutError) as error:
                print(f"{key} {name}: {error}", file=sys.stderr, flush=True)


def keep(path: Path | None, found: dict[str, object]) -> None:
    """Write the points, if they are wanted."""
    if path is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
