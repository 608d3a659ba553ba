"""One file of an acknowledgement journal: its format, and what can be read of it, whatever happened to it.

Rule: what may live here knows one file; which of several is to be believed is the matter of acks.py.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, final

from librt.strings import BytesWriter, read_i32_le, read_i64_le, write_i32_le, write_i64_le
from mypy_extensions import i64

from amqpd.log.damage import Damage
from amqpd.log.journal_write import HEADER_SIZE, has_header
from amqpd.log.ranges import LIMIT, Ranges

# A file is a header (journal_write.py) and entries: octets of the payload and their CRC (u32 each), payload. A payload
# is its kind (u8), delivered (i64), how many counts (u32) and marks (u32), position (i64) and count (u32) of each,
# position (i64) and mark (u8) of each, and the encoded ranges that are gone. All numbers are little-endian. In version
# 1 there were no marks, nor their number.
MAGIC: Final = b"amqpdack"
VERSION: Final = 2
ENTRY_SIZE: Final = 8
FIXED_SIZE: Final = 17
FIXED_SIZE_1: Final = 13  # in version 1
COUNT_SIZE: Final = 12
MARK_SIZE: Final = 9
# Entries of version 1 have kinds of their own, so that they are understood even where the header is broken.
DELTA_1: Final = 1
SNAPSHOT_1: Final = 2
DELTA: Final = 3
SNAPSHOT: Final = 4


@final
class Journal:
    """What one file says.

    Attributes:
        version: of its format; that of today if its header cannot be read.
        whole: it begins with a header and a snapshot.
        first_size: where its snapshot ends.
        end: where its last entry ends.
    """

    def __init__(self, path: str, number: int, data: bytes) -> None:
        self.path = path
        self.number = number
        self.size = len(data)
        self.gone = Ranges()
        self.delivered: i64 = 0
        self.counts: dict[int, int] = {}
        self.marks: dict[int, int] = {}
        self.damages: list[Damage] = []
        self.entries: int = 0
        self.whole = has_header(path, data, MAGIC, VERSION)
        self.version = _u32(data, 8) if self.whole else VERSION
        self.first_size: int = 0
        self.end: int = 0
        self._data = data
        self._read_entries()
        self._data = b""

    @property
    def intact(self) -> bool:
        """True if a job may append to it."""
        return self.whole and self.end == self.size and not self.damages

    def damaged(self, start: int, end: int, text: str) -> None:
        """Something between two positions could not be read."""
        self.damages.append(Damage(self.path, start, end - start, text))

    def _read_entries(self) -> None:
        position = HEADER_SIZE
        self.end = HEADER_SIZE
        while position < self.size:
            length = self._read_entry(position)
            if length == 0:
                self.whole = self.whole and self.entries > 0
                position += 1
                continue
            if position > self.end:
                self.damaged(
                    self.end, position, "acknowledgements are unreadable; the messages they were for may come again"
                )
            position += length
            self.end = position
            if self.entries == 1:
                self.first_size = position
        self.whole = self.whole and self.entries > 0

    def _read_entry(self, position: int) -> int:
        """Use the entry at a position and return its octets, 0 if there is none."""
        data = self._data
        if position + ENTRY_SIZE + FIXED_SIZE_1 > self.size:
            return 0
        length = _u32(data, position)
        start = position + ENTRY_SIZE
        if length < FIXED_SIZE_1 or length > self.size - start:
            return 0
        kind = data[start]
        if kind < DELTA_1 or kind > SNAPSHOT:
            return 0
        payload = data[start : start + length]
        if zlib.crc32(payload) != _u32(data, position + 4) or not self._use(payload):
            return 0
        self.entries += 1
        return ENTRY_SIZE + length

    def _use(self, payload: bytes) -> bool:
        """Make the statements of an entry this file's; False if they make no sense, CRC or not."""
        first = payload[0] <= SNAPSHOT_1
        start = FIXED_SIZE_1 if first else FIXED_SIZE
        if len(payload) < start:
            return False
        delivered: i64 = read_i64_le(payload, 1)
        number = _u32(payload, 9)
        marked = 0 if first else _u32(payload, 13)
        marks = start + number * COUNT_SIZE
        end = marks + marked * MARK_SIZE
        if end > len(payload) or delivered < 0 or delivered > LIMIT:
            return False
        try:
            gone = Ranges.decode(payload[end:])
        except ValueError:
            return False
        self.gone.update(gone)
        self.delivered = max(self.delivered, delivered)
        for index in range(number):
            position = start + index * COUNT_SIZE
            self.counts[read_i64_le(payload, position)] = _u32(payload, position + 8)
        for index in range(marked):
            position = marks + index * MARK_SIZE
            self.marks[read_i64_le(payload, position)] = payload[position + 8]
        return True


def damages_of(journals: list[Journal]) -> list[Damage]:
    """What is wrong with the files, the newest first, that power loss does not explain."""
    damages: list[Damage] = []
    numbers = [journal.number for journal in journals]
    for journal in journals:
        # Power loss in the first write of a file leaves it torn; the one that it was to replace is still there then.
        first_write = journal.entries <= 1 and (journal.number == 0 or journal.number - 1 in numbers)
        if not journal.whole and not journal.damages and not first_write:
            journal.damaged(0, journal.size, "acknowledgements are unreadable from the beginning of the file")
        damages += journal.damages
    return damages


def entry(kind: i64, gone: Ranges, delivered: i64, counts: dict[int, int], marks: dict[int, int]) -> bytes:
    writer = BytesWriter()
    writer.append(kind)
    write_i64_le(writer, delivered)
    write_i32_le(writer, len(counts))
    write_i32_le(writer, len(marks))
    for position, count in counts.items():
        write_i64_le(writer, position)
        write_i32_le(writer, count)
    for position, mark in marks.items():
        write_i64_le(writer, position)
        writer.append(mark)
    writer.write(gone.encode())
    payload = writer.getvalue()
    return struct.pack("<II", len(payload), zlib.crc32(payload)) + payload


def _u32(data: bytes, position: int) -> int:
    """The u32 at a position."""
    return int(read_i32_le(data, position)) & 0xFFFFFFFF
