"""The open connections of a broker, and what has to be looked at on all of them from time to time."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from amqpd.broker.context import Context
from amqpd.clock import Timer
from amqpd.protocol.patience import LOOK_EVERY

if TYPE_CHECKING:
    from amqpd.protocol.connection import Connection


@final
class Connections:
    """Every connection whose handshake is complete and that has not ended."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._open: dict[Connection, None] = {}
        self._timer: Timer | None = None
        self.channels = 0  # of all connections together

    def __len__(self) -> int:
        return len(self._open)

    def all(self) -> list[Connection]:
        """In the order in which they were opened."""
        return list(self._open)

    def add(self, connection: Connection) -> None:
        """A connection was opened."""
        self._open[connection] = None
        if self._timer is None:
            self._timer = self._context.timers.call_later(LOOK_EVERY, self._look)

    def remove(self, connection: Connection) -> None:
        """A connection has ended."""
        self._open.pop(connection, None)

    def _look(self) -> None:
        self._timer = None
        now = self._context.clock.monotonic()
        for connection in self.all():
            connection.check_patience(now)
        if self._open:
            self._timer = self._context.timers.call_later(LOOK_EVERY, self._look)
