"""Streams with pika: written with confirms, read from anywhere, by anybody, as often as one likes."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker

from interop.broker import Broker
from interop.clients.conftest import Connect
from interop.clients.streams import Reading, a_stream, declare, publish, read
from interop.names import unique
from interop.waiting import eventually

TEN = [f"m{number}" for number in range(10)]


def only_amqpd(broker: Broker, why: str) -> None:
    if broker.name != "amqpd":
        pytest.skip(f"RabbitMQ 3.10: {why}")


def test_reading_takes_nothing_away(channel: BlockingChannel) -> None:
    with a_stream(channel) as stream:
        publish(channel, stream, TEN)
        for _ in range(3):
            reading = read(channel, stream, 10)
            assert (reading.bodies, reading.offsets) == (TEN, list(range(10)))
            assert not any(message.method.redelivered for message in reading.received)


def test_readers_are_independent(channel: BlockingChannel, connect: Connect) -> None:
    with a_stream(channel) as stream:
        publish(channel, stream, TEN[:5])
        readers = [Reading(channel, stream), Reading(channel, stream, 3), Reading(connect().channel(), stream)]
        for reader, count in zip(readers, (5, 2, 5), strict=True):
            assert reader.wait(count) == TEN[5 - count : 5]
        publish(channel, stream, TEN[5:])
        for reader, count in zip(readers, (10, 7, 10), strict=True):
            assert reader.wait(count) == TEN[10 - count :]


@pytest.mark.parametrize(
    ("offset", "first"), [("first", 0), ("last", 9), (0, 0), (7, 7), (-3, 0), ("1h", 0), ("1M", 0), (12, 12)], ids=repr
)
def test_where_a_reader_starts(channel: BlockingChannel, offset: Any, first: int) -> None:
    with a_stream(channel) as stream:
        publish(channel, stream, TEN)
        reading = Reading(channel, stream, offset)
        publish(channel, stream, ["m10", "m11", "m12"])
        assert reading.wait(13 - first) == [f"m{number}" for number in range(first, 13)]
        assert reading.offsets == list(range(first, 13))


@pytest.mark.parametrize("offset", [None, "next", datetime(2200, 1, 1, tzinfo=UTC)], ids=repr)
def test_a_reader_may_start_with_what_comes_next(channel: BlockingChannel, offset: Any) -> None:
    with a_stream(channel) as stream:
        publish(channel, stream, TEN)
        reading = Reading(channel, stream, offset)
        publish(channel, stream, ["later"])
        assert reading.wait(1) == ["later"]
        assert reading.offsets == [10]


def test_a_reader_may_start_with_a_time(channel: BlockingChannel) -> None:
    with a_stream(channel) as stream:
        publish(channel, stream, ["before"])
        written = time.time()
        eventually(lambda: time.time() > written + 2, "two seconds have passed: timestamps are whole seconds")
        publish(channel, stream, ["after"])
        since = datetime.fromtimestamp(int(written) + 1, UTC)
        assert read(channel, stream, 1, since).bodies == ["after"]
        assert read(channel, stream, 1, "2s").bodies == ["after"]
        assert read(channel, stream, 2, datetime.fromtimestamp(int(written) - 1, UTC)).bodies == ["before", "after"]


def test_a_delivery_is_what_was_published(channel: BlockingChannel) -> None:
    exchange = unique("events")
    channel.exchange_declare(exchange, "topic")
    headers = {"word": "wörd", "number": 5, "large": 1 << 40, "yes": True, "nothing": None, "x-own": "kept"}
    properties = pika.BasicProperties(
        content_type="text/plain",
        content_encoding="utf-8",
        headers=headers,
        delivery_mode=1,
        priority=7,
        correlation_id="correlation",
        reply_to="reply",
        expiration="60000",
        message_id="message",
        timestamp=1_700_000_000,
        type="event",
        user_id="guest",
        app_id="test",
    )
    with a_stream(channel) as stream:
        channel.queue_bind(stream, exchange, "orders.#")
        channel.basic_publish(exchange, "orders.new", b"\x00body\xff", properties)
        (message,) = read(channel, stream, 1).received
    expected = dict(vars(properties)) | {"headers": {**headers, "x-stream-offset": 0}}
    assert vars(message.properties) == expected
    assert message.body == b"\x00body\xff"
    assert (message.method.exchange, message.method.routing_key) == (exchange, "orders.new")
    channel.exchange_delete(exchange)


def test_a_message_of_any_size_is_a_record(channel: BlockingChannel) -> None:
    with a_stream(channel) as stream:
        bodies = ["", "x", "y" * 131_072, "z" * 1_000_000]
        publish(channel, stream, bodies)
        assert read(channel, stream, 4).bodies == bodies


def test_one_exchange_fills_several_streams_and_queues(channel: BlockingChannel) -> None:
    exchange = unique("fanout")
    channel.exchange_declare(exchange, "fanout")
    queue = channel.queue_declare("", exclusive=True).method.queue
    with a_stream(channel) as one, a_stream(channel) as other:
        for name in (one, other, queue):
            channel.queue_bind(name, exchange)
        channel.confirm_delivery()
        channel.basic_publish(exchange, "", b"for all", mandatory=True)
        assert [read(channel, stream, 1).bodies for stream in (one, other)] == [["for all"]] * 2
        assert channel.basic_get(queue, auto_ack=True)[2] == b"for all"
    channel.exchange_delete(exchange)


def test_a_transaction_writes_all_at_its_commit(channel: BlockingChannel) -> None:
    with a_stream(channel) as stream, channel.connection.channel() as writer:
        reading = Reading(channel, stream)
        writer.tx_select()
        writer.basic_publish("", stream, b"never")
        writer.tx_rollback()
        for body in TEN:
            writer.basic_publish("", stream, body.encode())
        assert reading.settled() == []
        writer.tx_commit()
        assert reading.wait(10) == TEN


def test_the_prefetch_is_a_credit_that_acknowledgements_give_back(channel: BlockingChannel) -> None:
    with a_stream(channel) as stream:
        publish(channel, stream, TEN)
        reading = Reading(channel, stream, prefetch=3, acks=False)
        assert reading.wait(3) == TEN[:3]
        assert reading.settled() == TEN[:3]
        reading.channel.basic_ack(2)
        assert reading.wait(4) == TEN[:4]
        reading.channel.basic_ack(4, multiple=True)
        assert reading.wait(7) == TEN[:7]
        assert reading.settled() == TEN[:7]
        reading.channel.basic_ack(0, multiple=True)
        assert reading.wait(10) == TEN
        reading.channel.basic_ack(0, multiple=True)


@pytest.mark.parametrize("how", ["reject", "requeue", "nack"])
def test_refusing_gives_back_credit_and_nothing_else(broker: Broker, channel: BlockingChannel, how: str) -> None:
    only_amqpd(broker, "540")
    with a_stream(channel) as stream:
        publish(channel, stream, TEN)
        reading = Reading(channel, stream, prefetch=5, acks=False)
        reading.wait(5)
        if how == "nack":
            reading.channel.basic_nack(5, multiple=True, requeue=True)
        else:
            for tag in range(1, 6):
                reading.channel.basic_reject(tag, requeue=how == "requeue")
        assert reading.wait(10) == TEN


def test_recover_gives_back_credit(broker: Broker, channel: BlockingChannel) -> None:
    only_amqpd(broker, "541")
    with a_stream(channel) as stream:
        publish(channel, stream, TEN)
        reading = Reading(channel, stream, prefetch=5, acks=False)
        reading.wait(5)
        reading.channel.basic_recover(requeue=True)
        assert reading.wait(10) == TEN


def test_a_channel_that_closes_leaves_no_trace(channel: BlockingChannel) -> None:
    with a_stream(channel) as stream:
        publish(channel, stream, TEN)
        reading = Reading(channel, stream, acks=False)
        reading.wait(10)
        reading.close()
        assert read(channel, stream, 10).bodies == TEN


def test_old_segments_go_when_there_is_too_much(channel: BlockingChannel) -> None:
    with a_stream(channel, max_length_bytes=20_000, stream_max_segment_size_bytes=10_000) as stream:
        bodies = [f"{number:01000}" for number in range(100)]
        publish(channel, stream, bodies)
        reading = Reading(channel, stream)
        eventually(lambda: reading.look() and reading.bodies[-1] == bodies[-1], "the newest message")
        kept = reading.bodies
        assert kept == bodies[-len(kept) :]
        assert 9 <= len(kept) <= 35  # up to a segment more than the limit, and what RabbitMQ counts otherwise
        assert reading.offsets == sorted(set(reading.offsets))
        assert read(channel, stream, len(kept), 0).bodies == kept


def test_deleting_a_stream_tells_its_readers(channel: BlockingChannel) -> None:
    stream = unique("stream")
    declare(channel, stream)
    reading = Reading(channel, stream)
    publish(channel, stream, TEN)
    assert channel.queue_delete(stream, if_empty=True, if_unused=True).method.message_count == 0
    eventually(lambda: reading.look() is not None and reading.cancelled, "basic.cancel")
    with pytest.raises(ChannelClosedByBroker, match="no queue"):
        channel.queue_declare(stream, passive=True)


def test_a_stream_is_declared_again_only_as_it_is(channel: BlockingChannel) -> None:
    with a_stream(channel, max_age="1D") as stream:
        Reading(channel, stream)
        ok = declare(channel, stream, max_age="1D")
        assert (ok.queue, ok.message_count, ok.consumer_count) == (stream, 0, 0)  # nor are readers counted
        with pytest.raises(ChannelClosedByBroker) as refused:
            declare(channel.connection.channel(), stream, max_age="2D")
        text = f"inequivalent arg 'x-max-age' for queue '{stream}' in vhost '/': received '2D' but current is '1D'"
        assert (refused.value.reply_code, refused.value.reply_text) == (406, f"PRECONDITION_FAILED - {text}")


def test_messages_that_die_elsewhere_are_kept_in_a_stream(broker: Broker, channel: BlockingChannel) -> None:
    only_amqpd(broker, "they are lost")
    with a_stream(channel) as stream:
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": stream}
        queue = channel.queue_declare("", exclusive=True, arguments=arguments).method.queue
        channel.basic_publish("", queue, b"dead")
        method, _properties, _body = channel.basic_get(queue)
        channel.basic_reject(method.delivery_tag, requeue=False)
        (message,) = read(channel, stream, 1).received
        assert message.body == b"dead"
        assert message.properties.headers["x-death"][0]["queue"] == queue


# What is refused. {0} is the stream, and both brokers close the channel (4xx) or the connection (5xx).

REFUSED: dict[str, tuple[Any, int, str, str]] = {
    "get": (
        lambda channel, stream: channel.basic_get(stream),
        540,
        "NOT_IMPLEMENTED - basic.get not supported by stream queues queue '{0}' in vhost '/'",
        "",
    ),
    "purge": (
        lambda channel, stream: channel.queue_purge(stream),
        540,
        "NOT_IMPLEMENTED - queue.purge not supported by stream queues queue '{0}' in vhost '/'",
        "",
    ),
    "consume without acknowledgements": (
        lambda channel, stream: consume(channel, stream, auto_ack=True),
        540,
        "NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queue '{0}' in vhost '/'",
        "NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queues queue '{0}' in vhost '/'",
    ),
    "consume without a prefetch": (
        lambda channel, stream: channel.basic_consume(stream, lambda *_: None),
        406,
        "PRECONDITION_FAILED - consumer prefetch count is not set for stream queue '{0}' in vhost '/'",
        "PRECONDITION_FAILED - consumer prefetch count is not set for 'queue '{0}' in vhost '/''",
    ),
    "consume with a priority": (
        lambda channel, stream: consume(channel, stream, arguments={"x-priority": 1}),
        406,
        "PRECONDITION_FAILED - invalid arg 'x-priority' for queue '{0}' in vhost '/' of queue type rabbit_stream_queue",
        "",
    ),
    "consume from a wrong offset": (
        lambda channel, stream: consume(channel, stream, arguments={"x-stream-offset": "5"}),
        406,
        "PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue '{0}' in vhost '/':"
        ' {{invalid_stream_offset_arg,{{longstr,<<"5">>}}}}',
        "",
    ),
    "consume with a prefetch for the channel": (
        lambda channel, stream: consume_within_a_limit(channel, stream),
        540,
        "NOT_IMPLEMENTED - queue '{0}' in vhost '/' does not support global qos",
        "",
    ),
}


def consume(channel: BlockingChannel, stream: str, **options: Any) -> None:
    channel.basic_qos(prefetch_count=5)
    channel.basic_consume(stream, lambda *_: None, **options)


def consume_within_a_limit(channel: BlockingChannel, stream: str) -> None:
    channel.basic_qos(prefetch_count=5)
    channel.basic_qos(prefetch_count=9, global_qos=True)  # second: the other way round would end this one
    channel.basic_consume(stream, lambda *_: None)


@pytest.mark.parametrize("misuse", REFUSED)
def test_what_a_stream_cannot_do_is_refused(
    broker: Broker, channel: BlockingChannel, connect: Connect, misuse: str
) -> None:
    attempt, code, text, older = REFUSED[misuse]
    with a_stream(channel) as stream:
        with pytest.raises((ChannelClosedByBroker, ConnectionClosedByBroker)) as refused:
            attempt(connect().channel(), stream)
        expected = older if older and broker.name == "rabbitmq" else text
        assert (refused.value.reply_code, refused.value.reply_text) == (code, expected.format(stream))


@pytest.mark.parametrize(
    ("argument", "value"),
    [("x-message-ttl", 1), ("x-expires", 1), ("x-max-length", 1), ("x-overflow", "drop-head"), ("x-max-priority", 1)],
)
def test_arguments_of_other_queues_are_refused(channel: BlockingChannel, argument: str, value: Any) -> None:
    name = unique("stream")
    with pytest.raises(ChannelClosedByBroker) as refused:
        channel.queue_declare(name, durable=True, arguments={"x-queue-type": "stream", argument: value})
    text = f"invalid arg '{argument}' for queue '{name}' in vhost '/' of queue type rabbit_stream_queue"
    assert (refused.value.reply_code, refused.value.reply_text) == (406, f"PRECONDITION_FAILED - {text}")


# What 4.0 and amqpd have beyond 3.10.


def test_a_filter_leaves_out_what_is_not_wanted(broker: Broker, channel: BlockingChannel) -> None:
    only_amqpd(broker, "no filters")
    with a_stream(channel) as stream:
        for number in range(30):
            publish(channel, stream, [f"m{number}"], ("red", "green", None)[number % 3])
        green, others = [f"m{n}" for n in range(1, 30, 3)], [f"m{n}" for n in range(2, 30, 3)]
        red = [f"m{n}" for n in range(0, 30, 3)]
        assert read(channel, stream, 10, filter="green").bodies == green
        assert sorted(read(channel, stream, 20, filter=["red", "green"]).bodies) == sorted(red + green)
        unfiltered = read(channel, stream, 20, filter="red", match_unfiltered=True)
        assert sorted(unfiltered.bodies) == sorted(red + others)
        none = Reading(channel, stream, filter="blue")
        publish(channel, stream, ["at last"], "blue")
        assert none.wait(1) == ["at last"]


def test_a_named_cursor_goes_on_where_it_was(broker: Broker, channel: BlockingChannel) -> None:
    only_amqpd(broker, "no cursors")
    with a_stream(channel) as stream:
        publish(channel, stream, TEN)
        assert read(channel, stream, 4, prefetch=4, acks=False, cursor="me").bodies == TEN[:4]
        reading = Reading(channel, stream, prefetch=4, acks=False, offset=None, cursor="me")
        assert reading.wait(4) == TEN[:4]  # nothing was acknowledged
        reading.channel.basic_ack(1)
        reading.channel.basic_reject(2, requeue=False)
        reading.channel.basic_nack(3, requeue=True)
        reading.channel.basic_ack(4)
        reading.wait(8)
        reading.close()
        assert read(channel, stream, 8, offset=None, cursor="me").bodies == TEN[2:]  # m2 was not taken care of
        publish(channel, stream, ["m10"])
        assert read(channel, stream, 1, offset=None, cursor="me").bodies == ["m10"]
        assert read(channel, stream, 11, cursor="somebody else").bodies == [*TEN, "m10"]


def test_one_member_of_a_group_reads_until_it_goes(broker: Broker, channel: BlockingChannel, connect: Connect) -> None:
    only_amqpd(broker, "no groups")
    with a_stream(channel) as stream:
        publish(channel, stream, TEN[:5])
        one = Reading(channel, stream, group="team")
        other = Reading(connect().channel(), stream, group="team")
        assert one.wait(5) == TEN[:5]
        assert other.settled() == []
        one.close()
        publish(channel, stream, TEN[5:])
        assert other.wait(5) == TEN[5:]
