"""Streams with aio-pika: queue iterators, concurrent confirms, a robust connection that comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aio_pika
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractQueue

from interop.broker import Broker
from interop.names import unique

pytestmark = pytest.mark.anyio


@pytest.fixture
async def channel(broker: Broker) -> AsyncIterator[AbstractChannel]:
    """A channel with confirms and a prefetch."""
    async with await aio_pika.connect_robust(broker.url, timeout=10) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=50)
        yield channel


@pytest.fixture
async def stream(channel: AbstractChannel) -> AsyncIterator[AbstractQueue]:
    """A new stream."""
    queue = await channel.declare_queue(unique("stream"), durable=True, arguments={"x-queue-type": "stream"})
    yield queue
    await queue.delete(if_unused=False, if_empty=False)


async def read(stream: AbstractQueue, count: int, offset: object) -> list[tuple[int, bytes]]:
    """Consume and acknowledge so many messages; returns offsets and bodies."""
    found: list[tuple[int, bytes]] = []
    done = asyncio.Event()

    async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        offset = message.headers["x-stream-offset"]
        assert isinstance(offset, int)
        found.append((offset, message.body))
        await message.ack()
        if len(found) == count:
            done.set()

    tag = await stream.consume(on_message, arguments={"x-stream-offset": offset})  # type: ignore[dict-item]  # Any in AMQP
    await asyncio.wait_for(done.wait(), 10)
    await stream.cancel(tag)
    return found


async def test_concurrent_publishes_are_confirmed_and_read_in_the_order_of_their_offsets(
    channel: AbstractChannel, stream: AbstractQueue
) -> None:
    bodies = [b"%d" % number for number in range(300)]
    await asyncio.gather(*(channel.default_exchange.publish(Message(body), stream.name) for body in bodies))
    found = await read(stream, 300, "first")
    assert [offset for offset, _ in found] == list(range(300))
    assert sorted(body for _, body in found) == sorted(bodies)
    assert await read(stream, 10, 290) == found[290:]


async def test_several_readers_at_once_each_get_everything(channel: AbstractChannel, stream: AbstractQueue) -> None:
    for number in range(20):
        await channel.default_exchange.publish(Message(b"%d" % number), stream.name)
    expected = [(number, b"%d" % number) for number in range(20)]
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    starts: list[object] = ["first", 0, "1h", an_hour_ago]
    assert await asyncio.gather(*(read(stream, 20, start) for start in starts)) == [expected] * 4


async def test_an_iterator_follows_a_stream(channel: AbstractChannel, stream: AbstractQueue) -> None:
    bodies: list[bytes] = []
    async with stream.iterator(arguments={"x-stream-offset": "first"}, timeout=10) as messages:
        await channel.default_exchange.publish(Message(b"0"), stream.name)
        async for message in messages:
            bodies.append(message.body)
            await message.ack()
            if len(bodies) == 5:
                break
            await channel.default_exchange.publish(Message(b"%d" % len(bodies)), stream.name)
    assert bodies == [b"0", b"1", b"2", b"3", b"4"]
