"""The check of a whole data directory.

Rule: what may live here knows what belongs into a data directory, and which folder is whose.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from amqpd.broker.storage import QUEUES
from amqpd.catalog.catalog import IDS_PER_START
from amqpd.catalog.directory import FORMAT, DataDirectory
from amqpd.check.catalog import CatalogCheck
from amqpd.check.cursors import check_cursors
from amqpd.check.findings import Cure, CursorsReport, Finding, Findings, Mend, QueueReport, Report, StoreReport
from amqpd.check.store import STREAM, StoreCheck
from amqpd.log.cursors import KIND as CURSORS
from amqpd.log.files import DiskFiles, Files
from amqpd.log.journal_write import journals_in, path_of
from amqpd.net.control_address import CONTROL_SOCKET

LOST_AND_FOUND: Final = "lost-and-found"
_BELONGS: Final = frozenset(
    {
        "lock",
        "format",
        "catalog.sqlite",
        "catalog.sqlite-wal",
        "catalog.sqlite-shm",
        "queues",
        "spill",
        "lost+found",
        LOST_AND_FOUND,
        CONTROL_SOCKET,
    }
)
_LEFT_OVER: Final = frozenset({"format.new"})


class DirectoryCheck:
    """Looks at everything in a data directory, and changes nothing.

    Args:
        directory: which nobody uses meanwhile.
        advance: told how many octets were read, of those that total() tells.
    """

    def __init__(self, directory: DataDirectory, advance: Callable[[int], None]) -> None:
        self._directory = directory
        self._files: Files = DiskFiles(directory.path, syncs=False)
        self._advance = advance

    def total(self) -> int:
        """Octets that will be read, about."""
        return octets_below(self._directory.queues)

    def run(self) -> Report:
        """Check everything. Blocks.

        Raises:
            NewerFormat, CatalogError: a newer amqpd wrote a part of it, or another program the catalog.
            OSError: a file may not be read, or is gone meanwhile.
        """
        catalog = CatalogCheck(self._directory.catalog_path)
        report = Report(str(self._directory.path), FORMAT, catalog.run())
        try:
            known = [QueueReport(str(row.id), row.vhost, row.name, row.kind) for row in catalog.queues]
            known += [QueueReport(str(row.id), row.vhost, row.name, row.kind, "exchange") for row in catalog.holding]
            found = set(self._files.names(QUEUES))
            if report.catalog.readable:
                report.queues = known
                for name in sorted(found - {queue.number for queue in known}):
                    self._orphan(name, report)
            else:
                names = {queue.number for queue in known}
                report.queues = known + [QueueReport(name, None, None, None) for name in sorted(found - names)]
            for queue in report.queues:
                self._queue(queue, report.rest)
            self._others(report.rest)
        finally:
            self._files.close()
        return report

    def again(self, queue: QueueReport, store: StoreReport) -> StoreReport:
        """Check one store of a queue again."""
        try:
            return StoreCheck(self._files, store.folder, queue.kind, ignore).run()
        finally:
            self._files.close()

    def cursors_again(self, queue: QueueReport) -> CursorsReport:
        """Check the cursors of a stream again."""
        try:
            return check_cursors(self._files, queue.cursors.folder)
        finally:
            self._files.close()

    def _queue(self, queue: QueueReport, rest: Findings) -> None:
        folder = f"{QUEUES}/{queue.number}"
        if not self._full(folder).is_dir():
            return  # nothing was ever stored
        cursors: list[str] = []
        if queue.kind in (STREAM, None):
            queue.cursors = check_cursors(self._files, folder)
            self._advance(queue.cursors.octets)
            cursors = [path_of(folder, CURSORS, number) for number in journals_in(self._files, folder, CURSORS)]
        for name in self._files.names(folder):
            path = f"{folder}/{name}"
            if path in cursors:
                continue
            if name.isdecimal() and self._full(path).is_dir():
                queue.stores.append(StoreCheck(self._files, path, queue.kind, self._advance).run())
            else:
                rest.notes.append(Finding(path, 0, 0, "not amqpd's; it is left alone"))
        self._files.close()

    def _orphan(self, name: str, report: Report) -> None:
        """A folder of nobody: mostly, its queue or exchange was deleted just before the broker was killed."""
        path = f"{QUEUES}/{name}"
        octets = octets_below(self._full(path))
        self._advance(octets)
        if name.isdecimal() and int(name) // IDS_PER_START > report.catalog.starts:
            text = "the catalog is older than this queue, and no amqpd starts with it; restore the right one"
            report.rest.corrupt.append(Finding(path, 0, octets, text))
            report.rest.incurable += 1
            return
        text = "the queue or exchange of this folder is not in the catalog; the next start removes the folder"
        report.rest.notes.append(Finding(path, 0, octets, text))
        report.rest.mend(Mend(Cure.REMOVE_FOLDER, path))

    def _others(self, rest: Findings) -> None:
        for name in self._files.names(""):
            if name in _LEFT_OVER:
                rest.notes.append(Finding(name, 0, self._full(name).stat().st_size, "left over from a start cut short"))
                rest.mend(Mend(Cure.REMOVE, name))
            elif name not in _BELONGS:
                rest.notes.append(Finding(name, 0, 0, "not amqpd's; it is left alone"))
        spilled = octets_below(self._directory.spill)
        if spilled > 0:
            text = "messages that were paged out and need not survive; the next start removes them"
            rest.notes.append(Finding("spill", 0, spilled, text))

    def _full(self, path: str) -> Path:
        return self._directory.path / path


def octets_below(folder: Path) -> int:
    """The octets of all files in a folder and below it; 0 if it is missing."""
    return sum(
        os.stat(os.path.join(parent, name), follow_symlinks=False).st_size
        for parent, _, names in os.walk(folder)
        for name in names
    )


def ignore(_octets: int) -> None:
    """For who does not want to know how far it is."""
