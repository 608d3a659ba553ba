"""The classic queue: strict FIFO, a requeued message returns to its place (RabbitMQ, classic queues)."""

from __future__ import annotations

from typing import ClassVar, final

from mypy_extensions import i64

from amqpd.broker.deaths import MAXLEN
from amqpd.broker.message import Message
from amqpd.broker.queues.base import QueueHost, QueueSpec
from amqpd.broker.queues.delivery import Delivery
from amqpd.broker.queues.lane import Lane
from amqpd.broker.queues.priorities import PriorityLanes
from amqpd.broker.queues.room import PERSISTENT, UNLIMITED
from amqpd.broker.queues.sink import REFUSED
from amqpd.broker.queues.work import WorkQueue
from amqpd.broker.settings import QueueSettings
from amqpd.wire.properties import EXPIRATION


@final
class ClassicQueue(WorkQueue):
    """Most queues have no TTL and no limit: for them a publish is one append, and the rest happens once a turn."""

    kind: ClassVar[str] = "classic"
    local: ClassVar[bool] = True

    def __init__(self, name: str, host: QueueHost, spec: QueueSpec, settings: QueueSettings) -> None:
        highest = settings.max_priority
        room = host.room(name, spec, PERSISTENT, UNLIMITED)
        super().__init__(name, host, spec, settings, PriorityLanes(highest, room) if highest else Lane(room))
        self._plain = True  # neither TTL nor limit, and no disk that failed
        self._overfull = False  # messages came back under a limit
        self.apply(settings)

    def apply(self, settings: QueueSettings) -> None:
        super().apply(settings)
        self._plain = settings.message_ttl is None and not self._limit.any and not self.broken

    def fail(self) -> None:
        super().fail()
        self._plain = False

    def publish(self, message: Message) -> i64:
        # HOT: once per published message and queue
        if not self._plain or message.flags & EXPIRATION:
            return self._publish_with_care(message)
        ticket = self._ready.append(message, 0)
        self.defer_pump()
        return ticket

    def get(self) -> Delivery | None:
        self._drop_requeued()
        delivery = super().get()
        if self._timed:
            self.drop_expired()  # what stood behind it does not count any more
        return delivery

    def requeue(self, delivery: Delivery) -> None:
        self._came_back(delivery)
        if not self.deleted:
            self._ready.put_back(delivery.message, delivery.position, delivery.deliveries + 1, delivery.deadline)
            if delivery.deadline:
                self._timed = True
            self._overfull = self._limit.drops
            self.defer_pump()

    def pump(self) -> None:
        self._drop_requeued()
        super().pump()

    def _drop_requeued(self) -> None:
        """What came back counts before a consumer can take it; all that came back in this turn, not one by one."""
        if self._overfull:
            self._overfull = False
            self.drop_excess()

    def _publish_with_care(self, message: Message) -> i64:
        """Take a message in under a TTL or a limit.

        What consumers can take at once neither counts nor expires, so everything before it has to be delivered first.
        """
        if self.broken:
            return REFUSED
        self._drop_requeued()
        self.drop_expired()
        self.deliver_ready()
        limit = self._limit
        if limit.rejects and limit.exceeded(self._ready.count + 1, self._ready.octets + message.body_size):
            if limit.buries:
                self.bury(message, MAXLEN)
            return REFUSED
        ticket = self.add(message)
        self.deliver_ready()
        self.drop_excess()
        self.drop_expired()
        self.defer_pump()
        return ticket
