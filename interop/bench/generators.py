#!/usr/bin/env python3
"""amqpd bench beside amqpload: the same loads on the same broker by both, in turn, and what each took of the processor.

    python -m interop.bench.generators --command .venv/bin/amqpd [--rounds 3] [--seconds 3]

Two questions. Do both tell the same of a broker? And is amqpd bench fast enough: at least LEAST messages a second, so
that below that a rate is the broker's? The second is answered twice: by the rate, where the machine is idle, and
anywhere by the processor time that its processes take for a message: LEAST of the dearest load must fit into the two
cores that a publishing and a consuming process have.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from interop.bench.brokers import amqpd
from interop.bench.compare import LOADS, build
from interop.broker import Broker

LEAST: Final = 300_000  # messages a second
OPTIONS: Final = {
    "W1": "--size 16 --ack auto --prefetch 0",
    "W2": "--size 16 --ack 50 --prefetch 500",
    "W3": "--size 16 --ack 1 --prefetch 100 --confirms 100",
    "W5": "--size 1024 --ack 50 --prefetch 500",
    "L2": "--size 16 --ack auto --prefetch 0 --rate 10000",
}
WARMUP: Final = 0.5
RUN_SECONDS: Final = 120


@dataclass(frozen=True)
class Run:
    """What a generator said, and took.

    Args:
        cpu_us: of all its processes, a delivered message; without the time it takes to start.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def by_bench(command: str, broker: Broker, key: str, seconds: float) -> Run:
    """A run of amqpd bench.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    uri = f"amqp://{broker.host}:{broker.port}"
    load = [command, "bench", "--uri", uri, "--json", *OPTIONS[key].split()]
    idle = children_seconds(["--count", "1"], load)[1]
    said, cpu = children_seconds(["--duration", str(seconds), "--warmup", str(WARMUP)], load)
    messages = said["delivered"] * (seconds + WARMUP) / said["seconds"]
    latency = said["latency_ms"]
    return Run(said["delivered_per_s"], latency["p50"], latency["p99"], (cpu - idle) * 1e6 / messages)


def by_amqpload(program: Path, broker: Broker, key: str, seconds: float) -> Run:
    """A run of amqpload.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    command = [str(program), "-p", str(broker.port), "-d", str(seconds), *LOADS[key].options.split()]
    said, cpu = children_seconds([], command)
    return Run(said["deliver_per_s"], said["p50_us"] / 1000, said["p99_us"] / 1000, cpu * 1e6 / said["delivered"])


def children_seconds(more: list[str], command: list[str]) -> tuple[Any, float]:
    """What a command said as JSON, and the processor time of it and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*command, *more], stdout=subprocess.PIPE, text=True, timeout=RUN_SECONDS, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return json.loads(done.stdout), after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def middle(runs: list[Run]) -> Run:
    """The median, figure by figure."""
    rows = zip(*(vars(run).values() for run in runs), strict=True)
    return Run(*(statistics.median(row) for row in rows))


def show(key: str, name: str, run: Run) -> None:
    """A line."""
    age = f"p50 {run.p50_ms:8.2f} ms  p99 {run.p99_ms:8.2f} ms"
    print(f"{key}  {name:<12} {run.rate:>10,.0f} msg/s  {age}  {run.cpu_us:6.2f} µs of its own CPU", flush=True)


def main() -> None:
    """Run both, and answer both questions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", default=".venv/bin/amqpd", help="the compiled amqpd (.venv/bin/amqpd)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each load by each (3)")
    parser.add_argument("--seconds", type=float, default=3, help="length of a run (3)")
    options = parser.parse_args()
    command = str(Path(options.command).absolute())
    dearest = 0.0
    with tempfile.TemporaryDirectory() as folder, amqpd(command) as broker:
        program = build(Path(folder))
        print(f"{broker.name}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        for key in OPTIONS:
            bench, load = [], []
            for _ in range(options.rounds):
                bench.append(by_bench(command, broker, key, options.seconds))
                load.append(by_amqpload(program, broker, key, options.seconds))
            show(key, "amqpd bench", middle(bench))
            show(key, "amqpload", middle(load))
            if key != "L2":  # where it mostly waits
                dearest = max(dearest, middle(bench).cpu_us)
    enough = dearest * LEAST / 1e6
    print(f"{LEAST:,} messages a second take {enough:.2f} cores for amqpd bench, of the two that it uses")
    sys.exit(enough > 2)


if __name__ == "__main__":
    main()
