"""Reading messages with pika's blocking adapter, as the pika tests need it again and again."""

from __future__ import annotations

from typing import Any, NamedTuple

from pika.adapters.blocking_connection import BlockingChannel

TIMEOUT_SECONDS = 10.0


class Received(NamedTuple):
    """One delivery: `method` is pika's Basic.Deliver or Basic.GetOk."""

    method: Any
    properties: Any
    body: bytes


def receive(channel: BlockingChannel, queue: str, count: int, auto_ack: bool = True) -> list[Received]:
    """Consume exactly `count` messages of `queue`, leaving them unacknowledged unless `auto_ack`.

    Raises:
        TimeoutError: no message came for ten seconds.
    """
    messages: list[Received] = []
    for method, properties, body in channel.consume(queue, auto_ack=auto_ack, inactivity_timeout=TIMEOUT_SECONDS):
        if method is None:
            raise TimeoutError(f"{len(messages)} of {count} messages from {queue!r}")
        messages.append(Received(method, properties, body))
        if len(messages) == count:
            break
    channel.cancel()
    return messages


def get(channel: BlockingChannel, queue: str, auto_ack: bool = False) -> Received:
    """Return the message that basic.get finds in `queue`; fails when there is none."""
    method, properties, body = channel.basic_get(queue, auto_ack=auto_ack)
    assert method is not None, f"{queue!r} is empty"
    return Received(method, properties, body)


def ready_messages(channel: BlockingChannel, queue: str) -> int:
    """Return how many messages of `queue` wait for a consumer, as a passive declare tells.

    RabbitMQ counts ahead of publishes and acknowledgements that are still on their way to the queue, even the same
    channel's: only confirmed publishes are counted for sure.
    """
    count: int = channel.queue_declare(queue, passive=True).method.message_count
    return count
