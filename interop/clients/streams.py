"""Streams with pika's blocking adapter, as the tests of streams need them again and again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel

from interop.clients.pika_reading import Received
from interop.names import unique
from interop.waiting import eventually


@contextmanager
def a_stream(channel: BlockingChannel, **arguments: Any) -> Iterator[str]:
    """The name of a new stream, which is deleted at the end. `max_age` stands for x-max-age.

    What is at work at the end, on any channel, sees a basic.cancel.
    """
    name = unique("stream")
    declare(channel, name, **arguments)
    connection = channel.connection
    yield name
    with connection.channel() as deleting:
        deleting.queue_delete(name)


def declare(channel: BlockingChannel, name: str, **arguments: Any) -> Any:
    """Declare a stream; returns the declare_ok."""
    given = {f"x-{word.replace('_', '-')}": value for word, value in arguments.items()}
    return channel.queue_declare(name, durable=True, arguments={"x-queue-type": "stream", **given}).method


def publish(channel: BlockingChannel, stream: str, bodies: list[str], header: str | None = None) -> None:
    """Publish one after the other, each confirmed before the next: in RabbitMQ each is a chunk of its own.

    Args:
        channel: one without confirms; they go over another one.
        stream: the stream's name.
        bodies: the messages.
        header: x-stream-filter-value.
    """
    properties = pika.BasicProperties(headers=None if header is None else {"x-stream-filter-value": header})
    with channel.connection.channel() as publisher:
        publisher.confirm_delivery()
        for body in bodies:
            publisher.basic_publish("", stream, body.encode(), properties, mandatory=True)


class Reading:
    """A consumer of a stream on a channel of its own.

    Args:
        channel: of a connection that it may use.
        stream: the stream's name.
        offset: x-stream-offset; None leaves it out.
        prefetch: how many it has in hand.
        acks: whether it acknowledges each message.
        arguments: more consumer arguments, `group` for x-stream-group.

    Attributes:
        received: what has come.
    """

    def __init__(
        self,
        channel: BlockingChannel,
        stream: str,
        offset: Any = "first",
        prefetch: int = 100,
        acks: bool = True,
        **arguments: Any,
    ) -> None:
        self.received: list[Received] = []
        self.cancelled = False
        self.channel = channel.connection.channel()
        self.channel.add_on_cancel_callback(self._on_cancel)
        self.channel.basic_qos(prefetch_count=prefetch)
        given = {f"x-stream-{word.replace('_', '-')}": value for word, value in arguments.items()}
        if offset is not None:
            given["x-stream-offset"] = offset
        self._acks = acks
        self.tag = self.channel.basic_consume(stream, self._on_message, arguments=given)

    def _on_message(self, channel: BlockingChannel, method: Any, properties: Any, body: bytes) -> None:
        self.received.append(Received(method, properties, body))
        if self._acks:
            channel.basic_ack(method.delivery_tag)

    def _on_cancel(self, _frame: Any) -> None:
        self.cancelled = True

    def wait(self, count: int) -> list[str]:
        """Wait until there are so many; returns the bodies of all."""
        eventually(lambda: self.look() >= count, f"{count} messages")
        return self.bodies

    def look(self) -> int:
        """Take what has come; returns how many there are in all."""
        self.channel.connection.process_data_events(time_limit=0)
        return len(self.received)

    def settled(self) -> list[str]:
        """The bodies, after a question that the broker has answered: what it had sent before is among them."""
        self.channel.basic_qos(prefetch_count=100)  # consumers that are there keep theirs
        self.look()
        return self.bodies

    @property
    def bodies(self) -> list[str]:
        return [message.body.decode(errors="replace") for message in self.received]

    @property
    def offsets(self) -> list[int]:
        return [message.properties.headers["x-stream-offset"] for message in self.received]

    def close(self) -> None:
        """Close the channel: what is not acknowledged is as if it had not been delivered."""
        self.channel.close()


def read(channel: BlockingChannel, stream: str, count: int, offset: Any = "first", **options: Any) -> Reading:
    """Read so many messages, acknowledge them and stop; see Reading."""
    reading = Reading(channel, stream, offset, **options)
    reading.wait(count)
    reading.close()
    return reading
