"""The client's end of one connection with one channel: handshake, heartbeats, flow, blocking, closing.

Rule: what may live here is the same for every client; what one does on its channel is its Role.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from librt.strings import read_i32_be
from mypy_extensions import i64, mypyc_attr
from pamqp import commands

from amqpd import __version__
from amqpd.bench.faults import channel_refused, connection_refused, lost
from amqpd.wire.frames import BODY, HEADER, HEARTBEAT, HEARTBEAT_FRAME, METHOD, FrameHandler, FrameReader
from amqpd.wire.methods import Method, decode, encode, make
from amqpd.wire.output import Wire
from amqpd.wire.table import Table

CHANNEL: Final = 1
PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
DELIVER: Final = 0x003C003C
FRAME_MAX: Final = 131_072
HEARTBEAT_SECONDS: Final = 60
BEFORE_TUNING: Final = 1 << 20  # octets of a payload; brokers differ in what they send in connection.start
SUCCESS: Final = 200
CAPABILITIES: Final = {
    "publisher_confirms": True,
    "consumer_cancel_notify": True,
    "basic.nack": True,
    "connection.blocked": True,
    "authentication_failure_close": True,
}


@mypyc_attr(allow_interpreted_subclasses=True)
class Role:
    """What a client does once its channel is open. The session calls these."""

    def opened(self, session: Session) -> None:
        """The channel is open."""
        raise NotImplementedError

    def method(self, method: Method) -> None:
        """A method on the channel that the session does not answer itself."""

    def refused(self, code: int, text: str) -> bool:
        """The broker closed the channel; True if that is no reason to end. The session opens another one then."""
        return False

    def settled(self, tag: i64, multiple: bool) -> None:
        """A basic.ack."""

    def deliver(self, payload: bytes) -> None:
        """A basic.deliver, as the payload of its frame."""

    def header(self, payload: bytes) -> None:
        """A content header, as the payload of its frame."""

    def body(self, payload: bytes) -> None:
        """A part of a body."""

    def begin_read(self) -> None:
        """Octets came in."""

    def end_read(self) -> None:
        """All of them are understood."""

    def resumed(self) -> None:
        """The broker takes messages again, after flow or blocking."""


@final
class Session(FrameHandler):
    """One connection.

    Args:
        role: what it does on its channel.
        user, password, vhost: to log in.
        where: the broker's address, for sentences about it.
        name: the connection's, for the broker's lists.

    Attributes:
        frame_max: as negotiated.
        fault: why it ended, as a sentence; None while it runs, and when it was closed in order.
        ended: True when nothing more happens.
        blocked: why the broker takes no messages at the moment, or None.
        held: True while nothing may be published, because of blocking or flow.
        on_end: called once at the end.
    """

    def __init__(self, role: Role, user: str, password: str, vhost: str, where: str, name: str) -> None:
        self.role = role
        self.frame_max = FRAME_MAX
        self.fault: str | None = None
        self.ended = False
        self.blocked: str | None = None
        self.held = False
        self.on_end: Callable[[], None] | None = None
        self._user = user
        self._password = password
        self._vhost = vhost
        self._where = where
        self._name = name
        self._wire: Wire | None = None
        self._reader = FrameReader(self, BEFORE_TUNING)
        self._opened = False
        self._closing = False
        self._stopped = False  # by channel.flow
        self._interval = 0  # seconds; 0 for no heartbeats
        self._wrote = True  # since the last tick
        self._read = True
        self._silent = 0  # ticks without a sign of the broker

    def begin(self, wire: Wire) -> None:
        """The socket is connected."""
        self._wire = wire
        wire.write(PROTOCOL_HEADER)

    def receive(self, data: bytes) -> None:
        """Take the next octets."""
        # HOT: once per read
        self._read = True
        self.role.begin_read()
        self._reader.feed(data)
        self.role.end_read()

    def write(self, octets: bytes) -> None:
        """Send encoded frames."""
        # HOT: once per write
        if self._wire is not None and not self.ended:
            self._wrote = True
            self._wire.write(octets)

    def send(self, command: type[Method], **arguments: object) -> None:
        """Send a method on the channel."""
        self.write(encode(CHANNEL, make(command, **arguments)))

    def close(self) -> None:
        """Close in order; the end comes when the broker answers."""
        if self.ended or self._closing:
            return
        if not self._opened:
            self._end(None)
            return
        self._closing = True
        self._send_to_connection(commands.Connection.Close, reply_code=SUCCESS, reply_text="done")

    def lost(self, reason: str) -> None:
        """The socket is gone."""
        if not self.ended:
            self._end(None if self._closing else lost(self._where, reason, self._opened))

    def fail(self, sentence: str) -> None:
        """End, because of this."""
        if not self.ended:
            self._end(sentence)

    @property
    def half_interval(self) -> float:
        """Seconds between two ticks; 0 if none are wanted."""
        return self._interval / 2

    def tick(self) -> None:
        """Half a heartbeat interval has passed: send a heartbeat if nothing was sent, give up if nothing came."""
        if self.ended:
            return
        if not self._wrote:
            self.write(HEARTBEAT_FRAME)
        self._silent = 0 if self._read else self._silent + 1
        self._wrote = False
        self._read = False
        if self._silent >= 4:
            self.fail(lost(self._where, f"nothing came for {self._silent * self._interval // 2} s", True))

    def on_ack(self, channel: i64, tag: i64, multiple: bool) -> None:
        self.role.settled(tag, multiple)

    def on_frame(self, kind: i64, channel: i64, payload: bytes) -> None:
        # HOT: three times per delivered message
        if kind == METHOD:
            if len(payload) > 4 and read_i32_be(payload, 0) == DELIVER:
                self.role.deliver(payload)
            else:
                self._method(channel, decode(payload))
        elif kind == HEADER:
            self.role.header(payload)
        elif kind == BODY:
            self.role.body(payload)
        elif kind != HEARTBEAT:
            self.fail(f"{self._where} does not speak AMQP 0-9-1: it sent a frame of type {int(kind)}.")

    def _method(self, channel: i64, method: Method) -> None:
        if channel == 0:
            self._connection_method(method)
        elif isinstance(method, commands.Channel.OpenOk):
            self._opened = True
            self.role.opened(self)
        elif isinstance(method, commands.Channel.Close):
            self._channel_closed(method)
        elif isinstance(method, commands.Channel.Flow):
            self.send(commands.Channel.FlowOk, active=method.active)
            self._stopped = not method.active
            self._hold()
        elif isinstance(method, commands.Basic.Publish):
            self.fail(f"{self._where} is no broker: it sent a basic.publish.")
        else:
            self.role.method(method)

    def _connection_method(self, method: Method) -> None:
        if isinstance(method, commands.Connection.Start):
            self._login()
        elif isinstance(method, commands.Connection.Tune):
            self._tune(method)
        elif isinstance(method, commands.Connection.OpenOk):
            self.send(commands.Channel.Open)
        elif isinstance(method, commands.Connection.Blocked):
            self.blocked = method.reason
            self._hold()
        elif isinstance(method, commands.Connection.Unblocked):
            self.blocked = None
            self._hold()
        elif isinstance(method, commands.Connection.CloseOk):
            self._end(None)
        elif isinstance(method, commands.Connection.Close):
            self._send_to_connection(commands.Connection.CloseOk)
            self._end(None if self._closing else connection_refused(method.reply_code or 0, method.reply_text))

    def _login(self) -> None:
        response = f"\0{self._user}\0{self._password}".encode()
        properties = {
            "product": "amqpd bench",
            "version": __version__,
            "connection_name": self._name,
            "capabilities": Table.of(CAPABILITIES),
        }
        self._send_to_connection(
            commands.Connection.StartOk,
            client_properties=Table.of(properties),
            mechanism="PLAIN",
            response=response,
            locale="en_US",
        )

    def _tune(self, tune: commands.Connection.Tune) -> None:
        self.frame_max = min(tune.frame_max or FRAME_MAX, FRAME_MAX)
        self._interval = min(tune.heartbeat, HEARTBEAT_SECONDS) if tune.heartbeat else 0
        self._reader.limit(self.frame_max)
        self._send_to_connection(
            commands.Connection.TuneOk,
            channel_max=tune.channel_max,
            frame_max=self.frame_max,
            heartbeat=self._interval,
        )
        self._send_to_connection(commands.Connection.Open, virtual_host=self._vhost)

    def _channel_closed(self, close: commands.Channel.Close) -> None:
        self.send(commands.Channel.CloseOk)
        if self.role.refused(close.reply_code or 0, close.reply_text):
            self.send(commands.Channel.Open)
        else:
            self._end(channel_refused(close.reply_code or 0, close.reply_text))

    def _hold(self) -> None:
        held = self._stopped or self.blocked is not None
        was_held, self.held = self.held, held
        if was_held and not held:
            self.role.resumed()

    def _send_to_connection(self, command: type[Method], **arguments: object) -> None:
        self.write(encode(0, make(command, **arguments)))

    def _end(self, fault: str | None) -> None:
        self.ended = True
        self.fault = fault
        self._reader.stop()
        if self._wire is not None:
            self._wire.close()
        if self.on_end is not None:
            self.on_end()
