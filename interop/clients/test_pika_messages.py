"""Messages arrive as they were sent: properties, header tables, sizes, names in any script."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime
from decimal import Decimal

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from interop.clients.conftest import Connect
from interop.clients.pika_reading import Received, get, receive
from interop.names import unique

ALL_PROPERTIES = {
    "content_type": "application/json",
    "content_encoding": "utf-8",
    "headers": {"k": "v"},
    "delivery_mode": 2,
    "priority": 7,
    "correlation_id": "c-1",
    "reply_to": "answers",
    "expiration": "60000",
    "message_id": "m-1",
    "timestamp": 1_700_000_000,
    "type": "order",
    "user_id": "guest",
    "app_id": "interop",
    "cluster_id": "",
}
ALL_TYPES = {  # that pika can send; it has no floats
    "short string": "x",
    "long string": "x" * 1000,
    "unicode": "žluťoučký 🐇",
    "bytes": b"\x00\xff",
    "true": True,
    "false": False,
    "small": -1,
    "int": 2**31 - 1,
    "long": 2**40,
    "negative long": -(2**40),
    "decimal": Decimal("3.14"),
    "time": datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
    "nothing": None,
    "table": {"inner": {"deep": [1, "two", {"three": 3}]}},
    "array": [1, "two", None, True, [], {}],
    "empty": {},
    "": "empty name",
}


def exchange_of_one(channel: BlockingChannel, body: bytes, properties: pika.BasicProperties) -> Received:
    """Send one message through a new queue and consume it."""
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", queue, body, properties)
    return receive(channel, queue, 1)[0]


def test_all_fourteen_properties_arrive(channel: BlockingChannel) -> None:
    sent = pika.BasicProperties(**ALL_PROPERTIES)
    received = exchange_of_one(channel, b"body", sent)
    assert {name: getattr(received.properties, name) for name in ALL_PROPERTIES} == ALL_PROPERTIES


def test_absent_properties_stay_absent(channel: BlockingChannel) -> None:
    received = exchange_of_one(channel, b"body", pika.BasicProperties())
    assert {name: getattr(received.properties, name) for name in ALL_PROPERTIES} == dict.fromkeys(ALL_PROPERTIES)


def test_a_header_table_of_all_types_arrives(channel: BlockingChannel) -> None:
    received = exchange_of_one(channel, b"", pika.BasicProperties(headers=ALL_TYPES))
    headers = received.properties.headers
    assert headers.pop("time").replace(tzinfo=UTC) == ALL_TYPES["time"]  # pika's own loss: it decodes to naive UTC
    assert headers == {name: value for name, value in ALL_TYPES.items() if name != "time"}


@pytest.mark.parametrize("size", [0, 1, 4087, 4088, 4089, 131_063, 131_064, 131_065, 1_048_576, 5_000_001])
def test_bodies_around_the_frame_size_arrive_whole(channel: BlockingChannel, size: int) -> None:
    body = random.Random(size).randbytes(size)
    received = exchange_of_one(channel, body, pika.BasicProperties())
    assert hashlib.sha256(received.body).digest() == hashlib.sha256(body).digest()


def test_a_body_is_cut_to_the_frame_size_of_whoever_receives_it(connect: Connect) -> None:
    big, small = connect(frame_max=131_072).channel(), connect(frame_max=8_192).channel()
    body = random.Random(1).randbytes(300_000)
    for sender, receiver in ((big, small), (small, big)):
        queue = receiver.queue_declare("", auto_delete=True).method.queue
        sender.basic_publish("", queue, body)
        assert receive(receiver, queue, 1)[0].body == body


@pytest.mark.parametrize("word", ["žluťoučký", "очередь", "キュー", "🐇🥕", "with space", "a/b", "quote'\"", "\\"])
def test_names_in_any_script(channel: BlockingChannel, word: str) -> None:
    queue, exchange, key = unique(word), unique(f"x {word}"), f"{word}.key"
    assert channel.queue_declare(queue, auto_delete=True).method.queue == queue
    channel.exchange_declare(exchange, "topic", auto_delete=True)
    channel.queue_bind(queue, exchange, f"{word}.*")
    channel.basic_publish(exchange, key, word.encode())
    message = get(channel, queue, auto_ack=True)
    assert (message.method.exchange, message.method.routing_key) == (exchange, key)
    channel.queue_delete(queue)


def test_the_longest_names_are_255_octets(channel: BlockingChannel) -> None:
    queue = unique("q").ljust(255, "x")
    assert channel.queue_declare(queue, auto_delete=True).method.queue == queue
    tag = channel.basic_consume(queue, lambda *_: None, consumer_tag="t" * 255)
    assert tag == "t" * 255
    channel.basic_cancel(tag)
