"""py-amqp, the library under kombu: what it can do that pika cannot, and a connection that is cut."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import amqp
import pytest

from interop.broker import Broker
from interop.names import unique
from interop.waiting import eventually


def open_connection(broker: Broker, **options: Any) -> amqp.Connection:
    connection = amqp.Connection(f"{broker.host}:{broker.port}", broker.username, broker.password, **options)
    connection.connect()
    return connection


@pytest.fixture
def connection(broker: Broker) -> Iterator[amqp.Connection]:
    """An open connection; closed after the test unless it is already."""
    opened = open_connection(broker)
    yield opened
    opened.close()


@pytest.fixture
def channel(connection: amqp.Connection) -> amqp.Channel:
    """A channel of `connection`."""
    return connection.channel()


def take(channel: amqp.Channel, queue: str) -> amqp.Message:
    message = channel.basic_get(queue, no_ack=True)
    assert message is not None, f"{queue!r} is empty"
    return message


def test_consuming_with_drain_events(connection: amqp.Connection, channel: amqp.Channel) -> None:
    queue, _, _ = channel.queue_declare(exclusive=True)
    received: list[str] = []

    def on_message(message: amqp.Message) -> None:
        received.append(message.body)
        channel.basic_ack(message.delivery_tag)

    channel.basic_qos(0, 1, a_global=False)
    channel.basic_consume(queue, callback=on_message)
    for word in ("one", "two", "three"):
        channel.basic_publish(amqp.Message(word, content_encoding="utf-8"), routing_key=queue)
    while len(received) < 3:
        connection.drain_events(timeout=10)
    assert received == ["one", "two", "three"]


def test_header_tables_with_all_types(channel: amqp.Channel) -> None:
    queue, _, _ = channel.queue_declare(exclusive=True)
    headers = {
        "text": "žluť",
        "bytes": b"\x00\xff",
        "int": -7,
        "long": 2**40,
        "float": 2.5,
        "decimal": Decimal("3.14"),
        "true": True,
        "false": False,
        "none": None,
        "time": datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
        "table": {"inner": [1, "two", {"three": 3.0}]},
        "array": [1, "two", None, False],
    }
    channel.basic_publish(amqp.Message("", application_headers=headers), routing_key=queue)
    received = dict(take(channel, queue).headers)
    assert received.pop("time").replace(tzinfo=UTC) == headers.pop("time")  # py-amqp's own loss: naive UTC
    assert received == headers


def test_a_confirmed_publish_returns_when_acknowledged(broker: Broker) -> None:
    with open_connection(broker, confirm_publish=True) as connection:
        channel = connection.channel()
        queue, _, _ = channel.queue_declare(exclusive=True)
        for _ in range(20):
            channel.basic_publish_confirm(amqp.Message("x", delivery_mode=2), routing_key=queue, mandatory=True)
        assert channel.queue_declare(queue, passive=True).message_count == 20


def test_returned_messages_reach_their_listener(connection: amqp.Connection, channel: amqp.Channel) -> None:
    returned: list[tuple[int, str, str, str]] = []
    channel.events["basic_return"].add(
        lambda error, exchange, routing_key, message: returned.append(
            (error.reply_code, error.reply_text, exchange, message.body)
        )
    )
    channel.basic_publish(amqp.Message("back"), exchange="amq.topic", routing_key=unique("nobody"), mandatory=True)
    while not returned:
        connection.drain_events(timeout=10)
    assert returned == [(312, "NO_ROUTE", "amq.topic", "back")]


def test_immediate_is_not_implemented(broker: Broker) -> None:
    connection = open_connection(broker)
    channel = connection.channel()
    channel.basic_publish(amqp.Message("now"), routing_key="anywhere", immediate=True)
    with pytest.raises(amqp.AMQPNotImplementedError) as refused:
        connection.drain_events(timeout=10)
    assert (refused.value.reply_code, refused.value.reply_text) == (540, "NOT_IMPLEMENTED - immediate=true")
    assert refused.value.method_sig == (60, 40)


def test_a_reused_consumer_tag_closes_the_connection(broker: Broker) -> None:
    channel = open_connection(broker).channel()
    queue, _, _ = channel.queue_declare(exclusive=True)
    channel.basic_consume(queue, consumer_tag="me")
    with pytest.raises(amqp.NotAllowed) as refused:
        channel.basic_consume(queue, consumer_tag="me")
    assert refused.value.reply_text == "NOT_ALLOWED - attempt to reuse consumer tag 'me'"


def test_an_unacknowledged_message_survives_a_cut_connection(broker: Broker, channel: amqp.Channel) -> None:
    queue = unique("cut")
    channel.queue_declare(queue, auto_delete=False)
    channel.basic_publish(amqp.Message("work"), routing_key=queue)
    victim = open_connection(broker)
    assert eventually(lambda: victim.channel().basic_get(queue), "the message").body == "work"
    assert channel.basic_get(queue) is None
    victim.transport.sock.shutdown(socket.SHUT_RDWR)
    victim.collect()
    again = eventually(lambda: channel.basic_get(queue, no_ack=True), "the message is back")
    assert (again.body, again.delivery_info["redelivered"]) == ("work", True)
    channel.queue_delete(queue)


def test_the_broker_drops_a_client_whose_heart_stopped(broker: Broker, channel: amqp.Channel) -> None:
    queue = unique("heart")
    silent = open_connection(broker, heartbeat=1)
    silent.channel().queue_declare(queue, exclusive=True)

    def queue_is_gone() -> bool:
        with channel.connection.channel() as asking:
            try:
                asking.queue_declare(queue, passive=True)
            except amqp.NotFound:
                return True
            except amqp.ResourceLocked:
                return False
        raise AssertionError("an exclusive queue of another connection answered")

    eventually(queue_is_gone, "the connection without heartbeats was dropped")
    silent.collect()


def test_heartbeats_come_from_the_broker(broker: Broker) -> None:
    with open_connection(broker, heartbeat=1) as connection:
        assert connection.heartbeat == 1
        before = connection.bytes_recv

        def heard() -> bool:
            connection.heartbeat_tick()
            with pytest.raises(socket.timeout):  # nothing but heartbeats comes, and those are no event
                connection.drain_events(timeout=0.1)
            return bool(connection.bytes_recv > before)

        eventually(heard, "a heartbeat")


def test_login_and_vhost_errors(broker: Broker) -> None:
    with pytest.raises(amqp.AccessRefused, match=r"403.*ACCESS_REFUSED - Login was refused using authentication"):
        amqp.Connection(f"{broker.host}:{broker.port}", "guest", "wrong").connect()
    with pytest.raises(amqp.NotAllowed, match="NOT_ALLOWED - vhost nowhere not found"):
        open_connection(broker, virtual_host="nowhere")


def test_amqplain_login_works(broker: Broker) -> None:
    with open_connection(broker, login_method="AMQPLAIN") as connection:
        assert connection.channel().is_open
