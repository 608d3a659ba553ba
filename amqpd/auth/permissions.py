"""What a user may do in a vhost: three regular expressions over the names of queues and exchanges.

Rule: what may live here decides by names. Which operation needs which access is known by the methods of the protocol;
which routing keys may be used is in topics.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from amqpd.auth.effects import Effects
from amqpd.auth.patterns import compiled
from amqpd.broker.broker import Broker
from amqpd.broker.events import ACTOR, INTERNAL_USER
from amqpd.catalog.rows import PermissionRow

DEFAULT_EXCHANGE: Final = "amq.default"  # the name under which the nameless exchange is checked


class Access(StrEnum):
    """The three sorts of access; the values are the words of RabbitMQ's error texts."""

    CONFIGURE = "configure"
    WRITE = "write"
    READ = "read"


class Permission:
    """The permission of one user in one vhost. It never changes.

    Args:
        configure: pattern of names that may be declared and deleted. A pattern is searched, not anchored; an empty one
            matches nothing.
        write: pattern of names that may be published or bound to.
        read: pattern of names that may be consumed or bound from.

    Raises:
        PatternError: a pattern is no regular expression.
    """

    __slots__ = ("_patterns", "configure", "read", "write")

    def __init__(self, configure: str, write: str, read: str) -> None:
        self.configure = configure
        self.write = write
        self.read = read
        self._patterns = {
            Access.CONFIGURE: compiled(configure),
            Access.WRITE: compiled(write),
            Access.READ: compiled(read),
        }

    def may(self, access: Access, name: str) -> bool:
        """True if the queue or exchange of this name may be accessed so; "" is the default exchange."""
        pattern = self._patterns[access]
        return pattern is not None and pattern.search(name or DEFAULT_EXCHANGE) is not None


class Permissions:
    """The permissions of all users. Having one at all, even with empty patterns, lets a user open the vhost.

    Args:
        broker: whose vhosts are told that their users may do other things now, whose events tell of it, and whose
            storage keeps it; None for permissions that concern nobody yet.
    """

    def __init__(self, broker: Broker | None = None) -> None:
        self._effects = Effects(broker)
        self._rows: dict[tuple[str, str], Permission] = {}

    def set(self, user: str, vhost: str, permission: Permission, actor: str = INTERNAL_USER) -> None:
        """Give the user this permission in the vhost, instead of the one it had. Open connections have it at once."""
        row = PermissionRow(user, vhost, permission.configure, permission.write, permission.read)
        catalog = self._effects.catalog()
        if catalog is not None:
            catalog.add_permission(row)
        self._rows[user, vhost] = permission
        self._effects.access_changed(vhost)
        self._effects.emit("permission.created", {**row._asdict(), ACTOR: actor})

    def restore(self, user: str, vhost: str, permission: Permission) -> None:
        """Take a permission from the catalog, as it is there."""
        self._rows[user, vhost] = permission

    def find(self, user: str, vhost: str) -> Permission | None:
        """The user's permission in the vhost."""
        return self._rows.get((user, vhost))

    def clear(self, user: str, vhost: str, actor: str = INTERNAL_USER) -> bool:
        """Take the permission away; False if there was none. Open connections stay open, but may do nothing more."""
        if self._rows.pop((user, vhost), None) is None:
            return False
        self._effects.access_changed(vhost)
        catalog = self._effects.catalog()
        if catalog is not None:
            catalog.remove_permission(user, vhost)
        self._effects.emit("permission.deleted", {"user": user, "vhost": vhost, ACTOR: actor})
        return True

    def forget_user(self, user: str) -> None:
        """The user is gone, from the catalog too."""
        for key in [key for key in self._rows if key[0] == user]:
            del self._rows[key]
            self._effects.access_changed(key[1])

    def forget_vhost(self, vhost: str) -> None:
        """The vhost is gone, from the catalog too."""
        self._rows = {key: row for key, row in self._rows.items() if key[1] != vhost}

    def of_user(self, user: str) -> dict[str, Permission]:
        """The user's permissions by vhost."""
        return {vhost: row for (name, vhost), row in self._rows.items() if name == user}

    def of_vhost(self, vhost: str) -> dict[str, Permission]:
        """The permissions in a vhost by user."""
        return {user: row for (user, name), row in self._rows.items() if name == vhost}

    def __iter__(self) -> Iterator[tuple[str, str, Permission]]:
        """User, vhost and permission of every row."""
        return ((user, vhost, row) for (user, vhost), row in self._rows.items())
