"""Samples of several processes add up, and the warm-up does not count."""

from __future__ import annotations

from amqpd.bench.samples import Counts, Phase, Sample
from amqpd.bench.totals import Totals

SECOND = 1_000_000_000


def sample(phase: Phase, seconds: float, latencies: list[tuple[int, int]], **counts: int) -> Sample:
    return Sample(phase, int(seconds * SECOND), Counts(**counts), latencies, 200, [], 0)


def test_only_what_came_after_the_warm_up_is_measured() -> None:
    totals = Totals(2)
    totals.add(0, sample(Phase.WARMUP, 1, [(9, 5)], published=50))
    totals.add(0, sample(Phase.MEASURED, 1, [], published=100))
    totals.add(1, sample(Phase.MEASURED, 1, [], delivered=90))
    totals.add(0, sample(Phase.MEASURED, 2, [], published=200))
    totals.add(1, sample(Phase.DONE, 3, [(100, 4)], delivered=290, octets=2_000))
    totals.add(0, sample(Phase.DONE, 3, [], published=300))
    assert totals.measured == Counts(published=200, delivered=200, octets=2_000)
    assert totals.counts == Counts(published=300, delivered=290, octets=2_000)
    assert (totals.rates_measured.published, totals.rates_measured.delivered) == (100, 100)
    assert totals.seconds == 2
    assert totals.latencies.entries() == [(100, 4)]
    assert totals.latencies_now.entries() == [(9, 5), (100, 4)]


def test_the_current_rate_is_of_the_last_second() -> None:
    totals = Totals(1)
    for step, published in enumerate([0, 10, 20, 30, 40, 1_040, 2_040]):
        totals.add(0, sample(Phase.MEASURED, step / 2, [], published=published))
    assert totals.rates_now.published == 2_000


def test_nothing_is_nothing() -> None:
    totals = Totals(3)
    assert (totals.seconds, totals.blocked, totals.measured) == (0, "", Counts())
    assert set(totals.rates_now) == set(totals.rates_measured) == {0}
