"""The messages that a delayed exchange holds, by the moment at which they are due.

A heap knows which one is due when, and costs some 50 octets of memory a message. The messages of an exchange that
survives are on the disk, whatever their delivery mode (as the plugin keeps them): a Backlog as queues have it, with the
deadlines in its records. The first ones that come stay in memory as well; the others are read back when they are due,
many at a time, for deadlines are not in the order of arrival, and a search for each would be slow.

Rule: what may live here knows when a message is due, not where it goes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.message import Message
from amqpd.broker.queues.backlog import Backlog
from amqpd.broker.queues.disk import Disk
from amqpd.broker.queues.ready import Ready
from amqpd.broker.queues.room import UNLIMITED
from amqpd.broker.records import Stored
from amqpd.log.commit import SAFE

# An entry of the heap is one number, the deadline times this plus the position: a tuple takes three times the memory.
POSITIONS: Final = 1 << 60
# Messages that are looked for together. They may stand far apart, and a search takes some 60 us: nobody else has a turn
# meanwhile.
AHEAD: Final = 256


@final
class Held:
    """Messages that wait, the earliest deadline first, then by arrival.

    Args:
        disk: where they are kept.
        folder: of the exchange; empty for one that does not survive: then they are in memory only.
        on_failure: called when the disk fails for good.
    """

    def __init__(self, disk: Disk | None, folder: str, on_failure: Callable[[OSError], None]) -> None:
        self._due: list[int] = []
        self._next: i64 = 0  # position
        self._messages: dict[int, Message] = {}  # in memory since they came, by position
        self._octets: i64 = 0
        self._fetched: dict[int, Message] = {}  # read back
        self._fetched_octets: i64 = 0
        self._disk = disk
        self._backlog: Backlog | None = None
        self._most: i64 = UNLIMITED
        self._most_octets: i64 = UNLIMITED
        self._most_fetched: i64 = 0
        if disk is not None and folder:
            # Nothing of it is ever handed out before it is gone, so there is nothing that a lane could tell.
            self._backlog = Backlog(disk, f"{folder}/0", True, Ready(), on_failure)
            self._most = disk.messages
            self._most_octets = disk.octets
            self._most_fetched = disk.page_octets

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._due)

    @property
    def in_memory(self) -> int:
        """How many of them can be had without the disk."""
        return len(self._messages) + len(self._fetched)

    def recover(self, now: int, milliseconds: int) -> None:
        """Take in what is on the disk; called once, before everything else. Reads all of it.

        Args:
            now: the moment from which deadlines are counted here.
            milliseconds: the same moment, since the epoch.
        """
        backlog = self._backlog
        if backlog is None:
            return
        _, _, position = backlog.recover(UNLIMITED)
        self._next = position
        while page := backlog.page():
            for stored in page:
                deadline = now + (int(stored.deadline) - milliseconds) * 1000
                self._due.append(deadline * POSITIONS + int(stored.position))
                self._remember(stored.position, stored.message)
        heapq.heapify(self._due)

    def add(self, deadline: int, milliseconds: int, message: Message) -> i64:
        """Take a message in.

        Args:
            deadline: when it is due, in microseconds of the monotonic clock.
            milliseconds: the same moment, since the epoch.

        Returns:
            The number of the commit with which it is safe, or SAFE.
        """
        position = self._next
        self._next = position + 1
        heapq.heappush(self._due, deadline * POSITIONS + int(position))
        self._remember(position, message)
        if self._backlog is None:
            return SAFE
        self._backlog.keep(position, milliseconds, message, True)
        return self._backlog.ticket

    def first_deadline(self) -> int | None:
        """When the next one is due; None if nothing waits."""
        return self._due[0] // POSITIONS if self._due else None

    def first(self) -> Message | None:
        """The one that is due next, of those there are; None if it cannot be read any more."""
        position = self._due[0] % POSITIONS
        if position not in self._messages and position not in self._fetched and self._backlog is not None:
            self._fetch(self._backlog, position)
        return self._messages.get(position) or self._fetched.get(position)

    def drop_first(self) -> None:
        """The one that is due next is gone for good: it went where it was to go, or cannot be read any more."""
        position = heapq.heappop(self._due) % POSITIONS
        message = self._messages.pop(position, None)
        if message is not None:
            self._octets -= message.body_size
        message = self._fetched.pop(position, None)
        if message is not None:
            self._fetched_octets -= message.body_size
        if self._backlog is not None and self._disk is not None:
            commits = self._disk.commits
            commits.moving = True  # it must not be gone here before it is safe where it went
            self._backlog.settle(position)
            commits.moving = False

    def close(self) -> None:
        """Let go of everything. What is on the disk stays there."""
        self._due.clear()
        self._messages.clear()
        self._fetched.clear()
        if self._backlog is not None:
            self._backlog.close()

    def _remember(self, position: i64, message: Message) -> None:
        """Keep a message in memory, if there is room."""
        if len(self._messages) < self._most and self._octets < self._most_octets:
            self._messages[int(position)] = message
            self._octets += message.body_size

    def _fetch(self, backlog: Backlog, first: int) -> None:
        """Read the one that is due next, and some that are due after it."""
        if self._fetched_octets < self._most_fetched:
            self._take(backlog.fetch(self._next_missing(), self._most_fetched - self._fetched_octets))
        if first not in self._fetched:  # there was no room for what stands before it
            self._take(backlog.fetch([first], 1))

    def _take(self, found: list[Stored]) -> None:
        for stored in found:
            self._fetched[int(stored.position)] = stored.message
            self._fetched_octets += stored.message.body_size

    def _next_missing(self) -> list[int]:
        """Those of the next messages that are on the disk only, in the order in which they stand there."""
        due = self._due
        ahead = [heapq.heappop(due) for _ in range(min(AHEAD, len(due)))]
        for entry in ahead:
            heapq.heappush(due, entry)
        positions = [entry % POSITIONS for entry in ahead]
        missing = [position for position in positions if position not in self._messages]
        return sorted([position for position in missing if position not in self._fetched])
