"""A lane: ready messages in the order of their positions.

Every message that enters a lane gets the next position. Deliveries leave from the head only, so a message that comes
back always has a lower position than everything that was never delivered: the lane is a list of fresh messages whose
positions are implied, preceded by a small heap of returned ones. Deadlines stand in a list of their own, which exists
only once a message has one.
"""

from __future__ import annotations

import heapq
from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.message import Message
from amqpd.broker.queues.ready import Ready

# The consumed front of the list is cut off when it is this long and at least half of the list.
TRIM_AT: Final = 1024


@final
class Lane(Ready):
    """Ready messages, oldest position first."""

    def __init__(self) -> None:
        super().__init__()
        self._fresh: list[Message | None] = []
        self._deadlines: list[i64] | None = None  # of _fresh, place by place
        self._front: i64 = 0  # index in _fresh of the oldest message
        self._front_position: i64 = 0  # of that message
        self._returned: list[tuple[i64, i64, i64, Message]] = []  # heap of (position, deliveries, deadline, message)

    def append(self, message: Message, deadline: i64) -> None:
        # HOT: once per published message and queue
        self._fresh.append(message)
        self.count += 1
        self.octets += message.body_size
        if deadline or self._deadlines is not None:
            self._note(deadline)

    def put_back(self, message: Message, position: i64, deliveries: i64, deadline: i64) -> None:
        heapq.heappush(self._returned, (position, deliveries, deadline, message))
        self.count += 1
        self.octets += message.body_size

    def take(self) -> Message | None:
        # HOT: once per delivery
        if self._returned:
            return self._take_returned()
        front = self._front
        if front >= len(self._fresh):
            return None
        message = self._fresh[front]
        assert message is not None  # only what stands before the front was taken
        self._fresh[front] = None
        self.position = self._front_position
        self.deliveries = 0
        self.deadline = 0 if self._deadlines is None else self._deadlines[front]
        self._front_position += 1
        self._front = front + 1
        self.count -= 1
        self.octets -= message.body_size
        if front >= TRIM_AT and self.count <= front:
            self._trim(front + 1)
        return message

    def head_deadline(self) -> i64:
        if self._returned:
            return self._returned[0][2]
        if self._deadlines is None or self._front >= len(self._fresh):
            return 0
        return self._deadlines[self._front]

    def clear(self) -> int:
        dropped = int(self.count)
        self._front_position += len(self._fresh) - self._front
        self._fresh.clear()
        self._deadlines = None
        self._front = 0
        self._returned.clear()
        self.count = 0
        self.octets = 0
        return dropped

    def _note(self, deadline: i64) -> None:
        """Keep the deadline of the message that was just appended."""
        if self._deadlines is None:
            self._deadlines = [0] * (len(self._fresh) - 1)
        self._deadlines.append(deadline)

    def _trim(self, size: i64) -> None:
        del self._fresh[:size]
        if self._deadlines is not None:
            del self._deadlines[:size]
        self._front = 0

    def _take_returned(self) -> Message:
        position, deliveries, deadline, message = heapq.heappop(self._returned)
        self.position = position
        self.deliveries = deliveries
        self.deadline = deadline
        self.count -= 1
        self.octets -= message.body_size
        return message
