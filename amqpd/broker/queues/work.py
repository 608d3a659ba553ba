"""A work queue: what classic and quorum queues have in common. An acknowledged message is gone.

Each delivered message is with exactly one consumer until it is settled. Expired messages leave at the head only; what
is beyond a limit leaves there too.
"""

from __future__ import annotations

from mypy_extensions import i64

from amqpd.broker.deaths import EXPIRED, MAXLEN, REJECTED
from amqpd.broker.expiration import deadline_of
from amqpd.broker.message import Message
from amqpd.broker.queues.base import Queue, QueueHost, QueueSpec
from amqpd.broker.queues.delivery import Delivery
from amqpd.broker.queues.ready import Ready
from amqpd.broker.settings import QueueSettings


class WorkQueue(Queue):
    """A queue of ready messages.

    Args:
        ready: the type's order of them, empty.
    """

    def __init__(self, name: str, host: QueueHost, spec: QueueSpec, settings: QueueSettings, ready: Ready) -> None:
        super().__init__(name, host, spec, settings)
        self._ready = ready
        self._limit = settings.limit
        self._timed = False  # some message has a deadline

    def apply(self, settings: QueueSettings) -> None:
        super().apply(settings)
        self._limit = settings.limit

    @property
    def message_count(self) -> int:
        return int(self._ready.count)

    @property
    def ready_octets(self) -> int:
        return int(self._ready.octets)

    def get(self) -> Delivery | None:
        self.used()
        if self._timed:
            self.drop_expired()
        ready = self._ready
        message = ready.take()
        if message is None:
            return None
        if self._timed:
            self.defer_pump()  # another head, another deadline
        if ready.stored:
            self.defer_pump()  # for the disk to know
        return Delivery(self, message, ready.position, ready.deliveries, ready.deadline, None)

    def acknowledge(self, delivery: Delivery) -> None:
        # HOT: once per acknowledged message
        self.settlements += 1
        self.settled_octets += delivery.message.body_size
        ready = self._ready
        if ready.stored:  # else it was gone when it was delivered
            ready.settle(delivery.position)

    def reject(self, delivery: Delivery) -> None:
        self._came_back(delivery)
        if not self.deleted:
            self.die(delivery.message, REJECTED, delivery.position)

    @property
    def paged(self) -> tuple[int, int]:
        messages, octets = self._ready.paged()
        return int(messages), int(octets)

    @property
    def head_timestamp(self) -> int | None:
        head = self._ready.head()
        return None if head is None else head.properties.timestamp

    def entered(self) -> i64:
        return self._ready.entered()

    def purge(self) -> int:
        self.defer_pump()  # for the publishers that were held
        return self._ready.clear()

    def recover(self) -> None:
        self._ready.recover()
        if self._ready.count:
            self._timed = True  # some may have deadlines; the first pump finds out
            self.defer_pump()

    def release(self) -> None:
        self._ready.close()

    def pump(self) -> None:
        if self._timed:
            self.drop_expired()
        self.deliver_ready()
        if self._limit.any:
            self.drop_excess()
        self.check_congestion()
        if self._ready.stored:
            self._ready.progress()
        if self._timed:
            self._timed = self._ready.count > 0
            self.wait_for_head(int(self._ready.head_deadline()))

    def add(self, message: Message) -> i64:
        """Append a message with the deadline that it has from now on; returns what publish() does."""
        deadline = deadline_of(message.properties, self.settings.message_ttl, self.context.now())
        if deadline:
            self._timed = True
        return self._ready.append(message, deadline)

    def deliver_ready(self) -> None:
        """Hand messages to consumers while they can take some."""
        # HOT: the delivery loop
        ready = self._ready
        consumers = self.consumers
        while ready.count > 0:
            consumer = consumers.take()
            if consumer is None:
                break
            message = ready.take()
            if message is None:
                break  # the disk has lost what was there
            consumer.deliver(message, ready.position, ready.deliveries, ready.deadline)
            if ready.stored and consumer.no_ack:
                ready.settle(ready.position)
            if self._timed:
                self.drop_expired()  # what stood behind it must not go out either

    def die(self, message: Message, reason: str, position: i64) -> None:
        """A message that was taken leaves the queue for good without having been taken care of."""
        self.bury(message, reason)
        if self._ready.stored:
            if self.settings.dead_letter_exchange is None:
                self._ready.settle(position)
            else:
                self.settle_moved(position)

    def settle_moved(self, position: i64) -> None:
        """A message is gone that went elsewhere in this turn: here it must stay on the disk until it is safe there."""
        commits = self.context.storage.commits
        before, commits.moving = commits.moving, True
        self._ready.settle(position)
        commits.moving = before

    def drop_expired(self) -> None:
        """Let expired messages die, as far as they stand at the head."""
        now = self.context.now()
        ready = self._ready
        deadline: i64 = ready.head_deadline()
        while 0 < deadline <= now:
            message = ready.take()
            assert message is not None  # it had a deadline
            self.die(message, EXPIRED, ready.position)
            deadline = ready.head_deadline()

    def drop_excess(self) -> None:
        """Let messages at the head die while there are more than the limit allows, if that is what is to be done."""
        while self._limit.drops and self._limit.exceeded(self._ready.count, self._ready.octets):
            message = self._ready.take()
            if message is None:
                break  # the disk has lost what was there
            self.die(message, MAXLEN, self._ready.position)
