"""A connection: bytes and time in, bytes and effects out. The one place where errors become close methods.

Rule: what may live here concerns the connection as a whole: its state, its channels, its end. Handshake, throttling and
heartbeats have their own files, methods on channels are in methods/.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64
from pamqp import commands

from amqpd.broker.context import Context
from amqpd.broker.message import route_of
from amqpd.clock import Timer
from amqpd.errors import (
    AMQPError,
    ChannelError,
    CommandInvalid,
    ConnectionForced,
    Disconnect,
    InternalError,
    LoginRefused,
    NotAllowed,
    UnexpectedFrame,
)
from amqpd.protocol.channel import Channel, ChannelState
from amqpd.protocol.content import Awaiting
from amqpd.protocol.dispatch import HANDLERS
from amqpd.protocol.events import channel_opened, connection_closed, connection_opened, login_failed, login_succeeded
from amqpd.protocol.handshake import ACCEPTED_HEADERS, LINGER, PROTOCOL_HEADER, Handshake
from amqpd.protocol.heartbeat import Heartbeat
from amqpd.protocol.patience import Patience
from amqpd.protocol.services import Address, Services
from amqpd.protocol.session import Session, has_capability
from amqpd.protocol.state import ENDED, HANDSHAKE, LEGAL, ConnectionState
from amqpd.protocol.throttle import ANSWERS_UNREAD, Throttle
from amqpd.wire.frames import (
    BASIC_ACK,
    BASIC_PUBLISH,
    BODY,
    HEADER,
    HEARTBEAT,
    METHOD,
    FrameHandler,
    FrameReader,
    octets_text,
    unknown_frame,
)
from amqpd.wire.methods import Method, decode, encode, make
from amqpd.wire.output import Output, Wire

# Octets of payload before tuning; RabbitMQ 4.1 allows as many.
INITIAL_PAYLOAD: Final = 8192
# What a frame must at least hold to be one of its type: the ids of a method, what a content header begins with.
LEAST_PAYLOAD: Final = {METHOD: 4, HEADER: 12, BODY: 0}
NO_SUCH_FRAME: Final = 1 << 32
# A peer that does not answer connection.close is waited for as long as its heartbeat, at most this many seconds.
CLOSE_SECONDS: Final = 30.0


@final
class Connection(FrameHandler):
    """One client's connection.

    The edge calls receive() with what the socket delivers, lost() once when it is gone, and obeys the Wire.
    """

    def __init__(self, services: Services, wire: Wire, address: Address) -> None:
        self.address = address
        self.session: Session | None = None
        self.state = ConnectionState.PROTOCOL_HEADER
        self._services = services
        self._wire = wire
        self._context: Context = services.broker.context
        self._alarms = services.broker.alarms
        self._observer = services.observer
        self._events = services.broker.events
        self.connected_at: i64 = self._context.now()  # milliseconds since the epoch
        self._reader = FrameReader(self, INITIAL_PAYLOAD)
        self.output = Output(wire, self._context.turn)
        self.output.on_room = self._room
        self.throttle = Throttle(wire, self._reader, self._may_hold, self._reading_changed)
        self.throttle.on_unblock = self._unblocked
        self.throttle.on_unstall = self._process_kept
        self.handshake = Handshake(services.broker, services.users, services.limits, address.peer_host)
        self._start = b""  # the protocol header as far as it has come
        self._heartbeat: Heartbeat | None = None
        timeout = services.limits.handshake_timeout
        self._timer: Timer = self._context.timers.call_later(timeout, self._handshake_timed_out)
        self._channels: dict[int, Channel] = {}
        self._last_channel: Channel | None = None
        self._method: i64 = 0  # class and method id of what is being processed; 0 for none
        self._released = False
        self._told_blocked = False
        self.received: i64 = 0  # octets

    # What the edge calls.

    def receive(self, data: bytes) -> None:
        """Take what the socket delivered. Never raises."""
        # HOT: once per read
        self.received += len(data)
        if self._heartbeat is not None:
            self._heartbeat.received()
        if self.state is ConnectionState.PROTOCOL_HEADER:
            data = self._protocol_header(data)
            if not data:
                return
        try:
            self._reader.feed(data)
        except AMQPError as error:
            # The stream is out of step: nothing behind this can be understood, not even close_ok.
            self._reader.stop()
            self._method = 0
            if self.state not in ENDED:
                self._fail(error, 0)
            self._close_socket_after(LINGER)

    def lost(self, reason: str) -> None:
        """The socket is gone."""
        self.output.abandon()
        self._reader.stop()
        self._release()
        session = self.session
        self._timer.cancel()
        if self._heartbeat is not None:
            self._heartbeat.stop()
        self.state = ConnectionState.CLOSED
        if session is not None:
            self._observer.closed(self, reason)
            connection_closed(self._events, session)

    def force_close(self, explanation: str) -> None:
        """Close as an operator does (320)."""
        if self.state in HANDSHAKE:
            self._disconnect(Disconnect(explanation))
        elif self.state not in ENDED:
            self._fail(ConnectionForced(explanation, about_method=False), 0)
            # Even of a blocked connection the answer must be read; messages before it are discarded now.
            self._told_blocked = False
            self.throttle.unblock()

    def check_patience(self, now: float) -> None:
        """Close the channels whose deliveries have waited too long for their acknowledgement.

        Args:
            now: the monotonic second.
        """
        for channel in list(self._channels.values()):
            if channel.state is ChannelState.OPEN:
                try:
                    channel.patience.check(int(channel.number), channel.ledger, now)
                except AMQPError as error:
                    self._fail(error, channel.number)

    # What the frame reader calls.

    def on_publish(
        self, channel: i64, route: bytes, bits: i64, content: bytes, header_end: i64, body_size: i64
    ) -> None:
        # HOT: once per published message
        target = self._last_channel
        if target is None or target.number != channel:
            target = self._find_channel(channel)
        if target is None or not target.receptive:
            self._publish_by_frames(channel, route, bits, content, header_end, body_size)
            return
        self._method = BASIC_PUBLISH
        try:
            target.publishing.publish(route, bits, content, header_end, body_size, body_size)
        except AMQPError as error:
            self._fail(error, channel)
        except Exception as fault:  # one of the broker's own must not take other connections along
            self._crash(fault)
        if self._alarms.active:
            self._block()

    def on_ack(self, channel: i64, tag: i64, multiple: bool) -> None:
        # HOT: once per basic.ack
        target = self._last_channel
        if target is None or target.number != channel:
            target = self._find_channel(channel)
        if target is None or not target.receptive:
            payload = BASIC_ACK.to_bytes(4, "big") + int(tag).to_bytes(8, "big", signed=True) + bytes([multiple])
            self.on_frame(METHOD, channel, payload)
            return
        self._method = BASIC_ACK
        try:
            target.acknowledge(tag, multiple)
        except AMQPError as error:
            self._fail(error, channel)
        except Exception as fault:  # as above
            self._crash(fault)

    def on_frame(self, kind: i64, channel: i64, payload: bytes) -> None:
        self._method = 0
        try:
            self._frame(kind, channel, payload)
        except AMQPError as error:
            self._fail(error, channel)
        except Disconnect as disconnect:
            self._disconnect(disconnect)
        except Exception as fault:  # as above
            self._crash(fault)
        if self.output.size > ANSWERS_UNREAD:
            self.throttle.stall()

    # Frames.

    def _protocol_header(self, data: bytes) -> bytes:
        """Take the first 8 octets; returns what stands behind them, if they were right."""
        self._start += data
        if len(self._start) < len(PROTOCOL_HEADER):
            return b""
        header, rest = self._start[:8], self._start[8:]
        self._start = b""
        if header not in ACCEPTED_HEADERS:
            self.output.write(PROTOCOL_HEADER)
            self._disconnect(Disconnect(f"unknown protocol header {header!r}"))
            return b""
        self.state = ConnectionState.STARTING
        self._send(self.handshake.start(self._services.version))
        return rest

    def _frame(self, kind: i64, number: i64, payload: bytes) -> None:
        if kind == HEARTBEAT:
            check_heartbeat(number, payload)
        elif len(payload) < LEAST_PAYLOAD.get(int(kind), NO_SUCH_FRAME):
            raise unknown_frame(kind, payload)
        elif number == 0:
            self._connection_frame(kind, payload)
        elif self.state is ConnectionState.RUNNING:
            self._channel_frame(kind, number, payload)
        elif self.state in HANDSHAKE:
            raise Disconnect(f"frame on channel {number} before connection.open_ok", LINGER)

    def _connection_frame(self, kind: i64, payload: bytes) -> None:
        if kind != METHOD:
            if self.state in ENDED:
                return
            raise unexpected_frame(kind, payload)
        method = self._decode(payload)
        if type(method) in LEGAL[self.state]:
            self._handle(method)
        elif self.state in HANDSHAKE:
            raise Disconnect(f"unexpected {method.name} while waiting for {self.state.value}", LINGER)
        elif self.state is ConnectionState.RUNNING:
            raise ChannelError("unexpected method in connection state running")

    def _channel_frame(self, kind: i64, number: i64, payload: bytes) -> None:
        channel = self._channels.get(int(number))
        if channel is not None and channel.state is ChannelState.CLOSING:
            self._closing_channel_frame(channel, kind, payload)
        elif channel is not None and channel.content.awaiting is not Awaiting.METHOD:
            self._method = BASIC_PUBLISH
            complete = channel.content.take(int(kind), payload)
            if self._alarms.active and not complete:
                self._block()
            if complete:
                channel.receptive = True
                self._publish_assembled(channel)
        elif kind != METHOD:
            raise UnexpectedFrame("expected method frame, got non method frame instead", about_method=False)
        else:
            self._channel_method(channel, number, self._decode(payload))

    def _channel_method(self, channel: Channel | None, number: i64, method: Method) -> None:
        if channel is None:
            if not isinstance(method, commands.Channel.Open):
                raise ChannelError("expected 'channel.open'")
            self._open_channel(int(number))
        elif isinstance(method, commands.Basic.Publish):
            channel.content.begin(
                route_of(method.exchange, method.routing_key), method.mandatory | method.immediate << 1
            )
            channel.receptive = False
        elif isinstance(method, commands.Channel.Open):
            raise ChannelError("second 'channel.open' seen")
        elif isinstance(method, commands.Channel.Close):
            self._remove_channel(channel)
            channel.close()
            channel.send(make(commands.Channel.CloseOk))
        else:
            handler = HANDLERS.get(type(method))
            if handler is None:
                raise CommandInvalid("unimplemented method")
            handler(channel, method)

    def _closing_channel_frame(self, channel: Channel, kind: i64, payload: bytes) -> None:
        """Between channel.close and close_ok everything else is discarded; crossing closes are answered."""
        if kind != METHOD:
            return
        method = self._decode(payload)
        if isinstance(method, commands.Channel.CloseOk):
            self._remove_channel(channel)
        elif isinstance(method, commands.Channel.Close):
            channel.send(make(commands.Channel.CloseOk))

    def _publish_by_frames(
        self, channel: i64, route: bytes, bits: i64, content: bytes, header_end: i64, body_size: i64
    ) -> None:
        """The channel cannot take a publish now: let each of its frames meet its fate."""
        method = BASIC_PUBLISH.to_bytes(4, "big") + b"\x00\x00" + route + bytes([bits])
        self.on_frame(METHOD, channel, method)
        self.on_frame(HEADER, channel, content[7 : header_end - 1])
        if body_size:
            self.on_frame(BODY, channel, content[header_end + 7 : len(content) - 1])

    def _publish_assembled(self, channel: Channel) -> None:
        content = channel.content
        channel.publishing.publish(
            content.route,
            content.bits,
            content.content(),
            content.header_end,
            content.body_size,
            content.largest_body,
        )
        if self._alarms.active:
            self._block()

    def _decode(self, payload: bytes) -> Method:
        self._method = int.from_bytes(payload[:4], "big")
        return decode(payload)

    # Methods of the connection class.

    def _handle(self, method: Method) -> None:
        if isinstance(method, commands.Connection.StartOk):
            self._log_in(method)
        elif isinstance(method, commands.Connection.TuneOk):
            self.handshake.tune_ok(method)
            self._reader.limit(self.handshake.frame_max)
            if self.handshake.heartbeat:
                self._heartbeat = Heartbeat(
                    self.handshake.heartbeat, self._context.timers, self.output, self._peer_is_dead
                )
            self.state = ConnectionState.OPENING
        elif isinstance(method, commands.Connection.Open):
            self._open(method)
        elif isinstance(method, commands.Connection.Close):
            self._release()
            self._send(make(commands.Connection.CloseOk))
            if self.state is ConnectionState.RUNNING:
                self.state = ConnectionState.CLOSED
                self._close_socket_after(self._close_seconds())
        elif isinstance(method, commands.Connection.CloseOk):
            self.state = ConnectionState.CLOSED
            self._close_socket()
        elif isinstance(method, commands.Connection.UpdateSecret):
            self._send(make(commands.Connection.UpdateSecretOk))

    def _log_in(self, method: commands.Connection.StartOk) -> None:
        try:
            user = self.handshake.start_ok(method)
        except (LoginRefused, Disconnect) as error:
            login_failed(self._events, self, error)
            raise
        self._observer.authenticated(self, user.name)
        login_succeeded(self._events, self)
        self._send(self.handshake.tune())
        self.state = ConnectionState.TUNING

    def _open(self, method: commands.Connection.Open) -> None:
        self.session = self.handshake.open(method, str(self.address))
        self._timer.cancel()
        self._send(make(commands.Connection.OpenOk))
        self.state = ConnectionState.RUNNING
        self._services.connections.add(self)
        self._observer.opened(self, self.session)
        connection_opened(self._events, self, self.session)

    def _open_channel(self, number: int) -> None:
        limit = self.handshake.channel_max
        if limit and len(self._channels) >= limit:
            raise NotAllowed(
                f"number of channels opened ({len(self._channels)}) has reached the negotiated channel_max ({limit})",
                about_method=False,
            )
        assert self.session is not None  # the state is RUNNING
        patience = Patience(self._services.limits.consumer_timeout)
        channel = Channel(number, self.session, self.output, self.throttle, self._context, patience)
        self._channels[number] = channel
        channel_opened(channel)
        channel.send(make(commands.Channel.OpenOk))

    # Endings.

    def _fail(self, error: AMQPError, number: i64) -> None:
        """Answer an error with channel.close or connection.close, whichever its code asks for."""
        method = self._method if error.about_method else 0
        channel = self._channels.get(int(number))
        if self.state in HANDSHAKE:
            self._refuse(error, method)
        elif self.state in ENDED:
            return
        elif error.closes_connection or channel is None:
            self._observer.failed(self, error)
            self._close(error, method)
        else:
            self._observer.channel_failed(self, int(number), error)
            channel.close()
            channel.state = ChannelState.CLOSING
            channel.receptive = False
            channel.send(close_method(commands.Channel.Close, error, method))

    def _refuse(self, error: AMQPError, method: i64) -> None:
        """The handshake failed. Only a refused login and a refused virtual host are told to the client."""
        self._observer.refused(self, error.reply_text + self._untold())
        if isinstance(error, NotAllowed):
            self._close(error, method)
        elif error.closes_connection and error.code == 403:
            self._close(error, method)
            self._close_socket_after(LINGER)
        else:
            self._disconnect(Disconnect(error.reply_text, LINGER), told=True)

    def _untold(self) -> str:
        """Why a login was refused, which the client is not told."""
        refusal = self.handshake.refusal
        return f" ({refusal})" if refusal else ""

    def _close(self, error: AMQPError, method: i64) -> None:
        self._release()
        self._send(close_method(commands.Connection.Close, error, method))
        self.state = ConnectionState.CLOSING
        self._close_socket_after(self._close_seconds())

    def _crash(self, error: Exception) -> None:
        self._observer.crashed(self, error)
        self._fail(InternalError(about_method=False), 0)

    def _disconnect(self, disconnect: Disconnect, told: bool = False) -> None:
        """Close the socket without a close method."""
        if self.state in HANDSHAKE:
            if not told:
                self._observer.refused(self, disconnect.reason)
        else:
            self._observer.failed(self, InternalError(disconnect.reason))
        self._reader.stop()
        self._release()
        self.state = ConnectionState.CLOSED
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if disconnect.linger:
            self._close_socket_after(disconnect.linger)
        else:
            self._close_socket()

    def _release(self) -> None:
        """Give back everything that the connection holds in the broker."""
        if self._released:
            return
        self._released = True
        self._services.connections.remove(self)
        channels = list(self._channels.values())
        self._channels.clear()
        self._last_channel = None
        for channel in channels:
            channel.close()
        self._alarms.forget(self.throttle)
        if self.session is not None:
            self.session.vhost.delete_exclusive_queues(self.session)

    def _remove_channel(self, channel: Channel) -> None:
        del self._channels[int(channel.number)]
        if self._last_channel is channel:
            self._last_channel = None

    def _close_seconds(self) -> float:
        heartbeat = self.handshake.heartbeat
        return float(heartbeat) if 0 < heartbeat < CLOSE_SECONDS else CLOSE_SECONDS

    def _close_socket_after(self, seconds: float) -> None:
        self._timer.cancel()
        self._timer = self._context.timers.call_later(seconds, self._close_socket)

    def _close_socket(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.stop()
        self._timer.cancel()
        self.output.close()

    # Timers and brakes.

    def _handshake_timed_out(self) -> None:
        self._disconnect(Disconnect("handshake timeout"))

    def _peer_is_dead(self) -> None:
        if self.state in ENDED:
            self._close_socket()
        else:
            self._disconnect(Disconnect("missed heartbeats from client"))

    def _may_hold(self) -> bool:
        return not any(channel.consumers or channel.ledger.count for channel in self._channels.values())

    def _reading_changed(self, paused: bool) -> None:
        if self._heartbeat is not None:
            if paused:
                self._heartbeat.suspend()
            else:
                self._heartbeat.resume()

    def _block(self) -> None:
        """An alarm is set and this connection publishes: stop reading it."""
        if self.throttle.blocked or self.state is not ConnectionState.RUNNING:
            return
        self.throttle.block()
        self._alarms.wait(self.throttle)
        assert self.session is not None  # the state is RUNNING
        if has_capability(self.session.client_properties, "connection.blocked"):
            self._told_blocked = True
            self._send(make(commands.Connection.Blocked, reason=self._alarms.reason))

    def _unblocked(self) -> None:
        if self._told_blocked:
            self._told_blocked = False
            self._send(make(commands.Connection.Unblocked))
        self._process_kept()

    def _room(self) -> None:
        for channel in self._channels.values():
            channel.resume_consumers()
        self.throttle.unstall()

    def _process_kept(self) -> None:
        """Go on in the middle of what was read."""
        self.receive(b"")

    def _find_channel(self, number: i64) -> Channel | None:
        channel = self._channels.get(int(number))
        if channel is not None:
            self._last_channel = channel
        return channel

    def _send(self, method: Method) -> None:
        self.output.write(encode(0, method))


def check_heartbeat(number: i64, payload: bytes) -> None:
    """Heartbeats are empty and come on channel 0.

    Raises:
        UnexpectedFrame, FrameError: this one does not.
    """
    if number:
        raise unexpected_frame(HEARTBEAT, payload)
    if payload:
        raise unknown_frame(HEARTBEAT, payload)


def unexpected_frame(kind: i64, payload: bytes) -> UnexpectedFrame:
    """The error for a frame on a channel where its type has no place."""
    return UnexpectedFrame(f"type {kind}, {octets_text(payload)}", about_method=False)


def close_method(command: type[Method], error: AMQPError, method: i64) -> Method:
    """The channel.close or connection.close that tells of an error."""
    return make(
        command, reply_code=error.code, reply_text=error.reply_text, class_id=method >> 16, method_id=method & 0xFFFF
    )
