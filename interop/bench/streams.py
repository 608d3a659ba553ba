#!/usr/bin/env python3
"""Streams of several brokers side by side: appending with confirms, reading, finding a place, memory.

    python -m interop.bench.streams amqpd=5672:PID rabbitmq=5772:PID [--records N [--others N]] [--seeks N] [--json F]

Targets are those of compare.py. Each gets a stream of so many records of 100 octets, published by one publisher that
has up to 5,000 unconfirmed (as RabbitMQ's clients do by default at most), read from the first offset by one consumer,
then by ten at once of which each reads a tenth, with a prefetch of 2,000 and an acknowledgement for every 500. A seek
is the time from basic.consume to the first delivery, at random offsets and at random times between the first and the
last record. CPU is the broker's, in microseconds a record; memory the broker's highest resident memory so far.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import pika

from interop.bench.compare import TICKS_PER_SECOND, Target, build, cpu_ticks, target

STREAM: Final = "streams"
QUEUE: Final = f"{STREAM}-0"  # as amqpload names it
OCTETS: Final = 100
WINDOW: Final = 5000
READERS: Final = 10
READING: Final = f"-P 0 -k 500 -q 2000 -Q {STREAM} -O first -E"
LEAST_RATE: Final = 2000  # records a second: what takes longer has failed


@dataclass
class Figures:
    """What one broker did. Rates are records a second, seeks milliseconds (median, 99 %), memory MB of 1,000,000."""

    append: float = 0.0
    append_cpu: float = 0.0
    read: float = 0.0
    read_cpu: float = 0.0
    read_ten: float = 0.0
    read_ten_cpu: float = 0.0
    seek_offset: float = 0.0
    seek_offset_99: float = 0.0
    seek_time: float = 0.0
    seek_time_99: float = 0.0
    memory: float = 0.0


ROWS: Final = (
    ("append, confirmed", "append", "{:,.0f}/s"),
    ("  CPU µs", "append_cpu", "{:.2f}"),
    ("read by one", "read", "{:,.0f}/s"),
    ("  CPU µs", "read_cpu", "{:.2f}"),
    ("read by ten", "read_ten", "{:,.0f}/s"),
    ("  CPU µs", "read_ten_cpu", "{:.2f}"),
    ("seek to an offset, p50 ms", "seek_offset", "{:.2f}"),
    ("seek to an offset, p99 ms", "seek_offset_99", "{:.2f}"),
    ("seek to a time, p50 ms", "seek_time", "{:.2f}"),
    ("seek to a time, p99 ms", "seek_time_99", "{:.2f}"),
    ("memory, MB", "memory", "{:,.0f}"),
)


class Measurement:
    """One broker's.

    Args:
        program: amqpload.
        broker: which; it needs a process id.
        records: in the stream.
    """

    def __init__(self, program: Path, broker: Target, records: int) -> None:
        self.figures = Figures()
        self._program = program
        self._broker = broker
        self._records = records
        self._first = self._last = 0.0  # when records were written

    def append(self) -> None:
        """Make the stream."""
        self._first = time.time()
        options = f"-P 1 -C 0 -s {OCTETS} -c {WINDOW} -m -t stream -Q {STREAM}"
        self.figures.append, self.figures.append_cpu = self._load(options, self._records, 1)
        self._last = time.time()

    def read(self) -> None:
        """Read it."""
        self.figures.read, self.figures.read_cpu = self._load(f"{READING} -C 1", self._records, 1)
        tenth = self._records // READERS
        self.figures.read_ten, self.figures.read_ten_cpu = self._load(f"{READING} -C {READERS}", tenth, READERS)

    def seek(self, seeks: int, rng: random.Random) -> None:
        """Find places."""
        offsets = [self._seek(str(rng.randrange(self._records))) for _ in range(seeks)]
        span = max(int(self._last - self._first) - 1, 1)
        moments = [int(self._first) + 1 + rng.randrange(span) for _ in range(seeks)]
        times = [self._seek(f"@{moment}") for moment in moments]
        self.figures.seek_offset, self.figures.seek_offset_99 = middle_and_99(offsets)
        self.figures.seek_time, self.figures.seek_time_99 = middle_and_99(times)

    def end(self) -> None:
        """Take the memory, and delete the stream."""
        self.figures.memory = highest_memory(self._broker)
        with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self._broker.port)) as connection:
            connection.channel().queue_delete(QUEUE)

    def _seek(self, place: str) -> float:
        """Milliseconds from basic.consume to the first delivery."""
        said = self._amqpload(f"-P 0 -C 1 -k 1 -q 1 -Q {STREAM} -O {place} -E", 1, 60)
        return float(said["first_ms"])

    def _load(self, options: str, each: int, clients: int) -> tuple[float, float]:
        """Records a second, and the broker's CPU microseconds a record.

        Raises:
            RuntimeError: amqpload failed; with what it said.
        """
        pid = self._broker.pid
        assert pid is not None  # main() saw to it
        before = cpu_ticks(pid)
        said = self._amqpload(options, each, 60 + each * clients / LEAST_RATE)
        seconds = (cpu_ticks(pid) - before) / TICKS_PER_SECOND
        return said["publish_per_s"] or said["deliver_per_s"], seconds * 1e6 / (each * clients)

    def _amqpload(self, options: str, each: int, limit: float) -> dict[str, float]:
        """What amqpload says.

        Raises:
            RuntimeError: it failed; with what it said.
        """
        command = [str(self._program), "-p", str(self._broker.port), "-N", str(each), *options.split()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
        if done.returncode or not done.stdout.strip():
            raise RuntimeError(f"{self._broker.name}: {done.stderr.strip()}")
        said: dict[str, float] = json.loads(done.stdout)
        return said


def middle_and_99(values: list[float]) -> tuple[float, float]:
    """The median, and what 99 of 100 do not pass."""
    ordered = sorted(values)
    return statistics.median(ordered), ordered[max(len(ordered) * 99 // 100 - 1, 0)]


def highest_memory(broker: Target) -> float:
    """MB of 1,000,000 octets."""
    for line in Path(f"/proc/{broker.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def table(results: dict[str, Figures]) -> str:
    """All figures side by side, and what the first broker does of the others' rates."""
    names = list(results)
    lines = ["".join([f"{'':28}", *(f"{name:>16}" for name in names)])]
    for title, field, form in ROWS:
        values = [getattr(results[name], field) for name in names]
        cells = [f"{form.format(value):>16}" for value in values]
        ratio = ""
        if form.endswith("/s") and len(values) > 1 and values[1]:
            ratio = "   " + " ".join(f"{values[0] / other:.1f}x" for other in values[1:])
        lines.append(f"{title:28}" + "".join(cells) + ratio)
    return "\n".join(lines)


def measure(program: Path, brokers: list[Target], records: list[int], seeks: int) -> dict[str, Figures]:
    """Measure all of them, one after the other, telling how far it is."""
    results = {}
    for broker, count in zip(brokers, records, strict=True):
        one = Measurement(program, broker, count)
        for name, step in (("append", one.append), ("read", one.read)):
            sys.stderr.write(f"{broker.name}: {name}\n")
            step()
        sys.stderr.write(f"{broker.name}: seek\n")
        one.seek(seeks, random.Random(1))
        one.end()
        results[broker.name] = one.figures
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="+", type=target, metavar="NAME=PORT:PID")
    parser.add_argument("--records", type=int, default=20_000_000)
    parser.add_argument("--others", type=int, help="records for all brokers but the first, if they take too long")
    parser.add_argument("--seeks", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if any(broker.pid is None for broker in options.targets):
        parser.error("every target needs its process id: NAME=PORT:PID")
    records = [options.records] + [options.others or options.records] * (len(options.targets) - 1)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(build(Path(folder)), options.targets, records, options.seeks)
    sys.stdout.write(table(results) + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps({name: asdict(figures) for name, figures in results.items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
