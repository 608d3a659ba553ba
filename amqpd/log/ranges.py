"""A set of positions, kept as the intervals it consists of.

Rule: what may live here is arithmetic of sets, and their form in octets. Positions are at least 0 and below 2**61.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import final

from librt.strings import BytesWriter
from mypy_extensions import i64

LIMIT = 1 << 61  # twice as much still fits into an i64
# Up to so many runs are put in one by one; more are merged in one pass over the intervals between the first and the
# last of them. Moving memory costs about a tenth of merging it.
ONE_BY_ONE = 8
NEAR = 4  # so many intervals are tried before a search


@final
class Ranges:
    """A set of positions as sorted, disjoint closed intervals with a gap between any two.

    Adding at the end takes the same time however large the set is; elsewhere the intervals behind are moved in memory.
    An interval takes 16 octets, however long it is.
    """

    def __init__(self) -> None:
        self._firsts: array[int] = array("q")  # arrays: a list would take 80 octets for an interval
        self._lasts: array[int] = array("q")
        self._count: i64 = 0

    @property
    def count(self) -> int:
        """How many positions are in."""
        return self._count

    def __len__(self) -> int:
        """How many intervals there are."""
        return len(self._firsts)

    def __bool__(self) -> bool:
        return self._count > 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and self._firsts == other._firsts and self._lasts == other._lasts

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Ranges({self.intervals()})"

    def intervals(self) -> list[tuple[int, int]]:
        """Return first and last position of every interval, in order."""
        return list(zip(self._firsts, self._lasts, strict=True))

    def first_gap(self) -> i64:
        """Return the lowest position that is not in."""
        return i64(self._lasts[0]) + 1 if len(self._firsts) > 0 and self._firsts[0] == 0 else 0

    def last(self) -> i64:
        """Return the highest position, -1 if there is none."""
        return self._lasts[-1] if self._count > 0 else -1

    def copy(self) -> Ranges:
        """Return a set of its own with the same positions."""
        result = Ranges()
        result._firsts = self._firsts[:]
        result._lasts = self._lasts[:]
        result._count = self._count
        return result

    def clear(self) -> None:
        """Take everything out."""
        self._firsts = array("q")
        self._lasts = array("q")
        self._count = 0

    def add(self, first: i64, last: i64) -> None:
        """Put in every position from first to last; nothing when last is below first."""
        if last < first:
            return
        if self._count == 0:
            self._append(first, last)
            return
        end: i64 = self._lasts[-1]
        if first > end + 1:
            self._append(first, last)
        elif first >= i64(self._firsts[-1]):
            if last > end:
                self._lasts[-1] = last
                self._count += last - end
        else:
            self._insert(first, last)

    def add_sorted(self, positions: list[i64]) -> None:
        """Put in positions that ascend; one may come twice."""
        self.update(ranges_of(positions))

    def update(self, other: Ranges) -> None:
        """Put in every position of the other set."""
        size = len(other._firsts)
        if size > ONE_BY_ONE:
            self._merge(other)
            return
        for index in range(size):
            self.add(other._firsts[index], other._lasts[index])

    def covers(self, position: i64) -> bool:
        """Tell whether the position is in."""
        index = bisect_right(self._firsts, position)
        return index > 0 and i64(self._lasts[index - 1]) >= position

    def covered(self, first: i64, last: i64) -> i64:
        """Return how many of the positions from first to last are in."""
        total: i64 = 0
        index = bisect_left(self._lasts, first)
        while index < len(self._firsts):
            start: i64 = self._firsts[index]
            if start > last:
                break
            total += min(last, i64(self._lasts[index])) - max(first, start) + 1
            index += 1
        return total

    def first_missing(self, position: i64) -> i64:
        """Return the lowest position that is not in, from the given one on."""
        index = bisect_right(self._firsts, position)
        if index == 0:
            return position
        return max(position, i64(self._lasts[index - 1]) + 1)

    def first_present(self, position: i64) -> i64:
        """Return the lowest position that is in, from the given one on; -1 if there is none."""
        index = bisect_left(self._lasts, position)
        if index == len(self._lasts):
            return -1
        return max(position, i64(self._firsts[index]))

    def without(self, other: Ranges) -> Ranges:
        """Return the positions that are in this set and not in the other one."""
        result = Ranges()
        for index in range(len(self._firsts)):
            self._copy_gaps(self._firsts[index], self._lasts[index], other, result)
        return result

    def encode(self) -> bytes:
        """Return the set in octets: gap and length of every interval, seven bits to an octet."""
        writer = BytesWriter()
        before: i64 = -2
        for index in range(len(self._firsts)):
            first: i64 = self._firsts[index]
            last: i64 = self._lasts[index]
            _write_number(writer, first - before - 2)
            _write_number(writer, last - first)
            before = last
        return writer.getvalue()

    @staticmethod
    def decode(data: bytes) -> Ranges:
        """Return the set that encode() made octets of. ValueError if they are none of its making."""
        result = Ranges()
        at: i64 = 0
        size: i64 = len(data)
        before: i64 = -2
        while at < size:
            gap, at = _read_number(data, at)
            length, at = _read_number(data, at)
            first: i64 = before + 2 + gap
            before = first + length
            if first >= LIMIT or before >= LIMIT:
                raise ValueError("a position is out of range")
            result._append(first, before)
        return result

    def _append(self, first: i64, last: i64) -> None:
        self._firsts.append(first)
        self._lasts.append(last)
        self._count += last - first + 1

    def _insert(self, first: i64, last: i64) -> None:
        """Put an interval in anywhere, in place of those that it touches."""
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low == high:
            self._firsts.insert(low, first)
            self._lasts.insert(low, last)
            self._count += last - first + 1
            return
        first = min(first, i64(self._firsts[low]))
        last = max(last, i64(self._lasts[high - 1]))
        self._count += last - first + 1 - self._positions(low, high)
        self._firsts[low] = first
        self._lasts[low] = last
        if high > low + 1:
            del self._firsts[low + 1 : high]
            del self._lasts[low + 1 : high]

    def _merge(self, other: Ranges) -> None:
        """Put in many intervals, in one pass over those between the first and the last of them.

        Only the intervals that are touched are looked at one by one, the others are moved in memory: acknowledgements
        in random order leave a million of them.
        """
        start = bisect_left(self._lasts, other._firsts[0] - 1)
        end = bisect_right(self._firsts, other._lasts[-1] + 1)
        merged = Ranges()  # its count is that of positions which are new
        index = start
        for place in range(len(other._firsts)):
            first: i64 = other._firsts[place]
            last: i64 = other._lasts[place]
            low = self._reaching(first - 1, index, end)
            if low > index:
                merged._firsts.extend(self._firsts[index:low])
                merged._lasts.extend(self._lasts[index:low])
                index = low
            while index < end and i64(self._firsts[index]) <= last + 1:
                first = min(first, i64(self._firsts[index]))
                last = max(last, i64(self._lasts[index]))
                merged._count -= i64(self._lasts[index]) - i64(self._firsts[index]) + 1
                index += 1
            merged._add_ascending(first, last)
        merged._firsts.extend(self._firsts[index:end])
        merged._lasts.extend(self._lasts[index:end])
        self._count += merged._count
        self._firsts[start:end] = merged._firsts
        self._lasts[start:end] = merged._lasts

    def _reaching(self, position: i64, low: i64, high: i64) -> i64:
        """Return the index from low to high of the first interval that reaches the position."""
        for index in range(low, min(low + NEAR, high)):
            if i64(self._lasts[index]) >= position:
                return index
        return bisect_left(self._lasts, position, min(low + NEAR, high), high)

    def _add_ascending(self, first: i64, last: i64) -> None:
        """Put in an interval that begins no earlier than the last one."""
        end: i64 = self._lasts[-1] if self._lasts else -2
        if first > end + 1:
            self._append(first, last)
        elif last > end:
            self._lasts[-1] = last
            self._count += last - end

    def _positions(self, low: i64, high: i64) -> i64:
        """How many positions are in the intervals from index low to before index high."""
        total: i64 = 0
        for index in range(low, high):
            total += i64(self._lasts[index]) - i64(self._firsts[index]) + 1
        return total

    @staticmethod
    def _copy_gaps(first: i64, last: i64, other: Ranges, result: Ranges) -> None:
        """Append to result what the other set leaves of an interval."""
        index = bisect_left(other._lasts, first)
        while first <= last:
            if index == len(other._firsts) or i64(other._firsts[index]) > last:
                result._append(first, last)
                return
            if first < i64(other._firsts[index]):
                result._append(first, i64(other._firsts[index]) - 1)
            first = i64(other._lasts[index]) + 1
            index += 1


def ranges_of(positions: list[i64]) -> Ranges:
    """Return the set of positions that ascend; one may come twice."""
    result = Ranges()
    if not positions:
        return result
    first: i64 = positions[0]
    last: i64 = first
    for position in positions:  # HOT: every settled position comes through here
        if position > last + 1:
            result._append(first, last)
            first = position
        last = position
    result._append(first, last)
    return result


def _write_number(writer: BytesWriter, number: i64) -> None:
    while number > 127:
        writer.append((number & 127) | 128)
        number >>= 7
    writer.append(number)


def _read_number(data: bytes, at: i64) -> tuple[i64, i64]:
    """Return a number and where it ends."""
    number: i64 = 0
    shift: i64 = 0
    while at < len(data):
        octet: i64 = data[at]
        at += 1
        number |= (octet & 127) << shift
        if octet < 128:
            if number >= LIMIT:
                raise ValueError("a number is out of range")
            return number, at
        shift += 7
        if shift > 56:
            break
    raise ValueError("a number has no end")
