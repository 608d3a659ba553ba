"""pika's asyncio adapter: a ping-pong between two channels on the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pika
import pytest
from pika.adapters.asyncio_connection import AsyncioConnection

from interop.broker import Broker

pytestmark = pytest.mark.anyio
DEADLINE_SECONDS = 15


async def connect(broker: Broker) -> AsyncioConnection:
    """Return an open connection of the running loop."""
    opened: asyncio.Future[AsyncioConnection] = asyncio.get_running_loop().create_future()
    AsyncioConnection(
        pika.URLParameters(broker.url),
        on_open_callback=opened.set_result,
        on_open_error_callback=lambda _connection, error: opened.set_exception(error),
    )
    return await opened


async def open_channel(connection: AsyncioConnection) -> Any:
    opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    connection.channel(on_open_callback=opened.set_result)
    return await opened


async def own_queue(channel: Any) -> str:
    """Declare an exclusive queue and return the name the broker gave it."""
    declared: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    channel.queue_declare("", exclusive=True, callback=declared.set_result)
    return str((await declared).method.queue)


async def close(connection: AsyncioConnection) -> None:
    closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    connection.add_on_close_callback(lambda _connection, _reason: closed.set_result(None))
    connection.close()
    await closed


async def test_two_channels_play_ping_pong(broker: Broker) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        connection = await connect(broker)
        ping, pong = await open_channel(connection), await open_channel(connection)
        ping_queue, pong_queue = await own_queue(ping), await own_queue(pong)
        game_over = asyncio.Event()
        log: list[str] = []

        def on_ping(channel: Any, method: Any, _properties: Any, body: bytes) -> None:
            log.append(f"ping {body.decode()}")
            channel.basic_ack(method.delivery_tag)
            channel.basic_publish("", pong_queue, body)

        def on_pong(channel: Any, method: Any, _properties: Any, body: bytes) -> None:
            log.append(f"pong {body.decode()}")
            channel.basic_ack(method.delivery_tag)
            if int(body) == 50:
                game_over.set()
            else:
                channel.basic_publish("", ping_queue, b"%d" % (int(body) + 1))

        ping.basic_consume(ping_queue, on_ping)
        pong.basic_consume(pong_queue, on_pong)
        ping.basic_publish("", ping_queue, b"1")
        await game_over.wait()
        await close(connection)
    assert log == [f"{side} {number}" for number in range(1, 51) for side in ("ping", "pong")]


async def test_a_channel_error_reaches_the_close_callback(broker: Broker) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        connection = await connect(broker)
        channel = await open_channel(connection)
        closed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        channel.add_on_close_callback(lambda _channel, reason: closed.set_result(reason))
        channel.queue_declare("missing", passive=True)
        reason = await closed
        await close(connection)
    assert isinstance(reason, pika.exceptions.ChannelClosedByBroker)
    assert (reason.reply_code, reason.reply_text) == (404, "NOT_FOUND - no queue 'missing' in vhost '/'")
