"""What a user may do in a vhost: three regular expressions over the names of queues and exchanges.

Rule: what may live here decides by names. Which operation needs which access is known by the methods of the protocol.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from amqpd.broker.events import ACTOR, INTERNAL_USER, Events

DEFAULT_EXCHANGE: Final = "amq.default"  # the name under which the nameless exchange is checked


class Access(StrEnum):
    """The three sorts of access; the values are the words of RabbitMQ's error texts."""

    CONFIGURE = "configure"
    WRITE = "write"
    READ = "read"


class Permission:
    """The permission of one user in one vhost.

    Args:
        configure: pattern of names that may be declared and deleted. A pattern is searched, not anchored; an empty one
            matches nothing.
        write: pattern of names that may be published or bound to.
        read: pattern of names that may be consumed or bound from.

    Raises:
        ValueError: a pattern is no regular expression.
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


def compiled(pattern: str) -> re.Pattern[str] | None:
    """The pattern ready for searching, or None for the empty one.

    Raises:
        ValueError: it is no regular expression.
    """
    try:
        return re.compile(pattern) if pattern else None
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None


class Permissions:
    """The permissions of all users. Having one at all, even with empty patterns, lets a user open the vhost.

    Args:
        events: told of changes, with the user who wanted them (``actor``).
    """

    def __init__(self, events: Events | None = None) -> None:
        self._events = events
        self._rows: dict[tuple[str, str], Permission] = {}

    def set(self, user: str, vhost: str, permission: Permission, actor: str = INTERNAL_USER) -> None:
        """Give the user this permission in the vhost, instead of the one it had."""
        self._rows[user, vhost] = permission
        if self._events is not None:
            patterns = {"configure": permission.configure, "write": permission.write, "read": permission.read}
            self._events.emit("permission.created", {"user": user, "vhost": vhost, **patterns, ACTOR: actor})

    def find(self, user: str, vhost: str) -> Permission | None:
        """The user's permission in the vhost."""
        return self._rows.get((user, vhost))

    def clear(self, user: str, vhost: str, actor: str = INTERNAL_USER) -> bool:
        """Take the permission away; False if there was none."""
        found = self._rows.pop((user, vhost), None) is not None
        if found and self._events is not None:
            self._events.emit("permission.deleted", {"user": user, "vhost": vhost, ACTOR: actor})
        return found

    def forget_user(self, user: str) -> None:
        """Take away all permissions of a user."""
        self._rows = {key: row for key, row in self._rows.items() if key[0] != user}

    def forget_vhost(self, vhost: str) -> None:
        """Take away everybody's permission in a vhost."""
        self._rows = {key: row for key, row in self._rows.items() if key[1] != vhost}

    def __iter__(self) -> Iterator[tuple[str, str, Permission]]:
        """User, vhost and permission of every row."""
        return ((user, vhost, row) for (user, vhost), row in self._rows.items())
