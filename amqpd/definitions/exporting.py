"""Exporting: the broker, or one virtual host, as a document in RabbitMQ's form.

Left out is what a broker makes by itself (the default exchange and its bindings, ``amq.*``) and what goes with a
connection (exclusive queues). Rule: what may live here reads, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from amqpd.auth.permissions import Permission
from amqpd.auth.topics import TopicPermission
from amqpd.auth.users import User, UserStore
from amqpd.broker.binding import Binding
from amqpd.broker.broker import Broker
from amqpd.broker.declaration import RESERVED_PREFIX
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.policy import Policy
from amqpd.broker.queues.base import Queue
from amqpd.broker.vhost import VHost
from amqpd.definitions.rows import INTERNAL_PREFIX
from amqpd.definitions.steps import drain, run_all
from amqpd.wire.json_values import json_of_table

Row = dict[str, object]

_UNDEFINED: Final = "undefined"  # RabbitMQ's word for no default queue type


class Product(NamedTuple):
    """What wrote a document.

    Args:
        version: the RabbitMQ version that this broker is like, which tells importers what to expect.
        name, own_version: what it really is.
    """

    version: str
    name: str
    own_version: str


class Export:
    """One export. When steps() has ended, document is it.

    Args:
        broker, users: that are written down.
        product: what writes it.
        vhost: the only one that is written down; None for all.
    """

    def __init__(self, broker: Broker, users: UserStore, product: Product, vhost: VHost | None = None) -> None:
        self.document: dict[str, object] = {}
        self._broker = broker
        self._users = users
        self._product = product
        self._vhost = vhost

    def steps(self) -> Iterator[None]:
        """Write a row a step. Sections that are being changed meanwhile may have some of the changes."""
        self.document.update(self._head() if self._vhost is None else self._vhost_head(self._vhost))
        for section, rows in (self._whole() if self._vhost is None else self._one(self._vhost)).items():
            written: list[Row] = []
            self.document[section] = written
            for row in rows:
                written.append(row)
                yield

    def drained(self) -> dict[str, object]:
        """The document with iterators in the place of its lists, which let go of every row that was taken from them."""
        return {name: drain(value) if isinstance(value, list) else value for name, value in self.document.items()}

    def _head(self) -> Row:
        return {
            **self._versions(),
            "rabbitmq_definition_format": "cluster",
            "original_cluster_name": self._broker.cluster_name,
            "explanation": f"Definitions of cluster '{self._broker.cluster_name}'",
        }

    def _versions(self) -> Row:
        product = self._product
        return {
            "rabbit_version": product.version,
            "rabbitmq_version": product.version,
            "product_name": product.name,
            "product_version": product.own_version,
        }

    def _vhost_head(self, vhost: VHost) -> Row:
        return {
            **self._versions(),
            "rabbitmq_definition_format": "single_virtual_host",
            "original_vhost_name": vhost.name,
            "explanation": f"Definitions of virtual host '{vhost.name}'",
            **{key: value for key, value in self._vhost_row(vhost).items() if key != "name"},
        }

    def _whole(self) -> dict[str, Iterator[Row]]:
        vhosts = list(self._broker.vhosts.values())
        return {
            "users": (user_row(user) for user in list(self._users)),
            "vhosts": (self._vhost_row(vhost) for vhost in vhosts),
            "permissions": self._permissions(),
            "topic_permissions": self._topic_permissions(),
            "parameters": (row for vhost in vhosts for row in self._parameters(vhost)),
            "global_parameters": self._global_parameters(),
            "policies": (row for vhost in vhosts for row in policies(vhost)),
            "queues": (in_vhost(row, vhost) for vhost in vhosts for row in queues(vhost)),
            "exchanges": (in_vhost(row, vhost) for vhost in vhosts for row in exchanges(vhost)),
            "bindings": (in_vhost(row, vhost) for vhost in vhosts for row in bindings(vhost)),
        }

    def _one(self, vhost: VHost) -> dict[str, Iterator[Row]]:
        return {
            "parameters": (without_vhost(row) for row in self._parameters(vhost)),
            "policies": (without_vhost(row) for row in policies(vhost)),
            "queues": queues(vhost),
            "exchanges": exchanges(vhost),
            "bindings": bindings(vhost),
        }

    def _vhost_row(self, vhost: VHost) -> Row:
        metadata = metadata_of(vhost)
        kind = vhost.metadata.default_queue_type
        limits = self._broker.limits.of(vhost)
        flat = {**metadata, "default_queue_type": kind or _UNDEFINED}
        return {"name": vhost.name, **flat, "metadata": metadata, "limits": limits}

    def _permissions(self) -> Iterator[Row]:
        for user, vhost, row in sorted(self._users.permissions, key=lambda found: found[:2]):
            yield permission_row(user, vhost, row)

    def _topic_permissions(self) -> Iterator[Row]:
        for user, vhost, exchange, row in sorted(self._users.topic_permissions, key=lambda found: found[:3]):
            yield topic_permission_row(user, vhost, exchange, row)

    def _parameters(self, vhost: VHost) -> Iterator[Row]:
        for found in self._broker.parameters.of(vhost):
            yield {"vhost": vhost.name, "component": found.component, "name": found.name, "value": found.value}

    def _global_parameters(self) -> Iterator[Row]:
        for name, value in self._broker.globals.all().items():
            if not name.startswith(INTERNAL_PREFIX):
                yield {"name": name, "value": value}


def export(broker: Broker, users: UserStore, product: Product, vhost: VHost | None = None) -> dict[str, object]:
    """The document at once."""
    exported = Export(broker, users, product, vhost)
    run_all(exported.steps())
    return exported.document


def metadata_of(vhost: VHost) -> Row:
    """Description and tags; default queue type and protection if there are."""
    found: Row = {"description": vhost.metadata.description, "tags": list(vhost.metadata.tags)}
    if vhost.metadata.default_queue_type is not None:
        found["default_queue_type"] = vhost.metadata.default_queue_type
    if vhost.metadata.protected:
        found["protected_from_deletion"] = True
    return found


def user_row(user: User) -> Row:
    """A user, with the hash of the password."""
    return {
        "name": user.name,
        "password_hash": user.password_hash,
        "hashing_algorithm": user.algorithm,
        "tags": list(user.tags),
        "limits": dict(user.limits),
    }


def permission_row(user: str, vhost: str, permission: Permission) -> Row:
    """What a user may do in a virtual host."""
    patterns = {"configure": permission.configure, "write": permission.write, "read": permission.read}
    return {"user": user, "vhost": vhost, **patterns}


def topic_permission_row(user: str, vhost: str, exchange: str, permission: TopicPermission) -> Row:
    """Which routing keys a user may use with an exchange."""
    return {"user": user, "vhost": vhost, "exchange": exchange, "write": permission.write, "read": permission.read}


def policies(vhost: VHost) -> Iterator[Row]:
    """The users' policies; operators' are parameters."""
    for policy in vhost.policies.user_policies():
        yield policy_row(vhost, policy)


def policy_row(vhost: VHost, policy: Policy) -> Row:
    """A policy."""
    return {
        "vhost": vhost.name,
        "name": policy.name,
        "pattern": policy.pattern,
        "apply-to": policy.apply_to,
        "definition": policy.definition,
        "priority": policy.priority,
    }


def queues(vhost: VHost) -> Iterator[Row]:
    """The queues that do not belong to a connection."""
    for queue in list(vhost.queues.values()):
        if is_exported_queue(queue):
            yield {
                "name": queue.name,
                "type": queue.kind,
                "durable": queue.spec.durable,
                "auto_delete": queue.spec.auto_delete,
                "arguments": json_of_table(queue.spec.arguments),
            }


def is_exported_queue(queue: Queue) -> bool:
    """False for those of a connection, and those whose name the broker made."""
    return queue.spec.owner is None and not queue.name.startswith(RESERVED_PREFIX)


def exchanges(vhost: VHost) -> Iterator[Row]:
    """The exchanges that somebody declared."""
    for exchange in list(vhost.exchanges.values()):
        if is_exported_exchange(exchange):
            yield {
                "name": exchange.name,
                "type": exchange.kind,
                "durable": exchange.durable,
                "auto_delete": exchange.auto_delete,
                "internal": exchange.internal,
                "arguments": json_of_table(exchange.arguments),
            }


def is_exported_exchange(exchange: Exchange) -> bool:
    """False for those that are there from the beginning."""
    return bool(exchange.name) and not exchange.name.startswith(RESERVED_PREFIX)


def bindings(vhost: VHost) -> Iterator[Row]:
    """The bindings between what an import will find."""
    for exchange in list(vhost.exchanges.values()):
        if exchange.name:
            for binding in exchange.bindings():
                if is_exported_binding(binding):
                    yield binding_row(binding)


def is_exported_binding(binding: Binding) -> bool:
    """False if it leads to something that is not exported."""
    destination = binding.destination
    return is_exported_queue(destination) if isinstance(destination, Queue) else True


def binding_row(binding: Binding) -> Row:
    """A binding."""
    return {
        "source": binding.source.name,
        "destination": binding.destination.name,
        "destination_type": binding.destination.kind_word,
        "routing_key": binding.key,
        "arguments": json_of_table(binding.arguments),
    }


def in_vhost(row: Row, vhost: VHost) -> Row:
    """A row of a whole broker's document, with its virtual host behind its name or source."""
    first, *others = row.items()
    return dict([first, ("vhost", vhost.name), *others])


def without_vhost(row: Row) -> Row:
    """A row of the document of one virtual host."""
    return {key: value for key, value in row.items() if key != "vhost"}
