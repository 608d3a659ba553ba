"""What a connection is handed: both ends of its socket, and what it shares with all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mypy_extensions import mypyc_attr

from amqpd.auth.certificate import PeerCertificate
from amqpd.auth.login import Login
from amqpd.auth.users import UserStore
from amqpd.broker.broker import Broker
from amqpd.errors import AMQPError
from amqpd.protocol.limits import Limits
from amqpd.protocol.registry import Connections
from amqpd.protocol.session import Session
from amqpd.protocol.workers import Workers

if TYPE_CHECKING:
    from amqpd.protocol.connection import Connection


class TLSInfo(NamedTuple):
    """What TLS has agreed on for one socket, in RabbitMQ's words.

    Args:
        protocol: ``tlsv1.3``.
        key_exchange: ``ecdhe_rsa``; ``any`` with TLS 1.3, whose cipher suites do not say.
        cipher: ``aes_256_gcm``.
        hash: of the record's authentication: ``aead``, ``sha256``.
        certificate: the client's, if it was asked for one and showed it.
    """

    protocol: str
    key_exchange: str
    cipher: str
    hash: str
    certificate: PeerCertificate | None


class Address(NamedTuple):
    """Both ends of the socket.

    Args:
        tls: None if the socket is plain.
    """

    peer_host: str
    peer_port: int
    host: str
    port: int
    tls: TLSInfo | None = None

    def __str__(self) -> str:
        """RabbitMQ's name of a connection."""
        return f"{self.peer_host}:{self.peer_port} -> {self.host}:{self.port}"


@mypyc_attr(allow_interpreted_subclasses=True)
class Observer:
    """Who wants to know what becomes of connections: the log."""

    def authenticated(self, connection: Connection, user: str) -> None:
        """The client has logged in."""

    def opened(self, connection: Connection, session: Session) -> None:
        """The handshake is complete."""

    def refused(self, connection: Connection, reason: str) -> None:
        """The handshake failed."""

    def channel_failed(self, connection: Connection, channel: int, error: AMQPError) -> None:
        """The broker closes a channel."""

    def failed(self, connection: Connection, error: AMQPError) -> None:
        """The broker closes the connection."""

    def closed(self, connection: Connection, reason: str) -> None:
        """The connection has ended. Called once per connection that was opened."""

    def crashed(self, connection: Connection, error: Exception) -> None:
        """A fault of the broker's own; the connection is closed with 541."""


class Services(NamedTuple):
    """What every connection of a broker shares.

    Args:
        version: of amqpd.
        connections: every open one enters itself.
        login: how clients come in.
        workers: check passwords that take long.
    """

    broker: Broker
    users: UserStore
    limits: Limits
    observer: Observer
    version: str
    connections: Connections
    login: Login
    workers: Workers
