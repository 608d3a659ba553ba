"""What stands before the fresh messages of a lane: what came back, and what was last read back from the disk.

Rule: what may live here is there for few lanes, and not for long; most messages go the straight way.
"""

from __future__ import annotations

import heapq
from typing import final

from mypy_extensions import i64

from amqpd.broker.message import Message
from amqpd.broker.records import Stored


@final
class Ahead:
    """Messages with lower positions than all fresh ones, the lowest first."""

    def __init__(self) -> None:
        self._returned: list[tuple[i64, i64, i64, Message]] = []  # heap of (position, deliveries, deadline, message)
        self._page: list[Stored] = []  # the next one is the last in the list

    @property
    def empty(self) -> bool:
        """Nothing is left: the fresh ones are next."""
        return not self._returned and not self._page

    def put_back(self, message: Message, position: i64, deliveries: i64, deadline: i64) -> None:
        """A message that was delivered so often returns to its place."""
        heapq.heappush(self._returned, (position, deliveries, deadline, message))

    def turn_to(self, page: list[Stored]) -> None:
        """A page was read, lowest position first; nothing is left of the last one. The list is this object's now."""
        page.reverse()
        self._page = page

    def take(self) -> tuple[i64, i64, i64, Message]:
        """Remove the next message, of at least one: its position, deliveries and deadline, and the message."""
        if self._returned_first():
            return heapq.heappop(self._returned)
        stored = self._page.pop()
        return stored.position, stored.deliveries, stored.deadline, stored.message

    def head(self) -> Message:
        """The next message."""
        return self._returned[0][3] if self._returned_first() else self._page[-1].message

    def head_deadline(self) -> i64:
        """Its deadline; 0 when it has none."""
        return self._returned[0][2] if self._returned_first() else self._page[-1].deadline

    def next_of_page(self) -> i64:
        """The lowest position that has not been delivered since it was read; -1 when there is none."""
        return self._page[-1].position if self._page else -1

    def positions(self) -> list[i64]:
        """Of everything that is here, in no order."""
        found = [stored.position for stored in self._page]
        for position, _, _, _ in self._returned:
            found.append(position)
        return found

    def _returned_first(self) -> bool:
        """The next is a returned one."""
        if not self._returned:
            return False
        return not self._page or self._returned[0][0] < self._page[-1].position
