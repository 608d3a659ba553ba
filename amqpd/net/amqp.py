"""AMQP sockets: an asyncio.Protocol for each, joined to a sans-IO Connection.

Rule: what may live here moves bytes and obeys the Wire. A delivery writes to another connection from inside its
publisher's call, so writes are synchronous; that is why this is no anyio stream.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final, cast

from amqpd.clock import Timer, Timers
from amqpd.net.gate import Arrival
from amqpd.net.peer_certificate import tls_info
from amqpd.protocol.connection import Connection
from amqpd.protocol.services import Address, Services
from amqpd.protocol.throttle import ANSWERS_UNREAD, RESTING
from amqpd.wire.output import Wire

# Octets that wait in the transport before deliveries stop, and below which they go on.
HIGH_WATER: Final = 1024 * 1024
LOW_WATER: Final = 256 * 1024
# A read of so many octets is a turn of its own.
LARGE_READ: Final = 64 * 1024
# Large reads of one socket take at most so many seconds, and one read more, of a pass of the event loop. Otherwise the
# loop would read a busy socket dozens of times before it looks at another one, and one publisher's messages would pile
# up while their consumers have nothing to do. Less would pause and resume the socket for a few messages' sake.
FAIR_SHARE: Final = 0.001
# Publishers to queues that their consumers cannot keep short, all together, get one part of the broker's time,
# everybody else so many.
REST_FACTOR: Final = 3.0
# A client that does not take what was written before the end is cut off so many seconds after it.
FAREWELL: Final = 10.0
# A TLS record has at most so many octets.
RECORD: Final = 16 * 1024


class SocketWire(Wire):
    """A transport as a Wire."""

    def __init__(self, transport: asyncio.Transport, timers: Timers) -> None:
        super().__init__()
        self._transport = transport
        self._timers = timers
        self._farewell: Timer | None = None

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def write_pieces(self, pieces: list[bytes]) -> None:
        self._transport.writelines(pieces)  # uvloop does not join them

    def close(self) -> None:
        self._transport.close()
        if self.unsent():
            self._farewell = self._timers.call_later(FAREWELL, self.abort)

    def closed(self) -> None:
        """The socket is gone."""
        if self._farewell is not None:
            self._farewell.cancel()

    def abort(self) -> None:
        """Close at once; what the peer has not taken is lost."""
        self._transport.abort()

    def unsent(self) -> int:
        """Octets that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()


class TLSWire(SocketWire):
    """A transport that encrypts. Every write becomes a record of its own at least, so small pieces are joined."""

    def write_pieces(self, pieces: list[bytes]) -> None:
        if sum(map(len, pieces)) < len(pieces) * RECORD:
            self._transport.write(b"".join(pieces))
        else:
            self._transport.writelines(pieces)


class Rests:
    """How long publishers rest that were asked to: they queue up, so that together they do not take all the time."""

    def __init__(self) -> None:
        self._over = 0.0  # the monotonic second at which the last rest ends

    def take(self, begun: float, ended: float) -> float:
        """Seconds to rest after a read whose processing began and ended at these monotonic seconds."""
        self._over = max(self._over, ended) + REST_FACTOR * (ended - begun)
        return self._over - ended


