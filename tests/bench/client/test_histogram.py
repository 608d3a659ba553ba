"""Latencies are counted with an error of less than a hundredth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.bench.client.histogram import CLASSES, Histogram, class_of, middle_of


@given(st.integers(0, 2**63 - 1))
def test_a_class_tells_its_latency_to_a_hundredth(ns: int) -> None:
    index = class_of(ns)
    assert 0 <= index < CLASSES
    assert abs(middle_of(index) - ns) <= max(ns / 100, 0)


@given(st.lists(st.integers(0, 10**10), min_size=1), st.sampled_from([1, 50, 90, 99, 99.9, 100]))
def test_a_percentile_is_the_one_of_the_sorted_list(values: list[int], percent: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.record(value, 1)
    rank = max(1, -int(-len(values) * percent // 100))
    expected = sorted(values)[rank - 1]
    assert histogram.percentile(percent) == pytest.approx(expected, rel=0.01)
    assert histogram.percentile(100) <= histogram.largest == max(values)


def test_merging_is_like_having_counted_everything_in_one_place() -> None:
    one, other, both = Histogram(), Histogram(), Histogram()
    for ns, times, part in [(5, 1, one), (3_000, 7, one), (10**9, 2, other), (3_000, 1, other)]:
        part.record(ns, times)
        both.record(ns, times)
    one.merge(other.entries(), other.largest)
    assert (one.entries(), one.count, one.largest) == (both.entries(), both.count, both.largest)


def test_cleared_it_is_as_new_and_what_is_below_zero_is_zero() -> None:
    histogram = Histogram()
    histogram.record(-5, 3)
    assert histogram.entries() == [(0, 3)]
    histogram.clear()
    assert (histogram.entries(), histogram.count, histogram.largest) == ([], 0, 0)
    assert histogram.percentile(50) == 0
