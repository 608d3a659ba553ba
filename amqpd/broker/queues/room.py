"""The room that a queue has: how many of its messages may be in memory, and where the others go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.queues.backlog import Backlog
from amqpd.broker.queues.disk import Disk
from amqpd.broker.queues.ready import Ready

# What a queue keeps on the disk so that it survives a restart.
NOTHING: Final = 0
PERSISTENT: Final = 1
ALL: Final = 2

UNLIMITED: Final = 1 << 62


@final
class Room:
    """The room of one queue with a disk, or of all queues where there is none.

    Args:
        disk: None if there is none: then everything is in memory and ends with the process.
        folder: the queue's; empty for a queue that does not outlive the process.
        keeps: NOTHING, PERSISTENT or ALL messages survive a restart.
        on_failure: called with the queue's name when the disk fails for good.
        name: the queue's.
        most_deliveries: what was delivered more often comes back from the disk as a dead letter.
    """

    def __init__(
        self,
        disk: Disk | None,
        folder: str,
        keeps: i64,
        on_failure: Callable[[str, OSError], None],
        name: str = "",
        most_deliveries: i64 = UNLIMITED,
    ) -> None:
        self._disk = disk
        self.folder = folder
        self._name = name
        self._on_failure = on_failure
        self.keeps: i64 = keeps if disk is not None else NOTHING
        self.messages: i64 = disk.messages if disk is not None else UNLIMITED
        self.octets: i64 = disk.octets if disk is not None else UNLIMITED
        self.most_deliveries: i64 = most_deliveries

    def holds(self, level: int) -> bool:
        """A lane of this level has something on the disk, from an earlier process."""
        return bool(self._disk is not None and self.folder and self._disk.files.names(f"{self.folder}/{level}"))

    def backlog(self, level: int, lane: Ready) -> Backlog:
        """The place on the disk of a lane."""
        assert self._disk is not None  # else nobody runs out of room
        folder = f"{self.folder}/{level}" if self.folder else self._disk.spill_folder()
        return Backlog(self._disk, folder, self.keeps != NOTHING, lane, self._failed)

    def _failed(self, error: OSError) -> None:
        self._on_failure(self._name, error)


def endless_room() -> Room:
    """The room where there is no disk."""
    return Room(None, "", NOTHING, cannot_fail)


def cannot_fail(name: str, error: OSError) -> None:
    """What a room without a disk does when its disk fails."""
