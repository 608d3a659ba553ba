"""Definitions of a real RabbitMQ: into amqpd, out again, and back into a RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pika
import pytest

from interop.amqpd_server import AmqpdServer
from interop.management.api import API
from interop.rabbitmq.server import RabbitMQServer, scripts
from interop.waiting import free_port

pytestmark = pytest.mark.timeout(120)

VHOST = "shop"
SECTIONS = (
    "users",
    "vhosts",
    "permissions",
    "topic_permissions",
    "parameters",
    "global_parameters",
    "policies",
    "queues",
    "exchanges",
    "bindings",
)
# What amqpd exports otherwise, and why.
LATER = {"type", "metadata", "limits", "description", "tags", "default_queue_type"}  # of RabbitMQ 4, missing in 3.10
INTERNAL = "internal_"  # global parameters that belong to the broker that made them
CLASSIC = {"x-queue-type": "classic"}  # RabbitMQ 4 tells the type of every queue among its arguments


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[API]:
    """A RabbitMQ with something of everything."""
    try:
        scripts()
    except FileNotFoundError as reason:
        pytest.skip(str(reason))
    port = free_port()
    with RabbitMQServer(management_port=port) as broker:
        found = API(broker, port)
        found.wait()
        fill(found)
        yield found


def fill(api: API) -> None:
    """Make something of everything."""
    api.change("PUT", f"/vhosts/{VHOST}", {})
    api.change("PUT", "/users/app", {"password": "secret", "tags": "management,own"})
    api.change("PUT", "/users/nobody", {"tags": ""})
    api.change("PUT", "/users/limited", {"password": "p", "tags": "", "limits": {"max-connections": 3}})
    api.change("PUT", f"/permissions/{VHOST}/app", {"configure": "^app", "write": ".*", "read": ".*"})
    topic = {"exchange": "events", "write": "^{username}", "read": ".*"}
    api.change("PUT", f"/topic-permissions/{VHOST}/app", topic)
    api.change("PUT", f"/vhost-limits/{VHOST}/max-queues", {"value": 50})
    policy = {"pattern": "^o", "definition": {"max-length": 100, "overflow": "drop-head"}, "apply-to": "queues"}
    api.change("PUT", f"/policies/{VHOST}/most", {**policy, "priority": 3})
    api.change("PUT", f"/operator-policies/{VHOST}/least", {"pattern": "^o", "definition": {"expires": 3_600_000}})
    api.change("PUT", "/global-parameters/own", {"value": {"a": [1, "b", None]}})
    arguments: dict[str, dict[str, object]] = {
        "orders": {"x-message-ttl": 60_000, "x-dead-letter-exchange": "events", "x-max-priority": 5},
        "safe": {"x-queue-type": "quorum", "x-delivery-limit": 5},
        "log": {"x-queue-type": "stream", "x-max-age": "7D"},
        "single": {"x-single-active-consumer": True},
    }
    for name, found in arguments.items():
        api.change("PUT", f"/queues/{VHOST}/{name}", {"durable": True, "arguments": found})
    exchange = {"type": "topic", "durable": True, "arguments": {"alternate-exchange": "amq.fanout"}}
    api.change("PUT", f"/exchanges/{VHOST}/events", exchange)
    api.change("PUT", f"/exchanges/{VHOST}/inner", {"type": "headers", "durable": True, "internal": True})
    bindings: tuple[tuple[str, dict[str, object]], ...] = (
        ("e/events/q/orders", {"routing_key": "order.#", "arguments": {}}),
        ("e/events/e/inner", {"routing_key": "#"}),
        ("e/inner/q/safe", {"routing_key": "", "arguments": {"x-match": "any", "n": 7, "deep": {"l": [1, "a", True]}}}),
        ("e/amq.direct/q/log", {"routing_key": "a b/~#"}),
    )
    for path, body in bindings:
        api.change("POST", f"/bindings/{VHOST}/{path}", body)


@pytest.fixture(scope="module")
def amqpd() -> Iterator[API]:
    """An amqpd without anything."""
    port = free_port()
    with AmqpdServer(management_port=port) as broker:
        found = API(broker, port)
        found.wait()
        yield found


def comparable(document: dict[str, Any], section: str) -> list[dict[str, Any]]:
    """The rows of a section, as far as both brokers should have the same."""
    rows = [{key: value for key, value in row.items() if key not in LATER} for row in document[section]]
    for row, original in zip(rows, document[section], strict=True):
        if section == "queues":
            row["arguments"] = {name: row["arguments"][name] for name in row["arguments"] if name != "x-queue-type"}
            row["kind"] = original["arguments"].get("x-queue-type", CLASSIC["x-queue-type"])
        if section == "users":
            row["limits"], row["tags"] = original["limits"], original["tags"]
    kept = [row for row in rows if not str(row.get("name", "")).startswith(INTERNAL)]
    return sorted(kept, key=lambda row: sorted((key, str(value)) for key, value in row.items()))


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    for section in SECTIONS:
        assert comparable(one, section) == comparable(other, section), section


def test_a_rabbitmqs_definitions_go_through_amqpd_and_back(rabbitmq: API, amqpd: API) -> None:
    exported = rabbitmq.get("/definitions")
    amqpd.change("POST", "/definitions", exported)
    through = amqpd.get("/definitions")
    assert_same(exported, through)
    amqpd.change("POST", "/definitions", through)
    assert amqpd.get("/definitions") == through  # nothing came twice
    rabbitmq.change("DELETE", f"/vhosts/{VHOST}")
    rabbitmq.change("POST", "/definitions", through)
    back = rabbitmq.get("/definitions")
    assert_same(through, back)


def test_a_user_of_the_file_logs_in(rabbitmq: API, amqpd: API) -> None:
    amqpd.change("POST", "/definitions", rabbitmq.get("/definitions"))
    for api in (rabbitmq, amqpd):
        login = pika.PlainCredentials("app", "secret")
        parameters = pika.ConnectionParameters(api.broker.host, api.broker.port, VHOST, login)
        with pika.BlockingConnection(parameters) as connection:
            assert connection.channel().queue_declare("orders", passive=True).method.queue == "orders"


def test_the_document_of_one_virtual_host_makes_another_one_like_it_in_both(rabbitmq: API, amqpd: API) -> None:
    amqpd.change("POST", "/definitions", rabbitmq.get("/definitions"))
    document = amqpd.get(f"/definitions/{VHOST}")
    for api in (rabbitmq, amqpd):
        api.change("PUT", "/vhosts/copy", {})
        api.change("POST", "/definitions/copy", document)
        copied = of_one_vhost(api.get("/definitions/copy"))
        assert copied == of_one_vhost(document)
        assert all(copied.values()), "a section is empty"


def of_one_vhost(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The sections of a virtual host's document. RabbitMQ 3.10 still names it in some rows."""
    bare = {
        section: [{key: value for key, value in row.items() if key != "vhost"} for row in document[section]]
        for section in ("parameters", "policies", "queues", "exchanges", "bindings")
    }
    return {section: comparable(bare, section) for section in bare}
