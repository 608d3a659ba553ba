"""The keys of our answers are those of a real RabbitMQ 3.10, but for the ones that are named here with a reason.

sample_keys.json has the keys of answers of that RabbitMQ, with dots between the levels; keys of objects that clients
fill (arguments, properties, ...) are left out.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pamqp import commands

from amqpd.wire.properties import Properties
from tests.builders import ALL_CAPABILITIES, PROTOCOL_HEADER, Client
from tests.management.api import API

KEYS: dict[str, list[str]] = json.loads(Path(__file__).with_name("sample_keys.json").read_text("utf-8"))
OPEN = frozenset(
    {
        "arguments",
        "client_properties",
        "headers",
        "properties",
        "effective_policy_definition",
        "open_files",
        "readers",
        "socket_opts",
        "ssl_opts",
        "applications",
        "sample_retention_policies",
        "metrics_gc_queue_length",
        "ra_open_file_metrics",
    }
)

# Why a key of RabbitMQ's is not there.
MISSING = {
    r".*_details\.rate|.*_details": "rates need two samples: test_statistics.py",
    r"(.*\.)?idle_since": "is there only after some idle time",
    r"backing_queue_status|recoverable_slaves": "parts of a queue that RabbitMQ 4 does not have any more either",
    r"message_bytes_persistent": "octets are not counted apart by whether they are to last",
    r"messages_persistent": "neither are messages",
    r"contexts\.cowboy_opts|contexts\.protocol|listeners\.socket_opts\..*": "parts of RabbitMQ's HTTP server",
    r"extensions\.javascript|javascript": "there is no web UI that could be extended",
    r"cluster_links\..*": "there is no cluster",
}

STATS = "message_stats"


def keys(value: object, prefix: str = "") -> set[str]:
    """All keys of a value, with dots between the levels."""
    found: set[str] = set()
    if isinstance(value, list):
        for element in value:
            found |= keys(element, prefix)
    elif isinstance(value, dict):
        for name, element in value.items():
            found.add(prefix + name)
            if name not in OPEN:
                found |= keys(element, f"{prefix}{name}.")
    return found


@pytest.fixture(scope="module")
def api() -> API:
    """A broker on which everything has happened that the samples show."""
    api = API()
    client = named_client(api)
    client.open(1)
    client.open(2)
    for kind in ("classic", "quorum", "stream"):
        arguments = {"x-queue-type": kind}
        client.declare(kind, durable=True, arguments=arguments)
        client.publish(1, "", kind, b"x", Properties.of(content_type="text/plain"))
    client.declare("mine", exclusive=True)
    traffic(client)
    api.post("/bindings/%2F/e/amq.topic/q/classic", {"routing_key": "k"})
    client.publish(1, "amq.topic", "k")
    return api


def named_client(api: API) -> Client:
    """A client that has given its connection a name."""
    client = api.world.raw_client()
    client.feed(PROTOCOL_HEADER)
    properties = {"capabilities": ALL_CAPABILITIES, "connection_name": "test"}
    response = b"\0guest\0guest"
    client.send(0, commands.Connection.StartOk, client_properties=properties, mechanism="PLAIN", response=response)
    client.send(0, commands.Connection.TuneOk, channel_max=2047, frame_max=131_072)
    client.send(0, commands.Connection.Open, virtual_host="/")
    client.take()
    return client


def traffic(client: Client) -> None:
    """Confirms, consumers, gets, something that went nowhere."""
    client.send(1, commands.Confirm.Select)
    client.publish(1, "", "classic")
    client.publish(1, "", "nowhere", mandatory=True)
    client.send(1, commands.Basic.Qos, prefetch_count=1)
    client.send(1, commands.Basic.Consume, queue="classic")
    client.send(1, commands.Basic.Consume, queue="quorum")
    client.send(2, commands.Basic.Get, queue="classic")


CONNECTION = "127.0.0.1:40000%20-%3E%20127.0.0.1:5672"
PATHS = {
    "aliveness": "/aliveness-test/%2F",
    "bindings_one": "/bindings/%2F/e/amq.topic/q/classic",
    "channel_one": f"/channels/{CONNECTION}%20(1)",
    "channels": "/channels",
    "cluster_name": "/cluster-name",
    "connection_channels": f"/connections/{CONNECTION}/channels",
    "connection_one": f"/connections/{CONNECTION}",
    "connections": "/connections",
    "consumers": "/consumers",
    "exchange_one": "/exchanges/%2F/amq.topic",
    "exchanges_vhost": "/exchanges/%2F",
    "extensions": "/extensions",
    "health_alarms": "/health/checks/alarms",
    "health_port": "/health/checks/port-listener/5672",
    "health_protocol": "/health/checks/protocol-listener/amqp",
    "node_memory": "/nodes/{node}/memory",
    "node_one": "/nodes/{node}",
    "nodes": "/nodes",
    "overview": "/overview",
    "queue_bindings": "/queues/%2F/classic/bindings",
    "queue_one": "/queues/%2F/classic",
    "queue_one_quorum": "/queues/%2F/quorum",
    "queue_one_stream": "/queues/%2F/stream",
    "queues_paginated": "/queues?page=1&columns=messages,name,message_stats.publish_details.rate",
    "queues_vhost": "/queues/%2F",
    "vhost_one": "/vhosts/%2F",
    "whoami": "/whoami",
}


@pytest.mark.parametrize("sample", sorted(PATHS))
def test_every_key_of_rabbitmqs_is_there_or_missing_for_a_reason(api: API, sample: str) -> None:
    response = api.get(PATHS[sample].replace("{node}", api.node.name))
    assert response.status_code == 200
    lacking = set(KEYS[sample]) - keys(response.json())
    assert [key for key in sorted(lacking) if not any(re.fullmatch(reason, key) for reason in MISSING)] == []


def test_every_sample_is_compared() -> None:
    assert set(KEYS) - {"queue_get"} == set(PATHS)


def test_a_message_that_was_got_has_rabbitmqs_keys(api: API) -> None:
    api.put("/queues/%2F/got")
    published = {"properties": {}, "routing_key": "got", "payload": "x", "payload_encoding": "string"}
    api.post("/exchanges/%2F/amq.default/publish", published)
    body = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
    (got,) = api.post("/queues/%2F/got/get", body).json()
    assert set(KEYS["queue_get"]) - keys([got]) == set()
