"""A consumer: where a queue's messages become basic.deliver frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from mypy_extensions import i64

from amqpd.broker.message import Message
from amqpd.broker.queues.base import Queue
from amqpd.broker.queues.consumers import Consumer
from amqpd.broker.queues.delivery import Delivery
from amqpd.broker.queues.reply import ReplyTaker
from amqpd.wire.output import deliver_head
from amqpd.wire.table import EMPTY_TABLE, Table

if TYPE_CHECKING:
    from amqpd.protocol.channel import Channel


NO_HEAD: Final = -1  # the size of no route


@final
class DeliverEncoder:
    """Writes basic.deliver for one consumer tag of one channel (section 1.8.3.10).

    Args:
        queue: the name under which the firehose gets copies; None for deliveries that it does not copy.
    """

    def __init__(self, channel: Channel, tag: str, queue: str | None = None) -> None:
        self._channel = channel
        self._queue = queue
        self._tag = tag.encode("utf-8", "surrogateescape")
        self._head = b""
        self._head_for: i64 = NO_HEAD

    def forget(self) -> None:
        """Something has changed that makes a difference to what is remembered."""
        self._head_for = NO_HEAD

    def send(self, tag: i64, redelivered: bool, message: Message) -> None:
        """Write one delivery."""
        # HOT: once per delivery
        channel = self._channel
        route = message.route
        size: i64 = len(route)
        if size != self._head_for:
            self._new_head(size, redelivered, message)
        content = message.content_for(channel.number, channel.payload_max)
        channel.output.deliver(self._head, tag, redelivered, route, content)

    def _new_head(self, size: i64, redelivered: bool, message: Message) -> None:
        """Make the head for another size of route, and remember it, unless every delivery has to come by here.

        That is how the firehose costs nothing while it is off: the one test that a delivery has anyway leads here.
        """
        channel = self._channel
        self._head = deliver_head(channel.number, self._tag, size)
        firehose = channel.vhost.firehose
        if self._queue is not None and firehose.on:
            self._head_for = NO_HEAD
            firehose.delivered(channel.origin(), message, self._queue, redelivered)
        else:
            self._head_for = size


@final
class ChannelConsumer(Consumer):
    """A consumer that basic.consume started.

    Args:
        channel: whose ledger numbers the deliveries and whose output takes them.
        prefetch: unsettled deliveries it may have; 0 is no limit.
        arguments: of basic.consume.
    """

    def __init__(
        self,
        tag: str,
        queue: Queue,
        channel: Channel,
        no_ack: bool,
        exclusive: bool,
        priority: int,
        prefetch: int,
        arguments: Table = EMPTY_TABLE,
    ) -> None:
        super().__init__(tag, queue, no_ack, exclusive, priority, arguments)
        self._channel = channel
        self._prefetch: i64 = prefetch
        self._shares_limit = queue.supports_global_prefetch
        self._encoder = DeliverEncoder(channel, tag, queue.name)

    @property
    def channel(self) -> Channel:
        """Whose it is."""
        return self._channel

    @property
    def prefetch(self) -> int:
        """Unsettled deliveries it may have; 0 is no limit."""
        return int(self._prefetch)

    def ready(self) -> bool:
        # HOT: once per delivery
        channel = self._channel
        if channel.output.full:
            return False
        if self.no_ack:
            return True
        if self._prefetch and self.unsettled >= self._prefetch:
            return False
        return not (channel.exhausted and self._shares_limit)

    def deliver(self, message: Message, position: i64, deliveries: i64, deadline: i64) -> None:
        # HOT: once per delivery
        channel = self._channel
        if self.no_ack:
            tag = channel.ledger.skip()
        else:
            tag = channel.ledger.add(Delivery(self.queue, message, position, deliveries, deadline, self))
            self.unsettled += 1
            channel.unsettled += 1
            self.octets += message.body_size
        self.delivered += 1
        if deliveries:
            self.redelivered += 1
            message = self.queue.presented(message, int(deliveries))
        self._encoder.send(tag, deliveries > 0, message)

    def settled(self) -> None:
        # HOT: once per settled message
        channel = self._channel
        self.unsettled -= 1
        channel.unsettled -= 1
        if channel.prefetch_limit:
            channel.resume_consumers()
        if not self.in_ring:
            self.queue.resume(self)

    def queue_deleted(self) -> None:
        self._channel.consumer_cancelled(self)

    def tracing_changed(self) -> None:
        self._encoder.forget()


@final
class ReplyConsumer(ReplyTaker):
    """The consumer of a direct reply-to address: no credit, no acknowledgements."""

    def __init__(self, channel: Channel, tag: str) -> None:
        self._channel = channel
        self._encoder = DeliverEncoder(channel, tag)

    def take(self, message: Message) -> None:
        self._encoder.send(self._channel.ledger.skip(), False, message)
