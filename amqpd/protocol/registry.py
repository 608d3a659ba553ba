"""The open connections of a broker: how many there are of whom, and what concerns all of them.

Rule: what may live here finds connections, counts them, and looks at all of them from time to time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from amqpd.auth.users import UserStore
from amqpd.broker.broker import Broker
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
        self._by_vhost: dict[str, dict[Connection, None]] = {}
        self._by_user: dict[str, dict[Connection, None]] = {}
        self._timer: Timer | None = None
        self.channels = 0  # of all connections together

    def watch(self, broker: Broker, users: UserStore) -> None:
        """Close the connections of what is deleted, from now on (RabbitMQ)."""
        broker.on_vhost_deleted.append(self._vhost_deleted)
        users.on_deleted.append(self._user_deleted)

    def __len__(self) -> int:
        return len(self._open)

    def all(self) -> list[Connection]:
        """In the order in which they were opened."""
        return list(self._open)

    def in_vhost(self, name: str) -> list[Connection]:
        """Those to a virtual host."""
        return list(self._by_vhost.get(name, ()))

    def of_vhost(self, name: str) -> int:
        """How many there are to a virtual host."""
        return len(self._by_vhost.get(name, ()))

    def of_user(self, name: str) -> int:
        """How many a user has."""
        return len(self._by_user.get(name, ()))

    def channels_of_user(self, name: str) -> int:
        """How many channels a user has on all connections together."""
        return sum([len(connection.channels) for connection in self._by_user.get(name, ())])

    def add(self, connection: Connection) -> None:
        """A connection was opened."""
        session = connection.session
        assert session is not None  # it was
        self._open[connection] = None
        self._by_vhost.setdefault(session.vhost.name, {})[connection] = None
        self._by_user.setdefault(session.user.name, {})[connection] = None
        if self._timer is None:
            self._timer = self._context.timers.call_later(LOOK_EVERY, self._look)

    def remove(self, connection: Connection) -> None:
        """A connection has ended, whether it was opened or not."""
        session = connection.session
        if session is None or connection not in self._open:
            return
        del self._open[connection]
        drop(self._by_vhost, session.vhost.name, connection)
        drop(self._by_user, session.user.name, connection)

    def _vhost_deleted(self, name: str) -> None:
        for connection in list(self._by_vhost.get(name, ())):
            connection.force_close(f"vhost '{name}' is deleted")

    def _user_deleted(self, name: str) -> None:
        for connection in list(self._by_user.get(name, ())):
            connection.force_close(f"user '{name}' is deleted")

    def _look(self) -> None:
        self._timer = None
        now = self._context.clock.monotonic()
        for connection in self.all():
            connection.check_patience(now)
        if self._open:
            self._timer = self._context.timers.call_later(LOOK_EVERY, self._look)


def drop(groups: dict[str, dict[Connection, None]], name: str, connection: Connection) -> None:
    """Take a connection out of its group; a group without any is no more."""
    group = groups[name]
    del group[connection]
    if not group:
        del groups[name]
