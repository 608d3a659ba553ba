"""A session: who is at the other end of a connection, and what was agreed with them in the handshake."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from amqpd.auth.permissions import DEFAULT_EXCHANGE, Access
from amqpd.auth.topics import TOPIC
from amqpd.auth.users import User, UserStore
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.queues.base import Owner
from amqpd.broker.vhost import VHost
from amqpd.errors import AccessRefused
from amqpd.wire.frames import ENVELOPE
from amqpd.wire.table import EMPTY_TABLE, Table

# Names for which a session remembers that they may be accessed; not more, for clients make up names.
MOST_REMEMBERED: Final = 256
IMPERSONATOR: Final = "impersonator"  # the tag of users who may publish with any user_id


class Session(Owner):
    """The facts of an open connection. Exclusive queues belong to it.

    Args:
        user: authenticated.
        vhost: opened.
        users: whose permissions count, now and after every change.
        frame_max: agreed; 0 is no limit.
        client_properties: what the client said of itself in connection.start_ok.
        consumer_max: consumers that one channel may have, None for any number.
        max_message_size: octets of body.
        name: of the connection.
    """

    def __init__(
        self,
        user: User,
        vhost: VHost,
        users: UserStore,
        frame_max: int,
        client_properties: Table,
        consumer_max: int | None,
        max_message_size: int,
        name: str = "",
    ) -> None:
        super().__init__(name)
        self.user = user
        self.vhost = vhost
        self.users = users
        self._granted: dict[Access, set[str]] = {access: set() for access in Access}
        self._access_generation: i64 = vhost.access_generation
        self.payload_max: i64 = frame_max - ENVELOPE if frame_max else 0
        self.client_properties = client_properties
        self.consumer_max = consumer_max
        self.max_message_size: i64 = max_message_size
        self.notify_cancel = has_capability(client_properties, "consumer_cancel_notify")

    def check_queue(self, access: Access, name: str) -> None:
        """Raises AccessRefused unless the user may configure, write or read this queue."""
        self._check(access, name, "queue", name)

    def check_exchange(self, access: Access, name: str) -> None:
        """Raises AccessRefused unless the user may configure, write or read this exchange."""
        shown = name or DEFAULT_EXCHANGE
        self._check(access, shown, "exchange", shown)

    def restricts(self, exchange: Exchange) -> bool:
        """There is a topic permission that check_topic() has to be asked about."""
        if exchange.kind != TOPIC:
            return False
        return self.users.topic_permissions.find(self.user.name, self.vhost.name, exchange.name) is not None

    def check_topic(self, access: Access, exchange: Exchange, key: str) -> None:
        """Raises AccessRefused if a topic permission forbids the user to write or read with this key."""
        if exchange.kind != TOPIC:
            return
        user, vhost = self.user.name, self.vhost.name
        permission = self.users.topic_permissions.find(user, vhost, exchange.name)
        if permission is not None and not permission.may(access, key, {"username": user, "vhost": vhost}):
            raise AccessRefused(
                f"{access} access to topic '{key}' in exchange '{exchange.name}' in vhost '{vhost}' "
                f"refused for user '{user}'"
            )

    def _check(self, access: Access, name: str, what: str, shown: str) -> None:
        # What was found out is remembered until any permission in the virtual host changes: one look for most.
        if self._access_generation != self.vhost.access_generation:
            self._access_generation = self.vhost.access_generation
            for names in self._granted.values():
                names.clear()
        granted = self._granted[access]
        if name in granted:
            return
        permission = self.users.permissions.find(self.user.name, self.vhost.name)
        if permission is None or not permission.may(access, name):
            raise AccessRefused(
                f"{access} access to {what} '{shown}' in vhost '{self.vhost.name}' refused for user '{self.user.name}'"
            )
        if len(granted) >= MOST_REMEMBERED:
            granted.clear()
        granted.add(name)


def has_capability(client_properties: Table, name: str) -> bool:
    """The client announced a capability in connection.start_ok. A ``capabilities`` that is no table announces none."""
    field = client_properties.get("capabilities")
    capabilities = field.value if field is not None and isinstance(field.value, Table) else EMPTY_TABLE
    capability = capabilities.get(name)
    return capability is not None and capability.value is True
