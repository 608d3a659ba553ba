"""Consumers, as a queue sees them, and the order in which they are served.

Consumers of one priority are served round robin; lower priorities get messages only while all higher ones are blocked
(RabbitMQ, consumer priorities). A consumer that cannot take a message leaves the ring until it says that it can again,
so that a thousand blocked consumers cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from mypy_extensions import i64, mypyc_attr

from amqpd.broker.message import Message
from amqpd.wire.table import EMPTY_TABLE, Table

if TYPE_CHECKING:
    from amqpd.broker.queues.base import Queue


@mypyc_attr(allow_interpreted_subclasses=True)
class Place:
    """What a queue remembers of a consumer, if its type has something to remember."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Consumer:
    """Somebody who takes messages from one queue. The protocol's consumer is the implementation.

    Args:
        tag: consumer tag, unique on its channel.
        queue: where it takes from.
        no_ack: deliveries need no acknowledgement.
        exclusive: nobody else may consume from the queue.
        priority: higher is served first.
        arguments: of basic.consume.
    """

    def __init__(
        self,
        tag: str,
        queue: Queue,
        no_ack: bool,
        exclusive: bool,
        priority: int,
        arguments: Table = EMPTY_TABLE,
    ) -> None:
        self.tag = tag
        self.queue = queue
        self.no_ack = no_ack
        self.exclusive = exclusive
        self.priority = priority
        self.arguments = arguments
        self.in_ring = False  # owned by Consumers: it can take messages, as far as they know
        self.place: Place | None = None  # owned by the queue
        self.unsettled: i64 = 0  # deliveries it has not settled yet
        # What it got, counted by deliver(): a queue and a channel add up those of their consumers.
        self.delivered: i64 = 0
        self.redelivered: i64 = 0
        self.octets: i64 = 0  # of what is to be acknowledged

    def ready(self) -> bool:
        """It can take one more message now: credit left, and room in its connection's output."""
        raise NotImplementedError

    def deliver(self, message: Message, position: i64, deliveries: i64, deadline: i64) -> None:
        """Take a message.

        Args:
            position: the message's place in the queue; it comes back when the delivery is settled.
            deliveries: how often it was delivered before.
            deadline: when it expires, should it come back.
        """
        raise NotImplementedError

    def settled(self) -> None:
        """One of its deliveries was settled; it may have credit again."""
        raise NotImplementedError

    def queue_deleted(self) -> None:
        """The queue is gone; there will be no more deliveries."""
        raise NotImplementedError

    def tracing_changed(self) -> None:
        """The virtual host's firehose was switched on or off."""


class Consumers:
    """All consumers of one queue, and whose turn it is."""

    def __init__(self) -> None:
        self._all: dict[Consumer, None] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, consumer: object) -> bool:
        return consumer in self._all

    @property
    def exclusive(self) -> bool:
        """One of them consumes exclusively (then it is the only one)."""
        return any(consumer.exclusive for consumer in self._all)

    @property
    def single_active(self) -> bool:
        """Only one of them gets messages."""
        return False

    def is_active(self, consumer: Consumer) -> bool:
        """This one gets messages, when there are some and it can take them."""
        return True

    def all(self) -> list[Consumer]:
        """In the order in which they came."""
        return list(self._all)

    def add(self, consumer: Consumer) -> None:
        """A new consumer; it is served after those that wait already."""
        raise NotImplementedError

    def remove(self, consumer: Consumer) -> bool:
        """Forget a consumer. False if it was not here."""
        raise NotImplementedError

    def resume(self, consumer: Consumer) -> None:
        """A consumer can take messages again; it is served after those that wait already."""
        raise NotImplementedError

    def take(self) -> Consumer | None:
        """The consumer whose turn it is, or None when nobody can take a message."""
        raise NotImplementedError


@final
class PriorityLevel:
    """The consumers of one priority: those in the ring, and whose turn it is."""

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.members: i64 = 0  # consumers of this priority, in the ring or not
        self.ring: list[Consumer] = []
        self.next: i64 = 0


@final
class ConsumerRing(Consumers):
    """Consumers that share the messages."""

    def __init__(self) -> None:
        super().__init__()
        self._levels: list[PriorityLevel] = []  # highest priority first

    def add(self, consumer: Consumer) -> None:
        self._all[consumer] = None
        self._level(consumer.priority).members += 1
        self.resume(consumer)

    def remove(self, consumer: Consumer) -> bool:
        if consumer not in self._all:
            return False
        del self._all[consumer]
        level = self._level(consumer.priority)
        if consumer.in_ring:
            self._park(level, level.ring.index(consumer))
        level.members -= 1
        if not level.members:
            self._levels.remove(level)
        return True

    def resume(self, consumer: Consumer) -> None:
        if not consumer.in_ring and consumer in self._all:
            consumer.in_ring = True
            level = self._level(consumer.priority)
            level.ring.insert(level.next, consumer)
            level.next += 1

    def take(self) -> Consumer | None:
        # HOT: once per delivery
        for level in self._levels:
            ring = level.ring
            while ring:
                place: i64 = level.next
                if place >= len(ring):
                    place = 0
                consumer = ring[place]
                if consumer.ready():
                    level.next = place + 1
                    return consumer
                self._park(level, place)
        return None

    def _park(self, level: PriorityLevel, place: i64) -> None:
        level.ring[place].in_ring = False
        del level.ring[place]
        if place < level.next:
            level.next -= 1

    def _level(self, priority: int) -> PriorityLevel:
        for place, level in enumerate(self._levels):
            if level.priority == priority:
                return level
            if level.priority < priority:
                fresh = PriorityLevel(priority)
                self._levels.insert(place, fresh)
                return fresh
        fresh = PriorityLevel(priority)
        self._levels.append(fresh)
        return fresh
