"""amqpd/protocol/publishing.py: what is remembered between publishes, and what comes before a message is routed."""

from __future__ import annotations

import pytest
from pamqp import commands

from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from tests.builders import Client, World


@pytest.fixture
def client() -> Client:
    client = World().client()
    client.open()
    for queue in ("a", "b"):
        client.declare(queue)
    return client


def bind(client: Client, queue: str, exchange: str, key: str, **arguments: object) -> None:
    ends = {"queue": queue, "exchange": exchange, "routing_key": key, "arguments": arguments}
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, **ends)


def counts(client: Client) -> tuple[int, int]:
    """How many messages are in the two queues."""
    return client.declare("a").message_count, client.declare("b").message_count


def headers(**values: object) -> Properties:
    return Properties.of(headers=values)


def test_a_route_is_remembered_until_a_binding_comes_or_goes(client: Client) -> None:
    bind(client, "a", "amq.direct", "k")
    for _ in range(3):
        client.publish(1, "amq.direct", "k")
    bind(client, "b", "amq.direct", "k")
    client.publish(1, "amq.direct", "k")
    ends = {"queue": "a", "exchange": "amq.direct", "routing_key": "k"}
    client.call(1, commands.Queue.Unbind, commands.Queue.UnbindOk, **ends)
    client.publish(1, "amq.direct", "k")
    assert counts(client) == (4, 2)


def test_another_exchange_or_key_is_another_route(client: Client) -> None:
    bind(client, "a", "amq.direct", "k")
    bind(client, "b", "amq.topic", "k")
    for exchange, key in (("amq.direct", "k"), ("amq.topic", "k"), ("", "b"), ("amq.direct", "z"), ("amq.direct", "k")):
        client.publish(1, exchange, key)
    assert counts(client) == (2, 2)


@pytest.mark.parametrize("name", ["CC", "BCC"])
def test_further_keys_of_one_message_are_not_remembered_for_the_next(client: Client, name: str) -> None:
    for properties in (headers(**{name: ["b"]}), EMPTY_PROPERTIES, headers(other=1), EMPTY_PROPERTIES):
        client.publish(1, "", "a", b"", properties)
    assert counts(client) == (4, 1)


def test_a_remembered_route_does_not_hide_further_keys(client: Client) -> None:
    for properties in (EMPTY_PROPERTIES, headers(CC=["b"]), headers(other=1)):
        client.publish(1, "", "a", b"", properties)
    assert counts(client) == (3, 1)


def test_an_exchange_that_looks_at_headers_looks_at_those_of_each_message(client: Client) -> None:
    bind(client, "a", "amq.headers", "", h=1)
    bind(client, "b", "amq.headers", "", h=2)
    for value in (1, 2, 1, 3):
        client.publish(1, "amq.headers", "k", b"", headers(h=value))
    client.publish(1, "amq.headers", "k")
    client.publish(1, "amq.headers", "k", b"", headers(h=2))
    assert counts(client) == (2, 2)


def test_also_when_it_stands_behind_one_that_goes_by_keys(client: Client) -> None:
    ends = {"source": "amq.fanout", "destination": "amq.headers", "routing_key": ""}
    client.call(1, commands.Exchange.Bind, commands.Exchange.BindOk, **ends)
    bind(client, "a", "amq.headers", "", h=1)
    for value in (1, 2, 1):
        client.publish(1, "amq.fanout", "k", b"", headers(h=value))
    assert counts(client) == (2, 0)


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ({"expiration": "soon", "user_id": "x", "headers": {"CC": 1}}, "invalid expiration 'soon': no_integer"),
        (
            {"user_id": "x", "headers": {"CC": 1}},
            'invalid message: {unacceptable_type_in_header,"CC",signedint}',
        ),
        ({"user_id": "x"}, "user_id property set to 'x' but authenticated user was 'guest'"),
    ],
)
def test_what_is_refused_is_not_routed(client: Client, properties: dict[str, object], text: str) -> None:
    """Routing may keep a message for later, so all checks come before it, in RabbitMQ's order."""
    declaration = {"exchange": "h", "exchange_type": "x-recent-history"}
    client.call(1, commands.Exchange.Declare, commands.Exchange.DeclareOk, **declaration)
    client.publish(1, "h", "k", b"", Properties.of(**properties))
    assert client.channel_closed() == (406, f"PRECONDITION_FAILED - {text}")
    client.send(1, commands.Channel.CloseOk)
    client.open()
    bind(client, "a", "h", "")
    assert counts(client) == (0, 0)


def test_after_a_refusal_the_channel_that_opens_next_starts_afresh(client: Client) -> None:
    client.publish(1, "missing", "a")
    assert client.channel_closed() == (404, "NOT_FOUND - no exchange 'missing' in vhost '/'")
    client.send(1, commands.Channel.CloseOk)
    client.open()
    client.publish(1, "", "a")
    assert counts(client) == (1, 0)
