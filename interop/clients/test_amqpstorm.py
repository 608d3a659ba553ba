"""amqpstorm: its thread-safe channels, confirms, generators and RPC."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import amqpstorm
import pytest
from amqpstorm import Channel, Connection, Message

from interop.broker import Broker
from interop.names import unique
from interop.waiting import eventually


@pytest.fixture
def connection(broker: Broker) -> Iterator[Connection]:
    """An open connection, closed after the test."""
    with Connection(broker.host, broker.username, broker.password, port=broker.port, timeout=10) as opened:
        yield opened


@pytest.fixture
def channel(connection: Connection) -> Channel:
    """A channel of `connection`."""
    return connection.channel()


def test_a_simple_consumer_acknowledges_what_a_publisher_sent(channel: Channel) -> None:
    queue = channel.queue.declare("", exclusive=True)["queue"]
    properties = {"content_type": "text/plain", "headers": {"key": "value", "n": 7}}
    channel.confirm_deliveries()
    for number in range(5):
        assert Message.create(channel, f"message {number}", properties).publish(queue) is True
    received: list[str] = []

    def on_message(message: Message) -> None:
        received.append(message.body)
        assert message.properties["headers"] == {"key": "value", "n": 7}
        message.ack()
        if len(received) == 5:
            channel.stop_consuming()

    channel.basic.qos(2)
    channel.basic.consume(on_message, queue)
    channel.start_consuming()
    assert received == [f"message {number}" for number in range(5)]


def test_an_unroutable_mandatory_message_raises(channel: Channel) -> None:
    channel.confirm_deliveries()
    with pytest.raises(amqpstorm.AMQPMessageError, match="NO_ROUTE"):
        channel.basic.publish("back", unique("nobody"), mandatory=True)


def test_get_reject_and_requeue(channel: Channel) -> None:
    queue = channel.queue.declare("", exclusive=True)["queue"]
    channel.basic.publish("work", queue)
    message = eventually(lambda: channel.basic.get(queue), "the message")
    message.reject(requeue=True)
    again = eventually(lambda: channel.basic.get(queue), "the message again")
    assert (again.body, again.redelivered) == ("work", True)
    again.nack(requeue=False)
    assert channel.basic.get(queue) is None


def test_a_transaction_rolls_back_on_an_exception(channel: Channel) -> None:
    queue = channel.queue.declare("", exclusive=True)["queue"]
    with pytest.raises(ZeroDivisionError), channel.tx:  # noqa: PT012 - that the publish succeeds first is the point
        channel.basic.publish("lost", queue)
        _ = 1 / 0
    with channel.tx:
        channel.basic.publish("kept", queue)
    message = channel.basic.get(queue)
    assert message is not None
    assert (message.body, channel.queue.declare(queue, passive=True)["message_count"]) == ("kept", 0)


def test_errors_close_the_channel_with_code_and_text(connection: Connection) -> None:
    channel = connection.channel()
    with pytest.raises(amqpstorm.AMQPChannelError) as refused:
        channel.queue.declare("missing", passive=True)
    assert refused.value.error_code == 404
    assert "NOT_FOUND - no queue 'missing' in vhost '/'" in str(refused.value)
    assert connection.channel().is_open


def test_threads_share_one_connection(connection: Connection) -> None:
    def round_trip(number: int) -> str:
        with connection.channel() as channel:
            queue = channel.queue.declare("", exclusive=True)["queue"]
            channel.basic.publish(f"thread {number}", queue)
            message = channel.basic.get(queue)
            assert message is not None
            return str(message.body)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(round_trip, range(24))) == [f"thread {number}" for number in range(24)]


def test_a_large_body_survives(channel: Channel) -> None:
    queue = channel.queue.declare("", exclusive=True)["queue"]
    body = "0123456789abcdef" * 65_536
    channel.basic.publish(body, queue)
    message = channel.basic.get(queue)
    assert message is not None
    assert message.body == body
