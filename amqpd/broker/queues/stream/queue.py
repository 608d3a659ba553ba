"""The stream: what was published stays as long as retention says, and every consumer reads at its own place (RabbitMQ,
streams).

Acknowledgements are credit, nothing more; only a consumer that gave its place a name has it moved by them.
"""

from __future__ import annotations

from typing import ClassVar, final

from mypy_extensions import i64

from amqpd.broker.arguments import ReaderArguments
from amqpd.broker.message import Message
from amqpd.broker.queues.base import Queue, QueueHost, QueueSpec
from amqpd.broker.queues.consumers import Consumer
from amqpd.broker.queues.delivery import Delivery
from amqpd.broker.queues.sink import REFUSED
from amqpd.broker.queues.stream.cursors import CursorsInUse
from amqpd.broker.queues.stream.filters import Filter
from amqpd.broker.queues.stream.group import Group
from amqpd.broker.queues.stream.reader import Reader, Readers, reader_of
from amqpd.broker.queues.stream.start import start_of
from amqpd.broker.settings import QueueSettings
from amqpd.errors import AccessRefused, NotImplementedByServer, PreconditionFailed
from amqpd.wire.table import Field


@final
class StreamQueue(Queue):
    """A log that is read, and not emptied."""

    kind: ClassVar[str] = "stream"
    renewed_by_declare: ClassVar[bool] = False
    supports_global_prefetch: ClassVar[bool] = False
    honours_delete_conditions: ClassVar[bool] = False
    honours_exclusive_consumers: ClassVar[bool] = False
    tells_consumers: ClassVar[bool] = False

    def __init__(self, name: str, host: QueueHost, spec: QueueSpec, settings: QueueSettings) -> None:
        super().__init__(name, host, spec, settings)
        self._readers = Readers()
        self.consumers = self._readers
        self._groups: dict[str, Group] = {}
        self._now: i64 = 0
        self._first: i64 = 0  # offset of the first message that publish() took
        self._store = host.stream_store(name, spec, settings, self._more)
        self._cursors = CursorsInUse(self._store)

    # What it is.

    @property
    def first_offset(self) -> int:
        """The offset of the first record that is kept."""
        return int(self._store.first)

    @property
    def next_offset(self) -> int:
        """The offset that the next message gets."""
        return int(self._store.next_offset)

    @property
    def message_count(self) -> int:
        # While the first segment that is kept is still on its way to the disk nothing can be read.
        return max(int(self._store.end - self._store.first), 0)

    def apply(self, settings: QueueSettings) -> None:
        super().apply(settings)
        self._store.apply(settings)

    def recover(self) -> None:
        self._store.recover()
        self._first = self._store.next_offset

    def release(self) -> None:
        self._store.close()

    # Publishing.

    def publish(self, message: Message) -> i64:
        # HOT: once per message published to a stream
        if self.broken:
            return REFUSED
        if not self._pump.deferred:
            self._now = self.context.now()  # once a turn: the clock is the dearest part of a small message
            self.defer_pump()
        return self._store.append(message, self._now)

    # Reading.

    def check_consumer(self, no_ack: bool, prefetch: int) -> None:
        if prefetch == 0:
            raise PreconditionFailed(f"consumer prefetch count is not set for stream {self}")
        if no_ack:
            raise NotImplementedByServer(f"automatic acknowledgement not supported by stream {self}")

    def subscribe(self, consumer: Consumer) -> None:
        arguments = ReaderArguments(consumer.arguments)
        if arguments.cursor is not None and arguments.group is not None:
            raise PreconditionFailed(f"a consumer of {self} has x-stream-cursor or x-stream-group, not both")
        self._store.keep_tail()
        reader = self._reader(consumer, arguments)
        consumer.place = reader
        super().subscribe(consumer)
        if reader.group is not None:
            reader.group.join(reader)
            self._elect(reader.group)

    def _reader(self, consumer: Consumer, arguments: ReaderArguments) -> Reader:
        """Where a consumer begins.

        Raises:
            AccessRefused: another one has the cursor.
        """
        wanted: Filter | None = None
        if arguments.filters is not None:
            wanted = Filter(arguments.filters, arguments.match_unfiltered)
        name = arguments.cursor or arguments.group
        if name is None:
            return Reader(consumer, self._start(arguments.start), wanted, None, None)
        self._check_holder(name, arguments.group)
        start = self._cursors.place(name)
        if start < 0:
            start = self._start(arguments.start)
            self._cursors.move(name, start)
        if arguments.group is None:
            reader = Reader(consumer, start, wanted, name, None)
            self._cursors.hand_to(name, reader)
            return reader
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(name)
        return Reader(consumer, start, wanted, name, group)

    def _check_holder(self, name: str, group: str | None) -> None:
        holder = self._cursors.holder(name)
        if holder is None or holder.consumer not in self._readers:
            return
        if group is None or holder.group is None:
            raise AccessRefused(f"cursor '{name}' of {self} in exclusive use")

    def _start(self, wanted: Field | None) -> i64:
        return start_of(wanted, self._store, self.context.now())

    def unsubscribe(self, consumer: Consumer) -> bool:
        last = super().unsubscribe(consumer)
        place = consumer.place
        if isinstance(place, Reader) and place.group is not None and place in place.group.members:
            place.group.leave(place)
            if place.group.members:
                self._elect(place.group)
            else:
                del self._groups[place.group.name]
        if last:
            self._store.drop_tail()
        return last

    def _elect(self, group: Group) -> None:
        partition = self.host.partition_of(self)
        begins = group.elect(partition)
        active = group.active
        if begins is not None:
            begins.go_to(max(self._cursors.place(group.name), 0))
            self._cursors.hand_to(group.name, begins)
            self._readers.begin(begins)
            self.defer_pump()
        elif active is not None:
            self.resume(active.consumer)

    def pump(self) -> None:
        self._cursors.keep_places()
        for group in self._groups.values():
            if group.active is None:  # perhaps the one before has settled what the next one waits for
                self._elect(group)
        self._readers.read(self._store)
        self.check_congestion()

    def check_congestion(self) -> None:
        """Publishers wait for the disk if it must be, and never for readers."""
        disk = self.context.storage.disk
        self.crowded = disk is not None and disk.behind

    def _more(self) -> None:
        """More can be read."""
        if self._readers.wake():
            self.defer_pump()

    # Settling.

    def acknowledge(self, delivery: Delivery) -> None:
        # HOT: once per acknowledged message
        self.settlements += 1
        self.settled_octets += delivery.message.body_size
        self._settle(delivery)

    def _settle(self, delivery: Delivery) -> None:
        consumer = delivery.consumer
        assert consumer is not None  # nothing is fetched from a stream
        reader = reader_of(consumer)
        if reader.cursor is not None:
            self._cursors.settled(reader, delivery.position)
            self.defer_pump()

    def requeue(self, delivery: Delivery) -> None:
        """It gives back credit; only a cursor does not move beyond it."""
        self._came_back(delivery)
        self.defer_pump()  # in a group somebody may wait for it

    def reject(self, delivery: Delivery) -> None:
        self._came_back(delivery)
        self._settle(delivery)

    def entered(self) -> i64:
        return self._store.next_offset - self._first

    def get(self) -> Delivery | None:
        raise NotImplementedByServer(f"basic.get not supported by stream queues {self}")

    def purge(self) -> int:
        if self.deleted:
            return 0
        raise NotImplementedByServer(f"queue.purge not supported by stream queues {self}")

    # Cursors.

    def cursor_places(self) -> dict[str, int]:
        """Every named cursor, and the offset at which its consumer continues."""
        return self._cursors.all()

    def reset_cursor(self, name: str, wanted: Field) -> i64:
        """Let a cursor stand elsewhere; one that is not there is made. Returns the offset.

        Args:
            wanted: as x-stream-offset has it.

        Raises:
            PreconditionFailed: a consumer has it.
        """
        self._check_unused(name)
        self._cursors.keep_places()
        self._cursors.free(name)
        offset = self._start(wanted)
        self._cursors.move(name, offset)
        return offset

    def delete_cursor(self, name: str) -> bool:
        """Forget a cursor; False if there is none of that name.

        Raises:
            PreconditionFailed: a consumer has it.
        """
        self._check_unused(name)
        return self._cursors.remove(name)

    def _check_unused(self, name: str) -> None:
        holder = self._cursors.holder(name)
        if name in self._groups or (holder is not None and holder.consumer in self._readers):
            raise PreconditionFailed(f"cursor '{name}' of {self} is in use: stop its consumers first")
