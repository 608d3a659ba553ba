"""The disk: the thread that commits run in, and the alarm when there is no room left on it."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from amqpd.broker.alarms import DISK
from amqpd.broker.broker import Broker
from amqpd.broker.context import Context
from amqpd.log.commit import FULL, Commit
from amqpd.logs import ERROR, INFO, WARNING, event

LOOK_EVERY: Final = 1.0  # seconds


class DiskThread:
    """The one thread that waits for the disk.

    Args:
        context: whose storage's commits it runs. The loop that runs now gets them back.
    """

    def __init__(self, context: Context, loop: asyncio.AbstractEventLoop) -> None:
        self._context = context
        self._loop = loop
        self._commits: SimpleQueue[Commit | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)
        self._thread.start()
        context.storage.commits.execute = self._commits.put

    def stop(self) -> None:
        """End the thread, after what it is doing."""
        self._context.storage.commits.execute = None
        self._commits.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (commit := self._commits.get()) is not None:
            commit.run()
            try:
                self._loop.call_soon_threadsafe(self._done, commit)
            except RuntimeError:  # the loop was closed under a commit: nobody waits for it any more
                return

    def _done(self, commit: Commit) -> None:
        self._context.storage.commits.finished(commit)
        self._context.turn.finish()


class DiskWatch:
    """Sets the disk alarm while less is free than the limit, or while something could not be written for lack of room.

    Args:
        path: a directory on the disk.
        limit: octets that must be free.
    """

    def __init__(self, broker: Broker, path: Path, limit: int, logger: logging.Logger) -> None:
        self._broker = broker
        self._path = path
        self._limit = limit
        self._logger = logger
        self._stalled = False
        storage = broker.context.storage
        storage.commits.on_stall = self._on_stall
        storage.on_queue_failure = self._on_queue_failure
        self._look()

    def _look(self) -> None:
        self._broker.context.timers.call_later(LOOK_EVERY, self._look)
        self._judge()

    def _judge(self) -> None:
        free = free_octets(self._path)
        if free < self._limit or self._stalled:
            if self._broker.alarms.set(DISK):
                event(self._logger, WARNING, "alarm.set", resource=DISK, free=free, limit=self._limit)
        elif self._broker.alarms.clear(DISK):
            event(self._logger, INFO, "alarm.cleared", resource=DISK, free=free, limit=self._limit)

    def _on_stall(self, error: OSError | None) -> None:
        self._stalled = error is not None
        if error is not None and error.errno in FULL:
            event(self._logger, ERROR, "disk.full", error=str(error))
        elif error is not None:
            event(self._logger, ERROR, "catalog.failed", error=str(error))
        self._judge()

    def _on_queue_failure(self, queue: str, error: OSError) -> None:
        event(self._logger, ERROR, "queue.failed", queue=queue, error=str(error))


def free_octets(path: Path) -> int:
    """Octets that are free for this process on the disk of a directory."""
    try:
        found = os.statvfs(path)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return 0
        raise
    return found.f_bavail * found.f_frsize
