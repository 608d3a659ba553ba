"""Remote procedure calls with pika: replies to an exclusive queue, and direct reply-to."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from interop.broker import Broker
from interop.clients.conftest import Connect
from interop.clients.pika_reading import TIMEOUT_SECONDS
from interop.names import unique

DIRECT_REPLY_TO = "amq.rabbitmq.reply-to"


def fibonacci(number: int) -> int:
    return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)


def serve(broker: Broker, queue: str) -> int:
    """Answer requests until one says "stop"; return how many were answered."""
    served = 0
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for method, request, body in channel.consume(queue):
            channel.basic_ack(method.delivery_tag)
            if body == b"stop":
                break
            answer = str(fibonacci(int(body))).encode()
            properties = pika.BasicProperties(correlation_id=request.correlation_id)
            channel.basic_publish("", request.reply_to, answer, properties)
            served += 1
    return served


@pytest.fixture
def service(broker: Broker, channel: BlockingChannel) -> Iterator[str]:
    """The request queue of a running Fibonacci server."""
    queue = unique("rpc")
    channel.queue_declare(queue)
    with ThreadPoolExecutor() as pool:
        server = pool.submit(serve, broker, queue)
        yield queue
        channel.basic_publish("", queue, b"stop")
        assert server.result(10) > 0
    channel.queue_delete(queue)


class Client:
    """Calls one at a time; the replies come to `replies`, a queue that is consumed already."""

    def __init__(self, channel: BlockingChannel, replies: str) -> None:
        self._channel = channel
        self._replies = replies
        self._answers: dict[str, bytes] = {}
        channel.basic_consume(replies, self._on_reply, auto_ack=True)

    def _on_reply(self, _channel: object, _method: object, properties: pika.BasicProperties, body: bytes) -> None:
        self._answers[properties.correlation_id] = body

    def call(self, service: str, number: int) -> int:
        call = str(uuid.uuid4())
        properties = pika.BasicProperties(reply_to=self._replies, correlation_id=call)
        self._channel.basic_publish("", service, str(number).encode(), properties)
        self._channel.connection.process_data_events(time_limit=TIMEOUT_SECONDS)
        return int(self._answers.pop(call))


def test_calls_with_an_exclusive_reply_queue(service: str, channel: BlockingChannel) -> None:
    replies = channel.queue_declare("", exclusive=True).method.queue
    client = Client(channel, replies)
    assert [client.call(service, number) for number in (10, 11, 12)] == [55, 89, 144]


def test_calls_with_direct_reply_to(service: str, channel: BlockingChannel) -> None:
    client = Client(channel, DIRECT_REPLY_TO)
    assert [client.call(service, number) for number in (10, 11, 12)] == [55, 89, 144]


def test_the_server_sees_a_reply_address_of_its_own(channel: BlockingChannel, connect: Connect) -> None:
    requests = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_consume(DIRECT_REPLY_TO, lambda *_: None, auto_ack=True)
    channel.basic_publish("", requests, b"?", pika.BasicProperties(reply_to=DIRECT_REPLY_TO))
    _, request, _ = next(channel.consume(requests, auto_ack=True, inactivity_timeout=TIMEOUT_SECONDS))
    assert request.reply_to.startswith(DIRECT_REPLY_TO + ".")
    # A server may ask whether its client is still there (from another channel: RabbitMQ cannot ask the same one).
    server = connect().channel()
    assert server.queue_declare(request.reply_to, passive=True).method.queue == request.reply_to


def test_direct_reply_to_without_a_consumer_is_refused(channel: BlockingChannel) -> None:
    channel.basic_publish("", "anywhere", b"?", pika.BasicProperties(reply_to=DIRECT_REPLY_TO))
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel.queue_declare("", exclusive=True)
    assert closed.value.reply_code == 406
    assert closed.value.reply_text == "PRECONDITION_FAILED - fast reply consumer does not exist"
