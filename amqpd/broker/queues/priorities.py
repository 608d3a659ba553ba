"""Priorities of a classic queue: a lane for each (RabbitMQ, x-max-priority).

Strictly higher priorities first, FIFO within each. A requeued message returns to its place in its own lane. Only the
head of all expires: a message behind one of higher priority waits, expired or not.
"""

from __future__ import annotations

from typing import final

from mypy_extensions import i64

from amqpd.broker.message import Message
from amqpd.broker.queues.lane import Lane
from amqpd.broker.queues.ready import Ready
from amqpd.wire.properties import PRIORITY


@final
class PriorityLanes(Ready):
    """Ready messages, highest priority first.

    Args:
        highest: levels are 0 to this; messages above count as this, messages without a priority as 0.
    """

    def __init__(self, highest: int) -> None:
        super().__init__()
        self._highest: i64 = highest
        self._lanes: list[Lane] = [Lane() for _ in range(highest + 1)]
        self._top: i64 = 0  # no lane above this one holds a message

    def append(self, message: Message, deadline: i64) -> None:
        self._lane_of(message).append(message, deadline)
        self._gained(message)

    def put_back(self, message: Message, position: i64, deliveries: i64, deadline: i64) -> None:
        self._lane_of(message).put_back(message, position, deliveries, deadline)
        self._gained(message)

    def take(self) -> Message | None:
        lane = self._head_lane()
        message = lane.take()
        if message is not None:
            self.position = lane.position
            self.deliveries = lane.deliveries
            self.deadline = lane.deadline
            self.count -= 1
            self.octets -= message.body_size
        return message

    def head_deadline(self) -> i64:
        return self._head_lane().head_deadline()

    def clear(self) -> int:
        dropped = int(self.count)
        for lane in self._lanes:
            lane.clear()
        self.count = 0
        self.octets = 0
        self._top = 0
        return dropped

    def _lane_of(self, message: Message) -> Lane:
        """The lane of a message; it is the top one from now on, if it was not below it."""
        level: i64 = 0
        if message.properties.flags & PRIORITY:
            priority = message.properties.priority
            if priority is not None:
                level = min(i64(priority), self._highest)
        self._top = max(self._top, level)
        return self._lanes[level]

    def _head_lane(self) -> Lane:
        lane = self._lanes[self._top]
        while lane.count == 0 and self._top > 0:
            self._top -= 1
            lane = self._lanes[self._top]
        return lane

    def _gained(self, message: Message) -> None:
        self.count += 1
        self.octets += message.body_size
