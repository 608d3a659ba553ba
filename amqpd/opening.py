"""Opening the storage: a data directory with everything that belongs to it, or nothing.

Rule: what may live here is done once, before anything is recovered.
"""

from __future__ import annotations

from collections.abc import Callable

from amqpd.broker.queues.disk import Disk
from amqpd.broker.storage import Storage
from amqpd.catalog.directory import DataDirectory
from amqpd.catalog.error import CatalogError
from amqpd.clock import Clock, Timers
from amqpd.config import Config
from amqpd.log.commit import PATIENCE_SECONDS, Commits
from amqpd.log.damage import Damage
from amqpd.log.files import DiskFiles
from amqpd.turn import Turn


def open_storage(
    config: Config, clock: Clock, on_damage: Callable[[Damage], None]
) -> tuple[Storage, DataDirectory | None]:
    """What keeps messages and topology: in a data directory, which is locked from now on, or in memory only.

    Args:
        on_damage: told of everything in a queue's files that cannot be read, now and later.

    Raises:
        DataDirectoryError, CatalogError: the directory cannot be used.
    """
    commits = Commits(Turn(), Timers(clock))
    if config.memory:
        return Storage(commits), None
    from amqpd.catalog.catalog import Catalog  # SQLite: a megabyte of memory

    commits.patience = PATIENCE_SECONDS
    directory = DataDirectory.open(config.data_dir)
    syncs = config.sync == "fsync"
    disk = Disk(DiskFiles(directory.path, syncs), commits, clock, config.sync != "none")
    disk.on_damage = on_damage
    try:
        return Storage(commits, disk, Catalog.open(directory.catalog_path, syncs, directory.highest_queue())), directory
    except CatalogError:
        directory.close()
        raise
