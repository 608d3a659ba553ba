"""The way in, for AMQP and HTTP alike: a socket is accepted, shakes hands if it is to speak TLS, and is the event
loop's from then on, with a protocol that serves it.

Rule: what may live here is on the way from a listening socket to an open transport. What is spoken on it is not known
here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from amqpd.broker.context import Context
from amqpd.logs import WARNING, event
from amqpd.net.acceptor import Acceptor
from amqpd.net.gate import Arrival, Gate
from amqpd.net.tls import words
from amqpd.net.tls_arrivals import TLSArrivals, ends_of

# A client that does not answer the end of TLS is waited for so many seconds.
TLS_FAREWELL: Final = 3.0


class Entrance:
    """Lets clients in.

    Args:
        make: makes what serves one; it tells the arrival when the client is in, and when it is gone.
        gate: where clients are counted until they are in.
        files: how many files the process may open.
        timeout: seconds that a client has for its first octets and for the TLS handshake.
        context: its timers.
        logger: is told of clients that never became connections, and when nobody can be accepted.
    """

    def __init__(
        self,
        make: Callable[[Arrival], asyncio.Protocol],
        gate: Gate,
        files: int,
        timeout: float,
        context: Context,
        logger: logging.Logger,
    ) -> None:
        self._make = make
        self._gate = gate
        self._files = files
        self._timeout = timeout
        self._context = context
        self._logger = logger
        self._acceptors: list[Acceptor] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, sockets: list[socket.socket], tls: ssl.SSLContext | None = None) -> None:
        """Accept connections on sockets that bind() made. The event loop is running.

        Args:
            tls: they speak TLS.
        """
        serve: Callable[[socket.socket, Arrival], None] = partial(self._begin, tls=tls)
        if tls is not None:
            serve = TLSArrivals(serve, self._timeout, self._context, self._logger).serve
        for sock in sockets:
            self._acceptors.append(Acceptor(sock, serve, self._gate, self._files, self._context, self._logger))

    def close(self) -> None:
        """Accept no more."""
        for acceptor in self._acceptors:
            acceptor.close()

    def _begin(self, sock: socket.socket, arrival: Arrival, tls: ssl.SSLContext | None) -> None:
        """Let the event loop have a socket, and shake hands if it is to speak TLS."""
        arrival.cut = partial(hang_up, sock)
        task = asyncio.get_running_loop().create_task(self._connect(sock, arrival, tls))
        self._tasks.add(task)  # the loop itself would forget it
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, sock: socket.socket, arrival: Arrival, tls: ssl.SSLContext | None) -> None:
        timeouts: dict[str, float] = {}
        if tls is not None:
            left = max(self._timeout - arrival.age(), 0.001)
            timeouts = {"ssl_handshake_timeout": left, "ssl_shutdown_timeout": TLS_FAREWELL}
        ends = ends_of(sock)
        make = partial(self._make, arrival)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(make, sock, ssl=tls, **timeouts)
        except (OSError, ssl.SSLError) as error:
            arrival.leave()
            sock.close()
            if ends is not None:
                reason = refusal(error)
                event(self._logger, WARNING, "connection.refused", connection=ends, reason=reason)


def refusal(error: OSError) -> str:
    """Why a TLS handshake failed, for the log."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS handshake: the client's certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS handshake: {words(error)}"
    return f"TLS handshake: {str(error) or type(error).__name__}"


def hang_up(sock: socket.socket) -> None:
    """Let a socket that the event loop has seem to be closed by its peer: the loop closes it then."""
    with suppress(OSError):  # it is gone already
        sock.shutdown(socket.SHUT_RDWR)
