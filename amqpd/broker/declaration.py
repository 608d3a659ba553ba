"""Declarations: what is asked for, whether that can be, and whether what exists is just that (RabbitMQ's texts).

Rule: what may live here compares and refuses. It changes nothing, and looks nothing up.
"""

from __future__ import annotations

from typing import Final

from amqpd.broker.arguments import check_equivalent, inequivalent, same_value
from amqpd.broker.erlang import atom
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.queues.base import Owner, Queue, QueueSpec
from amqpd.broker.queues.classic import ClassicQueue
from amqpd.errors import AccessRefused, NotFound, PreconditionFailed, ResourceLocked
from amqpd.wire.table import EMPTY_TABLE, Table

RESERVED_PREFIX: Final = "amq."


class ExchangeSpec:
    """What exchange.declare asks for (AMQP 0-9-1 section 1.6.2.1).

    ``folder`` is where the exchange keeps messages, if it is of a type that does; the virtual host sets it.
    """

    def __init__(
        self, kind: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table = EMPTY_TABLE
    ) -> None:
        self.kind = kind
        self.durable = durable
        self.auto_delete = auto_delete
        self.internal = internal
        self.arguments = arguments
        self.folder = ""


def check_new_exchange(name: str) -> None:
    """Refuse the creation of what is reserved.

    Raises:
        AccessRefused: the name starts with ``amq.``.
    """
    if name.startswith(RESERVED_PREFIX):
        raise AccessRefused(f"exchange name '{name}' contains reserved prefix 'amq.*'")


def check_equivalent_exchange(vhost_name: str, exchange: Exchange, spec: ExchangeSpec) -> None:
    """Compare a declaration with what exists (section 1.6.2.1, "equivalent").

    Raises:
        PreconditionFailed: naming the first difference.
    """
    compared = (
        ("type", atom(spec.kind), atom(exchange.kind)),
        ("durable", word(spec.durable), word(exchange.durable)),
        ("auto_delete", word(spec.auto_delete), word(exchange.auto_delete)),
        ("internal", word(spec.internal), word(exchange.internal)),
    )
    for argument, received, current in compared:
        if received != current:
            raise PreconditionFailed(
                f"inequivalent arg '{argument}' for exchange '{exchange.name}' in vhost '{vhost_name}': "
                f"received '{received}' but current is '{current}'"
            )
    new = spec.arguments.get("alternate-exchange")
    old = exchange.arguments.get("alternate-exchange")
    if not same_value(new, old):
        raise inequivalent("exchange", "alternate-exchange", exchange.name, vhost_name, new, old)


def check_alive(queue: Queue) -> None:
    """Refuse what needs a queue that works.

    Raises:
        NotFound: the disk failed for it (RabbitMQ: its process crashed). It can be deleted and declared anew.
    """
    if queue.broken:
        raise NotFound(f"{queue} has crashed and failed to restart")


def check_lock(queue: Queue, owner: Owner) -> None:
    """Refuse the exclusive queue of another connection.

    Raises:
        ResourceLocked: it is one.
    """
    if queue.spec.owner is not None and queue.spec.owner is not owner:
        raise locked(queue)


def check_equivalent_queue(vhost_name: str, queue: Queue, spec: QueueSpec) -> None:
    """Compare a declaration with what exists (section 1.7.2.1, "equivalent").

    Raises:
        ResourceLocked: the exclusive flag differs.
        PreconditionFailed: naming the first other difference.
    """
    if (queue.spec.owner is None) != (spec.owner is None):
        raise locked(queue)
    compared = (
        ("durable", spec.durable, queue.spec.durable),
        ("auto_delete", spec.auto_delete, queue.spec.auto_delete),
    )
    for argument, received, current in compared:
        if received != current:
            raise PreconditionFailed(
                f"inequivalent arg '{argument}' for {queue}: "
                f"received '{word(received)}' but current is '{word(current)}'"
            )
    check_equivalent(queue.name, vhost_name, queue.kind, queue.spec.arguments, spec.arguments)


def check_properties(name: str, vhost_name: str, kind: str, spec: QueueSpec) -> None:
    """Quorum queues and streams are durable, shared and permanent.

    Raises:
        PreconditionFailed: this one would not be.
    """
    if kind == ClassicQueue.kind:
        return
    refused = (
        ("auto-delete", spec.auto_delete),
        ("exclusive-owner", spec.owner is not None),
        ("non-durable", not spec.durable),
    )
    for fault, found in refused:
        if found:
            raise PreconditionFailed(f"invalid property '{fault}' for queue '{name}' in vhost '{vhost_name}'")


def locked(queue: Queue) -> ResourceLocked:
    """The error for a queue that is exclusive to another connection, or that should be and is not."""
    return ResourceLocked(
        f"cannot obtain exclusive access to locked {queue}. It could be originally declared on another connection "
        "or the exclusive property value does not match that of the original declaration."
    )


def word(flag: bool) -> str:
    """A flag as reply texts spell it."""
    return "true" if flag else "false"
