"""Topic permissions: which routing keys a user may use with a topic exchange.

Rule: what may live here decides by routing keys. Without a row nothing is restricted: a topic permission takes away
from what the permission on the exchange allows, and never adds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from amqpd.auth.effects import Effects
from amqpd.auth.patterns import PatternError, compiled
from amqpd.auth.permissions import Access
from amqpd.broker.broker import Broker
from amqpd.broker.events import ACTOR, INTERNAL_USER
from amqpd.catalog.rows import TopicPermissionRow

TOPIC: Final = "topic"  # the one exchange type that these are for
_NOTHING: Final[Mapping[str, str]] = {}


class TopicPermission:
    """The topic permission of one user for one exchange. It never changes.

    Args:
        write: pattern of routing keys that may be published with. It is searched, not anchored; an empty one matches
            nothing. ``{username}``, ``{vhost}`` and, where the protocol has one, ``{client_id}`` stand for those texts.
        read: pattern of keys that may be bound with.

    Raises:
        PatternError: a pattern is no regular expression.
    """

    __slots__ = ("_patterns", "read", "write")

    def __init__(self, write: str, read: str) -> None:
        self.write = write
        self.read = read
        # As it is, braces and all: what the variables stand for may not be known yet.
        self._patterns: dict[tuple[Access, tuple[tuple[str, str], ...]], re.Pattern[str] | None] = {
            (Access.WRITE, ()): compiled(write),
            (Access.READ, ()): compiled(read),
        }

    def may(self, access: Access, key: str, variables: Mapping[str, str] = _NOTHING) -> bool:
        """True if the routing or binding key may be used so.

        Args:
            access: WRITE or READ.
            variables: what the names in braces stand for. They are put into the pattern as they are (RabbitMQ); if
                that makes it no regular expression, it matches nothing.
        """
        chosen = (access, tuple(variables.items()))
        if chosen not in self._patterns:
            self._patterns[chosen] = self._expanded(access, variables)
        pattern = self._patterns[chosen]
        return pattern is not None and pattern.search(key) is not None

    def _expanded(self, access: Access, variables: Mapping[str, str]) -> re.Pattern[str] | None:
        text = self.write if access is Access.WRITE else self.read
        for name, value in variables.items():
            text = text.replace("{" + name + "}", value)
        try:
            return compiled(text)
        except PatternError:
            return None


class TopicPermissions:
    """The topic permissions of all users.

    Args:
        broker: as for Permissions.
    """

    def __init__(self, broker: Broker | None = None) -> None:
        self._effects = Effects(broker)
        self._rows: dict[tuple[str, str], dict[str, TopicPermission]] = {}

    def set(
        self, user: str, vhost: str, exchange: str, permission: TopicPermission, actor: str = INTERNAL_USER
    ) -> None:
        """Restrict what the user may do with the exchange, instead of how it was restricted."""
        row = TopicPermissionRow(user, vhost, exchange, permission.write, permission.read)
        catalog = self._effects.catalog()
        if catalog is not None:
            catalog.add_topic_permission(row)
        self._rows.setdefault((user, vhost), {})[exchange] = permission
        self._effects.access_changed(vhost)
        self._effects.emit("topic.permission.created", {**row._asdict(), ACTOR: actor})

    def restore(self, user: str, vhost: str, exchange: str, permission: TopicPermission) -> None:
        """Take a topic permission from the catalog, as it is there."""
        self._rows.setdefault((user, vhost), {})[exchange] = permission

    def find(self, user: str, vhost: str, exchange: str) -> TopicPermission | None:
        """The user's topic permission for the exchange; None if nothing is restricted."""
        rows = self._rows.get((user, vhost))
        return None if rows is None else rows.get(exchange)

    def clear(self, user: str, vhost: str, exchange: str | None = None, actor: str = INTERNAL_USER) -> bool:
        """Lift the user's restrictions for one exchange, or for all in the vhost; False if there were none."""
        rows = self._rows.get((user, vhost), {})
        cleared = [name for name in rows if exchange is None or name == exchange]
        for name in cleared:
            del rows[name]
            self._cleared(user, vhost, name)
        if not rows:
            self._rows.pop((user, vhost), None)
        if cleared:
            self._effects.access_changed(vhost)
            fields = {"user": user, "vhost": vhost, "exchange": exchange, ACTOR: actor}
            self._effects.emit("topic.permission.deleted", fields)
        return bool(cleared)

    def forget_user(self, user: str) -> None:
        """The user is gone, from the catalog too."""
        for key in [key for key in self._rows if key[0] == user]:
            del self._rows[key]
            self._effects.access_changed(key[1])

    def forget_vhost(self, vhost: str) -> None:
        """The vhost is gone, from the catalog too."""
        self._rows = {key: rows for key, rows in self._rows.items() if key[1] != vhost}

    def _cleared(self, user: str, vhost: str, exchange: str) -> None:
        catalog = self._effects.catalog()
        if catalog is not None:
            catalog.remove_topic_permission(user, vhost, exchange)

    def __iter__(self) -> Iterator[tuple[str, str, str, TopicPermission]]:
        """User, vhost, exchange and topic permission of every row."""
        return (
            (user, vhost, exchange, row) for (user, vhost), rows in self._rows.items() for exchange, row in rows.items()
        )
