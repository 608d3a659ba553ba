"""Rewriting a segment in which little lives: its survivors move to a new file of the same name and next generation.

Rule: what may live here copies records from file to file. Rewrite.run() runs in the worker thread.
"""

from __future__ import annotations

import contextlib
from typing import Final, final

from mypy_extensions import i64

from amqpd.log.damage import Damage
from amqpd.log.files import Files
from amqpd.log.ranges import Ranges
from amqpd.log.scan import Scan
from amqpd.log.segment import HEADER, Segment, created_in, header_is_whole, header_of

_PIECE: Final = 1 << 20  # octets written at once


@final
class Rewrite:
    """The survivors of a segment, as a job. It may be run again when it failed.

    Octets that are no records are not copied, only reported.

    Attributes:
        damages: what could not be read; known after run().
        octets: of the new file; known after run().

    Args:
        files: where the log is.
        folder: the log's.
        segment: sealed and written.
        survivors: the offsets to copy.
        below: the base of the segment behind it.
    """

    def __init__(self, files: Files, folder: str, segment: Segment, survivors: Ranges, below: i64) -> None:
        self.segment = segment
        self.result = Segment(folder, segment.base, segment.generation + 1)
        self.damages: list[Damage] = []
        self.octets: i64 = 0
        self._files = files
        self._folder = folder
        self._survivors = survivors
        self._below = below
        self._end = segment.written
        self._new = f"{folder}/{self.result.path.rpartition('/')[2].removesuffix('.log')}.new"

    def run(self) -> None:
        """Copy, sync and name the new file. Blocks; OSError when it did not succeed."""
        result = Segment(self._folder, self.segment.base, self.segment.generation + 1)
        scan = Scan(self._files, self.segment, 0, self._end, self._below)
        new = self._new
        self._files.remove(new)
        self._copy(scan, result, new)
        self._files.sync(new)
        self._files.rename(new, result.path)
        self._files.sync_folder(self._folder)
        result.seal()
        # The segment is safe by now, so that something may vouch for it. When this fails, the next open reads it.
        with contextlib.suppress(OSError):
            self._files.write(result.index_path, 0, result.checkpoint().encode())
        result.written = result.size
        self.result = result
        self.octets = result.size
        self.damages = scan.damages

    def give_up(self) -> None:
        """Remove what a run() has left that did not succeed, if possible: it may be what fills the disk. Blocks."""
        for path in (self._new, self.result.path):
            with contextlib.suppress(OSError):
                self._files.remove(path)

    def sync(self) -> None:
        """Nothing: run() has to sync in the middle, and leaves nothing to be synced."""

    def _copy(self, scan: Scan, result: Segment, new: str) -> None:
        created = created_of(self._files, self.segment)
        pieces = [header_of(result.base, created)]
        start: i64 = 0
        while scan.next():
            if not self._survivors.covers(scan.offset):
                continue
            pieces.append(scan.octets())
            result.add(scan.offset, scan.time, scan.weight, scan.passing, scan.size, scan.crc())
            if result.size - start >= _PIECE:
                self._files.write(new, start, b"".join(pieces))
                pieces = []
                start = result.size
        self._files.write(new, start, b"".join(pieces))


def created_of(files: Files, segment: Segment) -> i64:
    """Return the milliseconds that the header of a segment tells; 0 if it is broken."""
    header = files.read(segment.path, 0, HEADER)
    return created_in(header) if header_is_whole(header) else 0
