"""A channel without a connection: for what is done in AMQP's words, but was not asked for over AMQP.

The methods are handled by the same functions, with the same checks, as if a client had sent them; what the channel
would send to its client is read here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64
from pamqp import commands

from amqpd.broker.context import Context
from amqpd.broker.message import header_frame, route_of
from amqpd.errors import PreconditionFailed
from amqpd.protocol.channel import Channel, ChannelState
from amqpd.protocol.dispatch import HANDLERS
from amqpd.protocol.methods import confirm
from amqpd.protocol.patience import Patience
from amqpd.protocol.publishing import MANDATORY
from amqpd.protocol.session import Session
from amqpd.protocol.throttle import Throttle
from amqpd.wire.frames import BODY, ENVELOPE, HEADER, METHOD, FrameHandler, FrameReader, frame
from amqpd.wire.methods import Method, decode, encode, make
from amqpd.wire.output import Output, Wire
from amqpd.wire.properties import Properties

NUMBER: Final = 1
PROPERTIES_AT: Final = 12  # octets of a header frame's payload before the flags


@final
class Got:
    """A message that basic.get brought.

    Args:
        method: what came with it.
    """

    def __init__(self, method: commands.Basic.GetOk) -> None:
        self.redelivered = bool(method.redelivered)
        self.exchange = method.exchange or ""
        self.routing_key = method.routing_key or ""
        self.message_count = int(method.message_count or 0)
        self.properties = Properties(b"\0\0")
        self.pieces: list[bytes] = []

    @property
    def body(self) -> bytes:
        """The body in one piece."""
        return b"".join(self.pieces)


@final
class DirectWire(Wire):
    """The socket that is not there."""

    def __init__(self) -> None:
        super().__init__()
        self.reader: FrameReader | None = None

    def write(self, data: bytes) -> None:
        assert self.reader is not None  # it is set when the channel is made
        self.reader.feed(data)

    def close(self) -> None:
        """There is nothing to close."""

    def pause_reading(self) -> None:
        """Nobody sends anything."""

    def resume_reading(self) -> None:
        """Nobody sends anything."""


@final
class Answers(FrameHandler):
    """What a channel would send to its client.

    It knows nothing of the channel. If it did, every channel would be a cycle that waits for the garbage collector.

    Attributes:
        returned: a message came back, for it went nowhere.
        refused: the last publish that was answered was refused.
        on_confirm: told when a publish was answered.
    """

    def __init__(self) -> None:
        self.returned = False
        self.refused = False
        self.on_confirm: Callable[[], None] | None = None
        self._got: Got | None = None

    def take(self) -> Got | None:
        """The message that has come since this was called before, or None."""
        got, self._got = self._got, None
        return got

    def on_ack(self, channel: i64, tag: i64, multiple: bool) -> None:
        self._confirmed(False)

    def on_frame(self, kind: i64, channel: i64, payload: bytes) -> None:
        if kind == METHOD:
            self._method(decode(payload))
        elif self._got is not None and kind == HEADER:
            self._got.properties = Properties(payload[PROPERTIES_AT:])
        elif self._got is not None:
            self._got.pieces.append(payload)

    def _method(self, method: Method) -> None:
        if isinstance(method, commands.Basic.GetOk):
            self._got = Got(method)
        elif isinstance(method, commands.Basic.Return):
            self.returned = True
        elif isinstance(method, commands.Basic.Nack):
            self._confirmed(True)

    def _confirmed(self, refused: bool) -> None:
        self.refused = refused
        if self.on_confirm is not None:
            self.on_confirm()


@final
class DirectChannel:
    """One channel in confirm mode. Whoever has made one calls close() in the end.

    Args:
        session: on whose behalf.

    ``answers`` has what the channel answers: set its ``on_confirm`` before a publish.
    """

    def __init__(self, session: Session, context: Context) -> None:
        wire = DirectWire()
        self.answers = Answers()
        reader = FrameReader(self.answers, 0)
        reader.limit(0)
        wire.reader = reader
        self._output = Output(wire, context.turn)
        throttle = Throttle(wire, FrameReader(self.answers, 0), _never, _ignore)
        self._channel = Channel(NUMBER, session, self._output, throttle, context, Patience(None))
        session.vhost.totals.join(self._channel)
        confirm.select(self._channel, make(commands.Confirm.Select, nowait=True))

    def do(self, method: Method) -> None:
        """Have a method handled, as it comes off the wire. One that has ``nowait`` should set it.

        Raises:
            AMQPError: what the client would have been told when its channel, or connection, is closed.
        """
        HANDLERS[type(method)](self._channel, sent(method))

    def publish(self, exchange: str, routing_key: str, properties: Properties, body: bytes) -> None:
        """Publish as ``mandatory``: until on_confirm() is called ``answers.returned`` tells whether it went nowhere.

        Raises:
            AMQPError: as do().
        """
        if len(routing_key.encode("utf-8", "surrogateescape")) > 255:
            raise PreconditionFailed("a routing key has at most 255 octets")
        header = header_frame(NUMBER, len(body), properties)
        content = header + frame(BODY, NUMBER, body) if body else header
        route = route_of(exchange, routing_key)
        publishing = self._channel.publishing
        publishing.publish(route, MANDATORY, properties.raw, content, len(header), len(body), len(body))

    def get(self, queue: str, no_ack: bool) -> Got | None:
        """The head of a queue, or None if there is none.

        Raises:
            AMQPError: as do().
        """
        self.do(make(commands.Basic.Get, queue=queue, no_ack=no_ack))
        self._output.run()  # what it wrote is read now
        return self.answers.take()

    def close(self) -> None:
        """What was got and neither acknowledged nor refused goes back to its queue."""
        self._channel.state = ChannelState.CLOSING  # no event tells of a channel that nobody has opened
        self._channel.close()


def sent(method: Method) -> Method:
    """A method as its receiver reads it.

    Raises:
        PreconditionFailed: it cannot be sent: a name is too long.
        FrameError: it cannot be read: a name is no UTF-8.
    """
    try:
        octets = encode(NUMBER, method)
    except (ValueError, OverflowError) as error:
        raise PreconditionFailed(str(error)) from None
    return decode(octets[ENVELOPE - 1 : -1])


def _never() -> bool:
    return False


def _ignore(paused: bool) -> None:
    """Nobody reads from the socket that is not there."""
