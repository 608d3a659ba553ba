"""A connection: bytes and time in, bytes and effects out. The one place where errors become close methods.

Rule: what may live here concerns the connection as a whole: its state, its end, what is to be done when something goes
wrong. Handshake, channels, throttling and heartbeats have their own files, methods are in methods/.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64
from pamqp import commands

from amqpd.broker.counters import Octets, Sampled
from amqpd.errors import AMQPError, ChannelError, ConnectionForced, Disconnect, InternalError, NotAllowed
from amqpd.protocol.authentication import Authentication
from amqpd.protocol.channel import ChannelState
from amqpd.protocol.channels import Channels
from amqpd.protocol.dispatch import CONNECTION_HANDLERS
from amqpd.protocol.events import connection_closed, connection_opened
from amqpd.protocol.handshake import ACCEPTED_HEADERS, LINGER, PROTOCOL_HEADER, Handshake
from amqpd.protocol.heartbeat import Heartbeat
from amqpd.protocol.services import Address, Services
from amqpd.protocol.session import Session, has_capability
from amqpd.protocol.state import ENDED, HANDSHAKE, LEGAL, ConnectionState
from amqpd.protocol.throttle import ANSWERS_UNREAD, Throttle
from amqpd.wire.frames import (
    BASIC_ACK,
    BASIC_PUBLISH,
    HEARTBEAT,
    METHOD,
    FrameHandler,
    FrameReader,
    check_frame,
    payload_of_ack,
    unexpected_frame,
)
from amqpd.wire.methods import Method, decode, encode, make
from amqpd.wire.output import Output, Wire

# Octets of payload before tuning; RabbitMQ 4.1 allows as many.
INITIAL_PAYLOAD: Final = 8192
# A peer that does not answer connection.close is waited for as long as its heartbeat, at most this many seconds.
CLOSE_SECONDS: Final = 30.0


@final
class Connection(FrameHandler, Sampled):
    """One client's connection.

    The edge calls receive() with what the socket delivers, lost() once when it is gone, and obeys the Wire.

    Args:
        since: seconds that the client has had already of the time that a handshake may take.
    """

    def __init__(self, services: Services, wire: Wire, address: Address, since: float = 0.0) -> None:
        self.address = address
        self.session: Session | None = None
        self.state = ConnectionState.PROTOCOL_HEADER
        self.services = services
        self.context = services.broker.context
        self._alarms = services.broker.alarms
        self.events = services.broker.events
        self.connected_at: i64 = self.context.now()  # milliseconds since the epoch
        self._reader = FrameReader(self, INITIAL_PAYLOAD)
        self.output = Output(wire, self.context.turn)
        self.output.on_room = self._room
        self.throttle = Throttle(wire, self._reader, self._may_hold, self._reading_changed)
        self.throttle.on_unblock = self._unblocked
        self.throttle.on_unstall = self._process_kept
        self.handshake = Handshake(
            services.broker,
            services.login,
            services.limits,
            services.connections,
            address.peer_host,
            None if address.tls is None else address.tls.certificate,
        )
        self.authentication: Authentication | None = None  # whose check takes its time
        self._start = b""  # the protocol header as far as it has come
        self._heartbeat: Heartbeat | None = None
        timeout = max(services.limits.handshake_timeout - since, 0.0)
        self.on_opened: Callable[[], None] | None = None  # told when the handshake is complete
        self._timer = self.context.timers.call_later(timeout, self._handshake_timed_out)
        self.channels = Channels(self)
        self.processing: i64 = 0  # class and method id of what is being processed; 0 for none
        self._released = False
        self._told_blocked = False
        self.received: i64 = 0  # octets
        self.reads: i64 = 0  # pieces in which they came
        self.sampled: i64 = 0
        self.active_at: i64 = 0

    # What the edge calls.

    def receive(self, data: bytes) -> None:
        """Take what the socket delivered. Never raises."""
        # HOT: once per read
        self.received += len(data)
        self.reads += 1
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
            self.processing = 0
            if self.state not in ENDED:
                self.fail(error, 0)
            self._close_socket_after(LINGER)
        last = self.channels.last
        if last is not None:
            last.publishing.count()

    def lost(self, reason: str) -> None:
        """The socket is gone."""
        self.output.abandon()
        self._reader.stop()
        self.release()
        self._stop_timers()
        self.state = ConnectionState.CLOSED
        if self.session is not None:
            self.services.observer.closed(self, reason)
            self.context.counters.churn.connection_closed += 1
            connection_closed(self.events, self.session)

    def force_close(self, explanation: str) -> None:
        """Close as an operator does (320)."""
        if self.state in HANDSHAKE:
            self._disconnect(Disconnect(explanation))
        elif self.state not in ENDED:
            self.fail(ConnectionForced(explanation, about_method=False), 0)
            # Even of a blocked connection the answer must be read; messages before it are discarded now.
            self._told_blocked = False
            self.throttle.unblock()

    def activity(self) -> i64:
        return self.received + self.output.sent

    def check_patience(self, now: float) -> None:
        """Close the channels whose deliveries have waited too long for their acknowledgement.

        Args:
            now: the monotonic second.
        """
        for channel in self.channels.all():
            if channel.state is ChannelState.OPEN:
                try:
                    channel.patience.check(int(channel.number), channel.ledger, now)
                except AMQPError as error:
                    self.fail(error, channel.number)

    # What the frame reader calls.

    def on_publish(
        self,
        channel: i64,
        route: bytes,
        bits: i64,
        property_list: bytes,
        content: bytes,
        header_end: i64,
        body_size: i64,
    ) -> None:
        # HOT: once per published message
        target = self.channels.last
        if target is None or target.number != channel:
            target = self.channels.find(channel)
        if target is None or not target.receptive:
            # The channel cannot take a publish now: let each of its frames meet its fate.
            super().on_publish(channel, route, bits, property_list, content, header_end, body_size)
            return
        self.processing = BASIC_PUBLISH
        try:
            target.publishing.publish(route, bits, property_list, content, header_end, body_size, body_size)
        except AMQPError as error:
            self.fail(error, channel)
        except Exception as fault:  # one of the broker's own must not take other connections along
            self._crash(fault)
        if self._alarms.active:
            self.heed_alarms()

    def on_ack(self, channel: i64, tag: i64, multiple: bool) -> None:
        # HOT: once per basic.ack
        target = self.channels.last
        if target is None or target.number != channel:
            target = self.channels.find(channel)
        if target is None or not target.receptive:
            self.on_frame(METHOD, channel, payload_of_ack(tag, multiple))
            return
        self.processing = BASIC_ACK
        try:
            target.acknowledge(tag, multiple)
        except AMQPError as error:
            self.fail(error, channel)
        except Exception as fault:  # as above
            self._crash(fault)

    def on_frame(self, kind: i64, channel: i64, payload: bytes) -> None:
        self.processing = 0
        try:
            self._frame(kind, channel, payload)
        except AMQPError as error:
            self.fail(error, channel)
        except Disconnect as disconnect:
            self._disconnect(disconnect)
        except Exception as fault:  # as above
            self._crash(fault)
        if self.output.size > ANSWERS_UNREAD:
            self.throttle.stall()

    def carry_out(self, step: Callable[[], None]) -> None:
        """Do something for the client that is not about a frame; what is wrong is answered as if it were."""
        self.processing = 0
        try:
            step()
        except AMQPError as error:
            self.fail(error, 0)
        except Disconnect as disconnect:
            self._disconnect(disconnect)
        except Exception as fault:  # as above
            self._crash(fault)

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
        self.send(self.handshake.start(self.services.version))
        return rest

    def _frame(self, kind: i64, number: i64, payload: bytes) -> None:
        check_frame(kind, number, payload)
        if kind == HEARTBEAT:
            return
        if number == 0:
            self._connection_frame(kind, payload)
        elif self.state is ConnectionState.RUNNING:
            self.channels.take_frame(kind, number, payload)
        elif self.state in HANDSHAKE:
            raise Disconnect(f"frame on channel {number} before connection.open_ok", LINGER)

    def _connection_frame(self, kind: i64, payload: bytes) -> None:
        if kind != METHOD:
            if self.state in ENDED:
                return
            raise unexpected_frame(kind, payload)
        method = self.decode(payload)
        if type(method) in LEGAL[self.state]:
            CONNECTION_HANDLERS[type(method)](self, method)
        elif self.state in HANDSHAKE:
            raise Disconnect(f"unexpected {method.name} while waiting for {self.state.value}", LINGER)
        elif self.state is ConnectionState.RUNNING:
            raise ChannelError("unexpected method in connection state running")

    # What methods and channels call.

    def decode(self, payload: bytes) -> Method:
        """The method of a frame, which is what is being processed from now on."""
        self.processing = int.from_bytes(payload[:4], "big")
        return decode(payload)

    def send(self, method: Method) -> None:
        """Send a method on channel 0."""
        self.output.write(encode(0, method))

    def heed_alarms(self) -> None:
        """The client publishes: if a resource alarm is set, stop reading it and tell it so."""
        if not self._alarms.active or self.throttle.blocked or self.state is not ConnectionState.RUNNING:
            return
        self.throttle.block()
        self._alarms.wait(self.throttle)
        assert self.session is not None  # the state is RUNNING
        if has_capability(self.session.client_properties, "connection.blocked"):
            self._told_blocked = True
            self.send(make(commands.Connection.Blocked, reason=self._alarms.reason))

    def tuned(self) -> None:
        """Frame size and heartbeat are agreed: they hold from now on."""
        self._reader.limit(self.handshake.frame_max)
        if self.handshake.heartbeat:
            self._heartbeat = Heartbeat(self.handshake.heartbeat, self.context.timers, self.output, self._peer_is_dead)
        self.state = ConnectionState.OPENING

    def opened(self, session: Session) -> None:
        """The handshake is complete."""
        self.session = session
        self._timer.cancel()
        self.state = ConnectionState.RUNNING
        self.services.connections.add(self)
        if self.on_opened is not None:
            self.on_opened()
        self.context.counters.churn.connection_created += 1
        self.services.observer.opened(self, session)
        connection_opened(self.events, self, session)

    def closed(self, wait: bool) -> None:
        """Both sides know that this is the end: close the socket, or wait a while for the client to do so."""
        self.state = ConnectionState.CLOSED
        if wait:
            self._close_socket_after(self._close_seconds())
        else:
            self._close_socket()

    def release(self) -> None:
        """Give back everything that the connection holds in the broker."""
        if self._released:
            return
        self._released = True
        if self.authentication is not None:
            self.authentication.abandon()
        self.services.connections.remove(self)
        if self.session is not None:
            self._count_closed(self.context.counters.closed)
            self._count_closed(self.session.vhost.totals.closed)
        self.channels.close_all()
        self._alarms.forget(self.throttle)
        if self.session is not None:
            self.session.vhost.delete_exclusive_queues(self.session)

    def _count_closed(self, closed: Octets) -> None:
        closed.recv_oct += self.received
        closed.recv_cnt += self.reads
        closed.send_oct += self.output.sent
        closed.send_cnt += self.output.writes

    # Endings.

    def fail(self, error: AMQPError, number: i64) -> None:
        """Answer an error with channel.close or connection.close, whichever its code asks for."""
        method = self.processing if error.about_method else 0
        channel = self.channels.find(number)
        if self.state in HANDSHAKE:
            self._refuse(error, method)
        elif self.state in ENDED:
            return
        elif error.closes_connection or channel is None:
            self.services.observer.failed(self, error)
            self._close(error, method)
        else:
            self.services.observer.channel_failed(self, int(number), error)
            held = channel.held
            channel.close()
            channel.state = ChannelState.CLOSING
            channel.receptive = False
            channel.send(close_method(commands.Channel.Close, error, method))
            if held is not None:  # what came while the channel waited; the peer may have sent channel.close, too
                for kind, payload in held.frames:
                    self.on_frame(kind, number, payload)

    def _refuse(self, error: AMQPError, method: i64) -> None:
        """The handshake failed. Only a refused login and a refused virtual host are told to the client."""
        handshake, reason = self.handshake, error.reply_text
        if handshake.refusal:
            reason = f"{reason} (login of {handshake.login!r} refused: {handshake.refusal})"
        self.services.observer.refused(self, reason)
        if isinstance(error, NotAllowed):
            self._close(error, method)
        elif error.closes_connection and error.code == 403:
            self._close(error, method)
            self._close_socket_after(LINGER)
        else:
            self._disconnect(Disconnect(error.reply_text, LINGER), told=True)

    def _close(self, error: AMQPError, method: i64) -> None:
        self.release()
        self.send(close_method(commands.Connection.Close, error, method))
        self.state = ConnectionState.CLOSING
        self._close_socket_after(self._close_seconds())

    def _crash(self, error: Exception) -> None:
        self.services.observer.crashed(self, error)
        self.fail(InternalError(about_method=False), 0)

    def _disconnect(self, disconnect: Disconnect, told: bool = False) -> None:
        """Close the socket without a close method."""
        if self.state in HANDSHAKE:
            if not told:
                self.services.observer.refused(self, disconnect.reason)
        else:
            self.services.observer.failed(self, InternalError(disconnect.reason))
        self._reader.stop()
        self.release()
        self.state = ConnectionState.CLOSED
        self._stop_timers()
        if disconnect.linger:
            self._close_socket_after(disconnect.linger)
        else:
            self._close_socket()

    def _close_seconds(self) -> float:
        heartbeat = self.handshake.heartbeat
        return float(heartbeat) if 0 < heartbeat < CLOSE_SECONDS else CLOSE_SECONDS

    def _close_socket_after(self, seconds: float) -> None:
        self._timer.cancel()
        self._timer = self.context.timers.call_later(seconds, self._close_socket)

    def _close_socket(self) -> None:
        self._stop_timers()
        self.output.close()

    def _stop_timers(self) -> None:
        self._timer.cancel()
        if self._heartbeat is not None:
            self._heartbeat.stop()

    # Timers and brakes.

    def _handshake_timed_out(self) -> None:
        self._disconnect(Disconnect("handshake timeout"))

    def _peer_is_dead(self) -> None:
        if self.state in ENDED:
            self._close_socket()
        else:
            self._disconnect(Disconnect("missed heartbeats from client"))

    def _may_hold(self) -> bool:
        return not self.channels.consuming

    def _reading_changed(self, paused: bool) -> None:
        if self._heartbeat is not None:
            if paused:
                self._heartbeat.suspend()
            else:
                self._heartbeat.resume()

    def _unblocked(self) -> None:
        if self._told_blocked:
            self._told_blocked = False
            self.send(make(commands.Connection.Unblocked))
        self._process_kept()

    def _room(self) -> None:
        self.channels.resume_consumers()
        self.throttle.unstall()

    def _process_kept(self) -> None:
        """Go on in the middle of what was read."""
        self.receive(b"")


def close_method(command: type[Method], error: AMQPError, method: i64) -> Method:
    """The channel.close or connection.close that tells of an error."""
    return make(
        command, reply_code=error.code, reply_text=error.reply_text, class_id=method >> 16, method_id=method & 0xFFFF
    )
