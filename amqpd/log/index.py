"""The sparse index of a segment, and the checkpoint that keeps it in a file beside the segment.

Rule: what may live here finds places in a segment and vouches for a part of it; it never reads the segment.

A checkpoint says that everything up to some size of the segment was checked, and what is there. It is a shortcut: one
that is missing, torn or about something else costs reading the segment, nothing more. All numbers are little-endian:
magic, format version (u32), CRC-32 of everything behind it (u32), the numbers that encode() names (i64; the last four
u32), index, encoded ranges, the owner's notes.
"""

from __future__ import annotations

import struct
from typing import Final, final
from zlib import crc32

from librt.strings import read_i64_le
from mypy_extensions import i64

from amqpd.log.record import crc_at

MAGIC: Final = b"amqpdidx"
VERSION: Final = 1
EVERY: Final = 64 * 1024  # octets of a segment for which there is one entry
_ENTRY: Final = struct.Struct("<qqq")
ENTRY_SIZE: Final = 24
_TIME: Final = 8
_POSITION: Final = 16
_START: Final = 16  # magic, version, CRC
_NUMBERS: Final = struct.Struct("<qqqqqqqIIII")
_FIXED: Final = _START + 72


@final
class Index:
    """Places in a segment, about one for every EVERY octets, by offset and by time.

    An entry is a record's offset, the latest time of all records before it in the segment, and its position. The latest
    time, and not the record's own, because clocks are set back: so it never falls from entry to entry. Entries are
    kept as octets: a hundred thousand of them are no hundred thousand objects.
    """

    def __init__(self, entries: bytes = b"") -> None:
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries) // ENTRY_SIZE

    def add(self, offset: i64, time: i64, position: i64) -> None:
        """A record, higher than those before. Copies what is there, which is a few KiB at most."""
        self.entries += _ENTRY.pack(offset, time, position)

    def position_of(self, offset: i64) -> i64:
        """Return the position of the last record entered that is not above the offset; 0 if there is none."""
        return self._position(self._below(0, offset + 1))

    def position_of_time(self, time: i64) -> i64:
        """Return the position of the last record entered before which every time is lower; 0 if there is none."""
        return self._position(self._below(_TIME, time))

    def block_of(self, offset: i64) -> i64:
        """Return the number of the last entry that is not above the offset; 0 if there is none."""
        number = self._below(0, offset + 1) - 1
        return number if number > 0 else 0

    def block_at(self, position: i64) -> i64:
        """Return the number of the last entry that begins before the position; -1 if there is none."""
        return self._below(_POSITION, position) - 1

    def offset_at(self, number: i64) -> i64:
        """Return the offset of an entry."""
        return read_i64_le(self.entries, number * ENTRY_SIZE)

    def position_at(self, number: i64) -> i64:
        """Return the position of an entry."""
        return read_i64_le(self.entries, number * ENTRY_SIZE + _POSITION)

    def _position(self, count: i64) -> i64:
        return read_i64_le(self.entries, (count - 1) * ENTRY_SIZE + _POSITION) if count > 0 else 0

    def _below(self, field: i64, limit: i64) -> i64:
        """Return how many entries have a field below the limit."""
        entries = self.entries
        low: i64 = 0
        high: i64 = len(entries) // ENTRY_SIZE
        while low < high:
            middle = (low + high) >> 1
            if read_i64_le(entries, middle * ENTRY_SIZE + field) < limit:
                low = middle + 1
            else:
                high = middle
        return low


@final
class Checkpoint:
    """What is known of a segment up to some size.

    Args:
        base: the offset the segment is named for.
        size: octets of the segment that this is about.
        last: the highest offset in them.
        last_position: where that record begins.
        last_crc: what stands there as its CRC; a segment where something else stands is not the one meant.
        latest: the latest time in them.
        records: how many there are that survive a restart.
        weight: of those together.
        index: places among them.
        present: their offsets, encoded.
        notes: what the log's owner wants to know of them.
    """

    def __init__(
        self,
        base: i64,
        size: i64,
        last: i64,
        last_position: i64,
        last_crc: i64,
        latest: i64,
        records: i64,
        weight: i64,
        index: bytes,
        present: bytes,
        notes: bytes = b"",
    ) -> None:
        self.base = base
        self.size = size
        self.last = last
        self.last_position = last_position
        self.last_crc = last_crc
        self.latest = latest
        self.records = records
        self.weight = weight
        self.index = index
        self.present = present
        self.notes = notes

    def encode(self) -> bytes:
        """Return the whole file."""
        numbers = _NUMBERS.pack(
            self.base,
            self.size,
            self.last,
            self.last_position,
            self.latest,
            self.records,
            self.weight,
            self.last_crc,
            len(self.index),
            len(self.present),
            len(self.notes),
        )
        rest = b"".join((numbers, self.index, self.present, self.notes))
        return MAGIC + struct.pack("<II", VERSION, crc32(rest)) + rest

    @staticmethod
    def decode(data: bytes) -> Checkpoint | None:
        """Return what encode() made octets of; None if they are none of its making. Octets behind it do not matter."""
        if len(data) < _FIXED or data[:8] != MAGIC or crc_at(data, 8) != VERSION:
            return None
        numbers = _NUMBERS.unpack_from(data, _START)
        index_size: int = numbers[8]
        present_size: int = numbers[9]
        notes_start = _FIXED + index_size + present_size
        end: int = notes_start + numbers[10]
        if end > len(data) or crc32(data[_START:end]) != crc_at(data, 12):
            return None
        return Checkpoint(
            numbers[0],
            numbers[1],
            numbers[2],
            numbers[3],
            numbers[7],
            numbers[4],
            numbers[5],
            numbers[6],
            data[_FIXED : _FIXED + index_size],
            data[_FIXED + index_size : notes_start],
            data[notes_start:end],
        )
