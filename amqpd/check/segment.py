"""Whether a segment is whole, what is in it, and whether its checkpoint tells the same.

Rule: what may live here reads one segment and the checkpoint beside it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from amqpd.check.findings import Cure, Finding, Mend, StoreReport
from amqpd.check.payload import Payloads
from amqpd.log.files import Files
from amqpd.log.index import ENTRY_SIZE, Checkpoint
from amqpd.log.ranges import Ranges
from amqpd.log.record import crc_at
from amqpd.log.scan import Scan
from amqpd.log.segment import HEADER, SPAN, Segment, header_is_whole

ADVANCE: Final = 1 << 20  # octets after which whoever waits is told
_CRC: Final = 4  # octets before a record's CRC
_CHECKED: Final = ("base", "last", "last_position", "last_crc", "latest", "records", "weight", "present")


class Pass:
    """One walk through the records of a segment, and what they come to.

    Args:
        gone: the offsets that are acknowledged.
        bound: where the checkpoint's part of the file ends.
        index: the entries of the checkpoint.
        advance: told of every so many octets.
    """

    def __init__(
        self,
        scan: Scan,
        gone: Ranges,
        payloads: Payloads,
        bound: int,
        index: bytes,
        advance: Callable[[int], None],
    ) -> None:
        self.scan = scan
        self.records = self.stored = self.weight = self.live = self.bodies = 0
        self.last = self.last_position = -1
        self.latest = -1
        self.there = Ranges()
        self.undecodable: list[tuple[int, int, int, str]] = []  # offset, position, size, clause
        self.index_fits = True
        self.at_bound: tuple[int, int, int, int, int, bytes] | None = None
        self._gone = gone
        self._payloads = payloads
        self._bound = bound
        self._entries = [
            (entry_number(index, at, 16), entry_number(index, at, 0), entry_number(index, at, 8))
            for at in range(0, len(index), ENTRY_SIZE)
        ]
        self._entry = 0
        self._next_entry = self._entries[0][0] if self._entries else 1 << 62
        self._advance = advance

    def run(self) -> None:
        """Walk."""
        scan = self.scan
        told = 0
        while scan.next():
            position = scan.position
            if position >= self._bound and self.at_bound is None:
                self._note_bound()
            if position >= self._next_entry:
                self._compare_entry()
            self._take()
            if position - told >= ADVANCE:
                self._advance(position - told)
                told = position
        if self.at_bound is None:
            self._note_bound()
        if self._entry < len(self._entries):
            self.index_fits = False
        self._advance(max(scan.position, told) - told)

    def _take(self) -> None:
        """Count the record."""
        # HOT: once per record
        scan = self.scan
        offset = self.last = scan.offset
        self.records += 1
        self.last_position = scan.position
        if scan.time > self.latest:
            self.latest = scan.time
        weight = scan.weight
        clause = self._payloads.fault(offset, weight, scan.payload())
        if clause is not None:
            self.undecodable.append((offset, scan.position, scan.size, clause))
        if scan.passing:
            return
        self.stored += 1
        self.weight += weight
        self.there.add(offset, offset)
        if not self._gone.covers(offset):
            self.live += 1
            self.bodies += weight

    def _note_bound(self) -> None:
        encoded = self.there.encode()
        self.at_bound = (self.last, self.last_position, self.latest, self.stored, self.weight, encoded)

    def _compare_entry(self) -> None:
        """An entry of the index should be about this record."""
        position, offset, latest = self._entries[self._entry]
        self.index_fits &= (position, offset, latest) == (self.scan.position, self.scan.offset, self.latest)
        self._entry += 1
        self._next_entry = self._entries[self._entry][0] if self._entry < len(self._entries) else 1 << 62


class SegmentCheck:
    """The check of one segment.

    Args:
        files: where it is.
        segment: which.
        below: the base of the segment behind it.
        is_last: there is none behind it: recovery cuts off its torn tail.
        report: takes what is found, and the sums.

    Attributes:
        first, last: the lowest and the highest offset; last is below first if there is no record.
    """

    def __init__(self, files: Files, segment: Segment, below: int, is_last: bool, report: StoreReport) -> None:
        self.last = int(segment.base) - 1
        self._files = files
        self._segment = segment
        self._path = segment.path
        self._below = below
        self._is_last = is_last
        self._report = report
        self._size = files.size(segment.path)

    def run(self, gone: Ranges, payloads: Payloads, advance: Callable[[int], None]) -> None:
        """Read all of it. Blocks."""
        try:
            known = self._checkpoint()
            scan = Scan(self._files, self._segment, 0, self._size, self._below)
            bound = known.size if known is not None else self._size
            walk = Pass(scan, gone, payloads, int(bound), known.index if known is not None else b"", advance)
            walk.run()
            self._judge(walk, known, gone)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._corrupt(0, self._size, "the disk cannot read it (input/output error)")
            self._report.incurable += 1

    def _judge(self, walk: Pass, known: Checkpoint | None, gone: Ranges) -> None:
        self._add(walk)
        vouched = int(known.size) if known is not None else 0
        broken = self._judge_octets(walk, vouched) | self._judge_payloads(walk)
        if broken:
            if walk.records > len(walk.undecodable):
                offsets = tuple(offset for offset, _, _, _ in walk.undecodable)
                self._report.mend(Mend(Cure.REWRITE, self._path, 0, offsets, self._below))
            else:
                self._remove(self._path)
            self._remove_checkpoint_of_none(walk)
        if known is not None:
            self._judge_checkpoint(walk, known, gone)

    def _add(self, walk: Pass) -> None:
        report = self._report
        report.segments += 1
        report.records += walk.records
        report.stored += walk.stored
        report.live += walk.live
        report.bodies += walk.bodies
        self.last = max(self.last, walk.last)

    def _judge_octets(self, walk: Pass, vouched: int) -> bool:
        """Header and records. True if something has to be taken out of the middle."""
        found = len(self._report.corrupt)
        scan = walk.scan
        header = self._files.read(self._path, 0, HEADER)
        if self._is_last and walk.records == 0 and vouched == 0:
            self._unfinished()
            return False
        if not header_is_whole(header):
            self._corrupt(0, min(HEADER, self._size), "the header is broken; the records can be read all the same")
        for damage in scan.damages:
            if damage.position != scan.torn:
                self._report.damaged(damage)
        if scan.torn >= 0:
            self._judge_tail(int(scan.torn), vouched)
        return len(self._report.corrupt) > found

    def _judge_tail(self, torn: int, vouched: int) -> None:
        """No record ends the file. What was never synced may be torn; what a checkpoint vouches for was whole once."""
        length = self._size - torn
        if self._is_last and torn >= vouched:
            self._note(torn, length, "a torn record at the end, as a crash leaves it; the next start cuts it off")
            self._report.mend(Mend(Cure.CUT, self._path, torn))
        else:
            self._corrupt(torn, length, "no whole record up to the end of the file")

    def _unfinished(self) -> None:
        text = "a segment without a record, as a crash leaves it; the next start removes it"
        self._note(0, self._size, text)
        self._remove(self._path)

    def _judge_payloads(self, walk: Pass) -> bool:
        for offset, position, size, clause in walk.undecodable:
            self._corrupt(position, size, f"the record at offset {offset} is whole, but no message: {clause}")
        return bool(walk.undecodable)

    def _remove_checkpoint_of_none(self, walk: Pass) -> None:
        """The segment goes altogether, so its checkpoint does."""
        if walk.records <= len(walk.undecodable) and self._has_checkpoint():
            self._remove(self._segment.index_path)

    # The checkpoint.

    def _has_checkpoint(self) -> bool:
        return self._segment.index_path.rpartition("/")[2] in self._files.names(self._path.rpartition("/")[0])

    def _checkpoint(self) -> Checkpoint | None:
        """The checkpoint, if it is one. A torn one is no corruption: nobody syncs it."""
        path = self._segment.index_path
        try:
            size = self._files.size(path)
        except FileNotFoundError:
            return None
        known = Checkpoint.decode(self._files.read(path, 0, size))
        if known is None:
            text = "a checkpoint that is torn; the next start reads its segment instead"
            self._report.notes.append(Finding(path, 0, size, text))
            self._remove(path)
        return known

    def _judge_checkpoint(self, walk: Pass, known: Checkpoint, gone: Ranges) -> None:
        if known.base != self._segment.base or known.last >= self._segment.base + SPAN:
            self._wrong_checkpoint("the checkpoint is another segment's")
            return
        shorter = int(known.size) - self._size
        if shorter > 0:
            text = f"the file is {shorter} octets shorter than its checkpoint says: its end is missing"
            self._corrupt(self._size, 0, text)
            self._remove(self._segment.index_path)
        if shorter > 0 or self._damaged_below(walk, int(known.size)):
            self._report.lost += missing(known, walk.there, gone)
        elif not self._agrees(walk, known):
            self._wrong_checkpoint("the checkpoint does not say what is in its segment")

    def _damaged_below(self, walk: Pass, vouched: int) -> bool:
        return any(damage.position < vouched for damage in walk.scan.damages)

    def _agrees(self, walk: Pass, known: Checkpoint) -> bool:
        assert walk.at_bound is not None  # it has run
        last, position, latest, records, weight, present = walk.at_bound
        there = self._files.read(self._path, position + _CRC, 4) if position >= 0 else b""
        if len(there) < 4 or not walk.index_fits:
            return False
        mine = Checkpoint(
            known.base, known.size, last, position, crc_at(there, 0), latest, records, weight, b"", present
        )
        return all(getattr(mine, name) == getattr(known, name) for name in _CHECKED)

    def _wrong_checkpoint(self, text: str) -> None:
        path = self._segment.index_path
        self._report.corrupt.append(Finding(path, 0, self._files.size(path), text))
        self._remove(path)

    def _corrupt(self, position: int, length: int, text: str) -> None:
        self._report.corrupt.append(Finding(self._path, position, length, text))

    def _note(self, position: int, length: int, text: str) -> None:
        self._report.notes.append(Finding(self._path, position, length, text))

    def _remove(self, path: str) -> None:
        self._report.mend(Mend(Cure.REMOVE, path))


def missing(known: Checkpoint, there: Ranges, gone: Ranges) -> int:
    """How many messages a checkpoint knows that are not there, and that nobody acknowledged."""
    try:
        return Ranges.decode(known.present).without(there).without(gone).count
    except ValueError:
        return 0


def entry_number(index: bytes, at: int, field: int) -> int:
    """A number of the entry at a place of an index."""
    return int.from_bytes(index[at + field : at + field + 8], "little", signed=True)
