"""A segment: one file of a log, its name, its header, and what is known of the records in it.

Rule: what may live here is what the main thread knows of one file; it neither reads nor writes it. All numbers are
little-endian.

    octet 0       8         12     20        28    32
          +-------+---------+------+---------+-----+---------+---------+----
          | magic | version | base | created | crc | record  | record  | ...
          +-------+---------+------+---------+-----+---------+---------+----

base is the lowest offset that may be in the segment, created the time of its first record, crc the CRC-32 of what is
before it. A later format may look different behind the version, but magic, version and crc stay where they are.
"""

from __future__ import annotations

import struct
from typing import Final, final
from zlib import crc32

from librt.strings import read_i32_le, read_i64_le
from mypy_extensions import i64

from amqpd.log.index import EVERY, Checkpoint, Index
from amqpd.log.ranges import Ranges
from amqpd.log.record import crc_at

MAGIC: Final = b"amqpdlog"
VERSION: Final = 1
HEADER: Final = 32
# Offsets of a segment lie closer together than this, so that few octets that are no record can look like one.
SPAN: Final = 1 << 40
_CHECKED: Final = 28
_HEADER: Final = struct.Struct("<8sIqq")
_DIGITS: Final = 20


def name_of(base: i64, generation: i64) -> str:
    """Return the name of a segment's files, without what tells log and checkpoint apart."""
    return f"{base:0{_DIGITS}d}.{generation}"


def base_and_generation(name: str) -> tuple[i64, i64]:
    """Return what name_of() made a name of, (-1, -1) if it is another name."""
    base, _, generation = name.partition(".")
    digits = (base + generation).isascii() and base.isdigit() and generation.isdigit()
    if not digits or len(base) != _DIGITS or len(generation) > _DIGITS or name != name_of(int(base), int(generation)):
        return -1, -1
    return int(base), int(generation)


def header_of(base: i64, created: i64) -> bytes:
    """Return the header of a segment.

    Args:
        base: the lowest offset that may be in it.
        created: milliseconds.
    """
    data = _HEADER.pack(MAGIC, VERSION, base, created)
    return data + struct.pack("<I", crc32(data))


def header_is_whole(data: bytes) -> bool:
    """Tell whether octets begin with the header of a segment, of whatever version."""
    return len(data) >= HEADER and data[:8] == MAGIC and crc32(data[:_CHECKED]) == crc_at(data, _CHECKED)


def version_in(header: bytes) -> i64:
    """Return the format version that a whole header tells."""
    return i64(read_i32_le(header, 8))


def created_in(header: bytes) -> i64:
    """Return the milliseconds that a whole header tells."""
    return read_i64_le(header, 20)


