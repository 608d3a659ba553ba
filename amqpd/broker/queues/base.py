"""The interface of a queue, whatever its type, and what all types share.

Rule: nothing outside broker/queues/ asks which type a queue is. What a type can do differently is a method here; what
it supports is data. Pumping (handing messages to consumers) happens at the end of the turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, final

from mypy_extensions import i64, trait

from amqpd.broker.context import Context
from amqpd.broker.counters import DISABLED, Sampled, Traffic
from amqpd.broker.flow import HOLD_ABOVE, Congestion
from amqpd.broker.message import Message
from amqpd.broker.publisher import Publisher
from amqpd.broker.queues.consumers import Consumer, ConsumerRing, Consumers
from amqpd.broker.queues.delivery import Delivery
from amqpd.broker.queues.expiry import HeadTimer, IdleTimer
from amqpd.broker.queues.room import Room
from amqpd.broker.queues.single_active import SingleActiveConsumers
from amqpd.broker.queues.sink import MessageSink
from amqpd.broker.queues.utilisation import Utilisation
from amqpd.broker.settings import QueueSettings
from amqpd.errors import AccessRefused
from amqpd.turn import Work
from amqpd.wire.table import Table

if TYPE_CHECKING:
    from amqpd.broker.deadletter import DeadLetter
    from amqpd.broker.queues.stream.store import StreamStore


class Owner:
    """Whoever exclusive queues belong to: a connection.

    Args:
        name: the connection's.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.exclusive_queues: dict[Queue, None] = {}


class QueueSpec:
    """What a queue was declared with (queue.declare, AMQP 0-9-1 section 1.7.2.1).

    Args:
        durable: survives a restart; never True together with an owner.
        owner: the connection that an exclusive queue belongs to.
        auto_delete: deleted when its last consumer leaves.
        arguments: x-arguments, with the effective x-queue-type.

    The virtual host sets ``folder``, where a durable queue's messages are kept (empty: nowhere), and ``declared_by``,
    the name of the user who declared it first.
    """

    def __init__(self, durable: bool, owner: Owner | None, auto_delete: bool, arguments: Table) -> None:
        self.durable = durable
        self.owner = owner
        self.auto_delete = auto_delete
        self.arguments = arguments
        self.folder = ""
        self.declared_by = ""


@trait
class QueueHost:
    """Where queues live: the virtual host, as far as a queue has to know it."""

    name: str
    context: Context

    def room(self, name: str, spec: QueueSpec, keeps: i64, most_deliveries: i64) -> Room:
        """The room for the messages of a queue that is being made.

        Args:
            keeps: which of them survive a restart, if the queue does.
            most_deliveries: see Room.
        """
        raise NotImplementedError

    def stream_store(
        self, name: str, spec: QueueSpec, settings: QueueSettings, on_end: Callable[[], None]
    ) -> StreamStore:
        """The store of a stream that is being made.

        Args:
            on_end: see StreamStore.
        """
        raise NotImplementedError

    def partition_of(self, queue: Queue) -> int:
        """Which partition of its super stream a stream is, from 0 on; 0 if it is none."""
        raise NotImplementedError

    def queue_expired(self, queue: Queue) -> None:
        """Nobody used the queue for as long as x-expires allows: delete it."""
        raise NotImplementedError

    def dead_letter(self, queue: Queue, message: Message, reason: str) -> None:
        """Send a dead message to the queue's dead-letter exchange, before the turn ends; it may get lost there."""
        raise NotImplementedError

    def dead_letter_safely(self, letter: DeadLetter) -> bool:
        """Send it at once to the queues that it has not reached yet; True when it has reached all, and there is one."""
        raise NotImplementedError


