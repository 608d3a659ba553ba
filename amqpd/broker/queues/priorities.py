"""Priorities of a classic queue: a lane for each (RabbitMQ, x-max-priority).

Strictly higher priorities first, FIFO within each. A requeued message returns to its place in its own lane. Only the
head of all expires: a message behind one of higher priority waits, expired or not.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.message import Message
from amqpd.broker.queues.lane import Lane
from amqpd.broker.queues.ready import Ready
from amqpd.broker.queues.room import Room
from amqpd.wire.properties import PRIORITY

LEVEL_BITS: Final = 8  # of a position tell the lane
LEVEL_MASK: Final = (1 << LEVEL_BITS) - 1


@final
class PriorityLanes(Ready):
    """Ready messages, highest priority first.

    Args:
        highest: levels are 0 to this; messages above count as this, messages without a priority as 0.
        room: shared by all lanes.
    """

    def __init__(self, highest: int, room: Room) -> None:
        super().__init__()
        self._highest: i64 = highest
        self._lanes: list[Lane] = [Lane(room, level) for level in range(highest + 1)]
        self._top: i64 = 0  # no lane above this one holds a message

    def append(self, message: Message, deadline: i64) -> i64:
        lane = self._lane_of(message)
        ticket = lane.append(message, deadline)
        self.stored = self.stored or lane.stored
        self._gained(message)
        return ticket

    def put_back(self, message: Message, position: i64, deliveries: i64, deadline: i64) -> None:
        self._lane_of(message).put_back(message, position >> LEVEL_BITS, deliveries, deadline)
        self._gained(message)

    def take(self) -> Message | None:
        while True:
            lane = self._head_lane()
            count, octets = lane.count, lane.octets
            message = lane.take()
            self.count += lane.count - count
            self.octets += lane.octets - octets
            if message is not None:
                self.position = lane.position << LEVEL_BITS | self._top
                self.deliveries = lane.deliveries
                self.deadline = lane.deadline
                return message
            if lane.count == count:
                return None  # else the disk has lost what was there

    def head_deadline(self) -> i64:
        while True:
            lane = self._head_lane()
            count, octets = lane.count, lane.octets
            deadline = lane.head_deadline()
            if lane.count == count:
                return deadline
            self.count += lane.count - count  # as above
            self.octets += lane.octets - octets

    def clear(self) -> int:
        dropped = int(self.count)
        for lane in self._lanes:
            lane.clear()
        self.count = 0
        self.octets = 0
        self._top = 0
        return dropped

    def settle(self, position: i64) -> None:
        self._lanes[position & LEVEL_MASK].settle(position >> LEVEL_BITS)

    def entered(self) -> i64:
        total: i64 = 0
        for lane in self._lanes:
            total += lane.entered()
        return total

    def head(self) -> Message | None:
        return self._head_lane().head()

    def paged(self) -> tuple[i64, i64]:
        messages: i64 = 0
        octets: i64 = 0
        for lane in self._lanes:
            more, larger = lane.paged()
            messages += more
            octets += larger
        return messages, octets

    def progress(self) -> None:
        for lane in self._lanes:
            lane.progress()

    def recover(self) -> None:
        for level, lane in enumerate(self._lanes):
            lane.recover()
            self.count += lane.count
            self.octets += lane.octets
            self.stored = self.stored or lane.stored
            if lane.count:
                self._top = level

    def close(self) -> None:
        for lane in self._lanes:
            lane.close()

    def _lane_of(self, message: Message) -> Lane:
        """The lane of a message; it is the top one from now on, if it was not below it."""
        level: i64 = 0
        if message.flags & PRIORITY:
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
