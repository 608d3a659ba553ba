"""The connection class (section 1.4). Which of these methods a state allows is decided before, by the table LEGAL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pamqp import commands

from amqpd.errors import NotAllowed
from amqpd.protocol.authentication import Authentication
from amqpd.protocol.state import ConnectionState
from amqpd.wire.methods import make

if TYPE_CHECKING:
    from amqpd.protocol.connection import Connection


def start_ok(connection: Connection, method: commands.Connection.StartOk) -> None:
    """Log in, and offer limits."""
    Authentication(connection).begin(method)


def secure_ok(connection: Connection, method: commands.Connection.SecureOk) -> None:
    """The second step of a mechanism that has one; there is none yet, so nobody comes here."""


def tune_ok(connection: Connection, method: commands.Connection.TuneOk) -> None:
    """Take the client's choice of limits."""
    connection.handshake.tune_ok(method)
    connection.tuned()


def open(connection: Connection, method: commands.Connection.Open) -> None:
    """Open a virtual host, and with it the connection."""
    check_node_limit(connection)
    session = connection.handshake.open(method, str(connection.address))
    connection.send(make(commands.Connection.OpenOk))
    connection.opened(session)


def check_node_limit(connection: Connection) -> None:
    """There may be one more connection.

    Raises:
        NotAllowed: not on this node.
    """
    limit = connection.services.limits.connection_max
    if limit is not None and len(connection.services.connections) >= limit:
        raise NotAllowed(f"connection refused: node connection limit ({limit}) is reached")


def close(connection: Connection, method: commands.Connection.Close) -> None:
    """End the connection; another may use the names of its exclusive queues as soon as it reads the answer."""
    connection.release()
    connection.send(make(commands.Connection.CloseOk))
    if connection.state is ConnectionState.RUNNING:
        connection.closed(wait=True)


def close_ok(connection: Connection, method: commands.Connection.CloseOk) -> None:
    """The client has read why the connection was closed."""
    connection.closed(wait=False)


def update_secret(connection: Connection, method: commands.Connection.UpdateSecret) -> None:
    """Passwords do not change what an open connection may do."""
    connection.send(make(commands.Connection.UpdateSecretOk))