class Queue(MessageSink, Sampled):
    """A queue.

    Args:
        host: where it lives.
        spec: what it was declared with.
        settings: what arguments and policies make of that; see apply().
    """

    kind: ClassVar[str] = ""
    renewed_by_declare: ClassVar[bool] = True  # a declaration counts as use for x-expires
    single_active_by_priority: ClassVar[bool] = False
    supports_global_prefetch: ClassVar[bool] = True
    supports_conditional_delete: ClassVar[bool] = True
    honours_delete_conditions: ClassVar[bool] = True  # False: it is deleted whatever they are, and counts nothing
    honours_exclusive_consumers: ClassVar[bool] = True
    tells_consumers: ClassVar[bool] = True  # False: declare_ok says that there are none, as RabbitMQ's streams do

    def __init__(self, name: str, host: QueueHost, spec: QueueSpec, settings: QueueSettings) -> None:
        super().__init__(name)
        self.host = host
        self.context = host.context
        self.spec = spec
        self.settings = settings
        single = settings.single_active_consumer
        self.consumers: Consumers = SingleActiveConsumers(self.single_active_by_priority) if single else ConsumerRing()
        self._congestion: Congestion | None = None  # made when there is some: most queues never see any
        self._pump = Pump(self)
        self._head_timer: HeadTimer | None = None
        self._idle_timer: IdleTimer | None = None
        self.created_at: i64 = self.context.now()
        # Counters. Deliveries are counted by their consumers, and end up in _past with what basic.get took.
        self.settlements: i64 = 0  # deliveries that were acknowledged, or never had to be
        self.returned: i64 = 0  # deliveries that were requeued or rejected
        self.settled_octets: i64 = 0  # of both kinds
        self._past: Traffic | None = None
        self._past_octets: i64 = 0
        self._utilisation: Utilisation | None = None
        self.sampled: i64 = 0
        self.active_at: i64 = 0

    @property
    def survives(self) -> bool:
        return bool(self.spec.folder)

    def __str__(self) -> str:
        """As RabbitMQ's reply texts name it."""
        return f"queue '{self.name}' in vhost '{self.host.name}'"

    # What a type implements.

    @property
    def message_count(self) -> int:
        """Messages ready for delivery; those delivered and not settled do not count."""
        raise NotImplementedError

    @property
    def ready_octets(self) -> int:
        """Octets of the bodies of ready messages."""
        return 0

    def get(self) -> Delivery | None:
        """Take the head, or None when the queue is empty; fetch() is what counts it.

        Raises:
            AMQPError: the type does not support it.
        """
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

    def entered(self) -> i64:
        """How many messages publish() has taken since the queue was made or came back from the disk."""
        raise NotImplementedError

    def purge(self) -> int:
        """Drop every ready message; returns how many."""
        raise NotImplementedError

    def pump(self) -> None:
        """Hand ready messages to consumers while they can take some; drop what has expired or is too much."""
        raise NotImplementedError

    def recover(self) -> None:
        """Take in what is on the disk; called once, before everything else."""

    def release(self) -> None:
        """Let go of the disk: the queue is gone, or the broker has ended."""

    def check_consumer(self, no_ack: bool, prefetch: int) -> None:
        """Refuse a consumer that the type cannot serve.

        Raises:
            AMQPError: this is one.
        """

    # What all types share.

    def fetch(self, no_ack: bool) -> Delivery | None:
        """Take the head for a basic.get, or None when the queue is empty.

        Args:
            no_ack: the delivery need not be settled.

        Raises:
            AMQPError: the type does not support it.
        """
        delivery = self.get()
        past = self._counted()
        if delivery is None:
            past.get_empty += 1
            return None
        past.add_get(no_ack, delivery.redelivered)
        self._past_octets += delivery.message.body_size
        if no_ack:
            self.acknowledge(delivery)
        return delivery

    @property
    def unacknowledged(self) -> int:
        """Messages that were delivered and not settled."""
        total: i64 = -self.settlements - self.returned
        past = self._past
        if past is not None:
            total += past.deliver + past.get + past.get_no_ack
        for consumer in self.consumers.all():
            if not consumer.no_ack:
                total += consumer.delivered
        return int(total)

    @property
    def unacknowledged_octets(self) -> int:
        """Octets of their bodies."""
        octets: i64 = self._past_octets - self.settled_octets
        for consumer in self.consumers.all():
            octets += consumer.octets
        return int(octets)

    @property
    def utilisation(self) -> float:
        """The share of the last seconds in which a message could have left at once; 0 without consumers."""
        if len(self.consumers) == 0:
            return 0.0
        return 1.0 if self._utilisation is None else self._utilisation.share()

    @property
    def paged(self) -> tuple[int, int]:
        """Ready messages that are on the disk only, and octets of their bodies."""
        return 0, 0

    @property
    def head_timestamp(self) -> int | None:
        """The timestamp property of the head, if it is in memory and has one."""
        return None

    def activity(self) -> i64:
        # Every message that comes in or back counts twice, for it is taken off again while it is ready.
        total: i64 = 2 * (self.entered() + self.returned) + self.settlements - self.message_count
        if self._past is not None:
            total += self._past.deliver_get + self._past.get_empty
        for consumer in self.consumers.all():
            total += consumer.delivered
        return total

    def traffic(self) -> Traffic:
        """What has happened here since the queue was made, or came back from the disk; publish counts dead letters."""
        traffic = Traffic()
        if self._past is not None:
            traffic.add(self._past)
        for consumer in self.consumers.all():
            traffic.add_deliveries(consumer.no_ack, consumer.delivered, consumer.redelivered)
        traffic.publish = self.entered()
        traffic.ack = self.settlements - traffic.get_no_ack
        return traffic

    def _counted(self) -> Traffic:
        past = self._past
        if past is None:
            past = self._past = Traffic()
        return past

    def _remove(self, consumer: Consumer) -> bool:
        """Let a consumer go, but for what it has counted. False if it was not here."""
        if not self.consumers.remove(consumer):
            return False
        self._counted().add_deliveries(consumer.no_ack, consumer.delivered, consumer.redelivered)
        self._past_octets += consumer.octets
        return True

    def _came_back(self, delivery: Delivery) -> None:
        """Count a delivery that was requeued or rejected."""
        self.returned += 1
        self.settled_octets += delivery.message.body_size

    def apply(self, settings: QueueSettings) -> None:
        """Work with other settings from now on: a policy has come, changed or gone."""
        expires = self.settings.expires
        self.settings = settings
        if settings.expires is None:
            if self._idle_timer is not None:
                self._idle_timer.stop()
                self._idle_timer = None
        elif self._idle_timer is None:
            self._idle_timer = IdleTimer(self.context, self._has_consumers, self._expired)
            self._idle_timer.set(settings.expires)
        elif settings.expires != expires:  # a policy for others must not start the time anew
            self._idle_timer.set(settings.expires)
        self.defer_pump()

    def defer_pump(self) -> None:
        """See to it that the queue is pumped before the turn ends."""
        # HOT: once per published or settled message
        pump = self._pump
        if not pump.deferred:
            pump.deferred = True
            self.context.turn.defer(pump)

    def hold(self, publisher: Publisher) -> None:
        disk = self.context.storage.disk
        if disk is not None and disk.behind:
            disk.hold(publisher)
        elif self._congestion is not None:
            self._congestion.hold(publisher)

    def check_congestion(self) -> None:
        """Decide whether publishers must be slowed; a type calls this at the end of each pump."""
        disk = self.context.storage.disk
        count, consumed = self.message_count, len(self.consumers) > 0
        congestion = self._congestion
        if congestion is None and consumed and count > HOLD_ABOVE:
            congestion = self._congestion = Congestion(self.context)
        crowded = congestion is not None and congestion.check(count, consumed)
        self.crowded = crowded or (disk is not None and disk.behind)
        able = count == 0 or not consumed
        if not able or self._utilisation is not None:
            self._able(able)

    def _able(self, able: bool) -> None:
        """Note whether messages leave as they come, or wait for consumers."""
        if self._utilisation is None:
            self._utilisation = Utilisation(self.context.clock)
        if able is not self._utilisation.able:
            self._utilisation.change(able)

    def subscribe(self, consumer: Consumer) -> None:
        """Let a consumer take messages, from the end of this turn on.

        Raises:
            AccessRefused: one of the consumers, or the new one beside others, is exclusive (section 1.8.3.3).
        """
        if self.honours_exclusive_consumers:
            alone = len(self.consumers) == 0 and not self.settings.single_active_consumer
            if self.consumers.exclusive or (consumer.exclusive and not alone):
                raise AccessRefused(f"{self} in exclusive use")
        self.consumers.add(consumer)
        self.defer_pump()

    def unsubscribe(self, consumer: Consumer) -> bool:
        """No more deliveries to this consumer; what it has stays with it. True when it was the last one."""
        last = self._remove(consumer) and len(self.consumers) == 0
        if last:
            self.used()
        self.defer_pump()  # for another active consumer, and for publishers that are no longer held for its sake
        return last

    def resume(self, consumer: Consumer) -> None:
        """A consumer that could not take messages can again."""
        self.consumers.resume(consumer)
        self.defer_pump()

    def used(self) -> None:
        """Somebody used the queue, which renews its x-expires."""
        if self._idle_timer is not None:
            self._idle_timer.used()

    def declared(self) -> None:
        """Somebody declared the queue again, or asked for it passively."""
        if self.renewed_by_declare:
            self.used()

    def close(self) -> None:
        """The queue was deleted: drop the messages, tell the consumers, let held publishers go."""
        self.deleted = True
        self.purge()
        if self._head_timer is not None:
            self._head_timer.stop()
        if self._idle_timer is not None:
            self._idle_timer.stop()
        for consumer in self.consumers.all():
            self._remove(consumer)
            consumer.queue_deleted()
        self.check_congestion()
        self.release()

    def fail(self) -> None:
        """The disk failed: the queue is of no use any more. Its consumers are told, publishes refused."""
        self.broken = True
        for consumer in self.consumers.all():
            self._remove(consumer)
            consumer.queue_deleted()
        self.check_congestion()

    def wait_for_head(self, deadline: int) -> None:
        """Pump again when the head expires. A type calls this at the end of each pump.

        Args:
            deadline: of the head, 0 for never.
        """
        if self._head_timer is None:
            if not deadline:
                return
            self._head_timer = HeadTimer(self.context, self.defer_pump)
        self._head_timer.wait_for(deadline)

    def presented(self, message: Message, deliveries: int) -> Message:
        """A message as a consumer gets it that was delivered so often before."""
        return message

    def bury(self, message: Message, reason: str) -> None:
        """Send a message that nobody took care of to the dead-letter exchange, if there is one."""
        if self.settings.dead_letter_exchange is None:
            self.context.counters.deaths.add(self.kind, DISABLED, reason)
        else:
            self.host.dead_letter(self, message, reason)

    def _has_consumers(self) -> bool:
        return len(self.consumers) > 0

    def _expired(self) -> None:
        self.host.queue_expired(self)


@final
class Pump(Work):
    """A queue's place in the turn's work."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.deferred = False

    def run(self) -> None:
        self.deferred = False
        if not self._queue.deleted and not self._queue.broken:  # nothing of it expires or is delivered any more
            self._queue.pump()
