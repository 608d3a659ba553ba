"""The room that a queue has: how many of its messages may be in memory, and where the others go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.queues.backlog import Backlog, StoreHost
from amqpd.broker.queues.ready import Ready
from amqpd.log.files import Files

# What a queue keeps on the disk so that it survives a restart.
NOTHING: Final = 0
PERSISTENT: Final = 1
ALL: Final = 2

UNLIMITED: Final = 1 << 62
# How much of a queue may be in memory, where there is a disk. The number is above what a crowded queue gets before its
# publishers are held (flow.HOLD_ABOVE), so that nothing is written just because consumers need a moment.
MESSAGES: Final = 16384
OCTETS: Final = 16 * 1024 * 1024


@final
class Room:
    """The room of one queue.

    Args:
        host: the storage; None if there is no disk, then everything is in memory and ends with the process.
        files: where the folder is.
        folder: the queue's.
        keeps: NOTHING, PERSISTENT or ALL messages survive a restart.
        on_failure: called when the disk fails for good.
    """

    def __init__(
        self,
        host: StoreHost | None,
        files: Files | None,
        folder: str,
        keeps: i64,
        on_failure: Callable[[OSError], None],
    ) -> None:
        self._host = host
        self._files = files
        self._folder = folder
        self._on_failure = on_failure
        self.keeps: i64 = keeps if files is not None else NOTHING
        self.messages: i64 = MESSAGES if files is not None else UNLIMITED
        self.octets: i64 = OCTETS if files is not None else UNLIMITED

    def exists(self, level: int) -> bool:
        """A lane of this level has something on the disk."""
        return self._files is not None and len(self._files.names(f"{self._folder}/{level}")) > 0

    def backlog(self, level: int, lane: Ready) -> Backlog:
        """The place on the disk of a lane."""
        assert self._host is not None and self._files is not None  # else nobody runs out of room
        folder = f"{self._folder}/{level}"
        return Backlog(self._host, self._files, folder, self.keeps != NOTHING, lane, self._on_failure)
