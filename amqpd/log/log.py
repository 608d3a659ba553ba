"""A log: records in order of their offsets, in segments on the disk.

Rule: what may live here is the log as its owner sees it: append, read, forget. What a record, a segment, a place or a
job is, the files beside this one know. Only the owner's thread calls a Log; its jobs run in the worker thread.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final, final

from mypy_extensions import i64

from amqpd.log.block import Block, block_at
from amqpd.log.damage import Damage
from amqpd.log.files import Files
from amqpd.log.gathering import Gathering
from amqpd.log.ranges import Ranges
from amqpd.log.reader import Reader
from amqpd.log.record import FRONT, LARGEST_PAYLOAD, LARGEST_WEIGHT, Record
from amqpd.log.recovery import Recovery
from amqpd.log.rewrite import Rewrite
from amqpd.log.scan import Scan
from amqpd.log.segment import HEADER, SPAN, Segment, count_without, header_of
from amqpd.log.write import LogRemoval, LogWrite, Part

SEGMENT_SIZE: Final = 16 * 1024 * 1024
NOT_WORTH_A_SYNC: Final = 32 * 1024  # octets that a start reads faster than they are synced
REWRITTEN_PART: Final = 16  # segments below this part of the usual size are not rewritten: they waste little
REWRITTEN_SHARE: Final = 4  # a segment is rewritten when at most one of so many records lives


@final
class Log:
    """A log in a folder.

    Offsets ascend, with gaps. Appended records are gathered in memory; begin() takes them as a job for the worker
    thread, and after finished() they can be read. At most one LogWrite, one LogRemoval and one Rewrite are under way.

    Attributes:
        next_offset: the highest offset seen, plus one.
        written: the highest offset that can be read, -1 if there is none.
        damages: what read(), offset_at() and rewrites could not read; whoever takes note of it empties it.
        notes_of: the owner's notes of a segment, for its checkpoint; segments have them after open().

    Args:
        files: where the folder is.
        folder: made with the first job.
        segment_size: octets above which a segment is sealed and the next one begun.
    """

    def __init__(self, files: Files, folder: str, segment_size: i64 = SEGMENT_SIZE) -> None:
        self.next_offset: i64 = 0
        self.written: i64 = -1
        self._files = files
        self._folder = folder
        self._segment_size = segment_size
        self._segments: list[Segment] = []
        self._active: Segment | None = None
        self._gathering = Gathering()
        self._reader = Reader(files, self._segments)
        self.damages: list[Damage] = self._reader.damages
        self.notes_of: Callable[[Segment], bytes] | None = None
        self._unvouched: list[Segment] = []  # sealed, without a checkpoint
        self._unsynced: list[str] = []  # paths that were written without sync()
        self._new_folder = True  # its name, and the names in it, may not be safe
        self._new_names = True
        self._removed: list[str] = []
        self._write: LogWrite | None = None  # that is under way

    def open(self) -> list[Damage]:
        """Find out what is on the disk, cut off a torn tail, and return what is wrong. Before anything else; blocks.

        Sealed segments with a checkpoint are not read.

        Raises:
            NewerFormat: a newer version wrote it; nothing was changed.
        """
        recovery = Recovery(self._files, self._folder)
        recovery.run()
        self._segments.extend(recovery.segments)
        for segment, behind in pairwise(self._segments):
            behind.follow(segment)
        for segment in self._segments:
            if segment.vouched < segment.size:  # a process that was killed may have written without syncing
                self._unsynced.append(segment.path)
                if segment.sealed:
                    self._unvouched.append(segment)
        if self._segments:
            last = self._segments[-1]
            self._active = last
            self._gathering.go_to(last.path, last.size)
            self.written = last.last
            self.next_offset = last.last + 1
        self._reader.passed(self.next_offset)
        self._reader.remember(recovery.damages)
        return recovery.damages

    @property
    def empty(self) -> bool:
        """There is nothing in it, neither written nor gathered."""
        return len(self._segments) == 0

    @property
    def gathered(self) -> i64:
        """Octets that no job has taken yet."""
        return self._gathering.octets

    @property
    def active(self) -> Segment | None:
        """The segment that was appended to last, unless it is sealed."""
        return self._active

    def append(self, offset: i64, time: i64, weight: i64, passing: bool, payload_head: bytes, payload: bytes) -> None:
        """Gather a record.

        Args:
            offset: at least next_offset.
            time: milliseconds, not below 0.
            weight: what the caller counts it as; 31 bits.
            passing: it need not survive a restart.
            payload_head: the beginning of its payload.
            payload: the rest of it.

        Raises:
            ValueError: offset, weight or size are out of range.
        """
        # HOT: once per stored record
        size: i64 = FRONT + len(payload_head) + len(payload)
        if offset < self.next_offset or weight < 0 or weight > LARGEST_WEIGHT or size > LARGEST_PAYLOAD:
            raise ValueError("offset, weight or size of a record is out of range")
        segment = self._active
        if (
            segment is None
            or (segment.size + size > self._segment_size and segment.size > HEADER)
            or offset - segment.base >= SPAN
        ):
            segment = self._begin_segment(offset, time)
        crc = self._gathering.record(offset, time, weight, passing, payload_head, payload)
        segment.add(offset, time, weight, passing, size, crc)
        self.next_offset = offset + 1

    def _begin_segment(self, base: i64, created: i64) -> Segment:
        self.seal()
        segment = Segment(self._folder, base, 0)
        if self._segments:
            segment.follow(self._segments[-1])
        self._segments.append(segment)
        self._active = segment
        self._gathering.go_to(segment.path, 0)
        self._gathering.header(header_of(base, created))
        return segment

    def seal(self) -> None:
        """End the segment that is appended to, so that it can be forgotten or rewritten; the next record begins one."""
        segment = self._active
        if segment is not None:
            segment.seal()
            self._unvouched.append(segment)
            self._active = None

    def begin(self) -> LogWrite | None:
        """Return what was gathered as a job, None if there is nothing to do. Then finished() has to come."""
        if self._gathering.octets == 0 and not self._unvouched:
            return None
        write = LogWrite(self._files, self._folder, self._new_folder)
        write.octets = self._gathering.octets
        write.stretches = self._gathering.take()
        write.last = self.next_offset - 1
        write.new_names = self._new_names
        write.unsynced = self._unsynced
        self._unsynced = []
        for index in range(len(self._segments) - 1, -1, -1):
            segment = self._segments[index]
            if segment.written == segment.size:
                break  # so are all before it
            write.parts.append(Part(segment))
            write.new_names |= segment.written == 0
            if segment.path not in write.unsynced:
                write.unsynced.append(segment.path)
        for segment in self._unvouched:
            self._vouch(write, segment)
        self._unvouched = []
        self._write = write
        return write

    def checkpoint(self, spared: i64 = 0) -> LogWrite | None:
        """The same as begin(), and the segment that is appended to gets a checkpoint: the next open reads nothing.

        Args:
            spared: unless that would be about no more octets than this.
        """
        segment = self._active
        write = self.begin()
        if segment is None or segment.size - segment.vouched <= spared:
            return write
        if write is None:
            write = LogWrite(self._files, self._folder, self._new_folder)
            write.last = self.written
            write.new_names = self._new_names
            write.unsynced, self._unsynced = self._unsynced, []
        self._vouch(write, segment)
        return write

    def _vouch(self, write: LogWrite, segment: Segment) -> None:
        part = Part(segment)
        part.known = segment.checkpoint(b"" if self.notes_of is None else self.notes_of(segment))
        write.checkpoints.append(part)

    def finished(self, write: LogWrite) -> None:
        """A job of begin() or checkpoint() is done: it was run, and maybe synced. What it wrote can be read now."""
        self._write = None
        for part in write.parts:
            part.segment.written = part.size
        self.written = write.last
        if write.synced:
            self._new_folder = self._new_names = False
            for part in write.checkpoints:
                part.segment.vouched = part.size
            return
        self._new_names = write.new_names
        kept = [segment.path for segment in self._segments]  # others were forgotten meanwhile, their files may be gone
        self._unsynced = [path for path in write.unsynced if path in kept]
        for part in write.checkpoints:
            if part.segment.sealed and part.segment.path in kept:
                self._unvouched.append(part.segment)

    def read(self, offset: i64, octets: i64) -> list[Record]:
        """Return records from an offset on, in order; [] behind what is written.

        Reading on from where the last read ended takes no search. Blocks for one read of the file, mostly.

        Args:
            offset: the lowest one wanted.
            octets: about how much to return; one record at least, if there is one.
        """
        return self._reader.read(offset, octets)

    def block_at(self, offset: i64) -> Block | None:
        """Return the block that a record is in, or the first one behind where it would be; None behind what is written.

        Blocks do not overlap, and are the same for everybody who reads: what was read of one can be shared.
        """
        return block_at(self._segments, offset)

    def scan_block(self, block: Block) -> Scan:
        """Go through the records of a block, in order; then scanned() is to be called. Blocks for a read of the file.

        Nothing may pass in a log that is read so.
        """
        return self._reader.scan_block(block)

    def scanned(self, scan: Scan) -> None:
        """A scan was gone through to its end: take note of what it could not read."""
        self._reader.note(scan.damages)

    def offset_at(self, time: i64) -> i64:
        """Return the lowest offset whose record's time is not below; next_offset if there is none. Blocks.

        Of records that are not written yet it is the lowest offset, if one of them is meant.
        """
        found = self._reader.first_since(time)
        if found >= 0:
            return found
        for index in range(len(self._segments) - 1, -1, -1):
            segment = self._segments[index]
            if segment.written == segment.size:
                break  # so are all before it
            if segment.latest >= time:
                return self.written + 1
        return self.next_offset

    def segments(self) -> list[Segment]:
        """Return the segments in order. Whoever gets them does not change them."""
        return self._segments[:]

    def present(self) -> Ranges:
        """Return the offsets that are there and not passing, gathered ones too; after open(): what survived."""
        result = Ranges()
        for segment in self._segments:
            result.update(segment.present())
        return result

    def live(self, gone: Ranges) -> tuple[i64, i64]:
        """Return number and weight of what is present and not gone. Blocks.

        Only segments of which a part is gone are read; of those, records that are not written yet weigh nothing.
        """
        count: i64 = 0
        weight: i64 = 0
        for index in range(len(self._segments)):
            segment = self._segments[index]
            present = segment.present()
            living = count_without(present, gone)
            count += living
            if living == present.count:
                weight += segment.present_weight()
            elif living > 0:
                weight += self._reader.weight_of(index, present.without(gone))
        return count, weight

    def forget(self, gone: Ranges) -> None:
        """Take out the sealed segments in which nothing lives; begin_late() removes their files.

        Args:
            gone: all offsets that are no longer live.
        """
        kept: list[Segment] = []
        for segment in self._segments:
            if segment.sealed and segment.written == segment.size and segment.live(gone) == 0:
                self._drop(segment)
            else:
                kept.append(segment)
        if len(kept) < len(self._segments):
            self._segments[:] = kept
            self._reader.forget_place()

    def relieve(self, gone: Ranges) -> None:
        """Forget as much as possible, to make room on a full disk: the segment that is appended to as well.

        A write that is under way must not be running now; it will not touch what is removed.

        Args:
            gone: offsets that need not wait for anything to be written elsewhere.
        """
        active = self._active
        if active is not None and active.size > HEADER and active.written == active.size and active.live(gone) == 0:
            self.seal()
        self.forget(gone)

    def begin_late(self) -> LogRemoval | None:
        """Return the removal of what was forgotten or rewritten as a job; None if there is nothing to remove.

        It takes away, like an acknowledgement: it may only run when the records of all logs are synced that were
        appended before forget().
        """
        if not self._removed:
            return None
        removal = LogRemoval(self._files, self._removed)
        self._removed = []
        return removal

    def rewrite(self, gone: Ranges) -> Rewrite | None:
        """Return a job that copies what lives in a segment that is mostly dead; None if there is no such segment.

        One that is not finished, but given up, leaves everything as it was.

        Args:
            gone: all offsets that are no longer live.
        """
        for index in range(len(self._segments)):
            segment = self._segments[index]
            if (
                segment.sealed
                and segment.size * REWRITTEN_PART >= self._segment_size
                and segment.written == segment.size
                and segment.mostly_dead(gone, REWRITTEN_SHARE)
            ):
                survivors = segment.there().without(gone)
                return Rewrite(self._files, self._folder, segment, survivors, self._reader.base_behind(index))
        return None

    def finished_rewrite(self, rewrite: Rewrite) -> None:
        """A rewrite was run: its file takes the old one's place, which begin_late() removes."""
        self._reader.note(rewrite.damages)
        if rewrite.segment not in self._segments:
            self._drop(rewrite.result)  # forgotten meanwhile
            return
        rewrite.result.latest_before = rewrite.segment.latest_before
        self._segments[self._segments.index(rewrite.segment)] = rewrite.result
        self._drop(rewrite.segment)
        self._reader.forget_place()

    def give_up_rewrite(self, rewrite: Rewrite) -> bool:
        """Drop a rewrite that is not running now if its segment was forgotten; True if so. Its file goes, too."""
        if rewrite.segment in self._segments:
            return False
        self._drop(rewrite.result)
        return True

    def _drop(self, segment: Segment) -> None:
        self._removed += [segment.path, segment.index_path]
        self._unvouched = [other for other in self._unvouched if other is not segment]
        self._unsynced = [path for path in self._unsynced if path != segment.path]
        write = self._write
        if write is not None:  # it waits for room on the disk
            write.unsynced = [path for path in write.unsynced if path != segment.path]
            write.checkpoints = [part for part in write.checkpoints if part.segment is not segment]

    def close(self) -> None:
        """Let go of what is gathered. Nothing is written; the files belong to whoever handed them in."""
        self._gathering = Gathering()
        self._segments.clear()
        self._reader.forget_place()
        self._active = None
