"""How long things live: exclusive and auto-delete queues, consumers that are cancelled, channels, heartbeats."""

from __future__ import annotations

import time

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from interop.clients.conftest import Connect
from interop.clients.pika_reading import ready_messages, receive
from interop.names import unique
from interop.waiting import eventually


def exists(connection: pika.BlockingConnection, queue: str) -> bool:
    """Ask on a channel of its own, since "no" closes it."""
    try:
        connection.channel().queue_declare(queue, passive=True)
    except ChannelClosedByBroker as closed:
        if closed.reply_code != 404:
            raise
        return False
    return True


def test_an_exclusive_queue_goes_with_its_connection(connect: Connect) -> None:
    queue = unique("exclusive")
    owner, other = connect(), connect()
    owner.channel().queue_declare(queue, exclusive=True)
    owner.close()
    eventually(lambda: not exists(other, queue), "the queue is gone")


def test_an_exclusive_queue_is_never_durable_so_the_flag_does_not_matter(channel: BlockingChannel) -> None:
    queue = unique("exclusive")
    channel.queue_declare(queue, exclusive=True, durable=True)
    assert channel.queue_declare(queue, exclusive=True, durable=False).method.queue == queue


def test_an_auto_delete_queue_goes_with_its_last_consumer(connect: Connect) -> None:
    queue = unique("auto-delete")
    connection = connect()
    channel = connection.channel()
    channel.queue_declare(queue, auto_delete=True)
    tags = [channel.basic_consume(queue, lambda *_: None) for _ in range(2)]
    channel.basic_cancel(tags[0])
    assert exists(connection, queue)
    channel.basic_cancel(tags[1])
    eventually(lambda: not exists(connection, queue), "the queue is gone")


def test_a_consumer_is_told_when_its_queue_is_deleted(connect: Connect) -> None:
    queue = unique("doomed")
    consumer, other = connect().channel(), connect().channel()
    other.queue_declare(queue)
    cancelled: list[str] = []
    consumer.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    tag = consumer.basic_consume(queue, lambda *_: None)
    other.queue_delete(queue)

    def told() -> bool:
        consumer.connection.process_data_events(time_limit=0)
        return bool(cancelled)

    eventually(told, "basic.cancel from the broker")
    assert cancelled == [tag]
    assert consumer.is_open


def test_server_named_queues_all_differ_and_an_empty_name_means_the_last(channel: BlockingChannel) -> None:
    names = {channel.queue_declare("", exclusive=True).method.queue for _ in range(10)}
    assert len(names) == 10
    last = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", last, b"for the last one")
    assert channel.basic_get("", auto_ack=True)[2] == b"for the last one"


def test_many_channels_of_one_connection_work_independently(connect: Connect) -> None:
    connection = connect()
    channels = [connection.channel() for _ in range(200)]
    queues = [channel.queue_declare("", exclusive=True).method.queue for channel in channels]
    for channel, queue in zip(channels, reversed(queues), strict=True):
        channel.basic_publish("", queue, queue.encode())
    for channel, queue in zip(channels, queues, strict=True):
        assert receive(channel, queue, 1)[0].body == queue.encode()
    for channel in channels[::2]:
        channel.close()
    assert connection.channel(channel_number=channels[0].channel_number).is_open


def test_a_consumer_of_higher_priority_is_served_first(connect: Connect) -> None:
    channel, publisher = connect().channel(), connect().channel()
    queue = unique("priority")
    publisher.queue_declare(queue, auto_delete=True)
    channel.basic_qos(prefetch_count=2)
    served: list[str] = []
    for name, priority in (("low", -1), ("high", 10), ("default", 0)):
        channel.basic_consume(
            queue, lambda *_, name=name: served.append(name), consumer_tag=name, arguments={"x-priority": priority}
        )
    for _ in range(6):
        publisher.basic_publish("", queue, b"")

    def all_served() -> bool:
        channel.connection.process_data_events(time_limit=0)
        return len(served) == 6

    eventually(all_served, "six deliveries")
    assert served == ["high", "high", "default", "default", "low", "low"]


def test_an_idle_connection_lives_on_heartbeats(connect: Connect) -> None:
    connection = connect(heartbeat=1)
    until = time.monotonic() + 3.5  # the claim is about time: several times the heartbeat
    while time.monotonic() < until:
        connection.process_data_events(time_limit=0.2)
    assert connection.channel().queue_declare("", exclusive=True).method.message_count == 0


def test_closing_a_connection_requeues_what_it_held(connect: Connect) -> None:
    queue = unique("held")
    other = connect().channel()
    other.queue_declare(queue)
    for number in range(3):
        other.basic_publish("", queue, b"%d" % number)
    holder = connect()
    held = receive(holder.channel(), queue, 3, auto_ack=False)
    assert [message.body for message in held] == [b"0", b"1", b"2"]
    holder.close()
    eventually(lambda: ready_messages(other, queue) == 3, "all three are back")
    again = receive(other, queue, 3)
    assert [(message.body, message.method.redelivered) for message in again] == [
        (b"0", True),
        (b"1", True),
        (b"2", True),
    ]
    other.queue_delete(queue)


def test_connecting_and_closing_again_and_again_works(connect: Connect) -> None:
    for _ in range(20):
        connect().close()


def test_the_broker_names_itself_and_its_capabilities(connect: Connect) -> None:
    properties = connect()._impl.server_properties
    assert {"product", "version", "capabilities"} <= properties.keys()
    capabilities = properties["capabilities"]
    for name in ("publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify"):
        assert capabilities[name] is True, name
    assert capabilities["authentication_failure_close"] is True


@pytest.mark.parametrize("setting", [{"frame_max": 4096}, {"channel_max": 5}, {"heartbeat": 0}])
def test_a_client_may_tune_the_limits_down(connect: Connect, setting: dict[str, int]) -> None:
    connection = connect(**setting)
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", queue, b"x" * 10_000)
    assert len(receive(channel, queue, 1)[0].body) == 10_000
