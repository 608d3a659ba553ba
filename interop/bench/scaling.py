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
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from interop.amqpd_server import AmqpdServer
from interop.bench.axes import AXES, Axis
from interop.bench.idle import allow_many_files
from interop.broker import Broker
from interop.durability.victim import Victim
from interop.rabbitmq.server import RabbitMQServer

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


def measure(axis: Axis, broker: Broker, size: int, seconds: float) -> Point:
    """Bring the broker to a size, and load it a few times; the median of each figure."""
    load = axis.at(size)
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


@contextlib.contextmanager
def amqpd(on_disk: bool, command: str) -> Iterator[Broker]:
    """amqpd, started anew."""
    if not on_disk:
        with AmqpdServer() as broker:
            yield broker
        return
    with tempfile.TemporaryDirectory(prefix="amqpd-scaling-") as home:
        victim = Victim(Path(home), command)
        victim.begin()
        victim.wait_until_ready()
        try:
            yield Broker("amqpd", "127.0.0.1", victim.port, victim.pid)
        finally:
            victim.kill()


@contextlib.contextmanager
def rabbitmq(on_disk: bool, command: str) -> Iterator[Broker]:
    """RabbitMQ, started anew."""
    with RabbitMQServer(config="heartbeat = 0\nvm_memory_high_watermark.relative = 0.7") as broker:
        yield broker


BROKERS: Final = {"amqpd": amqpd, "rabbitmq": rabbitmq}


def curve(name: str, key: str, command: str, most: int, seconds: float) -> list[Point]:
    """One curve of one broker, as far as it got."""
    make = AXES[key]
    points: list[Point] = []
    with BROKERS[name](make.on_disk, command) as broker, contextlib.closing(make(broker.port)) as axis:
        limit = min(most, make.most if name == "amqpd" else make.most_of_others)
        for size in [size for size in make.sizes if size <= limit]:
            begun = time.monotonic()
            point = measure(axis, broker, size, seconds)
            points.append(point)
            age = "" if point.p50_ms is None else f"p50 {point.p50_ms:8.2f} ms  p99 {point.p99_ms:8.2f} ms"
            took = f"({time.monotonic() - begun:.0f} s)"
            print(f"{key:<12} {name:<9} {size:>10,}  {point.cpu_us:8.2f} µs CPU  {age}  {took}", flush=True)
    return points


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", default="", help="how amqpd is started (AMQPD_COMMAND, else python -m amqpd)")
    parser.add_argument("--only", default=",".join(AXES), help="these curves, not all: " + ", ".join(AXES))
    parser.add_argument("--brokers", default=",".join(BROKERS), help="of amqpd and rabbitmq")
    parser.add_argument("--most", type=int, default=10**9, help="no larger sizes")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"length of a run ({SECONDS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add the points there")
    return parser.parse_args()


def main() -> None:
    """Measure, print every point, and keep them."""
    options = parse_arguments()
    allow_many_files()
    if options.command:
        os.environ["AMQPD_COMMAND"] = options.command  # AmqpdServer looks there
    found = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    for key in options.only.split(","):
        for name in options.brokers.split(","):
            try:
                points = curve(name, key, options.command, options.most, options.seconds)
            except (OSError, RuntimeError, TimeoutError) as error:
                print(f"{key} {name}: {error}", file=sys.stderr, flush=True)
                continue
            found.setdefault(key, {})[name] = [vars(point) for point in points]
            if options.json:
                options.json.parent.mkdir(exist_ok=True)
                options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
