"""The order of a quorum queue (RabbitMQ 4.0): what was returned first, then two levels of priority, two to one."""

from __future__ import annotations

from collections import deque
from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.message import Message
from amqpd.broker.queues.lane import Lane
from amqpd.broker.queues.ready import Ready
from amqpd.wire.properties import PRIORITY

HIGHEST_NORMAL_PRIORITY: Final = 4
HIGH_IN_A_ROW: Final = 2


@final
class QuorumLanes(Ready):
    """Ready messages: the returned ones in the order of their return, then high and normal priority, each FIFO."""

    def __init__(self) -> None:
        super().__init__()
        self._returned: deque[tuple[i64, i64, i64, Message]] = deque()  # (position, deliveries, deadline, message)
        self._high = Lane()
        self._normal = Lane()
        self._in_a_row: i64 = 0  # messages of high priority taken since the last normal one

    def append(self, message: Message, deadline: i64) -> None:
        self._lane_of(message).append(message, deadline)
        self.count += 1
        self.octets += message.body_size

    def put_back(self, message: Message, position: i64, deliveries: i64, deadline: i64) -> None:
        self._returned.append((position, deliveries, deadline, message))
        self.count += 1
        self.octets += message.body_size

    def take(self) -> Message | None:
        if self._returned:
            position, deliveries, deadline, message = self._returned.popleft()
            self.position, self.deliveries, self.deadline = position, deliveries, deadline
        else:
            lane = self._next_lane()
            taken = lane.take()
            if taken is None:
                return None
            message = taken
            self._in_a_row = self._in_a_row + 1 if lane is self._high else 0
            self.position, self.deliveries, self.deadline = lane.position, 0, lane.deadline
        self.count -= 1
        self.octets -= message.body_size
        return message

    def head_deadline(self) -> i64:
        if self._returned:
            return self._returned[0][2]
        return self._next_lane().head_deadline()

    def clear(self) -> int:
        dropped = int(self.count)
        self._returned.clear()
        self._high.clear()
        self._normal.clear()
        self.count = 0
        self.octets = 0
        return dropped

    def _next_lane(self) -> Lane:
        if self._high.count and (self._in_a_row < HIGH_IN_A_ROW or not self._normal.count):
            return self._high
        return self._normal

    def _lane_of(self, message: Message) -> Lane:
        if message.properties.flags & PRIORITY:
            priority = message.properties.priority
            if priority is not None and priority > HIGHEST_NORMAL_PRIORITY:
                return self._high
        return self._normal
