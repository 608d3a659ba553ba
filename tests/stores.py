"""What outlives a World: files and a catalog. Restarting a World is making another one on the same Store.

world = World(store=Store(tmp_path))        # files in memory, commits run when the turn ends
world.hold_commits()                        # from now on the test says when: world.run_commit()
world = world.killed()                      # nothing is closed, nothing more is written
world = world.restarted()                   # as the server stops and starts
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import mkdtemp

from amqpd.broker.queues.disk import SPILL, Disk
from amqpd.broker.queues.stream.page import PageCache
from amqpd.broker.recovery import Progress
from amqpd.broker.storage import Storage
from amqpd.catalog.catalog import Catalog
from amqpd.clock import Timers
from amqpd.log.commit import Commits
from amqpd.log.damage import Damage
from amqpd.log.files import DiskFiles, Files
from amqpd.turn import Turn
from tests.log.faults import MemoryFiles


class Store:
    """Files, a catalog, and how much of a queue may be in memory.

    Args:
        folder: for the catalog, and for the files unless they are in memory.
        on_disk: the files are real ones.
        messages: that a queue may have in memory; None leaves what amqpd has.
        page: octets that are read back at a time.
        waits: confirms wait for commits.
        tail: octets of a stream's latest messages that are in memory, and of what is kept of those that were read.

    Attributes:
        damages: what could not be read, of all Worlds.
    """

    def __init__(
        self,
        folder: Path,
        on_disk: bool = False,
        messages: int | None = None,
        page: int | None = None,
        waits: bool = True,
        tail: int | None = None,
    ) -> None:
        self.damages: list[Damage] = []
        self.files: Files = DiskFiles(folder / "files", syncs=False) if on_disk else MemoryFiles()
        self._folder = folder
        self._messages = messages
        self._page = page
        self._waits = waits
        self._tail = tail

    @property
    def memory(self) -> MemoryFiles:
        """The files, which are in memory."""
        assert isinstance(self.files, MemoryFiles)
        return self.files

    def open(self, turn: Turn, timers: Timers) -> Storage:
        """The storage of one World, not recovered yet."""
        commits = Commits(turn, timers)
        disk = Disk(self.files, commits, timers.clock, self._waits)
        disk.messages = self._messages or disk.messages
        disk.page_octets = self._page or disk.page_octets
        if self._tail is not None:
            disk.tail_octets, disk.tail_page_octets = self._tail, self._tail // 4
            disk.pages = PageCache(self._tail)
        disk.on_damage = self.damages.append
        return Storage(commits, disk, Catalog.open(self._folder / "catalog.db", syncs=False))

    def abandon(self, storage: Storage) -> None:
        """The process that had it was killed. What it had not handed to the disk is lost, and its files are closed."""
        catalog = storage.catalog
        assert catalog is not None  # open() made it
        catalog.close()  # which writes nothing that was not committed
        self._reopen()

    def close(self, storage: Storage) -> None:
        """The process that had it has ended."""
        storage.close()
        self._reopen()

    def _reopen(self) -> None:
        if isinstance(self.files, MemoryFiles):
            self.files = self.files.killed()
        else:
            self.files.close()
            self.files = DiskFiles(self._folder / "files", syncs=False)
        self.files.remove_folder(SPILL)  # as the data directory does


def quick_folder() -> Path:
    """A new folder, in memory where the system has such: the catalog is synced whenever it is opened."""
    return Path(mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))


class KeptProgress(Progress):
    """What recovery told."""

    def __init__(self) -> None:
        super().__init__()
        self.total = (-1, -1)  # queues and bindings
        self.queues: list[int] = []  # messages of each
        self.bindings = 0
        self.left_out: list[tuple[str, str]] = []

    def begin(self, queues: int, bindings: int) -> None:
        self.total = (queues, bindings)

    def queue(self, messages: int) -> None:
        self.queues.append(messages)

    def binding(self) -> None:
        self.bindings += 1

    def skipped(self, what: str, reason: str) -> None:
        self.left_out.append((what, reason))
