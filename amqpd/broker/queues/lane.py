"""A lane: ready messages in the order of their positions.

Every message that enters a lane gets the next position. Deliveries leave from the head only, so a message that comes
back always has a lower position than everything that was never delivered: the lane is a list of fresh messages whose
positions are implied, preceded by a small heap of returned ones.
"""

from __future__ import annotations

import heapq
from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.message import Message

# The consumed front of the list is cut off when it is this long and at least half of the list.
TRIM_AT: Final = 1024


@final
class Lane:
    """Ready messages, oldest position first.

    take() leaves the position and the delivery count of what it returned in ``position`` and ``deliveries``: a tuple
    per message would cost more than the rest of the call.
    """

    def __init__(self) -> None:
        self._fresh: list[Message | None] = []
        self._front: i64 = 0  # index in _fresh of the oldest message
        self._position: i64 = 0  # of that message
        self._returned: list[tuple[int, int, Message]] = []  # heap of (position, deliveries, message)
        self.count: i64 = 0
        self.position: i64 = 0
        self.deliveries: i64 = 0

    def append(self, message: Message) -> None:
        """A new message, at the tail."""
        # HOT: once per published message and queue
        self._fresh.append(message)
        self.count += 1

    def put_back(self, message: Message, position: i64, deliveries: i64) -> None:
        """A message that was delivered returns to its place.

        Args:
            position: what take() said when it left.
            deliveries: how often it has been delivered by now.
        """
        heapq.heappush(self._returned, (position, deliveries, message))
        self.count += 1

    def take(self) -> Message | None:
        """Remove the head. None when the lane is empty."""
        # HOT: once per delivery
        if self._returned:
            return self._take_returned()
        front = self._front
        if front >= len(self._fresh):
            return None
        message = self._fresh[front]
        self._fresh[front] = None
        self.position = self._position
        self.deliveries = 0
        self._position += 1
        self._front = front + 1
        self.count -= 1
        if front >= TRIM_AT and self.count <= front:
            del self._fresh[: front + 1]
            self._front = 0
        return message

    def clear(self) -> int:
        """Remove everything; returns how many messages there were."""
        dropped = self.count
        self._position += len(self._fresh) - self._front
        self._fresh.clear()
        self._front = 0
        self._returned.clear()
        self.count = 0
        return dropped

    def _take_returned(self) -> Message:
        position, deliveries, message = heapq.heappop(self._returned)
        self.position = position
        self.deliveries = deliveries
        self.count -= 1
        return message
