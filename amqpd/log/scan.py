"""Walking through the records of a segment, over what is broken.

Rule: what may live here reads one file from front to back and decides what in it is a record. It keeps one window of
the file in memory, never the whole of it.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import read_i32_le, read_i64_le
from mypy_extensions import i64

from amqpd.log.checksum import crc32
from amqpd.log.damage import Damage
from amqpd.log.files import Files
from amqpd.log.record import CHECKED, FRONT, PASSING, crc_at
from amqpd.log.segment import HEADER, SPAN, Segment

BODY_FRONT: Final = FRONT - CHECKED  # octets of a record's body before its payload
CHUNK: Final = 256 * 1024
# Octets that the search for the next record may read and check in vain. Octets made to look like the beginnings of huge
# records would otherwise keep a start busy for hours.
_PATIENCE: Final = 512 * 1024 * 1024
_CHEAP: Final = 256  # octets that are checked as fast as they are counted


@final
class Scan:
    """The records of a part of a segment, one after the other.

    A record counts only where its CRC is right and its offset above that of the one before and within the segment. What
    is not a record is skipped up to the next one, and kept as damage.

    Attributes:
        offset, time, weight, passing: of the record that next() found.
        position, size: where that is, and its octets on the disk.
        damages: what was skipped, with the path of the file.
        torn: where octets begin that are no record, and behind which there is none any more; -1 if there are none.

    Args:
        files: where the segment is.
        segment: whose file is read.
        position: where a record begins, or the end.
        end: where to stop.
        below: every offset has to be below this one.
        chunk: octets to read at once.
        checks: False believes what looks like a record until something does not; payloads are then not there.
    """

    def __init__(
        self,
        files: Files,
        segment: Segment,
        position: i64,
        end: i64,
        below: i64,
        chunk: i64 = CHUNK,
        checks: bool = True,
    ) -> None:
        self.offset: i64 = segment.base - 1
        self.time: i64 = 0
        self.weight: i64 = 0
        self.passing = False
        self.position: i64 = position if position > HEADER else HEADER
        self.size: i64 = 0
        self.damages: list[Damage] = []
        self.torn: i64 = -1
        self._files = files
        self._path = segment.path
        self._end = end
        self._below = min(below, segment.base + SPAN)
        self._chunk = chunk
        self._checks = checks
        self._window = b""
        self._start: i64 = 0  # of the window in the file
        self._body = b""
        self._patience: i64 = 0

    def next(self) -> bool:
        """Go to the next record; False if there is none."""
        # HOT: once per record read
        self.position += self.size
        size = self._record_at(self.position)
        if size == 0 and self.position < self._end:
            size = self._skip()
        self.size = size
        if size == 0:
            return False
        at = self.position - self._start
        window = self._window
        self.offset = read_i64_le(window, at + 8)
        self.time = read_i64_le(window, at + 16)
        flags = i64(read_i32_le(window, at + 24))
        self.passing = flags < 0
        self.weight = flags & (PASSING - 1)
        return True

    @property
    def body(self) -> bytes:
        """The octets of the record that next() found, of which the payload begins at BODY_FRONT."""
        return self._body

    def payload(self) -> bytes:
        """Return the payload of the record that next() found."""
        return self._body[BODY_FRONT:]

    def octets(self) -> bytes:
        """Return the whole record as it stands in the file."""
        at = self.position - self._start
        return self._window[at : at + self.size]

    def crc(self) -> i64:
        """Return the record's CRC."""
        return crc_at(self._window, self.position - self._start + 4)

    def _record_at(self, position: i64) -> i64:
        """Return the octets of the record at a position, 0 if there is none. The window contains it then."""
        at = position - self._start
        window = self._window
        if at < 0 or at + FRONT > len(window):
            if position + FRONT > self._end or not self._load(position, FRONT):
                return 0
            window = self._window
            at = 0
        length = i64(read_i32_le(window, at))
        size = FRONT + length
        if length < 0 or position + size > self._end:
            return 0
        offset = read_i64_le(window, at + 8)
        if offset <= self.offset or offset >= self._below:
            return 0
        if at + size > len(window):
            if not self._load(position, size):
                return 0
            window = self._window
            at = 0
        if self._checks:
            body = window[at + CHECKED : at + size]
            if crc32(body) != crc_at(window, at + 4):
                self._patience -= size - _CHEAP if size > _CHEAP else 0
                return 0
            self._body = body
        return size

    def _load(self, position: i64, size: i64) -> bool:
        """Put the window where it contains so many octets from a position on; False if the file has fewer."""
        wanted = min(max(size, self._chunk), self._end - position)
        self._window = self._files.read(self._path, position, wanted)
        self._start = position
        self._patience -= wanted
        return len(self._window) >= size

    def _skip(self) -> i64:
        """Go to the next record behind what is none, and return its octets; 0 at the end."""
        self._checks = True
        start = self.position
        size = self._record_at(start)  # it was good enough only as long as everything looked good
        if size > 0:
            return size
        length = self._length_at(start)
        if length >= 0:
            size = self._record_at(start + FRONT + length)
            if size > 0:
                self.position = start + FRONT + length
                self._damaged(start, "a record is broken (its checksum does not match)")
                return size
        size = self._search(start + 1)
        if size == 0:
            self.position = self._end
            self.torn = start
            self._damaged(start, "no whole record up to the end of the file")
        else:
            self._damaged(start, "these octets are no records")
        return size

    def _length_at(self, position: i64) -> i64:
        """Return what stands where a record has its length, if it may be one; otherwise -1."""
        if position + FRONT > self._end or not self._load(position, FRONT):
            return -1
        length = i64(read_i32_le(self._window, 0))
        return length if position + FRONT + length <= self._end else -1

    def _search(self, position: i64) -> i64:
        """Look for a record at every position from one on, go there and return its octets; 0 if there is none."""
        self._patience = _PATIENCE
        while position + FRONT <= self._end and self._patience > 0:
            size = self._record_at(position)
            if size > 0:
                self.position = position
                return size
            position += 1
        return 0

    def _damaged(self, start: i64, text: str) -> None:
        self.damages.append(Damage(self._path, start, self.position - start, text))
