"""The interface of a queue, whatever its type.

Rule: nothing outside broker/queues/ asks which type a queue is. What a type can do differently is a method here; what
it supports is data.
"""

from __future__ import annotations

from typing import ClassVar, final

from amqpd.broker.context import Context
from amqpd.broker.flow import Congestion, Publisher
from amqpd.broker.queues.consumers import Consumer, ConsumerRing
from amqpd.broker.queues.delivery import Delivery
from amqpd.broker.queues.sink import MessageSink
from amqpd.errors import AccessRefused
from amqpd.turn import Work
from amqpd.wire.table import Table


class Owner:
    """Whoever exclusive queues belong to: a connection."""

    def __init__(self) -> None:
        self.exclusive_queues: dict[Queue, None] = {}


class QueueSpec:
    """What a queue was declared with (queue.declare, AMQP 0-9-1 section 1.7.2.1).

    Args:
        durable: survives a restart; never True together with an owner.
        owner: the connection that an exclusive queue belongs to.
        auto_delete: deleted when its last consumer leaves.
        arguments: x-arguments, with the effective x-queue-type.
    """

    def __init__(self, durable: bool, owner: Owner | None, auto_delete: bool, arguments: Table) -> None:
        self.durable = durable
        self.owner = owner
        self.auto_delete = auto_delete
        self.arguments = arguments


class Queue(MessageSink):
    """A queue. Pumping (handing messages to consumers) happens at the end of the turn."""

    kind: ClassVar[str] = ""

    def __init__(self, name: str, vhost_name: str, spec: QueueSpec, context: Context) -> None:
        super().__init__(name)
        self.vhost_name = vhost_name
        self.spec = spec
        self.context = context
        self.consumers = ConsumerRing()
        self.congestion = Congestion(context)
        self._pump = Pump(self)

    def __str__(self) -> str:
        """As RabbitMQ's reply texts name it."""
        return f"queue '{self.name}' in vhost '{self.vhost_name}'"

    # What a type implements.

    @property
    def message_count(self) -> int:
        """Messages ready for delivery; those delivered and not settled do not count."""
        raise NotImplementedError

    def get(self) -> Delivery | None:
        """Take the head for a basic.get, or None when the queue is empty."""
        raise NotImplementedError

    def acknowledge(self, delivery: Delivery) -> None:
        """The message was taken care of."""
        raise NotImplementedError

    def requeue(self, delivery: Delivery) -> None:
        """The message comes back and is delivered again, flagged as redelivered."""
        raise NotImplementedError

    def reject(self, delivery: Delivery) -> None:
        """The message was refused for good."""
        raise NotImplementedError

    def purge(self) -> int:
        """Drop every ready message; returns how many."""
        raise NotImplementedError

    def pump(self) -> None:
        """Hand ready messages to consumers while they can take some."""
        raise NotImplementedError

    # What all types share.

    def defer_pump(self) -> None:
        """See to it that the queue is pumped before the turn ends."""
        # HOT: once per published or settled message
        pump = self._pump
        if not pump.deferred:
            pump.deferred = True
            self.context.turn.defer(pump)

    def hold(self, publisher: Publisher) -> None:
        self.congestion.hold(publisher)

    def check_congestion(self) -> None:
        """Decide whether publishers must be slowed; a type calls this at the end of each pump."""
        self.crowded = self.congestion.check(self.message_count, len(self.consumers) > 0)

    def subscribe(self, consumer: Consumer) -> None:
        """Let a consumer take messages, from the end of this turn on.

        Raises:
            AccessRefused: one of the consumers, or the new one beside others, is exclusive (section 1.8.3.3).
        """
        if self.consumers.exclusive or (consumer.exclusive and len(self.consumers)):
            raise AccessRefused(f"{self} in exclusive use")
        self.consumers.add(consumer)
        self.defer_pump()

    def unsubscribe(self, consumer: Consumer) -> bool:
        """No more deliveries to this consumer; what it has stays with it. True when it was the last one."""
        was_last = self.consumers.remove(consumer) and len(self.consumers) == 0
        if was_last:
            self.defer_pump()  # publishers are no longer held for its sake
        return was_last

    def resume(self, consumer: Consumer) -> None:
        """A consumer that could not take messages can again."""
        self.consumers.resume(consumer)
        self.defer_pump()

    def close(self) -> None:
        """The queue was deleted: drop the messages, tell the consumers, let held publishers go."""
        self.deleted = True
        self.purge()
        for consumer in self.consumers.all():
            self.consumers.remove(consumer)
            consumer.queue_deleted()
        self.check_congestion()


@final
class Pump(Work):
    """A queue's place in the turn's work."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.deferred = False

    def run(self) -> None:
        self.deferred = False
        if not self._queue.deleted:
            self._queue.pump()
