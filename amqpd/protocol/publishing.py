"""basic.publish: from a publisher's bytes to the queues (AMQP 0-9-1 section 1.8.3.7).

The checks stand in RabbitMQ 4.0's order: immediate, body size, write permission, exchange, properties, reply-to,
expiration, CC and BCC, user_id; only what passed them all is routed. What depends on exchange and routing key only is
remembered while they stay the same and the virtual host does not change; so are the properties, whose octets are mostly
the same too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from mypy_extensions import i64

from amqpd.auth.permissions import Access
from amqpd.broker.counters import size_class, size_range
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.expiration import check_expiration
from amqpd.broker.message import Message
from amqpd.broker.queues.base import Queue
from amqpd.broker.queues.reply import REPLY_TO
from amqpd.broker.queues.sink import REFUSED, MessageSink, as_sinks
from amqpd.broker.routing import keys_of, without_blind_copies
from amqpd.errors import AccessRefused, NotImplementedByServer, PreconditionFailed
from amqpd.log.commit import SAFE
from amqpd.protocol.session import IMPERSONATOR
from amqpd.protocol.transaction import HeldPublish
from amqpd.wire.frames import HEADER_FIXED
from amqpd.wire.properties import EMPTY_PROPERTIES, EXPIRATION, HEADERS, USER_ID, Properties
from amqpd.wire.properties import REPLY_TO as REPLY_TO_FLAG

if TYPE_CHECKING:
    from amqpd.protocol.channel import Channel
    from amqpd.protocol.content import Content

MANDATORY: Final = 1
IMMEDIATE: Final = 2
# Properties that mean something to the broker when a message is published.
CHECKED: Final = HEADERS | REPLY_TO_FLAG | EXPIRATION | USER_ID


@final
class Publishing:
    """The publishing side of one channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel: Channel | None = channel
        self._route = b""
        self._generation: i64 = -1
        self._exchange: Exchange | None = None
        self._sinks: list[MessageSink] = []
        self._routed = False  # the sinks are where any message goes that has this route and no other keys
        self._restricted = False  # the user has a topic permission for the exchange
        self._traced = False  # the firehose is on: then nothing is remembered, and every message comes to _route_of
        self._properties = EMPTY_PROPERTIES
        # Messages are counted in runs: what one had that took the remembered way is true for all of a run.
        self.run: i64 = 0  # messages since count()
        self._sized: i64 = 0  # messages since count_sizes(), and octets of their bodies
        self._sized_octets: i64 = 0
        self._size_class: i64 = 0  # of those, and between which sizes nothing has to be looked at
        self._smallest: i64 = 1
        self._largest: i64 = 0
        self.published: i64 = 0
        self.routed: i64 = 0  # copies
        self.unroutable: i64 = 0

    def publish(
        self,
        route: bytes,
        bits: i64,
        property_list: bytes,
        content: bytes,
        header_end: i64,
        body_size: i64,
        largest_body: i64,
    ) -> None:
        """Take a complete message.

        Args:
            route: exchange and routing key as two shortstrs.
            bits: MANDATORY, IMMEDIATE.
            property_list: the properties as they stand in the header frame.
            content: header and body frames; empty if the body is above the size limit.
            header_end: length of the header frame.
            body_size: octets of body.
            largest_body: octets in the largest body frame.

        Raises:
            AMQPError: the publish is refused; nothing was published.
        """
        # HOT: once per published message
        channel = self._channel
        assert channel is not None  # nothing is published on one that is closed
        if bits & IMMEDIATE:
            raise NotImplementedByServer("immediate=true")
        if body_size > self._largest or body_size < self._smallest:
            self._enter_size(body_size)
        if route == self._route and self._generation == channel.vhost.generation:
            route = self._route  # one object for all messages of a kind
        else:
            self._enter(route)
        properties = self._properties
        if property_list != properties.raw:
            properties = Properties(property_list)
            self._properties = properties
        message = Message(route, content, channel.number, header_end, body_size, largest_body, properties)
        if properties.altered:  # flag bits that mean nothing here would confuse consumers
            message = message.with_properties(properties)
        sinks = self._sinks
        if properties.flags & CHECKED or not self._routed:
            message = self._checked(message)
            sinks = self._route_of(message)
            if properties.flags & HEADERS:
                message = without_blind_copies(message)
            self._note(1, len(sinks))
            self._sized_octets += body_size
        else:
            self.run += 1
            self._sized_octets += body_size
        if channel.transaction is not None:
            held = HeldPublish(message, sinks, bits & MANDATORY != 0)
            channel.transaction.publishes.append(held)
        else:
            self.deliver(message, sinks, bits & MANDATORY != 0)

    def publish_assembled(self, content: Content) -> None:
        """Take a message that came frame by frame and is complete.

        Raises:
            AMQPError: as publish().
        """
        frames = content.content()
        end = content.header_end
        property_list = frames[HEADER_FIXED : end - 1]
        self.publish(content.route, content.bits, property_list, frames, end, content.body_size, content.largest_body)

    def deliver(self, message: Message, sinks: list[MessageSink], mandatory: bool) -> i64:
        """Hand a message to the queues it was routed to; return it if there are none.

        Returns:
            The number of the commit with which it is safe in all of them, or REFUSED when one of them refused it.
        """
        # HOT: once per published message
        channel = self._channel
        assert channel is not None  # nothing is published on one that is closed
        confirms = channel.confirms
        if confirms is not None:
            confirms.expect()
        outcome: i64 = SAFE
        outstanding: i64 = 0
        for sink in sinks:
            answer = sink.publish(message)
            if answer != SAFE:
                refused = answer == REFUSED or outcome == REFUSED
                outcome = REFUSED if refused else max(answer, outcome)
                if answer > SAFE:
                    outstanding += 1
            if sink.crowded:
                sink.hold(channel.throttle)
        if mandatory and not sinks:
            channel.return_message(message)
        if confirms is not None:
            confirms.answer(outcome, sinks, outstanding)
        return outcome

    def count(self) -> None:
        """Tell those whom it concerns of the messages since the last call. Call it whenever somebody may look."""
        run = self.run
        if run == 0:
            return
        self.run = 0
        self._note(run, len(self._sinks))

    def count_sizes(self) -> None:
        """Tell of their sizes, too: whoever asks for those calls this on every channel before."""
        self.count()
        if self._sized:
            self._open_channel().context.counters.sizes.add(self._size_class, self._sized, self._sized_octets)
            self._sized = 0
            self._sized_octets = 0

    def end(self) -> None:
        """The channel is closed. The two would be a cycle otherwise, which waits for the garbage collector."""
        self.count_sizes()
        self._channel = None

    def _open_channel(self) -> Channel:
        channel = self._channel
        assert channel is not None
        return channel

    def _note(self, messages: i64, copies: i64) -> None:
        """Count messages, so many copies of each."""
        exchange = self._exchange
        assert exchange is not None  # there was a message
        routed: i64 = messages * copies
        traffic = exchange.traffic
        traffic.publish_in += messages
        traffic.publish_out += routed
        self._sized += messages
        self.published += messages
        self.routed += routed
        if copies == 0:
            self.unroutable += messages

    def _enter_size(self, body_size: i64) -> None:
        """Check a size, and remember the class that it is of.

        Raises:
            PreconditionFailed: it is too large.
        """
        most = self._open_channel().session.max_message_size
        if body_size > most:
            raise too_large(body_size, most)
        self.count_sizes()
        self._size_class = size_class(body_size)
        smallest, largest = size_range(self._size_class)
        self._smallest = smallest
        self._largest = min(largest, most)

    def _enter(self, route: bytes) -> None:
        """Check and remember another exchange and routing key; where they lead is found out for the checked message."""
        channel = self._open_channel()
        self.count()
        self._route = b""
        split = 1 + route[0]
        name = route[1:split].decode("utf-8", "surrogateescape")
        channel.session.check_exchange(Access.WRITE, name)
        exchange = channel.vhost.exchange(name)
        if exchange.internal:
            raise AccessRefused(f"cannot publish to internal {channel.vhost.exchange_text(name)}")
        self._exchange = exchange
        self._routed = False
        self._restricted = channel.session.restricts(exchange)
        self._traced = channel.vhost.firehose.on
        self._route = route
        self._generation = channel.vhost.generation

    def _checked(self, message: Message) -> Message:
        """Check the properties that the broker heeds; the message comes back changed if one of them asks for it."""
        channel = self._open_channel()
        properties = message.properties
        flags = properties.flags
        if flags & REPLY_TO_FLAG and properties.reply_to == REPLY_TO:
            address = channel.reply_address()
            message = message.with_properties(properties.replaced(reply_to=address))
        if flags & EXPIRATION:
            check_expiration(properties.expiration)
        if flags & HEADERS:
            keys_of("", properties)  # for its refusals
        if self._restricted and self._exchange is not None:
            for key in keys_of(message.routing_key, properties):
                channel.session.check_topic(Access.WRITE, self._exchange, key)
        user_id = properties.user_id if flags & USER_ID else None
        user = channel.session.user
        if user_id is not None and user_id != user.name and IMPERSONATOR not in user.tags:
            raise PreconditionFailed(f"user_id property set to '{user_id}' but authenticated user was '{user.name}'")
        return message

    def _route_of(self, message: Message) -> list[MessageSink]:
        """The route of a message for which nothing is remembered, or which may have other keys than its own."""
        keys = keys_of(message.routing_key, message.properties)
        alone = len(keys) == 1
        if self._routed and alone:
            return self._sinks
        assert self._exchange is not None  # _enter came first
        routed = self._open_channel().vhost.route(self._exchange, keys, message)
        sinks = as_sinks(routed.queues)
        if self._traced:
            self._trace(message, keys, sinks)
        elif routed.cacheable and alone:
            self._sinks = sinks
            self._routed = True
        return sinks

    def _trace(self, message: Message, keys: list[str], sinks: list[MessageSink]) -> None:
        """Copy a message to the firehose, whatever becomes of it in a transaction (RabbitMQ)."""
        channel = self._open_channel()
        queues = [sink.name for sink in sinks if isinstance(sink, Queue)]  # neither replies nor what has to wait
        channel.vhost.firehose.published(channel.origin(), without_blind_copies(message), keys, queues)


def too_large(size: i64, limit: i64) -> PreconditionFailed:
    """The error for a body above the configured limit."""
    return PreconditionFailed(f"message size {size} is larger than configured max size {limit}")
