"""The processes' samples, added up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from amqpd.bench.client.histogram import Histogram
from amqpd.bench.client.pace import NS
from amqpd.bench.samples import Counts, Phase, Sample

RECENT_NS: Final = NS  # over so long the current rates are


class Rates(NamedTuple):
    """Messages a second."""

    published: float = 0.0
    confirmed: float = 0.0
    nacked: float = 0.0
    returned: float = 0.0
    delivered: float = 0.0
    octets: float = 0.0


def rates(counts: Counts, nanoseconds: int) -> Rates:
    """What counts come to in a second."""
    seconds = max(nanoseconds, 1) / NS
    c = counts
    numbers = (c.published, c.confirmed, c.nacked, c.returned, c.delivered, c.octets)
    return Rates(*(number / seconds for number in numbers))


@dataclass
class WorkerTotals:
    """One process.

    Args:
        latest: its last sample, None before the first.
        first, last: where measuring began and ended (or has come to), None before that.
        recent: samples of the last second, the oldest first.
    """

    latest: Sample | None = None
    first: Sample | None = None
    last: Sample | None = None
    recent: tuple[Sample, ...] = ()

    def add(self, sample: Sample) -> None:
        """Take the next sample."""
        self.latest = sample
        self.recent = (*(old for old in self.recent if sample.moment - old.moment <= RECENT_NS), sample)
        if sample.phase is not Phase.WARMUP:
            self.first = self.first or sample
            self.last = sample

    @property
    def rates_now(self) -> Rates:
        """Over the last second."""
        if len(self.recent) < 2:
            return Rates()
        old, new = self.recent[0], self.recent[-1]
        return rates(new.counts - old.counts, new.moment - old.moment)

    @property
    def rates_measured(self) -> Rates:
        """Over all that was measured."""
        if self.first is None or self.last is None:
            return Rates()
        return rates(self.last.counts - self.first.counts, self.last.moment - self.first.moment)

    @property
    def measured(self) -> Counts:
        """What was counted while measuring."""
        return Counts() if self.first is None or self.last is None else self.last.counts - self.first.counts


class Totals:
    """All processes.

    Attributes:
        latencies, confirms: of all that was measured.
        latencies_now: of the last samples; whoever shows them clears them.
    """

    def __init__(self, workers: int) -> None:
        self._workers = [WorkerTotals() for _ in range(workers)]
        self.latencies = Histogram()
        self.confirms = Histogram()
        self.latencies_now = Histogram()

    def add(self, worker: int, sample: Sample) -> None:
        """Take a process's next sample."""
        totals = self._workers[worker]
        measures = totals.first is not None
        totals.add(sample)
        self.latencies_now.merge(sample.latencies, sample.largest_latency)
        if measures:
            self.latencies.merge(sample.latencies, sample.largest_latency)
            self.confirms.merge(sample.confirms, sample.largest_confirm)

    @property
    def counts(self) -> Counts:
        """Since the run began."""
        return sum((worker.latest.counts for worker in self._workers if worker.latest is not None), Counts())

    @property
    def measured(self) -> Counts:
        """While it was measured."""
        return sum((worker.measured for worker in self._workers), Counts())

    @property
    def rates_now(self) -> Rates:
        """Over the last second."""
        return added(worker.rates_now for worker in self._workers)

    @property
    def rates_measured(self) -> Rates:
        """Over all that was measured, each process over its own time."""
        return added(worker.rates_measured for worker in self._workers)

    @property
    def seconds(self) -> float:
        """How long was measured."""
        spans = [
            worker.last.moment - worker.first.moment
            for worker in self._workers
            if worker.first is not None and worker.last is not None
        ]
        return max(spans, default=0) / NS

    @property
    def blocked(self) -> str:
        """Why the broker takes no messages at the moment; empty if it does."""
        latest = (worker.latest for worker in self._workers)
        return next((sample.blocked for sample in latest if sample is not None and sample.blocked), "")


def added(found: Iterable[Rates]) -> Rates:
    """Rates of several processes."""
    return Rates(*map(sum, zip(*found, strict=True)))
