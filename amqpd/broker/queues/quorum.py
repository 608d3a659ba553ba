"""The quorum queue on one node: RabbitMQ's rules for it, so that code written for a cluster behaves the same.

Everything is kept, whatever its delivery mode; deliveries are counted and limited, so that a poison message ends in the
dead-letter exchange; returned messages are served first, in the order of their return.
"""

from __future__ import annotations

from typing import ClassVar, Final, final

from mypy_extensions import i64

from amqpd.broker import counters
from amqpd.broker.deaths import DELIVERY_LIMIT, EXPIRED, MAXLEN, REJECTED
from amqpd.broker.message import Message
from amqpd.broker.queues.base import QueueHost, QueueSpec
from amqpd.broker.queues.dead import NO_REASON
from amqpd.broker.queues.delivery import Delivery
from amqpd.broker.queues.quorum_lanes import QuorumLanes
from amqpd.broker.queues.room import ALL, UNLIMITED
from amqpd.broker.queues.shelf import Shelf
from amqpd.broker.queues.sink import REFUSED
from amqpd.broker.queues.work import WorkQueue
from amqpd.broker.settings import AT_LEAST_ONCE, QueueSettings
from amqpd.errors import ResourceLocked
from amqpd.wire.properties import EXPIRATION
from amqpd.wire.table import EMPTY_TABLE, Field

DELIVERY_COUNT: Final = "x-delivery-count"
REASONS: Final = (REJECTED, EXPIRED, MAXLEN, DELIVERY_LIMIT)  # their places are in files


@final
class QuorumQueue(WorkQueue):
    """A queue that counts deliveries."""

    kind: ClassVar[str] = "quorum"
    renewed_by_declare: ClassVar[bool] = False
    single_active_by_priority: ClassVar[bool] = True
    supports_global_prefetch: ClassVar[bool] = False
    supports_conditional_delete: ClassVar[bool] = False
    honours_exclusive_consumers: ClassVar[bool] = False

    def __init__(self, name: str, host: QueueHost, spec: QueueSpec, settings: QueueSettings) -> None:
        limit = settings.delivery_limit
        room = host.room(name, spec, ALL, UNLIMITED if limit is None else i64(limit))
        self._lanes = QuorumLanes(room)
        super().__init__(name, host, spec, settings, self._lanes)
        self._shelf = Shelf(self)
        self._refusing = False  # the limit was passed, and there is not room enough again yet
        self.apply(settings)

    def apply(self, settings: QueueSettings) -> None:
        super().apply(settings)
        if settings.dead_letter_strategy != AT_LEAST_ONCE:
            self._shelf.clear()  # RabbitMQ deletes them too: whoever changes the strategy says that they may get lost

    def publish(self, message: Message) -> i64:
        # HOT: once per published message and queue
        if self.broken:
            return REFUSED
        if self._limit.any or self.settings.message_ttl is not None or message.flags & EXPIRATION:
            return self._publish_with_care(message)
        ticket = self._ready.append(message, 0)
        self.defer_pump()
        return ticket

    def _publish_with_care(self, message: Message) -> i64:
        """Take a message in under a TTL or a limit: what consumers can take at once neither counts nor expires."""
        self.drop_expired()
        self.deliver_ready()
        self._judge()
        if self._refusing:
            return REFUSED
        ticket = self.add(message)
        self.deliver_ready()
        self.drop_excess()
        self._judge()
        self.defer_pump()
        return ticket

    def get(self) -> Delivery | None:
        if self.settings.single_active_consumer:
            raise ResourceLocked(
                f"cannot obtain access to locked {self}. "
                "basic.get operations are not supported by quorum queues with single active consumer"
            )
        self._judge()
        delivery = super().get()
        self._judge()
        return delivery

    def pump(self) -> None:
        super().pump()
        self._judge()

    def requeue(self, delivery: Delivery) -> None:
        self._came_back(delivery)
        if self.deleted:
            return
        deliveries = delivery.deliveries + 1
        limit = self.settings.delivery_limit
        if limit is not None and limit < deliveries:
            self.die(delivery.message, DELIVERY_LIMIT, delivery.position)
        else:
            self._ready.put_back(delivery.message, delivery.position, deliveries, delivery.deadline)
            if delivery.deadline:
                self._timed = True
        self.defer_pump()

    def purge(self) -> int:
        if self.deleted:
            self._shelf.clear()
        return super().purge()

    def die(self, message: Message, reason: str, position: i64) -> None:
        if self.settings.dead_letter_strategy == AT_LEAST_ONCE:
            self.defer_pump()  # it counts as long as it is here, so first look at the limit
            if self._lanes.stored:
                self._lanes.died(position, REASONS.index(reason))
            self._shelf.put(message, reason, position)
            self.context.counters.deaths.add(self.kind, counters.AT_LEAST_ONCE, reason)
        else:
            super().die(message, reason, position)

    def recover(self) -> None:
        super().recover()
        careful = self.settings.dead_letter_strategy == AT_LEAST_ONCE
        for dead in self._lanes.take_dead():
            if dead.reason is None or dead.reason == NO_REASON:
                self.die(dead.message, DELIVERY_LIMIT, dead.position)  # the end of the process was a return (RabbitMQ)
            elif careful:
                self._shelf.put(dead.message, REASONS[dead.reason], dead.position)
            else:
                self._lanes.settle(dead.position)  # as apply() does

    def arrived(self, position: i64) -> None:
        """A message on the shelf need not be kept any more."""
        if self._ready.stored:
            self.settle_moved(position)

    def presented(self, message: Message, deliveries: int) -> Message:
        headers = message.properties.headers or EMPTY_TABLE
        counted = headers.replaced({DELIVERY_COUNT: Field.long(deliveries)})
        return message.with_properties(message.properties.replaced(headers=counted))

    def _judge(self) -> None:
        """Decide whether publishes are refused: once the limit was passed, until there are at most four fifths of it.

        It is not only publishes that pass it: what consumers return counts again. So the question is asked whenever the
        load may have changed, after consumers took what they can.
        """
        if not self._limit.rejects:
            self._refusing = False
        elif self._refusing:
            self._refusing = not self._limit.eased(*self._load())
        else:
            self._refusing = self._limit.exceeded(*self._load())

    def _load(self) -> tuple[i64, i64]:
        """Messages and octets that count against the limit: ready ones, and dead ones that have not got away yet."""
        return self._ready.count + self._shelf.count, self._ready.octets + self._shelf.octets
