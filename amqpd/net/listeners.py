"""Listening sockets: bound first, accepting only when everything else is ready."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

from amqpd.logs import WARNING, event
from amqpd.net.acceptor import Acceptor
from amqpd.net.amqp import AMQPSocket, Rests
from amqpd.net.gate import Arrival, Gate
from amqpd.net.tls import words
from amqpd.net.tls_arrivals import TLSArrivals, ends_of
from amqpd.protocol.services import Services

BACKLOG: Final = 1024
# With --port 0 the port that the first address got may be taken on the second: so often another one is tried.
ATTEMPTS: Final = 20
# A client that does not answer the end of TLS is waited for so many seconds.
TLS_FAREWELL: Final = 3.0


class ListenError(Exception):
    """An address cannot be listened on. Its text is one sentence with the way out."""


class Options(NamedTuple):
    """The options that say where to listen, for sentences about what is wrong with them.

    Args:
        way_out: what else helps when the port is taken.
    """

    host: str
    port: str
    way_out: str = ""


AMQP: Final = Options("--host", "--port")
AMQPS: Final = Options("--host", "--tls-port")


class Listeners:
    """The AMQP listeners of one broker.

    Args:
        services: for the connections.
        logger: is told of clients that never became connections, and when nobody can be accepted.
        gate: where clients wait until their connections are open.
        files: how many files the process may open.
    """

    def __init__(self, services: Services, logger: logging.Logger, gate: Gate, files: int) -> None:
        self.services = services
        self._logger = logger
        self.gate = gate
        self._files = files
        self._context = services.broker.context
        self._rests = Rests()
        self._acceptors: list[Acceptor] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.open_sockets: set[AMQPSocket] = set()

    def start(self, sockets: list[socket.socket], tls: ssl.SSLContext | None = None) -> None:
        """Accept connections on sockets that bind() made. The event loop is running.

        Args:
            tls: they speak TLS.
        """
        serve: Callable[[socket.socket, Arrival], None] = self._begin
        if tls is not None:
            timeout = self.services.limits.handshake_timeout
            begin_tls = partial(self._begin, tls=tls)
            serve = TLSArrivals(begin_tls, timeout, self._context, self._logger).serve
        for sock in sockets:
            self._acceptors.append(Acceptor(sock, serve, self.gate, self._files, self._context, self._logger))

    def stop(self) -> None:
        """Accept no more."""
        for acceptor in self._acceptors:
            acceptor.close()

    def _begin(self, sock: socket.socket, arrival: Arrival, tls: ssl.SSLContext | None = None) -> None:
        """Let the event loop have a socket, and shake hands if it is to speak TLS."""
        arrival.cut = partial(hang_up, sock)
        task = asyncio.get_running_loop().create_task(self._connect(sock, arrival, tls))
        self._tasks.add(task)  # the loop itself would forget it
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, sock: socket.socket, arrival: Arrival, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        left = max(self.services.limits.handshake_timeout - arrival.age(), 0.001)
        timeouts: dict[str, float] = {}
        if tls is not None:
            timeouts = {"ssl_handshake_timeout": left, "ssl_shutdown_timeout": TLS_FAREWELL}

        def make_socket() -> AMQPSocket:
            return AMQPSocket(self.services, self._rests, self.open_sockets, arrival)

        ends = ends_of(sock)
        try:
            await loop.connect_accepted_socket(make_socket, sock, ssl=tls, **timeouts)
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


def bind(hosts: tuple[str, ...], port: int, options: Options = AMQP) -> list[socket.socket]:
    """Bind one socket per host, all to the same port.

    Args:
        port: 0 takes any port that is free on all of them.
        options: where hosts and port come from.

    Raises:
        ListenError: an address is taken, not there or not allowed. ``::1`` is left out where there is no IPv6.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _bind_all(hosts, port, options)
        except ListenError:
            if port or attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("the loop above returns or raises")


def url_of(sock: socket.socket, scheme: str) -> str:
    """Where a listening socket can be reached."""
    host, port = sock.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{scheme}://{host}:{port}"


def _bind_all(hosts: tuple[str, ...], port: int, options: Options) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for host in hosts:
            for family, address in _addresses(host, options):
                sock = _bind_one(host, family, address, port, options)
                if sock is not None:
                    sockets.append(sock)
                    port = sock.getsockname()[1]
    except ListenError:
        for sock in sockets:
            sock.close()
        raise
    if not sockets:
        raise ListenError(
            f"None of the addresses {', '.join(hosts)} exists on this machine: give another {options.host}."
        )
    return sockets


def _addresses(host: str, options: Options) -> list[tuple[int, str]]:
    """Family and address of everything that a host name stands for: ``localhost`` is two."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise ListenError(f"Cannot listen on {host}: {error.strerror}; give another {options.host}.") from error
    except UnicodeError as error:  # such as a..b, or a label of more than 63 characters
        raise ListenError(f"Cannot listen on {host}: this is no host name; give another {options.host}.") from error
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _bind_one(host: str, family: int, address: str, port: int, options: Options) -> socket.socket | None:
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError:  # the machine has no such address family
        _excuse_absent(host, address, options)
        return None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        # Listening too, for two sockets can be bound to a port, but only one can listen on it.
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRNOTAVAIL:
            _excuse_absent(host, address, options)
            return None
        raise ListenError(
            f"Cannot listen on {host} port {port}: {error.strerror}; {_way_out(error, options)}."
        ) from error
    return sock


def _way_out(error: OSError, options: Options) -> str:
    if error.errno != errno.EADDRINUSE:
        return f"give another {options.host} or {options.port}"
    return f"stop what listens there, or give another {options.port}{options.way_out}"


def _excuse_absent(host: str, address: str, options: Options) -> None:
    """::1 is among the defaults, so its absence is no error."""
    if address != "::1":
        raise ListenError(f"Cannot listen on {host}: this machine has no such address; give another {options.host}.")
