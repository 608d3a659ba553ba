"""kombu: serializers, compression, consumers in a mixin, simple queues, retries after a lost connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kombu
import pytest
from kombu.mixins import ConsumerMixin

from interop.broker import Broker
from interop.names import unique


@pytest.fixture
def connection(broker: Broker) -> Iterator[kombu.Connection]:
    """An open connection, released after the test."""
    with kombu.Connection(broker.url) as opened:
        yield opened


def new_queue(exchange_type: str = "direct") -> kombu.Queue:
    name = unique("kombu")
    exchange = kombu.Exchange(name, exchange_type, durable=False, auto_delete=True)
    return kombu.Queue(name, exchange, routing_key="key", durable=False, auto_delete=True)


class Worker(ConsumerMixin):
    """Collects payloads until it has `count` of them."""

    def __init__(self, connection: kombu.Connection, queues: list[kombu.Queue], count: int) -> None:
        self.connection = connection
        self.payloads: list[Any] = []
        self._queues = queues
        self._count = count

    def get_consumers(self, consumer_class: Any, channel: Any) -> list[Any]:
        return [consumer_class(self._queues, callbacks=[self.on_task], accept=["json"], prefetch_count=3)]

    def on_task(self, body: Any, message: kombu.Message) -> None:
        self.payloads.append(body)
        message.ack()
        self.should_stop = len(self.payloads) == self._count


@pytest.mark.parametrize("compression", [None, "zlib", "bzip2"])
def test_a_mixin_consumes_what_a_producer_sent(connection: kombu.Connection, compression: str | None) -> None:
    queue = new_queue()
    payloads = [{"number": number, "text": "žluť" * 100, "nested": [1, None, True]} for number in range(10)]
    producer = kombu.Producer(connection, queue.exchange, routing_key="key")
    for payload in payloads:
        producer.publish(payload, declare=[queue], compression=compression, retry=True)
    worker = Worker(connection.clone(), [queue], 10)
    worker.run()
    assert worker.payloads == payloads


def test_simple_queues_behave_like_queues(connection: kombu.Connection) -> None:
    with connection.SimpleQueue(unique("simple"), queue_opts={"auto_delete": True}) as queue:
        for number in range(3):
            queue.put({"n": number})
        message = queue.get(timeout=10)
        message.requeue()
        # The consumer behind it had fetched the others already.
        assert [queue.get(timeout=10).payload for _ in range(3)] == [{"n": 1}, {"n": 2}, {"n": 0}]
        queue.clear()
        with pytest.raises(queue.Empty):
            queue.get_nowait()


def test_topic_and_headers_through_entities(connection: kombu.Connection) -> None:
    exchange = kombu.Exchange(unique("kombu"), "topic", durable=False, auto_delete=True)
    queue = kombu.Queue(unique("kombu"), exchange, routing_key="stock.#", exclusive=True)
    producer = kombu.Producer(connection, exchange)
    bound = queue(connection.default_channel)
    bound.declare()
    producer.publish("yes", routing_key="stock.nyse", headers={"source": "test"}, expiration=60, priority=3)
    producer.publish("no", routing_key="bond.nyse")
    message = bound.get(no_ack=True)
    assert (message.payload, message.headers, message.properties["priority"]) == ("yes", {"source": "test"}, 3)
    assert message.properties["expiration"] == "60000"
    assert bound.get() is None


def test_a_publisher_reconnects_after_its_connection_was_lost(connection: kombu.Connection) -> None:
    queue = new_queue()
    producer = kombu.Producer(connection, queue.exchange, routing_key="key")
    producer.publish(["before"], declare=[queue])
    connection.connection.transport.sock.close()
    policy = {"max_retries": 3, "interval_start": 0}
    producer.publish(["after"], declare=[queue], retry=True, retry_policy=policy)
    received = Worker(connection.clone(), [queue], 2)
    received.run()
    assert received.payloads == [["before"], ["after"]]


def test_pooled_connections_are_reused(broker: Broker) -> None:
    pool = kombu.Connection(broker.url).Pool(limit=1)
    with pool.acquire(block=True) as first:
        first.ensure_connection(max_retries=1)
        socket = first.connection.transport.sock
    with pool.acquire(block=True) as second:
        assert second.connection.transport.sock is socket
    pool.force_close_all()


def test_errors_are_the_transports_channel_errors(connection: kombu.Connection) -> None:
    queue = kombu.Queue("missing", channel=connection.default_channel)
    with pytest.raises(connection.channel_errors, match="NOT_FOUND - no queue 'missing' in vhost '/'"):
        queue.queue_declare(passive=True)
