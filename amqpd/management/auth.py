"""Who sends a request, and what the tags of that user let it do and see.

Rule: what may live here decides by user, tags and virtual hosts. What a user may do with queues and exchanges is
decided by AMQP's permissions, in the core.
"""

from __future__ import annotations

import base64
import binascii
from enum import Enum
from typing import Final

import anyio.to_thread

from amqpd.auth.login import NotFromHere
from amqpd.auth.sasl import Credentials
from amqpd.auth.users import User
from amqpd.broker.vhost import VHost
from amqpd.errors import LoginRefused
from amqpd.logs import WARNING, event
from amqpd.management.errors import LoginFailed, LoginNeeded, NotAuthorised
from amqpd.management.node import Node

PROTOCOL: Final = "http"  # under which attempts to log in are counted
LOCALHOST_ONLY: Final = "User can only log in via localhost"


class Tag(Enum):
    """What a route asks of its user; the values are RabbitMQ's refusals."""

    NOBODY = ""  # no login
    MANAGEMENT = "Not management user"
    POLICYMAKER = "Not policymaker user"
    MONITORING = "Not monitor user"
    ADMINISTRATOR = "Not administrator user"


ADMINISTRATOR: Final = "administrator"
MONITORING: Final = "monitoring"
POLICYMAKER: Final = "policymaker"
MANAGEMENT: Final = "management"

ANONYMOUS: Final = User("", "")
"""Who sends a request that needs no login."""

HOLDERS: Final[dict[Tag, frozenset[str]]] = {
    Tag.MANAGEMENT: frozenset({MANAGEMENT, POLICYMAKER, MONITORING, ADMINISTRATOR}),
    Tag.POLICYMAKER: frozenset({POLICYMAKER, ADMINISTRATOR}),
    Tag.MONITORING: frozenset({MONITORING, ADMINISTRATOR}),
    Tag.ADMINISTRATOR: frozenset({ADMINISTRATOR}),
}
"""The user tags of which one is enough."""


def credentials_of(header: str | None) -> Credentials:
    """Name and password of an ``Authorization`` header.

    Raises:
        LoginNeeded: there is none, or it is no Basic one that can be read.
    """
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        raise LoginNeeded
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise LoginNeeded from None
    name, colon, password = decoded.partition(b":")
    if not colon:
        raise LoginNeeded
    return Credentials("PLAIN", name.decode("utf-8", "surrogateescape"), password)


async def user_of(node: Node, header: str | None, peer: str) -> User:
    """The user who sends a request.

    Args:
        header: ``Authorization``.
        peer: the address it comes from.

    Raises:
        LoginNeeded: no user was named.
        LoginFailed: there is no such user, or it has another password.
        NotAuthorised: the user may log in from this machine only.
    """
    login = node.services.login
    credentials = credentials_of(header)
    check = login.begin(credentials, peer)
    if check.is_slow:
        await anyio.to_thread.run_sync(check.run, limiter=node.slow_logins)
    else:
        check.run()
    try:
        return login.finish(check, PROTOCOL)
    except LoginRefused as refusal:
        reason = str(refusal.__cause__)
        event(node.logger, WARNING, "management.login_refused", peer=peer, user=credentials.user, reason=reason)
        # Only who knows the password is told about the address.
        if isinstance(refusal.__cause__, NotFromHere):
            raise NotAuthorised(LOCALHOST_ONLY) from None
        raise LoginFailed from None


def check_tag(user: User, tag: Tag) -> None:
    """Refuse a user who lacks a tag.

    Raises:
        NotAuthorised: it does.
    """
    if not has(user, Tag.MANAGEMENT):
        raise NotAuthorised(Tag.MANAGEMENT.value)
    if not has(user, tag):
        raise NotAuthorised(tag.value)


def has(user: User, tag: Tag) -> bool:
    """True if the user has this tag, or one that implies it."""
    return not HOLDERS[tag].isdisjoint(user.tags)


def may_enter(node: Node, user: User, vhost: str) -> bool:
    """True if the user has permissions in the virtual host, whatever they are."""
    return node.services.users.permissions.find(user.name, vhost) is not None


def may_see(node: Node, user: User, vhost: str) -> bool:
    """True if the user may look at what is in the virtual host."""
    return has(user, Tag.MONITORING) or may_enter(node, user, vhost)


def visible_vhosts(node: Node, user: User) -> list[VHost]:
    """The virtual hosts that the user may look at, by name."""
    vhosts = node.broker.vhosts
    return [vhosts[name] for name in sorted(vhosts) if may_see(node, user, name)]
