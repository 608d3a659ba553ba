"""The first user: what a broker has that nobody has told anything yet.

Rule: what may live here happens once in the life of a data directory; what is changed later stays changed.
"""

from __future__ import annotations

from typing import NamedTuple

from amqpd.auth.permissions import Permission
from amqpd.auth.users import GUEST, User, UserStore
from amqpd.broker.broker import Broker
from amqpd.broker.metadata import VHostMetadata


class FirstUser(NamedTuple):
    """Who can log in at first, and what they may do in the default virtual host."""

    name: str = GUEST
    password: bytes = GUEST.encode()
    tags: tuple[str, ...] = ("administrator",)
    configure: str = ".*"
    write: str = ".*"
    read: str = ".*"


def seed(broker: Broker, users: UserStore, first: FirstUser | None = None) -> None:
    """Make the default virtual host and the first user. In a data directory all of it is kept, or nothing.

    The password need not obey the rules: whoever made them has chosen it.

    Raises:
        PatternError: a permission is no regular expression.
    """
    first = first or FirstUser()
    permission = Permission(first.configure, first.write, first.read)
    seed_vhost(broker)
    users.put(User(first.name, users.hash(first.password, checked=False), tags=first.tags))
    users.permissions.set(first.name, broker.default_vhost, permission)


def seed_vhost(broker: Broker) -> None:
    """Make the default virtual host only, for users come from elsewhere. From now on nobody seeds again."""
    if broker.default_vhost not in broker.vhosts:
        broker.create_vhost(broker.default_vhost, VHostMetadata("Default virtual host"))
    catalog = broker.context.storage.changing()
    if catalog is not None:
        catalog.mark_seeded()
