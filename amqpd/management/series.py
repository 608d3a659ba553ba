"""Series: what counters were at regular moments, for as long as they may be asked for.

Moments are numbered: ticks. What did not change between two ticks is not kept twice, so that an object with which
nothing happens has no rows.

Rule: what may live here knows numbers and ticks, neither clocks nor what is counted.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TICK_SECONDS = 5


@dataclass(frozen=True)
class Level:
    """One grain of samples.

    Args:
        step: ticks from one to the next.
        most: how many are kept.
    """

    step: int
    most: int

    @property
    def seconds(self) -> int:
        """How far back it reaches."""
        return self.step * self.most * TICK_SECONDS


class Series:
    """The counters of one object at one level.

    Rows are kept in columns, and only those columns that ever changed: most counters of most objects stay 0.

    Args:
        level: the grain.
        tick: the last one at which the counters still were what they are here.
        counts: by name.
    """

    __slots__ = ("_columns", "_fixed", "_ticks", "level")

    def __init__(self, level: Level, tick: int, counts: Mapping[str, int]) -> None:
        self.level = level
        self._ticks = array("q", (tick,))
        self._fixed = dict(counts)  # of what has not changed
        self._columns: dict[str, array[int]] = {}

    def __len__(self) -> int:
        return len(self._ticks)

    def add(self, tick: int, counts: Mapping[str, int]) -> None:
        """Note what the counters are at a tick of this level, if that is news."""
        if all(counts[name] == column[-1] for name, column in self._columns.items()) and all(
            counts[name] == value for name, value in self._fixed.items()
        ):
            return
        rows = len(self._ticks)
        for name in [name for name, value in self._fixed.items() if counts[name] != value]:
            self._columns[name] = array("q", (self._fixed.pop(name),)) * rows
        self._ticks.append(tick)
        for name, column in self._columns.items():
            column.append(counts[name])

    def forget(self, tick: int, most: int) -> None:
        """Drop what nobody can ask for at a tick, and what is beyond so many rows. One row always stays."""
        oldest = tick - self.level.step * self.level.most
        drop = max(bisect_right(self._ticks, oldest) - 1, len(self._ticks) - most, 0)
        if drop:
            del self._ticks[:drop]
            for column in self._columns.values():
                del column[:drop]

    def idle(self, tick: int) -> bool:
        """Nothing has changed for as long as anybody can ask."""
        return len(self._ticks) == 1 and self._ticks[0] <= tick - self.level.step * self.level.most

    def change(self, name: str, tick: int) -> int:
        """By how much a counter grew from the tick before to this one, of this level."""
        if name not in self._columns or self._ticks[-1] <= tick - self.level.step:
            return 0
        now, before = self.values(name, (tick, tick - self.level.step))
        return now - before

    def values(self, name: str, ticks: Sequence[int]) -> list[int]:
        """What a counter was at these ticks; before its first row it was what that says."""
        column = self._columns.get(name)
        if column is None:
            return [self._fixed.get(name, 0)] * len(ticks)
        return [column[max(bisect_right(self._ticks, tick) - 1, 0)] for tick in ticks]
