"""Clients of a stream, for tests that look at it from outside."""

from __future__ import annotations

from pamqp import commands

from amqpd.broker.queues.stream.queue import StreamQueue
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from amqpd.wire.table import Table
from tests.builders import Client, Content, World, publish_bytes

NAME = "q"


def declared(world: World, name: str = NAME, **arguments: object) -> Client:
    """A client that has declared a stream: ``max_age="1h"`` is its argument x-max-age. It wants confirms."""
    client = world.client()
    client.open()
    table: dict[str, object] = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
    client.declare(name, durable=True, arguments={"x-queue-type": "stream", **table})
    client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
    return client


def stream_of(world: World, name: str = NAME) -> StreamQueue:
    queue = world.vhost.queue(name)
    assert isinstance(queue, StreamQueue)
    return queue


def publish(client: Client, *bodies: bytes, name: str = NAME, properties: Properties = EMPTY_PROPERTIES) -> None:
    """In one read; the confirms are not looked at."""
    client.feed(b"".join(publish_bytes(1, "", name, body, properties) for body in bodies))
    client.take()


def filtered(value: str) -> Properties:
    return Properties.of(headers=Table.of({"x-stream-filter-value": value}))


def reader(world: World, prefetch: int = 100, name: str = NAME, **arguments: object) -> Client:
    """A client that has asked for a consumer: ``offset="first"`` is its argument x-stream-offset."""
    client = world.client()
    client.open()
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=prefetch)
    consume(client, name, **arguments)
    return client


def consume(client: Client, name: str = NAME, tag: str = "c", **arguments: object) -> None:
    table = {"x-stream-" + key.replace("_", "-"): value for key, value in arguments.items()}
    client.send(1, commands.Basic.Consume, queue=name, consumer_tag=tag, arguments=table)


def ack(client: Client, tag: int, multiple: bool = True) -> None:
    client.send(1, commands.Basic.Ack, delivery_tag=tag, multiple=multiple)


def deliveries(client: Client) -> list[Content]:
    """What was delivered since the last call; answers to methods are left out."""
    return [item for _, item in client.received() if isinstance(item, Content)]


def bodies(client: Client) -> list[bytes]:
    return [content.body for content in deliveries(client)]


def offsets(client: Client) -> list[int]:
    """x-stream-offset of deliveries()."""
    found = []
    for content in deliveries(client):
        headers = content.properties.headers
        assert headers is not None
        field = headers.get("x-stream-offset")
        assert field is not None
        assert field.tag == "l"
        assert isinstance(field.value, int)
        found.append(field.value)
    return found
