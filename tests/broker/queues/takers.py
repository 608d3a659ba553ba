"""Consumers and publishers for tests of queues: they keep what they get and do nothing else."""

from __future__ import annotations

from mypy_extensions import i64

from amqpd.broker.message import Message, make_message
from amqpd.broker.publisher import Publisher
from amqpd.broker.queues.base import Owner, Queue, QueueSpec
from amqpd.broker.queues.consumers import Consumer
from amqpd.broker.queues.delivery import Delivery
from amqpd.broker.queues.room import Room, endless_room
from amqpd.broker.queues.sink import REFUSED, MessageSink
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from amqpd.wire.table import EMPTY_TABLE, Table
from tests.builders import World


class Taker(Consumer):
    """A consumer that keeps its deliveries.

    Args:
        credit: unsettled deliveries it may have; 0 is no limit.
    """

    def __init__(
        self, tag: str, queue: Queue, credit: int = 0, no_ack: bool = False, exclusive: bool = False, priority: int = 0
    ) -> None:
        super().__init__(tag, queue, no_ack, exclusive, priority)
        self.credit = credit
        self.stopped = False  # as if its connection's output were full
        self.asked = 0  # how often the queue wanted to know whether it is ready
        self.unsettled = 0
        self.deliveries: list[Delivery] = []
        self.told_of_deletion = 0

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.message.body for delivery in self.deliveries]

    def ready(self) -> bool:
        self.asked += 1
        return not self.stopped and (self.no_ack or not self.credit or self.unsettled < self.credit)

    def deliver(self, message: Message, position: i64, deliveries: i64, deadline: i64) -> None:
        self.deliveries.append(Delivery(self.queue, message, position, deliveries, deadline, self))
        self.unsettled += not self.no_ack

    def settled(self) -> None:
        self.unsettled -= 1
        self.resume()

    def resume(self) -> None:
        """It may be able to take messages again."""
        if not self.in_ring:
            self.queue.resume(self)

    def queue_deleted(self) -> None:
        self.told_of_deletion += 1


class HeldPublisher(Publisher):
    """A publisher that counts how often it is held and asked to rest; ``consumes`` makes it refuse to be held."""

    def __init__(self, consumes: bool = False) -> None:
        super().__init__()
        self.consumes = consumes
        self.holds = 0
        self.rests = 0
        self.unblocked = 0

    def hold(self) -> bool:
        if not self.consumes:
            self.holds += 1
        return not self.consumes

    def release(self) -> None:
        self.holds -= 1

    def rest(self) -> None:
        self.rests += 1

    def unblock(self) -> None:
        self.unblocked += 1


def message(body: bytes, properties: Properties = EMPTY_PROPERTIES) -> Message:
    """A message with this body."""
    return make_message("", "q", properties, body)


def queue_spec(
    durable: bool = False, owner: Owner | None = None, auto_delete: bool = False, arguments: Table = EMPTY_TABLE
) -> QueueSpec:
    """What a queue is declared with; by default with nothing."""
    return QueueSpec(durable, owner, auto_delete, arguments)


def memory_room() -> Room:
    """Room without end, and no disk."""
    return endless_room()


def never_fails(name: str, error: OSError) -> None:
    """For rooms whose disk does not fail."""
    raise AssertionError(name, error)


def accepts(sink: MessageSink, published: Message) -> bool:
    """Publish a message; False when it is refused."""
    return sink.publish(published) != REFUSED


def make_queue(world: World, name: str = "q", durable: bool = False, **arguments: object) -> Queue:
    """A queue of the virtual host /: ``max_length=3`` is its argument x-max-length; a quorum queue is durable."""
    table = Table.of({"x-" + key.replace("_", "-"): value for key, value in arguments.items()})
    spec = QueueSpec(durable or arguments.get("queue_type") == "quorum", None, False, table)
    return world.vhost.create_queue(name, spec)


def drained_deliveries(queue: Queue) -> list[Delivery]:
    """Everything that is ready, which is taken out."""
    found = []
    while (delivery := queue.get()) is not None:
        found.append(delivery)
    return found


def drained(queue: Queue) -> list[tuple[bytes, bool]]:
    """The same as bodies and redelivered flags."""
    return [(delivery.message.body, delivery.redelivered) for delivery in drained_deliveries(queue)]
