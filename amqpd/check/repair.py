"""Mending a data directory: what a check says can be done is done, and nothing is taken away without a copy.

Rule: this is the only place of the package that changes anything. Whatever it changes is first kept below
lost-and-found, under the path that it had; a process that dies in between loses nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from amqpd.catalog.directory import DataDirectory, sync_folder
from amqpd.check.directory import LOST_AND_FOUND, DirectoryCheck, ignore
from amqpd.check.findings import Cure, Findings, Mend, Report
from amqpd.log.acks import Acks
from amqpd.log.cursors import Cursors
from amqpd.log.files import DiskFiles
from amqpd.log.journal_write import JournalWrite
from amqpd.log.ranges import LIMIT, Ranges
from amqpd.log.rewrite import Rewrite
from amqpd.log.segment import Segment, base_and_generation

_PIECE: Final = 1 << 20  # octets copied at once


class LostAndFound:
    """Where what is taken away is kept. The folder is made when there is something to keep.

    Args:
        root: the data directory.
        name: of the folder of this repair.
    """

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._name = name
        self.path = root / LOST_AND_FOUND / name
        self.used = False

    def keep(self, path: str) -> bool:
        """Keep a file, which may be removed afterwards but not written to; False if there is none."""
        source = self._root / path
        if not source.exists():
            return False
        target = self._target(path)
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without links
            shutil.copy2(source, target)
            sync_file(target)
        sync_folder(target.parent)
        return True

    def keep_end(self, path: str, position: int) -> None:
        """Keep what stands in a file from a position on."""
        target = self._target(f"{path}.from-{position}")
        with (self._root / path).open("rb") as source, target.open("wb") as copy:
            source.seek(position)
            shutil.copyfileobj(source, copy, _PIECE)
        sync_file(target)
        sync_folder(target.parent)

    def take_folder(self, path: str) -> None:
        """Move a folder here."""
        source = self._root / path
        target = self._target(path)
        shutil.move(source, target)
        sync_folder(target.parent)
        sync_folder(source.parent)

    def _target(self, path: str) -> Path:
        if not self.used:
            self.path = free_name(self.path)
            self.used = True
        target = self.path / path
        missing = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in missing:
            sync_folder(folder.parent)
        return target


class Repair:
    """One repair.

    Args:
        directory: opened, so that nobody else uses it.
        report: of a check; it is brought up to date.
        name: of the folder for what is taken away.
    """

    def __init__(self, directory: DataDirectory, report: Report, name: str) -> None:
        self._directory = directory
        self._report = report
        self._files = DiskFiles(directory.path)
        self._kept = LostAndFound(directory.path, name)
        self._cures: dict[Cure, Callable[[Mend], str]] = {
            Cure.REWRITE: self._rewrite,
            Cure.CUT: self._cut,
            Cure.REMOVE: self._remove,
            Cure.REMOVE_FOLDER: self._remove_folder,
            Cure.REPLACE_JOURNAL: self._replace_journal,
            Cure.REPLACE_CURSORS: self._replace_cursors,
        }

    def run(self) -> None:
        """Do all that can be done, and check again what was changed. Blocks.

        Raises:
            OSError: the disk is full or failed. What was done is done; a repair may be tried again.
        """
        try:
            for queue in self._report.queues:
                for index, store in enumerate(queue.stores):
                    if store.mends:
                        self._mend(store)
                        lost = store.lost
                        queue.stores[index] = DirectoryCheck(self._directory, ignore).again(queue, store)
                        queue.stores[index].lost = lost
                if queue.cursors.mends:
                    self._mend(queue.cursors)
                    queue.cursors = DirectoryCheck(self._directory, ignore).cursors_again(queue)
            self._mend(self._report.rest)
            self._forget_mended(self._report.rest)
        finally:
            self._files.close()
            if self._kept.used:
                self._report.kept_in = str(self._kept.path)

    def _mend(self, part: Findings) -> None:
        # What is left over first: a rewrite would write over it.
        for mend in sorted(part.mends, key=lambda mend: mend.cure is not Cure.REMOVE):
            done = self._cures[mend.cure](mend)
            if done:
                self._report.mended.append(f"{mend.path}: {done}")

    def _forget_mended(self, rest: Findings) -> None:
        paths = {mend.path for mend in rest.mends}
        rest.notes = [note for note in rest.notes if note.path not in paths and note.path != "spill"]
        rest.mends = []

    def _rewrite(self, mend: Mend) -> str:
        folder, _, name = mend.path.rpartition("/")
        base, generation = base_and_generation(name.removesuffix(".log"))
        segment = Segment(folder, base, generation)
        size = self._files.size(mend.path)
        segment.written = size
        self._kept.keep(segment.path)
        self._kept.keep(segment.index_path)
        rewrite = Rewrite(self._files, folder, segment, all_but(mend.undecodable), mend.below)
        rewrite.run()
        self._files.remove(segment.path)
        self._files.remove(segment.index_path)
        self._files.sync_folder(folder)
        new = rewrite.result.path.rpartition("/")[2]
        return f"{rewrite.result.records} whole records were copied to {new}; the old segment was taken out"

    def _cut(self, mend: Mend) -> str:
        octets = self._files.size(mend.path) - mend.position
        self._kept.keep_end(mend.path, mend.position)
        self._files.truncate(mend.path, mend.position)
        self._files.sync(mend.path)
        return f"{octets} octets at its end were cut off"

    def _remove(self, mend: Mend) -> str:
        if not self._kept.keep(mend.path):
            return ""  # another mend has taken it along
        self._files.remove(mend.path)
        self._files.sync_folder(mend.path.rpartition("/")[0])
        return "was taken out"

    def _remove_folder(self, mend: Mend) -> str:
        self._kept.take_folder(mend.path)
        return "was taken out, with all that was in it"

    def _replace_journal(self, mend: Mend) -> str:
        self._keep_all(mend.path, "acks.")
        acks = Acks(self._files, mend.path)
        acks.open()
        number = self._replaced(mend.path, acks.begin())
        return f"acks.{number} says what could be read of the acknowledgements before"

    def _replace_cursors(self, mend: Mend) -> str:
        self._keep_all(mend.path, "cursors.")
        cursors = Cursors(self._files, mend.path)
        cursors.open()
        number = self._replaced(mend.path, cursors.begin())
        return f"cursors.{number} says what could be read of the cursors before"

    def _keep_all(self, folder: str, start: str) -> None:
        for name in self._files.names(folder):
            if name.startswith(start):
                self._kept.keep(f"{folder}/{name}")

    def _replaced(self, folder: str, job: JournalWrite | None) -> int:
        """Write what is to replace the files of a folder; its number."""
        assert job is not None  # what is not as it should be is replaced
        job.run()
        job.sync()
        self._files.sync_folder(folder)
        return job.number


def all_but(offsets: tuple[int, ...]) -> Ranges:
    """Every offset there can be, without some."""
    excluded = Ranges()
    for offset in sorted(offsets):
        excluded.add(offset, offset)
    result = Ranges()
    result.add(0, LIMIT - 1)
    return result.without(excluded)


def free_name(path: Path) -> Path:
    """A path of which nothing is there: this one, or one with a number behind."""
    number = 1
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def sync_file(path: Path) -> None:
    """Make the content of a file survive power loss."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
