"""The sections of a document: how a row of each becomes one that is checked.

Every function takes the place of a row and its fields, and raises RowFault, PolicyError, or an AMQPError with the text
of RabbitMQ, if it cannot be used. Rule: what may live here looks at one row alone; what it needs of others is for
checking.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from amqpd.auth.password import BCRYPT, DEFAULT_ALGORITHM, check_hash
from amqpd.auth.permissions import Permission
from amqpd.auth.topics import TopicPermission
from amqpd.auth.users import USER_LIMITS
from amqpd.broker.arguments import QUEUE_TYPES
from amqpd.broker.declaration import RESERVED_PREFIX, ExchangeSpec
from amqpd.broker.exchanges import EXCHANGE_TYPES
from amqpd.broker.metadata import check_vhost_name
from amqpd.broker.policy import Policy
from amqpd.broker.vhost_limits import VHOST_LIMITS
from amqpd.definitions.fields import Fields, RowFault
from amqpd.definitions.rows import (
    INTERNAL_PREFIX,
    BindingRow,
    ExchangeRow,
    GlobalParameterRow,
    LimitsRow,
    PermissionRow,
    PolicyRow,
    QueueRow,
    Row,
    SkippedRow,
    TopicPermissionRow,
    UserRow,
    VHostRow,
)
from amqpd.wire.table import Field, Table

_MD5: Final = "rabbit_password_hashing_md5"
_SALTED_SINCE: Final = (3, 6)  # before that version hashes were MD5's, and rows did not say so
_ALGORITHMS: Final[Mapping[str, str]] = {"lavinmq_bcrypt": BCRYPT}  # other brokers' names
_DEFAULT_TYPES: Final = ("undefined", "")  # RabbitMQ's words for a virtual host that has no default queue type
_PROTECTED: Final = "protected_from_deletion"


@dataclass(frozen=True)
class Place:
    """Where a row stands, and what holds for all rows of its document.

    Args:
        vhost: all rows belong to this virtual host; empty if each names its own.
        version: of the RabbitMQ that wrote the document; empty if it does not say.
    """

    section: str
    index: int
    vhost: str
    version: tuple[int, ...]


class NoVHost(RowFault):
    """A row does not tell its virtual host: the document is of one virtual host, and none was named."""

    def __init__(self) -> None:
        super().__init__(
            "has no vhost: this is the export of one virtual host; import it into one, with"
            " POST /api/definitions/<vhost>"
        )


def read_user(place: Place, fields: Fields) -> Row:
    """A user, with a hash, a password or neither."""
    if not fields.has("tags"):
        raise RowFault("has no tags")
    old = place.version[:2] < _SALTED_SINCE if place.version else False
    algorithm = fields.text("hashing_algorithm", _MD5 if old else DEFAULT_ALGORITHM)
    algorithm = _ALGORITHMS.get(algorithm, algorithm)
    password_hash = fields.text("password_hash", "")
    if fields.has("password") and password_hash:
        raise RowFault("has a password and a password_hash")
    check_hash(password_hash, algorithm)
    password = fields.text("password").encode() if fields.has("password") else None
    limits = fields.limits("limits", USER_LIMITS) if fields.has("limits") else None
    tags = fields.words("tags")
    return UserRow(place.section, place.index, fields.name(), password_hash, algorithm, tags, limits, password)


def read_vhost(place: Place, fields: Fields) -> Row:
    """A virtual host; its metadata may stand in an object of that name, in the row, or in both."""
    metadata = Fields(fields.mapping("metadata"))
    holders = [holder for holder in (fields, metadata) if holder.has("description")]
    description = holders[0].text("description") if holders else None
    holders = [holder for holder in (fields, metadata) if holder.has("tags")]
    tags = holders[0].words("tags") if holders else None
    limits = fields.limits("limits", VHOST_LIMITS) if fields.has("limits") else None
    check_vhost_name(fields.name())
    kind = default_queue_type(fields) or default_queue_type(metadata)
    protected = metadata.flag(_PROTECTED, fields.flag(_PROTECTED, False))
    return VHostRow(place.section, place.index, fields.name(), description, tags, kind, limits, protected)


def default_queue_type(fields: Fields) -> str | None:
    """The default queue type under its name or its older one; None if there is none."""
    for key in ("default_queue_type", "defaultqueuetype"):
        kind = fields.text(key, "")
        if kind not in _DEFAULT_TYPES:
            if kind not in QUEUE_TYPES:
                raise RowFault(f"{key}: there is no queue type '{kind}'")
            return kind
    return None


def read_permission(place: Place, fields: Fields) -> Row:
    """What a user may do in a virtual host."""
    permission = Permission(fields.text("configure"), fields.text("write"), fields.text("read"))
    return PermissionRow(place.section, place.index, fields.name("user"), vhost_of(place, fields), permission)


def read_topic_permission(place: Place, fields: Fields) -> Row:
    """Which routing keys a user may use."""
    permission = TopicPermission(fields.text("write"), fields.text("read"))
    user, vhost, exchange = fields.name("user"), vhost_of(place, fields), fields.text("exchange", "")
    return TopicPermissionRow(place.section, place.index, user, vhost, exchange, permission)


def read_exchange(place: Place, fields: Fields) -> Row:
    """An exchange."""
    name = fields.name()
    if not name or name.startswith(RESERVED_PREFIX):
        return SkippedRow(place.section, place.index, f"the exchange '{name}' is there from the beginning")
    kind = fields.text("type")
    if kind not in EXCHANGE_TYPES:
        raise RowFault(f"there is no exchange type '{kind}'")
    arguments = fields.table("arguments")
    alternate = arguments.get("alternate-exchange")
    if alternate is not None and alternate.tag != "S":
        raise RowFault("the argument alternate-exchange is not a text")
    EXCHANGE_TYPES[kind].validate(arguments)
    flags = fields.flag("durable", True), fields.flag("auto_delete", False), fields.flag("internal", False)
    return ExchangeRow(place.section, place.index, vhost_of(place, fields), name, ExchangeSpec(kind, *flags, arguments))


def read_queue(place: Place, fields: Fields) -> Row:
    """A queue. Newer documents name its type beside its arguments, too."""
    name = fields.name()
    if not name:
        raise RowFault("has an empty name")
    if name.startswith(RESERVED_PREFIX):
        return SkippedRow(place.section, place.index, f"the name '{name}' is one that a broker makes")
    arguments = with_type(fields.table("arguments"), fields.text("type", ""))
    vhost = vhost_of(place, fields)
    durable, auto_delete = fields.flag("durable", True), fields.flag("auto_delete", False)
    return QueueRow(place.section, place.index, vhost, name, durable, auto_delete, arguments)


def with_type(arguments: Table, kind: str) -> Table:
    """The arguments with the type that the row has beside them, unless they tell it themselves."""
    if kind in QUEUE_TYPES and arguments.get("x-queue-type") is None:
        return arguments.replaced({"x-queue-type": Field("S", kind)})
    return arguments


def read_binding(place: Place, fields: Fields) -> Row:
    """A binding."""
    source, destination = fields.text("source", ""), fields.name("destination")
    if not source:
        return SkippedRow(place.section, place.index, "the default exchange has its bindings by itself")
    kind = fields.text("destination_type")
    if kind not in ("queue", "exchange"):
        raise RowFault(f"destination_type is '{kind}', and neither queue nor exchange")
    vhost, key, arguments = vhost_of(place, fields), fields.text("routing_key", ""), fields.table("arguments")
    return BindingRow(place.section, place.index, vhost, source, destination, kind == "queue", key, arguments)


def read_policy(place: Place, fields: Fields) -> Row:
    """A user's policy."""
    return PolicyRow(place.section, place.index, vhost_of(place, fields), policy_of(fields.name(), fields, False))


