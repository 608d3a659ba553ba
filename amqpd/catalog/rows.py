"""The rows of the catalog: durable things as they are stored, plain values without behaviour.

Rule: what may live here is one class for each table, its fields in the order of the table's columns: a row is handed to
SQLite as the tuple that it is. Named tuples, because a catalog may hold a million bindings and they are made in a third
of the time of frozen dataclasses. Names are text that can be written in UTF-8; tables of arguments are their octets on
the wire, without the length in front.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class VHostRow(NamedTuple):
    """A virtual host."""

    name: str
    metadata: str = "{}"
    """A JSON object: description, tags, and what else is known of it."""


class ExchangeRow(NamedTuple):
    """A durable exchange."""

    vhost: str
    name: str
    kind: str
    auto_delete: bool
    internal: bool
    arguments: bytes
    id: int = 0
    """Of an exchange that keeps messages, from Catalog.next_queue_id(); 0 of all others."""


class QueueRow(NamedTuple):
    """A durable queue. Its id, from Catalog.next_queue_id(), stays its own; its name may be declared again later."""

    id: int
    vhost: str
    name: str
    kind: str
    auto_delete: bool
    arguments: bytes
    declared_by: str = ""
    """The name of the user; empty where nobody knows, as in older files."""


class BindingRow(NamedTuple):
    """A binding between durable things; all of its fields together identify it."""

    vhost: str
    source: str
    destination_is_queue: bool
    destination: str
    key: str
    arguments: bytes


class PolicyRow(NamedTuple):
    """A policy, identified by virtual host, name and whether it is an operator's."""

    vhost: str
    name: str
    is_operator: bool
    pattern: str
    apply_to: str
    priority: int
    definition: str
    """A JSON object."""


class UserRow(NamedTuple):
    """A user."""

    name: str
    password_hash: str
    """Base64, or the text of bcrypt; empty for one who has no password."""
    algorithm: str
    tags: str
    """A JSON list of texts."""
    limits: str
    """A JSON object of whole numbers."""


class PermissionRow(NamedTuple):
    """What a user may do in a virtual host: three regular expressions."""

    user: str
    vhost: str
    configure: str
    write: str
    read: str


class TopicPermissionRow(NamedTuple):
    """Which routing keys a user may use with a topic exchange: two regular expressions."""

    user: str
    vhost: str
    exchange: str
    write: str
    read: str


class ParameterRow(NamedTuple):
    """A runtime parameter."""

    vhost: str
    component: str
    name: str
    value: str
    """Any JSON value."""


class GlobalParameterRow(NamedTuple):
    """A parameter of the whole broker."""

    name: str
    value: str
    """Any JSON value."""


@dataclass(frozen=True)
class Topology:
    """All that the catalog holds. Queues are in the order of their ids, the others in the order of their names."""

    vhosts: list[VHostRow] = field(default_factory=list)
    exchanges: list[ExchangeRow] = field(default_factory=list)
    queues: list[QueueRow] = field(default_factory=list)
    bindings: list[BindingRow] = field(default_factory=list)
    policies: list[PolicyRow] = field(default_factory=list)
    users: list[UserRow] = field(default_factory=list)
    permissions: list[PermissionRow] = field(default_factory=list)
    topic_permissions: list[TopicPermissionRow] = field(default_factory=list)
    parameters: list[ParameterRow] = field(default_factory=list)
    global_parameters: list[GlobalParameterRow] = field(default_factory=list)
    seeded: bool = False
    """The first user and virtual host were made: whoever deleted them since wants them gone."""
