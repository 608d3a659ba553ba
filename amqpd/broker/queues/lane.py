"""A lane: ready messages in the order of their positions.

Every message that enters a lane gets the next position. Deliveries leave from the head only, so a message that comes
back always has a lower position than everything that was never delivered. From head to tail a lane is:

    returned    a small heap of messages that came back
    page        what was last read back from the disk
    fresh       a list of messages whose positions are implied; their deadlines stand in a list of their own
    paged       on the disk only: what there is no room for in memory

New messages join the fresh ones, or, once something is paged, the paged ones. A page is read when nothing stands
before it.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.message import Message
from amqpd.broker.queues.ahead import Ahead
from amqpd.broker.queues.backlog import Backlog
from amqpd.broker.queues.dead import Dead
from amqpd.broker.queues.ready import Ready
from amqpd.broker.queues.room import ALL, NOTHING, Room
from amqpd.log.commit import SAFE

# The consumed front of the list is cut off when it is this long and at least half of the list.
TRIM_AT: Final = 1024


@final
class Lane(Ready):
    """Ready messages, oldest position first.

    Args:
        room: how much may be in memory, what must be on the disk, and where.
        level: distinguishes the lanes of one queue.
    """

    def __init__(self, room: Room, level: int = 0) -> None:
        super().__init__()
        self._room = room
        self._level = level
        self._keeps: i64 = room.keeps
        self._most: i64 = room.messages
        self._most_octets: i64 = room.octets
        self._care_from: i64 = 0 if self._keeps else self._most  # with so many messages append() has to look closer
        self._fresh: list[Message | None] = []
        self._deadlines: list[i64] | None = None  # of _fresh, place by place
        self._front: i64 = 0  # index in _fresh of the oldest message
        self._front_position: i64 = 0  # of that message
        self._ahead: Ahead | None = None  # while something stands before _fresh
        self._paged: i64 = 0
        self._paged_octets: i64 = 0
        self._next_paged: i64 = 0  # while something is paged, the next position
        self._first: i64 = 0  # position of the first message that append() took
        self._backlog: Backlog | None = None

    def append(self, message: Message, deadline: i64) -> i64:
        # HOT: once per published message and queue
        count = self.count
        octets = self.octets
        if count >= self._care_from or octets >= self._most_octets:
            return self._append_with_care(message, deadline)
        self._fresh.append(message)
        self.count = count + 1
        self.octets = octets + message.body_size
        if deadline or self._deadlines is not None:
            self._note(deadline)
        return SAFE

    def _append_with_care(self, message: Message, deadline: i64) -> i64:
        """Take in a message that may have to be on the disk."""
        lasting = self._keeps == ALL or (self._keeps != NOTHING and message.properties.persistent)
        full = self._paged > 0 or self.count >= self._most or self.octets >= self._most_octets
        backlog = self._backlog
        position = self._next_position()
        if lasting or full:
            if backlog is None:
                backlog = self._open(position)
            backlog.keep(position, deadline, message, lasting)
        if full and backlog is not None:
            if not self._paged:
                backlog.read_from(position)
                self._care_from = 0
            self._paged += 1
            self._paged_octets += message.body_size
            self._next_paged = position + 1
        else:
            self._fresh.append(message)
            if deadline or self._deadlines is not None:
                self._note(deadline)
        self.count += 1
        self.octets += message.body_size
        return backlog.ticket if lasting and backlog is not None else SAFE

    def put_back(self, message: Message, position: i64, deliveries: i64, deadline: i64) -> None:
        if self._ahead is None:
            self._ahead = Ahead()
        self._ahead.put_back(message, position, deliveries, deadline)
        self.count += 1
        self.octets += message.body_size

    def take(self) -> Message | None:
        # HOT: once per delivery
        if self._ahead is not None:
            return self._take_ahead(self._ahead)
        front = self._front
        if front >= len(self._fresh):
            return self._take_paged() if self._paged else None
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
        if self._ahead is None and self._paged and self._front >= len(self._fresh):
            self._load()
        if self._ahead is not None:
            return self._ahead.head_deadline()
        if self._deadlines is None or self._front >= len(self._fresh):
            return 0
        return self._deadlines[self._front]

    def clear(self) -> int:
        dropped = int(self.count)
        backlog = self._backlog
        if backlog is not None:
            if self.stored:
                if self._ahead is not None:
                    for position in self._ahead.positions():
                        backlog.settle(position)
                backlog.settle_range(self._front_position, self._front_position + len(self._fresh) - self._front - 1)
            if self._paged:
                backlog.skip_to(self._next_paged)
        if self._paged:
            self._front_position = self._next_paged
        else:
            self._front_position += len(self._fresh) - self._front
        self._fresh.clear()
        self._deadlines = None
        self._front = 0
        self._ahead = None
        self._nothing_paged()
        self.count = 0
        self.octets = 0
        return dropped

    def settle(self, position: i64) -> None:
        # HOT: once per settled message of a durable queue
        if self._backlog is not None:
            self._backlog.settle(position)

    def entered(self) -> i64:
        return self._next_position() - self._first

    def head(self) -> Message | None:
        if self._ahead is not None:
            return self._ahead.head()
        return self._fresh[self._front] if self._front < len(self._fresh) else None

    def paged(self) -> tuple[i64, i64]:
        return self._paged, self._paged_octets

    def handed_out(self) -> i64:
        next_of_page: i64 = -1 if self._ahead is None else self._ahead.next_of_page()
        if next_of_page >= 0:
            return next_of_page
        if self._paged and self._front >= len(self._fresh) and self._backlog is not None:
            return self._backlog.next_to_read
        return self._front_position

    def leaves_again(self, position: i64, deliveries: i64) -> None:
        """A message that had come back is delivered, so often by now."""
        if self.stored and self._backlog is not None:
            self._backlog.leaves_again(position, deliveries)

    def died(self, position: i64, reason: int) -> None:
        """A message that take() returned is a dead letter that stays until it has arrived."""
        if self._backlog is not None:
            self._backlog.died(position, reason)

    def take_dead(self) -> list[Dead]:
        """The dead letters that a restart has found."""
        if self._backlog is None:
            return []
        dead, self._backlog.dead = self._backlog.dead, []
        return dead

    def progress(self) -> None:
        if self.stored and self._backlog is not None:
            self._backlog.progress()

    def recover(self) -> None:
        if not self._room.holds(self._level):
            return
        backlog = self._room.backlog(self._level, self)
        self._backlog = backlog
        self.stored = True
        count, octets, position = backlog.recover(self._room.most_deliveries)
        self._paged = count
        self._paged_octets = octets
        self._next_paged = position
        self._front_position = position
        self._first = position
        self.count = count
        self.octets = octets

    def close(self) -> None:
        if self._backlog is not None:
            self._backlog.close()

    def _open(self, position: i64) -> Backlog:
        """The first message that has to be on the disk has come."""
        backlog = self._room.backlog(self._level, self)
        backlog.start(position)
        self._backlog = backlog
        self.stored = self._keeps != NOTHING
        return backlog

    def _next_position(self) -> i64:
        return self._next_paged if self._paged else self._front_position + len(self._fresh) - self._front

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

    def _take_ahead(self, ahead: Ahead) -> Message:
        position, deliveries, deadline, message = ahead.take()
        self.position = position
        self.deliveries = deliveries
        self.deadline = deadline
        if ahead.empty:
            self._ahead = None
        if deliveries:
            self.leaves_again(position, deliveries + 1)
        self.count -= 1
        self.octets -= message.body_size
        return message

    def _take_paged(self) -> Message | None:
        self._load()
        return None if self._ahead is None else self._take_ahead(self._ahead)

    def _load(self) -> None:
        """Read the next page. What cannot be read any more is lost, and does not count."""
        backlog = self._backlog
        assert backlog is not None  # something is paged
        page = backlog.page()
        if not page:
            self._lose_paged()
        for stored in page:
            self._paged -= 1
            self._paged_octets -= stored.message.body_size
        if page:
            self._ahead = Ahead()
            self._ahead.turn_to(page)
        if self._paged <= 0:
            self._lose_paged()
            self._fresh.clear()  # new messages join the fresh ones again
            self._deadlines = None
            self._front = 0
            self._front_position = self._next_paged

    def _lose_paged(self) -> None:
        self.count -= self._paged
        self.octets -= self._paged_octets
        self._nothing_paged()

    def _nothing_paged(self) -> None:
        self._paged = 0
        self._paged_octets = 0
        self._care_from = 0 if self._keeps else self._most
