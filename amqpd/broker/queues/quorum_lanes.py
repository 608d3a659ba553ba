"""The order of a quorum queue (RabbitMQ 4.0): what was returned first, then two levels of priority, two to one."""

from __future__ import annotations

from collections import deque
from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.message import Message
from amqpd.broker.queues.dead import Dead
from amqpd.broker.queues.lane import Lane
from amqpd.broker.queues.priorities import LEVEL_BITS, LEVEL_MASK
from amqpd.broker.queues.ready import Ready
from amqpd.broker.queues.room import Room
from amqpd.wire.properties import PRIORITY

HIGHEST_NORMAL_PRIORITY: Final = 4
HIGH_IN_A_ROW: Final = 2
NORMAL: Final = 0
HIGH: Final = 1


@final
class QuorumLanes(Ready):
    """Ready messages: the returned ones in the order of their return, then high and normal priority, each FIFO.

    Args:
        room: shared by both lanes.
    """

    def __init__(self, room: Room) -> None:
        super().__init__()
        self._returned: deque[tuple[i64, i64, i64, Message]] = deque()  # (position, deliveries, deadline, message)
        self._normal = Lane(room, NORMAL)
        self._high = Lane(room, HIGH)
        self._in_a_row: i64 = 0  # messages of high priority taken since the last normal one

    def append(self, message: Message, deadline: i64) -> i64:
        lane = self._lane_of(message)
        ticket = lane.append(message, deadline)
        self.stored = self.stored or lane.stored
        self.count += 1
        self.octets += message.body_size
        return ticket

    def put_back(self, message: Message, position: i64, deliveries: i64, deadline: i64) -> None:
        self._returned.append((position, deliveries, deadline, message))
        self.count += 1
        self.octets += message.body_size

    def take(self) -> Message | None:
        if self._returned:
            position, deliveries, deadline, message = self._returned.popleft()
            self.position, self.deliveries, self.deadline = position, deliveries, deadline
            self.count -= 1
            self.octets -= message.body_size
            # Should it still be out at the end of the process, this delivery counts (RabbitMQ).
            self._lane_at(position).leaves_again(position >> LEVEL_BITS, deliveries + 1)
            return message
        while True:
            lane = self._next_lane()
            count, octets = lane.count, lane.octets
            taken = lane.take()
            self.count += lane.count - count
            self.octets += lane.octets - octets
            if taken is not None:
                high = lane is self._high
                self._in_a_row = self._in_a_row + 1 if high else 0
                self.position = lane.position << LEVEL_BITS | (HIGH if high else NORMAL)
                self.deliveries, self.deadline = lane.deliveries, lane.deadline
                return taken
            if lane.count == count:
                return None  # else the disk has lost what was there

    def head_deadline(self) -> i64:
        if self._returned:
            return self._returned[0][2]
        while True:
            lane = self._next_lane()
            count, octets = lane.count, lane.octets
            deadline = lane.head_deadline()
            if lane.count == count:
                return deadline
            self.count += lane.count - count  # as above
            self.octets += lane.octets - octets

    def clear(self) -> int:
        dropped = int(self.count)
        for returned in self._returned:
            self.settle(returned[0])
        self._returned.clear()
        self._high.clear()
        self._normal.clear()
        self.count = 0
        self.octets = 0
        return dropped

    def settle(self, position: i64) -> None:
        self._lane_at(position).settle(position >> LEVEL_BITS)

    def died(self, position: i64, reason: int) -> None:
        """A message that take() returned is a dead letter that stays until it has arrived."""
        self._lane_at(position).died(position >> LEVEL_BITS, reason)

    def take_dead(self) -> list[Dead]:
        """The dead letters that a restart has found, of one lane after the other."""
        found: list[Dead] = []
        for level, lane in ((NORMAL, self._normal), (HIGH, self._high)):
            for dead in lane.take_dead():
                dead.position = dead.position << LEVEL_BITS | level
                found.append(dead)
        return found

    def entered(self) -> i64:
        return self._normal.entered() + self._high.entered()

    def head(self) -> Message | None:
        return self._returned[0][3] if self._returned else self._next_lane().head()

    def paged(self) -> tuple[i64, i64]:
        normal, normal_octets = self._normal.paged()
        high, high_octets = self._high.paged()
        return normal + high, normal_octets + high_octets

    def progress(self) -> None:
        self._normal.progress()
        self._high.progress()

    def recover(self) -> None:
        for lane in (self._normal, self._high):
            lane.recover()
            self.count += lane.count
            self.octets += lane.octets
            self.stored = self.stored or lane.stored

    def close(self) -> None:
        self._normal.close()
        self._high.close()

    def _lane_at(self, position: i64) -> Lane:
        return self._high if position & LEVEL_MASK == HIGH else self._normal

    def _next_lane(self) -> Lane:
        if self._high.count and (self._in_a_row < HIGH_IN_A_ROW or not self._normal.count):
            return self._high
        return self._normal

    def _lane_of(self, message: Message) -> Lane:
        if message.flags & PRIORITY:
            priority = message.properties.priority
            if priority is not None and priority > HIGHEST_NORMAL_PRIORITY:
                return self._high
        return self._normal
