"""Connections in the log: opened, authenticated, closed, refused, and what went wrong on them."""

from __future__ import annotations

import logging

from amqpd.errors import AMQPError
from amqpd.logs import ERROR, INFO, WARNING, event
from amqpd.protocol.connection import Connection
from amqpd.protocol.services import Observer
from amqpd.protocol.session import Session


class LogObserver(Observer):
    """Writes what becomes of connections to a logger."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._logger = logger

    def authenticated(self, connection: Connection, user: str) -> None:
        mechanism = connection.handshake.mechanism
        self._event(INFO, "connection.authenticated", connection, user=user, mechanism=mechanism)

    def opened(self, connection: Connection, session: Session) -> None:
        self._event(
            INFO,
            "connection.opened",
            connection,
            user=session.user.name,
            vhost=session.vhost.name,
            client=session.client_properties.text("product"),
            client_name=session.client_properties.text("connection_name"),
        )

    def refused(self, connection: Connection, reason: str) -> None:
        self._event(WARNING, "connection.refused", connection, reason=reason)

    def channel_failed(self, connection: Connection, channel: int, error: AMQPError) -> None:
        self._event(WARNING, "channel.failed", connection, channel=channel, reason=error.reply_text)

    def failed(self, connection: Connection, error: AMQPError) -> None:
        self._event(WARNING, "connection.failed", connection, reason=error.reply_text)

    def closed(self, connection: Connection, reason: str) -> None:
        self._event(INFO, "connection.closed", connection, reason=reason)

    def crashed(self, connection: Connection, error: Exception) -> None:
        self._event(ERROR, "connection.crashed", connection, error=error)

    def _event(self, level: int, name: str, connection: Connection, **fields: object) -> None:
        if self._logger.isEnabledFor(level):
            event(self._logger, level, name, connection=str(connection.address), **fields)