@final
class Segment:
    """What is known of one file of a log.

    Records that are there are those that can be read again after they were handed out: all that were appended in this
    run, and those that do not pass of the runs before.

    Attributes:
        base: the lowest offset that may be in it.
        last: the highest offset in it, base - 1 if there is none.
        size: octets of the file once everything gathered is written.
        written: octets of the file that can be read.
        records: how many are there.
        weight: of those together.
        latest: the latest time in it; -1 if there is none.
        latest_before: no time in a segment before it is later; follow() sets it.
        sealed: nothing is appended to it any more.
        vouched: octets of the file that the checkpoint on the disk is about.
        notes: what the log's owner had noted of it in the checkpoint that it was opened with.

    Args:
        folder: of the log.
        base: see above.
        generation: how often it was rewritten.
    """

    def __init__(self, folder: str, base: i64, generation: i64) -> None:
        name = name_of(base, generation)
        self.path = f"{folder}/{name}.log"
        self.index_path = f"{folder}/{name}.idx"
        self.base = base
        self.generation = generation
        self.last: i64 = base - 1
        self.size: i64 = HEADER
        self.written: i64 = 0
        self.records: i64 = 0
        self.weight: i64 = 0
        self.latest: i64 = -1
        self.latest_before: i64 = -1
        self.sealed = False
        self.vouched: i64 = 0
        self.notes = b""
        self.index = Index()
        self._last_position: i64 = 0
        self._last_crc: i64 = 0
        self._indexed: i64 = -EVERY
        # A sealed segment keeps its sets encoded: where passing records are mixed with others they are large.
        self._there = Ranges()
        self._passing = Ranges()
        self._there_encoded = b""
        self._passing_encoded = b""
        self._passing_weight: i64 = 0
        self._first: i64 = -1  # _first to last are there too; they are added when the run ends

    def follow(self, segment: Segment) -> None:
        """It stands behind another one, which is complete."""
        self.latest_before = max(segment.latest_before, segment.latest)

    def add(self, offset: i64, time: i64, weight: i64, passing: bool, size: i64, crc: i64) -> None:
        """A record behind all others: it has so many octets, and this CRC."""
        # HOT: once per stored record
        if offset != self.last + 1 or self._first < 0:
            self._end_run()
            self._first = offset
        self.records += 1
        self.weight += weight
        if passing:
            self._passing.add(offset, offset)
            self._passing_weight += weight
        self._place(offset, time, size, crc)

    def add_passed(self, offset: i64, time: i64, size: i64, crc: i64) -> None:
        """A passing record of an earlier run behind all others: it takes space and is not there."""
        self._end_run()
        self._place(offset, time, size, crc)

    def _place(self, offset: i64, time: i64, size: i64, crc: i64) -> None:
        position = self.size
        if position - self._indexed >= EVERY:
            self.index.add(offset, self.latest, position)
            self._indexed = position
        if time > self.latest:
            self.latest = time
        self.last = offset
        self._last_position = position
        self._last_crc = crc
        self.size = position + size

    def _end_run(self) -> None:
        if self._first >= 0:
            self._there.add(self._first, self.last)
            self._first = -1

    def skip_to(self, position: i64) -> None:
        """What lies between the last record and the position is none."""
        self.size = position

    def seal(self) -> None:
        """Nothing is appended any more."""
        if not self.sealed:
            self._end_run()
            self._there_encoded = self._there.encode()
            self._passing_encoded = self._passing.encode()
            self._there.clear()
            self._passing.clear()
            self.sealed = True

    def unseal(self) -> None:
        """It is the last one of its log, and goes on."""
        if self.sealed:
            self._there = Ranges.decode(self._there_encoded)
            self._passing = Ranges.decode(self._passing_encoded)
            self._there_encoded = self._passing_encoded = b""
            self.sealed = False

    def there(self) -> Ranges:
        """Return the offsets that are there. Whoever gets it does not change it."""
        self._end_run()
        return Ranges.decode(self._there_encoded) if self.sealed else self._there

    def present(self) -> Ranges:
        """Return the offsets of the records that survive a restart. Whoever gets it does not change it."""
        passing = Ranges.decode(self._passing_encoded) if self.sealed else self._passing
        there = self.there()
        return there.without(passing) if passing.count > 0 else there

    def present_weight(self) -> i64:
        """Return the weight of the records that survive a restart, together."""
        return self.weight - self._passing_weight

    def live(self, gone: Ranges) -> i64:
        """Return how many of the records that are there are not gone."""
        if self.records == 0:
            return 0
        covered = gone.covered(self.base, self.last)
        if covered == 0:
            return self.records
        if covered == self.last - self.base + 1:
            return 0
        return count_without(self.there(), gone)

    def mostly_dead(self, gone: Ranges, share: i64) -> bool:
        """Tell whether at most one of so many records is live, but one is."""
        # Asked often, so the cheap half of the answer first: what is covered may be a position without a record.
        if (self.records - gone.covered(self.base, self.last)) * share > self.records:
            return False
        live = self.live(gone)
        return live > 0 and live * share <= self.records

    def checkpoint(self, notes: bytes = b"") -> Checkpoint:
        """Return what is known now, as a restart needs it, with the owner's notes."""
        present = self.present()
        return Checkpoint(
            self.base,
            self.size,
            self.last,
            self._last_position,
            self._last_crc,
            self.latest,
            present.count,
            self.present_weight(),
            self.index.entries,
            present.encode(),
            notes,
        )

    def restore(self, known: Checkpoint) -> None:
        """Know what the checkpoint knows. Nothing was added before."""
        self.size = self.written = self.vouched = known.size
        self.last = known.last
        self.latest = known.latest
        self.records = known.records
        self.weight = known.weight
        self.index = Index(known.index)
        self._last_position = known.last_position
        self._last_crc = known.last_crc
        self._indexed = self.index.position_of(known.last) if len(self.index) > 0 else -EVERY
        self._there_encoded = known.present
        self.notes = known.notes
        self.sealed = True


def count_without(present: Ranges, gone: Ranges) -> i64:
    """Return how many positions of the first set are not in the second one."""
    total: i64 = present.count
    for first, last in present.intervals():
        total -= gone.covered(first, last)
    return total


def find(segments: list[Segment], offset: i64) -> i64:
    """Return the index of the segment that an offset is in, if it is in one at all; -1 if all are above it."""
    low: i64 = 0
    high: i64 = len(segments)
    while low < high:
        middle = (low + high) >> 1
        if segments[middle].base <= offset:
            low = middle + 1
        else:
            high = middle
    return low - 1


def find_time(segments: list[Segment], time: i64) -> i64:
    """Return the index of the first segment that may have a time that is not below; their number if there is none.

    A clock may have been set back, and earlier segments may be gone: then those behind it have to be looked at, too.
    """
    low: i64 = 0
    high: i64 = len(segments)
    while low < high:
        middle = (low + high) >> 1
        segment = segments[middle]
        if segment.latest < time and segment.latest_before < time:
            low = middle + 1
        else:
            high = middle
    return low
