"""Latencies, counted in classes that are a hundredth wide, so that millions of them take a few kilobytes.

A class is a power of two cut into 128 parts: what is below 256 ns is exact, all else right to 0.8 %.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

from mypy_extensions import i64

PARTS: Final = 128
_BITS: Final = 7
CLASSES: Final = 57 * PARTS  # of 63 bits


@final
class Histogram:
    """How often each latency occurred.

    Attributes:
        count: of all.
        largest: nanoseconds, exact.
    """

    def __init__(self) -> None:
        self.count: i64 = 0
        self.largest: i64 = 0
        self._counts: list[int] = [0] * CLASSES

    def record(self, ns: i64, times: i64) -> None:
        """Count a latency; one below zero counts as zero."""
        # HOT: once per run of equal latencies
        value: i64 = ns if ns > 0 else 0
        if value > self.largest:
            self.largest = value
        self._counts[class_of(value)] += int(times)
        self.count += times

    def entries(self) -> list[tuple[int, int]]:
        """The classes that occurred, each with its number: for merge()."""
        return [(index, count) for index, count in enumerate(self._counts) if count]

    def merge(self, entries: Iterable[tuple[int, int]], largest: int) -> None:
        """Add what another histogram has counted."""
        for index, count in entries:
            self._counts[index] += count
            self.count += count
        self.largest = max(self.largest, largest)

    def clear(self) -> None:
        """Forget everything."""
        self._counts = [0] * CLASSES
        self.count = 0
        self.largest = 0

    def percentile(self, percent: float) -> float:
        """The nanoseconds that so many per cent of all do not exceed; 0 if there are none."""
        rank = max(1, -(-int(self.count) * percent // 100))
        seen = 0
        for index, count in self.entries():
            seen += count
            if seen >= rank:
                return min(middle_of(index), float(self.largest))
        return 0.0


def class_of(ns: i64) -> i64:
    """The class of a latency that is not negative."""
    # HOT: as record
    value: i64 = ns
    shift: i64 = 0
    while value >= 0x10000:
        value >>= 8
        shift += 8
    while value >= 2 * PARTS:
        value >>= 1
        shift += 1
    return (shift << _BITS) + value


def middle_of(index: int) -> float:
    """The latency in the middle of a class."""
    if index < 2 * PARTS:
        return float(index)
    shift = index // PARTS - 1
    least = (index - shift * PARTS) << shift
    return least + (1 << shift) / 2
