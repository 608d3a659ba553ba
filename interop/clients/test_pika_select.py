"""pika's SelectConnection: callbacks, many publishes in flight, confirms that cover several at once."""

from __future__ import annotations

from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel

from interop.broker import Broker
from interop.names import unique


class BatchPublisher:
    """Publishes `count` messages to `queue` without waiting, and ends when all of them are confirmed.

    After the run `confirmed` holds the confirmed tags in order and `returned` the bodies that came back.
    """

    def __init__(self, url: str, queue: str, count: int) -> None:
        self._queue = queue
        self._count = count
        self._outstanding = set(range(1, count + 1))
        self.confirmed: list[int] = []
        self.returned: list[bytes] = []
        self.failure: object = None
        self._connection = pika.SelectConnection(
            pika.URLParameters(url),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._on_channel),
            on_open_error_callback=self._on_closed,
            on_close_callback=self._on_closed,
        )

    def run(self) -> None:
        """Run until the connection is closed again."""
        self._connection.ioloop.start()
        self._connection.ioloop.close()

    def _on_channel(self, channel: Any) -> None:
        channel.add_on_return_callback(lambda _channel, _method, _properties, body: self.returned.append(body))
        channel.confirm_delivery(self._on_confirm, callback=lambda _ok: self._publish_all(channel))

    def _publish_all(self, channel: Any) -> None:
        for number in range(self._count):
            channel.basic_publish("", self._queue, b"%d" % number, mandatory=True)

    def _on_confirm(self, frame: Any) -> None:
        confirm = frame.method
        assert isinstance(confirm, pika.spec.Basic.Ack), "nack"
        upto = confirm.delivery_tag
        tags = sorted(tag for tag in self._outstanding if tag <= upto) if confirm.multiple else [upto]
        self.confirmed += tags
        self._outstanding.difference_update(tags)
        if not self._outstanding:
            self._connection.close()

    def _on_closed(self, connection: Any, reason: object) -> None:
        self.failure = None if isinstance(reason, pika.exceptions.ConnectionClosedByClient) else reason
        connection.ioloop.stop()


class Consumer:
    """Consumes `count` messages of `queue` with a prefetch of 50, acknowledging every tenth for all before it."""

    def __init__(self, url: str, queue: str, count: int) -> None:
        self._queue = queue
        self._count = count
        self.bodies: list[bytes] = []
        self._connection = pika.SelectConnection(
            pika.URLParameters(url),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._on_channel),
            on_close_callback=lambda connection, _reason: connection.ioloop.stop(),
        )

    def run(self) -> None:
        self._connection.ioloop.start()
        self._connection.ioloop.close()

    def _on_channel(self, channel: Any) -> None:
        channel.basic_qos(prefetch_count=50, callback=lambda _ok: channel.basic_consume(self._queue, self._on_message))

    def _on_message(self, channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        self.bodies.append(body)
        if len(self.bodies) % 10 == 0:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if len(self.bodies) == self._count:
            self._connection.close()


def test_a_thousand_publishes_in_flight_are_all_confirmed_and_consumed_in_order(
    broker: Broker, channel: BlockingChannel
) -> None:
    queue = unique("select")
    channel.queue_declare(queue)
    publisher = BatchPublisher(broker.url, queue, 1000)
    publisher.run()
    assert publisher.failure is None
    assert sorted(publisher.confirmed) == list(range(1, 1001))
    assert publisher.returned == []
    consumer = Consumer(broker.url, queue, 1000)
    consumer.run()
    assert consumer.bodies == [b"%d" % number for number in range(1000)]
    assert channel.basic_get(queue) == (None, None, None)
    channel.queue_delete(queue)


def test_unroutable_messages_return_and_are_confirmed_too(broker: Broker) -> None:
    publisher = BatchPublisher(broker.url, unique("nobody-declared-this"), 20)
    publisher.run()
    assert publisher.failure is None
    assert publisher.returned == [b"%d" % number for number in range(20)]
    assert sorted(publisher.confirmed) == list(range(1, 21))


def test_a_refused_login_reaches_the_callback(broker: Broker) -> None:
    publisher = BatchPublisher(broker.url.replace("guest:guest", "guest:wrong"), "", 1)
    publisher.run()
    assert isinstance(publisher.failure, pika.exceptions.ProbableAuthenticationError)
