"""Reading a log from any offset or time on.

Rule: what may live here goes from segment to segment and remembers where it was; what is a record decides Scan.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from amqpd.log.block import Block
from amqpd.log.damage import Damage
from amqpd.log.files import Files
from amqpd.log.ranges import Ranges
from amqpd.log.record import Record
from amqpd.log.scan import Scan
from amqpd.log.segment import Segment, find, find_time

_LEAST: Final = 4096  # octets read at once
_STRETCH: Final = 128 * 1024  # octets read at once where one record is looked for
_NO_LIMIT: Final = 1 << 62


@final
class Reader:
    """A place in a log, from which reading goes on.

    Attributes:
        damages: what could not be read since somebody took them.

    Args:
        files: where the log is.
        segments: the log's own list, in order.
    """

    def __init__(self, files: Files, segments: list[Segment]) -> None:
        self.damages: list[Damage] = []
        self._files = files
        self._segments = segments
        self._segment: Segment | None = None
        self._position: i64 = 0
        self._next: i64 = 0  # who wants offsets from here on, or from above, finds them at the position and behind it
        self._passed: i64 = 0  # passing records below this offset are those of an earlier run
        self._known: set[tuple[str, int]] = set()  # where damage was found before

    def passed(self, offset: i64) -> None:
        """Passing records below this offset are not there."""
        self._passed = offset

    def forget_place(self) -> None:
        """The list of segments was changed: the next read looks for its place."""
        self._segment = None

    def note(self, damages: list[Damage]) -> None:
        """Put damage into damages, unless it was there before."""
        for damage in damages:
            place = (damage.path, damage.position)
            if place not in self._known:
                self._known.add(place)
                self.damages.append(damage)

    def remember(self, damages: list[Damage]) -> None:
        """This damage is known: it is not worth a note."""
        for damage in damages:
            self._known.add((damage.path, damage.position))

    def read(self, offset: i64, octets: i64) -> list[Record]:
        """Return records from an offset on, about so many octets of them, at least one if there is one."""
        found: list[Record] = []
        if self._segment is None or offset != self._next:
            self._go_to(offset)
        while True:
            segment = self._segment
            if segment is None:
                return found
            if self._position < segment.written:
                self._read_some(segment, offset, octets, found)
            if found or not self._go_on(segment):
                return found

    def scan_block(self, block: Block) -> Scan:
        """Return a scan of a block; of nothing if its segment was forgotten."""
        segment = block.segment
        below = self.base_behind(find(self._segments, segment.base))
        end = block.end if segment in self._segments else block.position
        return Scan(self._files, segment, block.position, end, below, block.end - block.position)

    def first_since(self, time: i64) -> i64:
        """Return the lowest offset whose record's time is not below; -1 if there is none."""
        for index in range(find_time(self._segments, time), len(self._segments)):
            segment = self._segments[index]
            if segment.latest < time:
                continue
            position = segment.index.position_of_time(time)
            scan = Scan(self._files, segment, position, segment.written, self.base_behind(index), _STRETCH)
            while scan.next():
                if scan.time >= time and not (scan.passing and scan.offset < self._passed):
                    return scan.offset
            self.note(scan.damages)
        return -1

    def weight_of(self, index: i64, wanted: Ranges) -> i64:
        """Return what the records with those offsets weigh together, in the segment of that index."""
        segment = self._segments[index]
        scan = Scan(self._files, segment, 0, segment.written, self.base_behind(index), checks=False)
        intervals = wanted.intervals()
        at = 0
        total: i64 = 0
        while scan.next():
            while at < len(intervals) and scan.offset > intervals[at][1]:
                at += 1
            if at == len(intervals):
                break
            if scan.offset >= intervals[at][0]:
                total += scan.weight
        return total

    def _read_some(self, segment: Segment, offset: i64, octets: i64, found: list[Record]) -> None:
        below = self.base_behind(find(self._segments, segment.base))
        scan = Scan(self._files, segment, self._position, segment.written, below, max(octets, _LEAST))
        left = octets
        while scan.next():
            if scan.offset < offset or (scan.passing and scan.offset < self._passed):
                continue
            found.append(Record(scan.offset, scan.time, scan.weight, scan.payload()))
            left -= scan.size
            if left < scan.size:  # records are mostly alike: the next one is not in the window any more
                break
        self._position = scan.position + scan.size
        self._next = max(offset, scan.offset + 1)
        if scan.damages:
            self.note(scan.damages)

    def _go_to(self, offset: i64) -> None:
        index = max(find(self._segments, offset), 0)
        if index >= len(self._segments):
            self._segment = None
            return
        segment = self._segments[index]
        position = segment.index.position_of(offset)
        if segment is not self._segment or offset < self._next or position > self._position:
            self._segment = segment
            self._position = position
        self._next = offset

    def _go_on(self, segment: Segment) -> bool:
        """Go to the segment behind; False if this is the last one, or not yet written to its end."""
        index = find(self._segments, segment.base) + 1
        if segment.written < segment.size or index >= len(self._segments):
            return False
        self._segment = self._segments[index]
        self._position = 0
        return True

    def base_behind(self, index: i64) -> i64:
        """Return the lowest offset that is no longer in a segment."""
        return self._segments[index + 1].base if index + 1 < len(self._segments) else _NO_LIMIT