def policy_of(name: str, fields: Fields, is_operator: bool) -> Policy:
    """The policy that a row or a parameter's value describes."""
    priority = fields.value("priority") if fields.has("priority") else 0
    apply_to = fields.text("apply-to", "all")
    return Policy(name, fields.value("pattern"), fields.value("definition"), priority, apply_to, is_operator)


def read_parameter(place: Place, fields: Fields) -> Row:
    """A runtime parameter: the limits of a virtual host, or an operator policy."""
    component, name, vhost = fields.text("component"), fields.name(), vhost_of(place, fields)
    if component == "vhost-limits":
        return LimitsRow(place.section, place.index, vhost, fields.limits("value", VHOST_LIMITS))
    if component in ("policy", "operator_policy"):
        policy = policy_of(name, Fields(fields.mapping("value")), component == "operator_policy")
        return PolicyRow(place.section, place.index, vhost, policy)
    return SkippedRow(
        place.section, place.index, f"the parameter '{name}' is one of '{component}', which amqpd does not have"
    )


def read_global_parameter(place: Place, fields: Fields) -> Row:
    """A global parameter."""
    name = fields.name()
    if name.startswith(INTERNAL_PREFIX):
        return SkippedRow(place.section, place.index, f"'{name}' belongs to the broker that wrote the file")
    return GlobalParameterRow(place.section, place.index, name, fields.value("value"))


def vhost_of(place: Place, fields: Fields) -> str:
    """The virtual host of a row.

    Raises:
        NoVHost: it does not say, and neither does the document.
    """
    if place.vhost:
        return place.vhost
    if not fields.has("vhost"):
        raise NoVHost
    return fields.name("vhost")


READERS: Final[Mapping[str, Callable[[Place, Fields], Row]]] = {
    "users": read_user,
    "vhosts": read_vhost,
    "permissions": read_permission,
    "exchanges": read_exchange,
    "topic_permissions": read_topic_permission,
    "global_parameters": read_global_parameter,
    "policies": read_policy,
    "parameters": read_parameter,
    "queues": read_queue,
    "bindings": read_binding,
}
"""How the rows of a section are read."""

OF_ONE_VHOST: Final = ("policies", "parameters", "exchanges", "queues", "bindings")
"""The sections that a document of one virtual host has."""
