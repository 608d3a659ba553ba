"""Streams with py-amqp: every integer type as an offset is its own, and so are tables written by another codec."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import amqp
import pytest

from interop.broker import Broker
from interop.names import unique


@pytest.fixture
def connection(broker: Broker) -> Iterator[amqp.Connection]:
    """An open connection."""
    connection = amqp.Connection(f"{broker.host}:{broker.port}", broker.username, broker.password, confirm_publish=True)
    connection.connect()
    yield connection
    connection.close()


@pytest.fixture
def channel(connection: amqp.Connection) -> amqp.Channel:
    """A channel with confirms and a prefetch."""
    channel = connection.channel()
    channel.basic_qos(0, 10, a_global=False)
    return channel


@pytest.fixture
def stream(channel: amqp.Channel) -> Iterator[str]:
    """A new stream with twenty messages."""
    name = unique("stream")
    channel.queue_declare(name, durable=True, auto_delete=False, arguments={"x-queue-type": "stream"})
    for number in range(20):
        message = amqp.Message(str(number), application_headers={"number": number}, delivery_mode=2)
        channel.basic_publish(message, routing_key=name)
    yield name
    channel.queue_delete(name)


@pytest.mark.parametrize(
    ("offset", "first"),
    [("first", 0), ("last", 19), (5, 5), (0, 0), ("1h", 0), (datetime.now(UTC) - timedelta(hours=1), 0)],
    ids=str,
)
def test_reading_from_anywhere(
    connection: amqp.Connection, channel: amqp.Channel, stream: str, offset: Any, first: int
) -> None:
    found: list[tuple[str, int, int]] = []

    def on_message(message: amqp.Message) -> None:
        found.append((message.body, message.headers["number"], message.headers["x-stream-offset"]))
        channel.basic_ack(message.delivery_tag)

    tag = channel.basic_consume(stream, callback=on_message, arguments={"x-stream-offset": offset})
    while len(found) < 20 - first:
        connection.drain_events(timeout=10)
    channel.basic_cancel(tag)
    assert found == [(str(number), number, number) for number in range(first, 20)]


def test_what_is_refused_names_the_method(connection: amqp.Connection, channel: amqp.Channel, stream: str) -> None:
    other = connection.channel()
    with pytest.raises(amqp.PreconditionFailed, match="consumer prefetch count is not set") as refused:
        other.basic_consume(stream)
    assert refused.value.method_name == "Basic.consume"
