"""The rows of a definitions document, read and checked: what is to be there when it has been imported.

Rule: what may live here is data. How JSON becomes a row is sections.py's, what is done with it importing.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from amqpd.auth.permissions import Permission
from amqpd.auth.topics import TopicPermission
from amqpd.broker.declaration import ExchangeSpec
from amqpd.broker.policy import Policy
from amqpd.wire.table import Table

SECTIONS: Final = (
    "users",
    "vhosts",
    "permissions",
    "exchanges",
    "topic_permissions",
    "global_parameters",
    "policies",
    "parameters",
    "queues",
    "bindings",
)
"""In the order in which they are applied: what stands further on needs what stands before it."""
INTERNAL_PREFIX: Final = "internal_"
"""Of names of global parameters that a broker keeps for itself: no document has them, or they are left out."""


@dataclass(frozen=True)
class Row:
    """One row.

    Args:
        section: one of SECTIONS.
        index: its place in there.
    """

    section: str
    index: int

    @property
    def label(self) -> str:
        """How errors and warnings call it."""
        return f"{self.section}[{self.index}]"


@dataclass(frozen=True)
class UserRow(Row):
    """One user.

    Args:
        limits: all of the user's; None leaves them as they are.
        password: to be hashed; None if the hash is known, or there is no password.
    """

    name: str
    password_hash: str
    algorithm: str
    tags: tuple[str, ...]
    limits: Mapping[str, int] | None
    password: bytes | None


@dataclass(frozen=True)
class VHostRow(Row):
    """One virtual host. None, and False of protected: the document does not say."""

    name: str
    description: str | None
    tags: tuple[str, ...] | None
    default_queue_type: str | None
    limits: Mapping[str, int] | None
    protected: bool


@dataclass(frozen=True)
class PermissionRow(Row):
    """What a user may do."""

    user: str
    vhost: str
    permission: Permission


@dataclass(frozen=True)
class TopicPermissionRow(Row):
    """Which routing keys a user may use."""

    user: str
    vhost: str
    exchange: str
    permission: TopicPermission


@dataclass(frozen=True)
class ExchangeRow(Row):
    """One exchange."""

    vhost: str
    name: str
    spec: ExchangeSpec


@dataclass(frozen=True)
class QueueRow(Row):
    """One queue."""

    vhost: str
    name: str
    durable: bool
    auto_delete: bool
    arguments: Table


@dataclass(frozen=True)
class BindingRow(Row):
    """One binding."""

    vhost: str
    source: str
    destination: str
    destination_is_queue: bool
    key: str
    arguments: Table


@dataclass(frozen=True)
class PolicyRow(Row):
    """One policy, a user's or an operator's."""

    vhost: str
    policy: Policy


@dataclass(frozen=True)
class LimitsRow(Row):
    """The limits of a virtual host, all of them."""

    vhost: str
    limits: Mapping[str, int]


@dataclass(frozen=True)
class GlobalParameterRow(Row):
    """A global parameter; the value is any JSON."""

    name: str
    value: object


@dataclass(frozen=True)
class SkippedRow(Row):
    """A row that is left out, and why."""

    reason: str


@dataclass
class Definitions:
    """A document.

    Args:
        rows: by section; every section is there.
        has_users: it has a section of users, be it empty.
        has_permissions: likewise.
    """

    has_users: bool = False
    has_permissions: bool = False
    rows: dict[str, list[Row]] = field(default_factory=lambda: {section: [] for section in SECTIONS})

    @property
    def count(self) -> int:
        """How many rows there are."""
        return sum(len(rows) for rows in self.rows.values())
