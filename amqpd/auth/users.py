"""The users and who of them may log in from where.

Rule: what may live here is what is known of users. How a client proves to be one is in sasl.py.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterable, Iterator

from amqpd.auth.password import DEFAULT_ALGORITHM, SALT_LENGTH, hash_password, matches
from amqpd.auth.permissions import Permission, Permissions
from amqpd.broker.events import ACTOR, INTERNAL_USER, Events

GUEST = "guest"


class User:
    """One user.

    Args:
        name: any text.
        password_hash: as password.py makes it; empty for a user who cannot log in with a password.
        algorithm: what made the hash.
        tags: ``administrator``, ``monitoring``, ``policymaker``, ``management``, ``impersonator``, or any other.
    """

    __slots__ = ("algorithm", "name", "password_hash", "tags")

    def __init__(
        self, name: str, password_hash: str, algorithm: str = DEFAULT_ALGORITHM, tags: Iterable[str] = ()
    ) -> None:
        self.name = name
        self.password_hash = password_hash
        self.algorithm = algorithm
        self.tags = frozenset(tags)

    def has_password(self, password: bytes) -> bool:
        """True if this is the user's password."""
        return matches(password, self.password_hash, self.algorithm)


class UserStore:
    """All users, in memory, and their permissions.

    Args:
        random: octets for salts.
        loopback_users: names that may log in from the broker's own machine only.
        events: told of changes, with the user who wanted them (``actor``).
    """

    def __init__(
        self,
        random: Callable[[int], bytes] = os.urandom,
        loopback_users: Iterable[str] = frozenset({GUEST}),
        events: Events | None = None,
    ) -> None:
        self.permissions = Permissions(events)
        self._events = events
        self.loopback_users = frozenset(loopback_users)
        self._random = random
        self._users: dict[str, User] = {}

    def add(self, name: str, password: bytes, tags: Iterable[str] = (), actor: str = INTERNAL_USER) -> User:
        """Make a user, or replace the one of this name; permissions stay. An empty password never matches."""
        hashed = hash_password(password, self._random(SALT_LENGTH)) if password else ""
        return self.put(User(name, hashed, tags=tags), actor)

    def put(self, user: User, actor: str = INTERNAL_USER) -> User:
        """Add a user whose hash is known, or replace the one of this name."""
        before = self._users.get(user.name)
        self._users[user.name] = user
        if before is None:
            self._emit("user.created", user.name, actor)
        elif user.password_hash != before.password_hash:
            self._emit("user.password.changed" if user.password_hash else "user.password.cleared", user.name, actor)
        if user.tags != (frozenset() if before is None else before.tags):
            self._emit("user.tags.set", user.name, actor, tags=sorted(user.tags))
        return user

    def find(self, name: str) -> User | None:
        """The user of this name."""
        return self._users.get(name)

    def delete(self, name: str, actor: str = INTERNAL_USER) -> bool:
        """Forget a user with its permissions; False if there was none. Open connections stay open."""
        self.permissions.forget_user(name)
        found = self._users.pop(name, None) is not None
        if found:
            self._emit("user.deleted", name, actor)
        return found

    def may_connect_from(self, user: User, address: str) -> bool:
        """False if the user may log in from the broker's own machine only, and the address is elsewhere."""
        return user.name not in self.loopback_users or is_loopback(address)

    def _emit(self, key: str, name: str, actor: str, **more: object) -> None:
        if self._events is not None:
            self._events.emit(key, {"name": name, **more, ACTOR: actor})

    def __iter__(self) -> Iterator[User]:
        return iter(self._users.values())

    def __len__(self) -> int:
        return len(self._users)


def with_guest(store: UserStore) -> UserStore:
    """Add the user that every new broker has: guest, password guest, an administrator who may do everything in "/"."""
    store.add(GUEST, GUEST.encode(), tags=["administrator"])
    store.permissions.set(GUEST, "/", Permission(".*", ".*", ".*"))
    return store


def is_loopback(address: str) -> bool:
    """True for 127.0.0.0/8 and ::1, also in the form that an IPv6 socket gives IPv4 peers (::ffff:127.0.0.1)."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a peer without an address, such as one of a Unix socket
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback
