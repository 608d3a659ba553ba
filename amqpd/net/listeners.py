"""Listening sockets: bound first, accepting only when everything else is ready."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from typing import Final, NamedTuple

from amqpd.net.amqp import AMQPSocket, Rests
from amqpd.net.entrance import Entrance
from amqpd.net.gate import Arrival, Gate
from amqpd.protocol.services import Services

BACKLOG: Final = 1024
# With --port 0 the port that the first address got may be taken on the second: so often another one is tried.
ATTEMPTS: Final = 20


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
        self.gate = gate
        self._rests = Rests()
        timeout, context = services.limits.handshake_timeout, services.broker.context
        self._entrance = Entrance(self._make_socket, gate, files, timeout, context, logger)
        self.open_sockets: set[AMQPSocket] = set()

    def start(self, sockets: list[socket.socket], tls: ssl.SSLContext | None = None) -> None:
        """Accept connections on sockets that bind() made. The event loop is running.

        Args:
            tls: they speak TLS.
        """
        self._entrance.open(sockets, tls)

    def stop(self) -> None:
        """Accept no more."""
        self._entrance.close()

    def _make_socket(self, arrival: Arrival) -> AMQPSocket:
        return AMQPSocket(self.services, self._rests, self.open_sockets, arrival)


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