class AMQPSocket(asyncio.Protocol):
    """One accepted socket.

    Args:
        services: for the connection.
        rests: the listeners' one.
        open_sockets: the listeners' set of live sockets; this one is in it while it is connected.
        arrival: its place among those whose handshake is not complete; None if nobody counts them.
    """

    def __init__(
        self, services: Services, rests: Rests, open_sockets: set[AMQPSocket], arrival: Arrival | None = None
    ) -> None:
        self._services = services
        self._rests = rests
        self._open_sockets = open_sockets
        self._arrival = arrival
        self._context = services.broker.context
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._silence: Timer | None = None  # ends it, until the first octets are here
        self._wire: SocketWire | None = None
        self._spent = 0.0  # seconds of this pass that its large reads took
        self._tired = False  # it rests, whatever becomes of the pass
        self.connection: Connection | None = None
        """Made with the first octets: who says nothing costs little."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are Transports in everything but the base class, so no isinstance here.
        self._transport = cast(asyncio.Transport, transport)
        self._open_sockets.add(self)
        arrival = self._arrival
        if arrival is None:
            self._begin(0.0)
        else:
            arrival.cut = self.abort
            left = self._services.limits.handshake_timeout - arrival.age()
            self._silence = self._context.timers.call_later(left, self._silent)

    def _silent(self) -> None:
        """Let a connection that has no time left tell that nothing came."""
        self._begin(self._services.limits.handshake_timeout)

    def _begin(self, waited: float) -> Connection:
        """Make the connection, of somebody who has waited for so many seconds."""
        transport = self._transport
        assert transport is not None  # connection_made came first
        if self._silence is not None:
            self._silence.cancel()
        set_no_delay(transport)
        transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        address = address_of(transport)
        wire = SocketWire if address.tls is None else TLSWire
        self._wire = wire(transport, self._context.timers)
        connection = self.connection = Connection(self._services, self._wire, address, waited)
        if self._arrival is not None:
            connection.on_opened = self._arrival.leave
        return connection

    def data_received(self, data: bytes) -> None:
        connection = self.connection
        if connection is None:
            connection = self._begin(0.0 if self._arrival is None else self._arrival.age())
        if len(data) < LARGE_READ:
            self._receive(connection, data, alone=False)
        else:
            self._receive_much(connection, data)
        if connection.output.stalled and self._wire is not None and self._wire.unsent() > ANSWERS_UNREAD:
            connection.throttle.stall()

    def _receive(self, connection: Connection, data: bytes, alone: bool) -> None:
        turn = self._context.turn
        turn.begin_read(alone)
        try:
            connection.receive(data)
        finally:  # a turn that waits for the end of this read would wait for ever
            turn.end_read()

    def _receive_much(self, connection: Connection, data: bytes) -> None:
        """A large read is a turn of its own, and after some of them it is the others' turn."""
        clock = self._context.clock
        begun = clock.monotonic()
        self._receive(connection, data, alone=True)
        ended = clock.monotonic()
        throttle = connection.throttle
        if throttle.tired:
            throttle.tired = False
            self._tired = True
            throttle.add(RESTING)
            self._context.timers.call_later(self._rests.take(begun, ended), self._rested)
            return
        if not self._spent:
            self._loop.call_soon(self._pass_over)  # the loop calls it when it is
        self._spent += ended - begun
        if self._spent >= FAIR_SHARE:
            throttle.add(RESTING)

    def _pass_over(self) -> None:
        self._spent = 0.0
        if self.connection is not None and not self._tired:
            self.connection.throttle.remove(RESTING)

    def _rested(self) -> None:
        self._tired = False
        if self.connection is not None:
            self.connection.throttle.remove(RESTING)

    def pause_writing(self) -> None:
        assert self.connection is not None
        self.connection.output.stall()

    def resume_writing(self) -> None:
        assert self.connection is not None
        self.connection.output.unstall()

    def eof_received(self) -> bool:
        return False  # the transport closes itself

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_sockets.discard(self)
        if self._arrival is not None:
            self._arrival.leave()
        if self._silence is not None:
            self._silence.cancel()
        if self._wire is not None:
            self._wire.closed()
        if self.connection is not None:
            self.connection.lost(str(exc) if exc is not None else "closed by peer")

    def abort(self) -> None:
        """Cut the socket off."""
        if self._transport is not None:
            self._transport.abort()


def set_no_delay(transport: asyncio.Transport) -> None:
    """Without TCP_NODELAY a peer's confirms wait for delayed acknowledgements of TCP."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def address_of(transport: asyncio.Transport) -> Address:
    """Both ends of a transport; a socket that is gone already has empty ones."""
    peer = transport.get_extra_info("peername") or ("", 0)
    own = transport.get_extra_info("sockname") or ("", 0)
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    known = None if tls is None else tls_info(tls)
    return Address(str(peer[0]), int(peer[1]), str(own[0]), int(own[1]), known)
