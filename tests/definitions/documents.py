"""Documents as various brokers have written them, for several tests."""

from __future__ import annotations

import copy

from amqpd.auth.users import UserStore
from amqpd.broker.broker import Broker
from amqpd.definitions.exporting import Product, export
from amqpd.definitions.importing import Import
from amqpd.definitions.reading import read
from amqpd.definitions.steps import run_all

GUEST_HASH = "9/1i+jKFRpbTRV1PtRnzFFYibT3cEpP92JeZ8YKGtflf4e/u"  # of guest
PRODUCT = Product("4.0.5", "amqpd", "1.0")

# As RabbitMQ 4 writes it; older versions leave keys out.
WHOLE: dict[str, object] = {
    "rabbit_version": "4.0.5",
    "rabbitmq_version": "4.0.5",
    "product_name": "RabbitMQ",
    "product_version": "4.0.5",
    "rabbitmq_definition_format": "cluster",
    "original_cluster_name": "rabbit@a",
    "explanation": "Definitions of cluster 'rabbit@a'",
    "users": [
        {
            "name": "app",
            "password_hash": GUEST_HASH,
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": ["management", "own"],
            "limits": {"max-connections": 5},
        }
    ],
    "vhosts": [
        {
            "name": "shop",
            "description": "the shop",
            "tags": ["a"],
            "default_queue_type": "quorum",
            "metadata": {"description": "the shop", "tags": ["a"], "default_queue_type": "quorum"},
            "limits": {"max-queues": 10},
        }
    ],
    "permissions": [{"user": "app", "vhost": "shop", "configure": "^app", "write": ".*", "read": ".*"}],
    "topic_permissions": [{"user": "app", "vhost": "shop", "exchange": "events", "write": "^a", "read": ".*"}],
    "parameters": [
        {"vhost": "shop", "component": "vhost-limits", "name": "limits", "value": {"max-queues": 10}},
        {
            "vhost": "shop",
            "component": "operator_policy",
            "name": "most",
            "value": {"apply-to": "queues", "definition": {"max-length": 100}, "pattern": "", "priority": 0},
        },
    ],
    "global_parameters": [{"name": "cluster_name", "value": "shop-cluster"}, {"name": "any", "value": {"a": [1]}}],
    "policies": [
        {
            "vhost": "shop",
            "name": "ttl",
            "pattern": "^o",
            "apply-to": "queues",
            "definition": {"message-ttl": 1000},
            "priority": 1,
        }
    ],
    "queues": [
        {
            "name": "orders",
            "vhost": "shop",
            "type": "classic",
            "durable": True,
            "auto_delete": False,
            "arguments": {"x-max-length": 5, "x-queue-type": "classic"},
        },
        {
            "name": "log",
            "vhost": "shop",
            "type": "stream",
            "durable": True,
            "auto_delete": False,
            "arguments": {"x-queue-type": "stream"},
        },
    ],
    "exchanges": [
        {
            "name": "events",
            "vhost": "shop",
            "type": "topic",
            "durable": True,
            "auto_delete": False,
            "internal": False,
            "arguments": {"alternate-exchange": "amq.fanout"},
        }
    ],
    "bindings": [
        {
            "source": "events",
            "vhost": "shop",
            "destination": "orders",
            "destination_type": "queue",
            "routing_key": "order.#",
            "arguments": {"x": 1, "deep": {"list": [1, "a", True, None, 1.5]}},
        },
        {
            "source": "events",
            "vhost": "shop",
            "destination": "amq.topic",
            "destination_type": "exchange",
            "routing_key": "",
            "arguments": {},
        },
    ],
}


def whole() -> dict[str, object]:
    """A copy of WHOLE, to be changed."""
    return copy.deepcopy(WHOLE)


def load(
    broker: Broker, users: UserStore, document: object, vhost: str = "", actor: str = "guest"
) -> tuple[Import, list[tuple[str, str]]]:
    """Import a document at once; returns the import and the rows that it left out, with the reasons."""
    left_out: list[tuple[str, str]] = []
    loading = Import(broker, users, read(document, vhost), actor, lambda row, reason: left_out.append((row, reason)))
    run_all(loading.steps())
    return loading, left_out


def saved(broker: Broker, users: UserStore, vhost: str | None = None) -> dict[str, object]:
    """An export."""
    return export(broker, users, PRODUCT, None if vhost is None else broker.vhosts[vhost])
