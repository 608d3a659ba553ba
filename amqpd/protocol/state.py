"""The states of a connection, and which methods each allows on channel 0 (AMQP 0-9-1 sections 1.4 and 2.2.4).

Rule: legality is this table; what is not in it is an error. docs/architecture.md draws it, a test walks every state
with every method.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from pamqp import commands

from amqpd.wire.methods import Method


class ConnectionState(Enum):
    """What the server waits for."""

    PROTOCOL_HEADER = "protocol header"
    STARTING = "connection.start_ok"
    AUTHENTICATING = "the check of a password"
    SECURING = "connection.secure_ok"
    TUNING = "connection.tune_ok"
    OPENING = "connection.open"
    RUNNING = "running"
    CLOSING = "connection.close_ok"  # the server sent connection.close
    CLOSED = "closed"  # both sides know; only the socket is still there


LEGAL: Final[Mapping[ConnectionState, frozenset[type[Method]]]] = {
    ConnectionState.PROTOCOL_HEADER: frozenset(),
    ConnectionState.STARTING: frozenset({commands.Connection.StartOk}),
    ConnectionState.AUTHENTICATING: frozenset(),
    ConnectionState.SECURING: frozenset({commands.Connection.SecureOk}),
    ConnectionState.TUNING: frozenset({commands.Connection.TuneOk}),
    ConnectionState.OPENING: frozenset({commands.Connection.Open}),
    ConnectionState.RUNNING: frozenset({commands.Connection.Close, commands.Connection.UpdateSecret}),
    ConnectionState.CLOSING: frozenset({commands.Connection.Close, commands.Connection.CloseOk}),
    ConnectionState.CLOSED: frozenset(),
}

HANDSHAKE: Final = frozenset(
    {
        ConnectionState.PROTOCOL_HEADER,
        ConnectionState.STARTING,
        ConnectionState.AUTHENTICATING,
        ConnectionState.SECURING,
        ConnectionState.TUNING,
        ConnectionState.OPENING,
    }
)
"""States in which a violation ends the connection without connection.close (RabbitMQ)."""

ENDED: Final = frozenset({ConnectionState.CLOSING, ConnectionState.CLOSED})
"""States in which everything but the close handshake is discarded."""
