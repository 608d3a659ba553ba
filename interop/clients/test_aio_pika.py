"""aio-pika: robust connections, confirms, iterating over a queue, requests and replies, transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import pytest
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractRobustConnection
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed, DeliveryError
from aio_pika.patterns import Master

from interop.broker import Broker
from interop.names import unique
from interop.waiting import eventually_async

pytestmark = pytest.mark.anyio


@pytest.fixture
async def connection(broker: Broker) -> AsyncIterator[AbstractRobustConnection]:
    """A robust connection, closed after the test."""
    async with await aio_pika.connect_robust(broker.url, timeout=10) as opened:
        yield opened


@pytest.fixture
async def channel(connection: AbstractRobustConnection) -> AbstractChannel:
    """A channel with publisher confirms, aio-pika's default."""
    return await connection.channel()


async def test_a_queue_iterator_gives_messages_in_order(channel: AbstractChannel) -> None:
    queue = await channel.declare_queue(exclusive=True)
    for number in range(20):
        await channel.default_exchange.publish(Message(b"%d" % number), queue.name)
    bodies: list[bytes] = []
    async with queue.iterator(timeout=10) as messages:
        async for message in messages:
            async with message.process():
                bodies.append(message.body)
            if len(bodies) == 20:
                break
    assert bodies == [b"%d" % number for number in range(20)]


async def test_concurrent_publishes_are_all_confirmed(channel: AbstractChannel) -> None:
    queue = await channel.declare_queue(unique("concurrent"), durable=True)
    messages = [Message(b"x", delivery_mode=DeliveryMode.PERSISTENT) for _ in range(300)]
    await asyncio.gather(*(channel.default_exchange.publish(message, queue.name) for message in messages))
    assert (await queue.purge()).message_count == 300
    await queue.delete()


async def test_an_unroutable_message_raises(connection: AbstractRobustConnection) -> None:
    channel = await connection.channel(on_return_raises=True)
    with pytest.raises(DeliveryError) as unroutable:
        await channel.default_exchange.publish(Message(b"back"), unique("nobody"))
    assert unroutable.value.frame is not None
    assert (unroutable.value.frame.reply_code, unroutable.value.frame.reply_text) == (312, "NO_ROUTE")  # type: ignore[attr-defined] # typed as pamqp's base frame


async def test_a_failing_consumer_gets_its_message_again(channel: AbstractChannel) -> None:
    queue = await channel.declare_queue(exclusive=True)
    await channel.default_exchange.publish(Message(b"work"), queue.name)
    attempts: list[bool | None] = []
    done = asyncio.Event()

    async def work(message: AbstractIncomingMessage) -> None:
        attempts.append(message.redelivered)
        if len(attempts) < 3:
            await message.nack(requeue=True)
        else:
            await message.ack()
            done.set()

    await queue.consume(work)
    await asyncio.wait_for(done.wait(), 10)
    assert attempts == [False, True, True]


async def test_topic_subscribers_get_what_they_asked_for(channel: AbstractChannel) -> None:
    events = await channel.declare_exchange(unique("events"), ExchangeType.TOPIC, auto_delete=True)
    orders, errors = [await channel.declare_queue(exclusive=True) for _ in range(2)]
    await orders.bind(events, "order.#")
    await errors.bind(events, "*.*.failed")
    for key in ("order.1.created", "order.1.failed", "mail.7.failed", "mail.7.sent"):
        await events.publish(Message(key.encode()), key, mandatory=False)
    assert [await body(orders) for _ in range(2)] == [b"order.1.created", b"order.1.failed"]
    assert [await body(errors) for _ in range(2)] == [b"order.1.failed", b"mail.7.failed"]


async def body(queue: Any) -> bytes:
    """Take one message that must be there."""
    message = await queue.get(no_ack=True, fail=True)
    return bytes(message.body)


async def test_requests_and_replies_over_direct_reply_to(channel: AbstractChannel) -> None:
    requests = await channel.declare_queue(exclusive=True)
    answers: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()

    async def answer(request: AbstractIncomingMessage) -> None:
        assert request.reply_to is not None
        reply = Message(request.body.upper(), correlation_id=request.correlation_id)
        await channel.default_exchange.publish(reply, request.reply_to, mandatory=False)

    await requests.consume(answer, no_ack=True)
    caller = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
    await caller.consume(answers.put, no_ack=True)
    request = Message(b"hello", reply_to=caller.name, correlation_id="42")
    await channel.default_exchange.publish(request, requests.name)
    reply = await asyncio.wait_for(answers.get(), 10)
    assert (reply.body, reply.correlation_id) == (b"HELLO", "42")


async def test_a_transaction_is_all_or_nothing(connection: AbstractRobustConnection) -> None:
    channel = await connection.channel(publisher_confirms=False)
    queue = await channel.declare_queue(exclusive=True)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - that the publish succeeds first is the point
        async with channel.transaction():
            await channel.default_exchange.publish(Message(b"lost"), queue.name)
            _ = 1 / 0
    async with channel.transaction():
        await channel.default_exchange.publish(Message(b"kept"), queue.name)
    assert await body(queue) == b"kept"
    assert await queue.get(fail=False) is None


async def test_headers_keep_their_types(channel: AbstractChannel) -> None:
    queue = await channel.declare_queue(exclusive=True)
    headers: Any = {"n": -5, "big": 2**40, "f": 1.5, "s": "žluť", "t": True, "list": [1, {"x": None}]}
    await channel.default_exchange.publish(Message(b"", headers=headers), queue.name)
    assert (await queue.get(no_ack=True)).headers == headers


async def test_errors_are_exceptions_with_the_brokers_text(connection: AbstractRobustConnection) -> None:
    with pytest.raises(ChannelNotFoundEntity, match="NOT_FOUND - no queue 'missing' in vhost '/'"):
        await (await connection.channel()).declare_queue("missing", passive=True)
    with pytest.raises(ChannelPreconditionFailed, match=r"inequivalent arg 'type' for exchange 'amq\.topic'"):
        await (await connection.channel()).declare_exchange("amq.topic", ExchangeType.DIRECT, durable=True)


async def test_master_and_workers_share_tasks(connection: AbstractRobustConnection) -> None:
    queue = unique("squares")
    results: list[int] = []

    async def square(*, number: int) -> None:
        results.append(number * number)

    worker_channel = await connection.channel()
    await worker_channel.set_qos(prefetch_count=2)
    worker = await Master(worker_channel).create_worker(queue, square, auto_delete=True)
    master = Master(await connection.channel())
    for number in range(10):
        await master.create_task(queue, {"number": number})
    await eventually_async(lambda: len(results) == 10, "ten squares")
    assert sorted(results) == [number * number for number in range(10)]
    await worker.close()


async def test_ten_connections_at_once(broker: Broker) -> None:
    async def echo(number: int) -> bytes:
        async with await aio_pika.connect(broker.url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(exclusive=True)
            await channel.default_exchange.publish(Message(b"%d" % number), queue.name)
            return await body(queue)

    echoes = await asyncio.gather(*(echo(number) for number in range(10)))
    assert echoes == [b"%d" % number for number in range(10)]
