"""Jobs that bring a log to the disk, and take it away.

Rule: what may live here runs in the worker thread. It touches files and what it holds itself, nothing else.
"""

from __future__ import annotations

import contextlib
from typing import final

from mypy_extensions import i64

from amqpd.log.commit import Job
from amqpd.log.files import Files
from amqpd.log.gathering import Stretch
from amqpd.log.index import Checkpoint
from amqpd.log.segment import Segment


@final
class Part:
    """What is known of a segment when a job begins. Only the main thread looks at the segment itself."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.path = segment.index_path
        self.size = segment.size
        self.known: Checkpoint | None = None


@final
class LogWrite(Job):
    """What was gathered for a log, as a job. It may be run again when it failed.

    Attributes:
        octets: it writes.
        synced: sync() went through.

    Args:
        files: where the log is.
        folder: the log's.
        new_folder: the folder may be missing.
    """

    def __init__(self, files: Files, folder: str, new_folder: bool) -> None:
        self.octets: i64 = 0
        self.synced = False
        self.new_folder = new_folder
        self.new_names = False  # segments are made, or were made and their names not synced
        self.stretches: list[Stretch] = []
        self.unsynced: list[str] = []  # paths that sync() is about
        self.parts: list[Part] = []  # of the segments that are written to
        self.checkpoints: list[Part] = []
        self.last: i64 = -1  # highest offset once it is written
        self._files = files
        self._folder = folder

    def run(self) -> None:
        """Write. Blocks; OSError when it did not succeed."""
        self.synced = False
        if self.new_folder:
            self._files.make_folder(self._folder)
        for stretch in self.stretches:
            self._files.write_pieces(stretch.path, int(stretch.position), stretch.pieces)

    def sync(self) -> None:
        """Return when what was written survives power loss. Blocks; after an OSError run() has to come again."""
        for path in self.unsynced:
            self._files.sync(path)
        if self.new_names:
            self._files.sync_folder(self._folder)
        if self.new_folder:
            self._sync_parents()
        self.synced = True
        for part in self.checkpoints:
            # Not before the segment is safe: it must not vouch for records that are not there. When it fails, the next
            # open reads the segment instead.
            if part.known is not None:
                with contextlib.suppress(OSError):
                    self._files.write(part.path, 0, part.known.encode())

    def _sync_parents(self) -> None:
        """The folder's name, and the names of the folders it is in: make_folder may have made them all."""
        folder = self._folder
        while folder:
            folder = folder.rpartition("/")[0]
            self._files.sync_folder(folder)


@final
class LogRemoval(Job):
    """Files of a log that nothing lives in any more, as a job. It may be run again when it failed.

    Args:
        files: where the log is.
        paths: of the files; one that is missing is fine.

    Attributes:
        in_order: each segment is gone for good before the one behind it goes: power loss leaves no hole in the log.
    """

    def __init__(self, files: Files, paths: list[str]) -> None:
        self.paths = paths
        self.in_order = False
        self._files = files

    def run(self) -> None:
        """Remove. Blocks; OSError when it did not succeed."""
        for path in self.paths:
            self._files.remove(path)
            if self.in_order and path.endswith(".log"):
                self._files.sync_folder(path.rpartition("/")[0])

    def sync(self) -> None:
        """Nothing: a file that is back after power loss holds only what is gone."""
