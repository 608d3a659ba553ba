"""The users and who of them may log in from where.

Rule: what may live here is what is known of users. How a client proves to be one is in login.py.
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from amqpd.auth.effects import Effects
from amqpd.auth.password import (
    DEFAULT_ALGORITHM,
    SALT_LENGTH,
    PasswordRules,
    check_hash,
    hash_password,
    is_slow,
    matches,
)
from amqpd.auth.permissions import Permissions
from amqpd.auth.topics import TopicPermissions
from amqpd.broker.broker import Broker
from amqpd.broker.events import ACTOR, INTERNAL_USER
from amqpd.catalog.rows import UserRow

GUEST: Final = "guest"
USER_LIMITS: Final = ("max-connections", "max-channels")


class User:
    """One user. It never changes: another one takes its place.

    Args:
        name: any text.
        password_hash: as password.py makes it; empty for a user who cannot log in with a password.
        algorithm: what made the hash.
        tags: ``administrator``, ``monitoring``, ``policymaker``, ``management``, ``impersonator``, or any other.
        limits: whole numbers by name, one of USER_LIMITS; a negative one is no limit.
    """

    __slots__ = ("algorithm", "limits", "name", "password_hash", "tags")

    def __init__(
        self,
        name: str,
        password_hash: str,
        algorithm: str = DEFAULT_ALGORITHM,
        tags: Iterable[str] = (),
        limits: Mapping[str, int] | None = None,
    ) -> None:
        self.name = name
        self.password_hash = password_hash
        self.algorithm = algorithm
        self.tags = tuple(dict.fromkeys(tags))
        self.limits = dict(limits or {})

    @property
    def max_connections(self) -> int | None:
        """How many connections the user may have; None for any number."""
        return limit_of(self.limits, "max-connections")

    @property
    def max_channels(self) -> int | None:
        """How many channels the user may have on all connections together; None for any number."""
        return limit_of(self.limits, "max-channels")

    @property
    def is_slow(self) -> bool:
        """True if has_password() takes so long that nothing else may wait for it."""
        return is_slow(self.algorithm)

    def has_password(self, password: bytes) -> bool:
        """True if this is the user's password. May be called in any thread.

        Raises:
            PasswordError: the library that this takes is not installed.
        """
        return matches(password, self.password_hash, self.algorithm)

    def with_limits(self, limits: Mapping[str, int]) -> User:
        """The same user with other limits."""
        return User(self.name, self.password_hash, self.algorithm, self.tags, limits)


class UserStore:
    """All users with their permissions. What changes is known to open connections at once, and kept.

    Args:
        broker: whose users they are; None for users that nobody can use yet.
        random: octets for salts.
        loopback_users: names that may log in from the broker's own machine only.
        rules: for new passwords.
    """

    def __init__(
        self,
        broker: Broker | None = None,
        random: Callable[[int], bytes] = os.urandom,
        loopback_users: Iterable[str] = frozenset({GUEST}),
        rules: PasswordRules | None = None,
    ) -> None:
        self.permissions = Permissions(broker)
        self.topic_permissions = TopicPermissions(broker)
        self.loopback_users = frozenset(loopback_users)
        self.rules = rules or PasswordRules()
        self.decoy: User | None = None
        """One whose password takes long to check, if there is one."""
        self.on_deleted: list[Callable[[str], None]] = []
        """Told the name of every user that is deleted."""
        self.on_gone: list[Callable[[User], None]] = []
        """Told every User that is none any more: another one took its place, or it was deleted."""
        self._effects = Effects(broker)
        self._random = random
        self._users: dict[str, User] = {}
        if broker is not None:
            broker.on_vhost_deleted.append(self._vhost_deleted)

    def add(self, name: str, password: bytes, tags: Iterable[str] = (), actor: str = INTERNAL_USER) -> User:
        """Make a user, or replace the one of this name; permissions and limits stay. An empty password never matches.

        Raises:
            PasswordError: the rules do not allow the password.
        """
        before = self._users.get(name)
        return self.put(
            User(name, self.hash(password), tags=tags, limits=None if before is None else before.limits), actor
        )

    def hash(self, password: bytes, checked: bool = True) -> str:
        """The hash of a new password; empty for the empty one, which never matches.

        Args:
            checked: by the rules.

        Raises:
            PasswordError: the rules do not allow the password.
        """
        if checked:
            self.rules.check(password)
        return hash_password(password, self._random(SALT_LENGTH)) if password else ""

    def put(self, user: User, actor: str = INTERNAL_USER) -> User:
        """Add a user whose hash is known, or replace the one of this name.

        Raises:
            PasswordError: the hash cannot be kept.
            UnicodeEncodeError: a text that UTF-8 cannot write.
        """
        check_hash(user.password_hash, user.algorithm)
        before = self._users.get(user.name)
        self._keep(user)
        self.restore(user)
        if before is None:
            self._emit("user.created", user.name, actor)
        elif user.password_hash != before.password_hash:
            self._emit("user.password.changed" if user.password_hash else "user.password.cleared", user.name, actor)
        if set(user.tags) != (set() if before is None else set(before.tags)):
            self._emit("user.tags.set", user.name, actor, tags=list(user.tags))
        return user

    def restore(self, user: User) -> None:
        """Take a user as it is, from the catalog for one; it is kept already."""
        before = self._users.get(user.name)
        self._users[user.name] = user
        if user.is_slow:
            self.decoy = user
        if before is not None:
            self._gone(before)

    def set_limits(self, name: str, limits: Mapping[str, int], actor: str = INTERNAL_USER) -> User:
        """Set some of a user's limits; the others stay. Open connections and channels stay, too.

        Raises:
            KeyError: no such user.
            ValueError: no such limit.
        """
        unknown = [limit for limit in limits if limit not in USER_LIMITS]
        if unknown:
            raise ValueError(f"there is no user limit {unknown[0]}")
        before = self._users[name]
        changed = before.with_limits({**before.limits, **limits})
        self._replace(changed)
        self._emit("user.limits.set", name, actor, **dict(limits))
        return changed

    def clear_limit(self, name: str, limit: str, actor: str = INTERNAL_USER) -> User:
        """Take one of a user's limits away.

        Raises:
            KeyError: no such user.
            ValueError: no such limit.
        """
        if limit not in USER_LIMITS:
            raise ValueError(f"there is no user limit {limit}")
        before = self._users[name]
        changed = before.with_limits({key: value for key, value in before.limits.items() if key != limit})
        self._replace(changed)
        self._emit("user.limits.cleared", name, actor, limit=limit)
        return changed

    def find(self, name: str) -> User | None:
        """The user of this name."""
        return self._users.get(name)

    def delete(self, name: str, actor: str = INTERNAL_USER) -> bool:
        """Forget a user with its permissions, and close its connections; False if there was none."""
        user = self._users.pop(name, None)
        if user is None:
            return False
        self._gone(user)
        self.permissions.forget_user(name)
        self.topic_permissions.forget_user(name)
        catalog = self._effects.catalog()
        if catalog is not None:
            catalog.remove_user(name)
        self._emit("user.deleted", name, actor)
        for told in self.on_deleted:
            told(name)
        return True

    def may_connect_from(self, user: User, address: str) -> bool:
        """False if the user may log in from the broker's own machine only, and the address is elsewhere."""
        return user.name not in self.loopback_users or is_loopback(address)

    def _replace(self, user: User) -> None:
        self._keep(user)
        self.restore(user)

    def _gone(self, user: User) -> None:
        if self.decoy is user:
            self.decoy = next((other for other in self if other.is_slow), None)
        for told in self.on_gone:
            told(user)

    def _keep(self, user: User) -> None:
        catalog = self._effects.catalog()
        if catalog is not None:
            tags, limits = json.dumps(user.tags), json.dumps(user.limits)
            catalog.add_user(UserRow(user.name, user.password_hash, user.algorithm, tags, limits))

    def _vhost_deleted(self, name: str) -> None:
        self.permissions.forget_vhost(name)
        self.topic_permissions.forget_vhost(name)

    def _emit(self, key: str, name: str, actor: str, **more: object) -> None:
        self._effects.emit(key, {"name": name, **more, ACTOR: actor})

    def __iter__(self) -> Iterator[User]:
        return iter(self._users.values())

    def __len__(self) -> int:
        return len(self._users)


def limit_of(limits: Mapping[str, int], name: str) -> int | None:
    """A limit as a number, or None: it is not set, or negative."""
    value = limits.get(name, -1)
    return None if value < 0 else value


def is_loopback(address: str) -> bool:
    """True for 127.0.0.0/8 and ::1, also in the form that an IPv6 socket gives IPv4 peers (::ffff:127.0.0.1)."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a peer without an address, such as one of a Unix socket
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback
