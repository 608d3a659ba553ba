"""Sockets of a TLS listener until their handshake begins: one that says nothing costs a file and little memory.

Rule: what may live here looks at first octets and keeps order among those who wait. The handshake itself is the event
loop's.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Final

from amqpd.broker.context import Context
from amqpd.clock import Timer
from amqpd.logs import WARNING, event
from amqpd.net.gate import Arrival

HANDSHAKE_RECORD: Final = b"\x16"
# So many handshakes begin in each pass of the event loop: each costs the broker a signature.
STARTS_PER_PASS: Final = 2
# So many sockets that have something to read are looked at in each pass: thousands may hang up at once.
LOOKS_PER_PASS: Final = 64


class TLSArrivals:
    """Those who have come to a TLS listener.

    Args:
        start: begins the handshake.
        timeout: seconds that one may stay silent.
        context: its timers.
        logger: is told of those who speak something else.
    """

    def __init__(
        self,
        start: Callable[[socket.socket, Arrival], None],
        timeout: float,
        context: Context,
        logger: logging.Logger,
    ) -> None:
        self._start = start
        self._timeout = timeout
        self._context = context
        self._logger = logger
        self._loop = asyncio.get_running_loop()
        self._ready: dict[Arrival, tuple[socket.socket, Timer]] = {}  # they can be read, and wait for their turn
        self._scheduled = False

    def serve(self, sock: socket.socket, arrival: Arrival) -> None:
        """A socket was accepted."""
        timer = self._context.timers.call_later(self._timeout, partial(self._silent, sock, arrival))
        arrival.cut = partial(self._drop, sock, arrival, timer)
        self._loop.add_reader(sock.fileno(), self._spoken, sock, arrival, timer)

    def _silent(self, sock: socket.socket, arrival: Arrival) -> None:
        refused(self._logger, sock, "handshake timeout")
        if arrival.cut is not None:
            arrival.cut()

    def _drop(self, sock: socket.socket, arrival: Arrival, timer: Timer) -> None:
        timer.cancel()
        self._ready.pop(arrival, None)
        self._loop.remove_reader(sock.fileno())
        sock.close()
        arrival.leave()

    def _spoken(self, sock: socket.socket, arrival: Arrival, timer: Timer) -> None:
        """The first octets are here, or the end."""
        self._loop.remove_reader(sock.fileno())
        self._ready[arrival] = sock, timer
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._look_at_some)

    def _look_at_some(self) -> None:
        left = STARTS_PER_PASS
        for arrival in list(islice(self._ready, LOOKS_PER_PASS)):
            sock, timer = self._ready.pop(arrival)
            if self._speaks_tls(sock):
                timer.cancel()
                self._start(sock, arrival)
                left -= 1
            else:
                self._drop(sock, arrival, timer)
            if not left:
                break
        self._scheduled = bool(self._ready)
        if self._scheduled:
            self._loop.call_soon(self._look_at_some)

    def _speaks_tls(self, sock: socket.socket) -> bool:
        try:
            first = sock.recv(8, socket.MSG_PEEK)
        except BlockingIOError:  # the kernel thought better of it; the handshake waits, too
            return True
        except OSError:
            return False
        speaks = first.startswith(HANDSHAKE_RECORD)
        if first and not speaks:
            refused(self._logger, sock, what_it_speaks(first))
        return speaks


def what_it_speaks(first: bytes) -> str:
    """Why a TLS listener has no use for a client, for the log."""
    if first.startswith(b"AMQP"):
        return "AMQP without TLS on the TLS port"
    return f"no TLS on the TLS port: {first!r}"


def refused(logger: logging.Logger, sock: socket.socket, reason: str) -> None:
    """Tell the log of a connection that never became one."""
    event(logger, WARNING, "connection.refused", connection=ends_of(sock), reason=reason)


def ends_of(sock: socket.socket) -> str | None:
    """RabbitMQ's name of a connection; None if the socket is gone."""
    try:
        peer, own = sock.getpeername(), sock.getsockname()
    except OSError:
        return None
    return f"{peer[0]}:{peer[1]} -> {own[0]}:{own[1]}"
