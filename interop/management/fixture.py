"""What the requests of matrix.txt are about: two virtual hosts, one of them with queues, messages and a consumer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pika

from interop.management.http import Management

VHOST = "mgmt"
QUEUES: dict[str, dict[str, object]] = {
    "orders": {"x-dead-letter-exchange": "dlx", "x-message-ttl": 60_000, "x-max-length": 10_000},
    "orders.backlog": {},
    "orders.qq": {"x-queue-type": "quorum"},
    "dead": {},
    "prio": {"x-max-priority": 10},
    "sac": {"x-single-active-consumer": True},
    "events.stream": {"x-queue-type": "stream"},
}
MESSAGES = 5


@contextlib.contextmanager
def made(management: Management) -> Iterator[None]:
    """Make everything, and keep a connection that consumes from ``orders`` open."""
    for vhost in (VHOST, "spec"):
        assert management.request("PUT", f"vhosts/{vhost}").status in (201, 204)
        grant = '{"configure": ".*", "write": ".*", "read": ".*"}'
        assert management.request("PUT", f"permissions/{vhost}/guest", grant).status in (201, 204)
    broker = management.broker
    login = pika.PlainCredentials(broker.username, broker.password)
    connection = pika.BlockingConnection(pika.ConnectionParameters(broker.host, broker.port, VHOST, login))
    try:
        channel = connection.channel()
        declare(channel)
        fill(channel)
        channel.basic_consume("orders", lambda *_: None)
        connection.process_data_events()
        policies(management)
        yield
    finally:
        connection.close()


def declare(channel: pika.adapters.blocking_connection.BlockingChannel) -> None:
    """The topology."""
    channel.exchange_declare("events", "topic", durable=True)
    channel.exchange_declare("dlx", "fanout", durable=True)
    channel.exchange_declare("events.all", "fanout", durable=True, arguments={"alternate-exchange": "dlx"})
    channel.exchange_bind("events.all", "events", routing_key="#")
    for name, arguments in QUEUES.items():
        channel.queue_declare(name, durable=True, arguments=arguments)
    channel.queue_declare("tmp.autodelete", auto_delete=True)
    channel.queue_bind("dead", "dlx")
    for key in ("order.created", "order.*.eu"):
        channel.queue_bind("orders", "events", key)
    channel.queue_bind("orders.backlog", "events", "order.created")
    channel.queue_bind("events.stream", "events.all")


def fill(channel: pika.adapters.blocking_connection.BlockingChannel) -> None:
    """Some messages in the queues that requests look into."""
    channel.confirm_delivery()
    for number in range(MESSAGES):
        properties = pika.BasicProperties(content_type="application/json", headers={"x-retry": number})
        channel.basic_publish("events", "order.created", b'{"i": %d}' % number, properties)
        channel.basic_publish("", "prio", b"\0\xff octets", pika.BasicProperties(priority=number))


def policies(management: Management) -> None:
    """A policy, an operator policy, limits and a global parameter."""
    limit = '{"pattern": "^orders", "apply-to": "queues", "definition": {"max-length": 50000}, "priority": 1}'
    expiry = '{"pattern": "^orders$", "apply-to": "queues", "definition": {"expires": 3600000}, "priority": 1}'
    assert management.request("PUT", f"policies/{VHOST}/lim", limit).status == 201
    assert management.request("PUT", f"operator-policies/{VHOST}/oplim", expiry).status == 201
    assert management.request("PUT", f"vhost-limits/{VHOST}/max-connections", '{"value": 50}').status == 204
    assert management.request("PUT", "global-parameters/mgmt_demo", '{"value": 1}').status in (201, 204)
