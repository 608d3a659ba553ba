"""Storage: what the broker keeps when it ends, messages in the backlogs of queues and topology in the catalog.

Rule: what may live here knows what is durable and hands it on. Without a disk nothing is kept, and the same calls do
nothing.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, final

from mypy_extensions import i64

from amqpd.broker.queues.disk import Disk
from amqpd.broker.queues.room import NOTHING, Room, endless_room
from amqpd.broker.queues.stream.store import StreamStore
from amqpd.broker.settings import QueueSettings
from amqpd.catalog.error import CatalogError
from amqpd.catalog.rows import BindingRow, ExchangeRow, PolicyRow, QueueRow, VHostRow
from amqpd.log.commit import SAFE, Commits, Job, Member
from amqpd.log.files import Files
from amqpd.log.memory import MemoryFiles

if TYPE_CHECKING:
    from amqpd.broker.binding import Binding, Destination
    from amqpd.broker.exchanges.base import Exchange
    from amqpd.broker.policy import Policy
    from amqpd.broker.queues.base import Queue
    from amqpd.catalog.catalog import Catalog, CatalogWrite

# The folder of all durable queues' folders, and of those of durable exchanges that hold messages: what is in it is the
# same, and so are the rules for what is left over.
QUEUES: Final = "queues"
MOST_FOLDERS: Final = 32  # that go with one commit: a few milliseconds


@final
class Storage:
    """All that is kept.

    Args:
        commits: bring it to the disk.
        disk: for messages; None keeps nothing.
        catalog: for topology; None keeps nothing.
    """

    def __init__(self, commits: Commits, disk: Disk | None = None, catalog: Catalog | None = None) -> None:
        self.commits = commits
        self.disk = disk
        self.catalog = catalog
        self._memory: Disk | None = None  # what streams have instead of a disk
        self.restoring = False  # what is created now comes from the catalog
        self.on_queue_failure: Callable[[str, OSError], None] | None = None
        self._endless = endless_room()
        self._topology = CatalogMember(self)
        self._discards = Discards(disk) if disk is not None else None
        self._changed: i64 = SAFE  # the commit with the last change of the topology

    @property
    def topology_ticket(self) -> i64:
        """The commit after which all topology is safe."""
        return self._changed if self._changed > self.commits.done else SAFE

    # Messages.

    def room(
        self, name: str, folder: str, keeps: i64, most_deliveries: i64, on_failure: Callable[[str, OSError], None]
    ) -> Room:
        """The room of a queue, see Room; folder is empty for one that does not outlive the process."""
        if self.disk is None:
            return self._endless
        return Room(self.disk, folder, keeps if folder else NOTHING, on_failure, name, most_deliveries)

    def stream_store(
        self,
        folder: str,
        settings: QueueSettings,
        on_end: Callable[[], None],
        on_failure: Callable[[OSError], None],
    ) -> StreamStore:
        """The store of a stream; folder as for room()."""
        disk = self.disk
        if disk is None:
            if self._memory is None:
                self._memory = Disk(MemoryFiles(), self.commits, self.commits.timers.clock, False)
            disk = self._memory
        return StreamStore(disk, folder or disk.spill_folder(), bool(folder), settings, on_end, on_failure)

    def new_folder(self) -> str:
        """The folder of a durable queue or exchange, which none had before; empty without a disk."""
        return "" if self.catalog is None else folder_of(self.catalog.next_queue_id())

    def queue_failed(self, queue: str, error: OSError) -> None:
        """The disk failed for a queue, or an exchange that keeps messages; ``queue`` is how reply texts call it."""
        if self.on_queue_failure is not None:
            self.on_queue_failure(queue, error)

    def discard_orphans(self, known: set[str]) -> int:
        """Remove the folders of what is not in the catalog: it was deleted just before the broker died.

        Args:
            known: the folders of those that are in it.
        """
        names = [] if self.disk is None else self.disk.files.names(QUEUES)
        orphans = [folder for name in names if (folder := f"{QUEUES}/{name}") not in known]
        for folder in orphans:
            self._discard(folder)
        return len(orphans)

    def _discard(self, folder: str) -> None:
        """A queue or exchange is gone, and its folder is to go too."""
        if self._discards is not None:
            self._discards.add(folder)
            self.commits.join(self._discards, 0)

    def without_catalog(self) -> Storage:
        """The same for what the catalog has forgotten: it hears nothing more, and folders go all the same."""
        return Storage(self.commits, self.disk)

    # Topology. Everything that is handed over here is durable.

    def changing(self) -> Catalog | None:
        """The catalog, if it is to hear of a change that is made now; None if nothing is kept.

        The caller tells it at once: what it gathers goes to the disk with topology_ticket.
        """
        catalog = self._writable()
        if catalog is not None:
            self._note_change()
        return catalog

    def vhost_changed(self, name: str, metadata: str) -> None:
        """A virtual host has come, or has other metadata."""
        catalog = self.changing()
        if catalog is not None:
            catalog.add_vhost(VHostRow(name, metadata))

    def exchange_created(self, vhost: str, exchange: Exchange) -> None:
        """An exchange has come."""
        catalog = self._writable()
        if catalog is not None and is_declared(exchange):
            arguments = exchange.arguments.raw
            number = id_of(exchange.folder) if exchange.folder else 0
            catalog.add_exchange(
                ExchangeRow(
                    vhost, exchange.name, exchange.kind, exchange.auto_delete, exchange.internal, arguments, number
                )
            )
            self._note_change()

    def exchange_deleted(self, vhost: str, exchange: Exchange) -> None:
        """An exchange is gone, with its bindings and messages; bindings to it are taken out by themselves."""
        catalog = self._writable()
        if catalog is not None and is_declared(exchange):
            catalog.remove_exchange(vhost, exchange.name)
            catalog.remove_bindings_from(vhost, exchange.name)
            self._note_change()
        if exchange.folder and not self.restoring:
            self._discard(exchange.folder)

    def queue_created(self, vhost: str, queue: Queue) -> None:
        """A queue has come."""
        catalog = self._writable()
        if catalog is not None and queue.spec.folder:
            spec = queue.spec
            number = id_of(spec.folder)
            row = QueueRow(
                number, vhost, queue.name, queue.kind, spec.auto_delete, spec.arguments.raw, spec.declared_by
            )
            catalog.add_queue(row)
            self._note_change()

    def queue_deleted(self, queue: Queue) -> None:
        """A queue is gone, and its messages are to go; bindings to it are taken out by themselves."""
        catalog = self._writable()
        if catalog is not None and queue.spec.folder:
            catalog.remove_queue(id_of(queue.spec.folder))
            self._note_change()
        if queue.spec.folder and not self.restoring:
            self._discard(queue.spec.folder)

    def bound(self, vhost: str, binding: Binding) -> None:
        """A binding has come."""
        catalog = self._writable()
        if catalog is not None and binding.source.durable and binding.destination.survives:
            catalog.add_binding(row_of(vhost, binding))
            self._note_change()

    def unbound(self, vhost: str, binding: Binding) -> None:
        """A binding is gone."""
        catalog = self._writable()
        if catalog is not None and binding.source.durable and binding.destination.survives:
            catalog.remove_binding(row_of(vhost, binding))
            self._note_change()

    def unbound_everywhere(self, vhost: str, destination: Destination) -> None:
        """All bindings to something are gone."""
        catalog = self._writable()
        if catalog is not None and destination.survives:
            catalog.remove_bindings_to(vhost, destination.kind_word == "queue", destination.name)
            self._note_change()

    def policy_set(self, vhost: str, policy: Policy) -> None:
        """A policy has come or changed."""
        catalog = self._writable()
        if catalog is not None:
            catalog.add_policy(
                PolicyRow(
                    vhost,
                    policy.name,
                    policy.is_operator,
                    policy.pattern,
                    policy.apply_to,
                    int(policy.priority),
                    json.dumps(policy.definition),
                )
            )
            self._note_change()

    def policy_deleted(self, vhost: str, name: str, is_operator: bool) -> None:
        """A policy is gone."""
        catalog = self._writable()
        if catalog is not None:
            catalog.remove_policy(vhost, name, is_operator)
            self._note_change()

    def close(self) -> None:
        """The broker has ended, and no commit is under way: note how far everything is, and let go of all files.

        Raises:
            OSError: a note could not be written. The next start takes longer then; nothing is lost.
        """
        if self.disk is not None:
            for kept in list(self.disk.kept):
                job = kept.checkpoint()
                if job is not None:
                    job.run()
                    job.sync()
                kept.close()
            self.disk.files.close()
        if self.catalog is not None:
            self.catalog.close()

    def _writable(self) -> Catalog | None:
        """The catalog, if there is one that is to hear of a change now."""
        return None if self.restoring else self.catalog

    def _note_change(self) -> None:
        """The catalog has gathered something."""
        self._changed = self.commits.number
        self.commits.join(self._topology, 0)


@final
class CatalogJob(Job):
    """A transaction of the catalog."""

    def __init__(self, write: CatalogWrite) -> None:
        self.write = write

    def run(self) -> None:
        try:
            self.write.run()
        except CatalogError as error:
            raise OSError(errno.EIO, str(error)) from error


@final
class CatalogMember(Member):
    """The catalog's part of commits.

    It is not given up: what is confirmed after a lost change, topology or messages, would be lost too.
    """

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self.patient = True
        self._storage = storage

    def begin(self) -> Job | None:
        catalog = self._storage.catalog
        assert catalog is not None  # it joined
        write = catalog.begin()
        return None if write is None else CatalogJob(write)

    def finished(self, job: Job) -> None:
        catalog = self._storage.catalog
        if catalog is not None and isinstance(job, CatalogJob):
            catalog.finished(job.write)


@final
class RemoveFolders(Job):
    """Folders that nobody needs any more."""

    def __init__(self, files: Files, folders: list[str]) -> None:
        self._files = files
        self._folders = folders

    def run(self) -> None:
        for folder in self._folders:
            self._files.remove_folder(folder)


@final
class Discards(Member):
    """The folders of deleted queues and exchanges; they go after the catalog knows that their owners are gone.

    Some go with each commit: others wait for it too, and do not want to wait for the folders of 10,000 queues.
    """

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self._disk = disk
        self._folders: list[str] = []
        self._going: list[str] = []  # with the commit that is under way

    def add(self, folder: str) -> None:
        """A folder is to go."""
        self._folders.append(folder)

    def begin_late(self) -> Job | None:
        self._going, self._folders = self._folders[:MOST_FOLDERS], self._folders[MOST_FOLDERS:]
        return RemoveFolders(self._disk.files, self._going) if self._going else None

    def relieve(self) -> Job | None:
        """Before the catalog knows: a start may find the queues again, but empty. That is no harm, nobody was told."""
        folders = [folder for folder in self._going + self._folders if self._disk.may_remove(folder)]
        return RemoveFolders(self._disk.files, folders) if folders else None

    def finished(self, job: Job) -> None:
        self._going = []
        if self._folders:
            self._disk.commits.join(self, 0)

    def failed(self, job: Job, error: OSError) -> None:
        self.finished(job)  # the next start tries again


def is_declared(exchange: Exchange) -> bool:
    """A durable exchange that is not there from the beginning: only those have this prefix."""
    return exchange.durable and not exchange.name.startswith("amq.")


def folder_of(number: int) -> str:
    """The folder of a durable queue or exchange."""
    return f"{QUEUES}/{number}"


def id_of(folder: str) -> int:
    """The number of which folder_of() made the folder."""
    return int(folder.rpartition("/")[2])


def row_of(vhost: str, binding: Binding) -> BindingRow:
    """A binding as the catalog keeps it."""
    destination = binding.destination
    return BindingRow(
        vhost,
        binding.source.name,
        destination.kind_word == "queue",
        destination.name,
        binding.key,
        binding.arguments.raw,
    )
