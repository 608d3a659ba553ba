"""A channel: its end gives everything back, its counters start anew, and prefetch is shared as RabbitMQ shares it."""

from __future__ import annotations

import pytest
from pamqp import commands

from amqpd.wire.methods import encode, make
from tests.builders import Client, Content, World, publish_bytes


def fill(client: Client, count: int, queue: str = "q") -> None:
    """Declare a queue with the messages 0, 1, 2, ..."""
    client.declare(queue)
    client.feed(b"".join(publish_bytes(1, "", queue, str(number).encode()) for number in range(count)))


def consume(client: Client, tag: str, channel: int = 1, queue: str = "q", **arguments: object) -> list[bytes]:
    """Start a consumer; the bodies that it gets at once."""
    client.send(channel, commands.Basic.Consume, queue=queue, consumer_tag=tag, **arguments)
    received = [item for _, item in client.received()]
    assert isinstance(received[0], commands.Basic.ConsumeOk)
    return [item.body for item in received[1:] if isinstance(item, Content)]


def drain(client: Client, queue: str = "q", channel: int = 1) -> list[tuple[bytes, bool]]:
    """Fetch everything: (body, redelivered)."""
    fetched: list[tuple[bytes, bool]] = []
    while True:
        client.send(channel, commands.Basic.Get, queue=queue, no_ack=True)
        ((_, item),) = client.received()
        if not isinstance(item, Content):
            return fetched
        assert isinstance(item.method, commands.Basic.GetOk)
        fetched.append((item.body, item.method.redelivered))


# Its end.


@pytest.mark.parametrize("how", ["close", "error"])
def test_the_end_of_a_channel_returns_what_is_unsettled_to_its_place(client: Client, how: str) -> None:
    client.open(2)
    fill(client, 4)
    client.call(2, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=2)
    assert consume(client, "c", channel=2) == [b"0", b"1"]
    if how == "close":
        client.call(2, commands.Channel.Close, commands.Channel.CloseOk, reply_code=200)
    else:
        client.send(2, commands.Basic.Ack, delivery_tag=99)
        assert client.channel_closed(2) == (406, "PRECONDITION_FAILED - unknown delivery tag 99")
    assert drain(client) == [(b"0", True), (b"1", True), (b"2", False), (b"3", False)]


def test_the_end_of_a_channel_sends_no_basic_cancel(client: Client) -> None:
    client.open(2)
    fill(client, 0)
    consume(client, "c", channel=2)
    client.call(2, commands.Channel.Close, commands.Channel.CloseOk)
    assert client.declare("q").consumer_count == 0


def test_an_auto_delete_queue_goes_with_its_last_consumer(world: World, client: Client) -> None:
    client.open(2)
    client.declare("q", auto_delete=True)
    consume(client, "c", channel=2)
    client.call(2, commands.Channel.Close, commands.Channel.CloseOk)
    assert "q" not in world.vhost.queues


def test_an_exclusive_queue_survives_its_channel(client: Client) -> None:
    client.declare("q", exclusive=True)
    client.call(1, commands.Channel.Close, commands.Channel.CloseOk)
    client.open(1)
    assert client.declare("q", exclusive=True).queue == "q"


def test_a_reopened_channel_starts_from_nothing(client: Client) -> None:
    fill(client, 1)
    client.call(1, commands.Tx.Select, commands.Tx.SelectOk)
    client.send(1, commands.Basic.Get, queue="q")
    client.messages()
    client.call(1, commands.Channel.Close, commands.Channel.CloseOk)
    client.open(1)
    client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
    client.send(1, commands.Basic.Get, queue="q")
    (message,) = client.messages()
    assert isinstance(message.method, commands.Basic.GetOk)
    assert message.method.delivery_tag == 1
    client.send(1, commands.Queue.Purge)
    assert client.channel_closed() == (404, "NOT_FOUND - no previously declared queue")


def test_methods_behind_the_one_that_failed_are_discarded_up_to_close_ok(world: World, client: Client) -> None:
    client.feed(
        encode(1, make(commands.Queue.Purge, queue="missing")) + encode(1, make(commands.Queue.Declare, queue="q"))
    )
    client.channel_closed()
    client.feed(encode(1, make(commands.Channel.CloseOk)) + encode(1, make(commands.Channel.Open)))
    client.receive_one(1, commands.Channel.OpenOk)
    assert "q" not in world.vhost.queues


def test_the_failure_of_one_channel_leaves_the_others_alone(client: Client) -> None:
    client.open(2)
    fill(client, 1)
    client.send(2, commands.Queue.Purge, queue="missing")
    client.channel_closed(2)
    assert drain(client) == [(b"0", False)]


# Delivery tags.


def test_deliveries_of_all_kinds_share_one_counter(client: Client) -> None:
    fill(client, 4)
    tags: list[int] = []
    for no_ack in (True, False):
        client.send(1, commands.Basic.Get, queue="q", no_ack=no_ack)
        tags += [getattr(message.method, "delivery_tag", 0) for message in client.messages()]
    client.send(1, commands.Basic.Consume, queue="q", no_ack=True)
    tags += [getattr(item.method, "delivery_tag", 0) for _, item in client.received() if isinstance(item, Content)]
    assert tags == [1, 2, 3, 4]
    client.send(1, commands.Basic.Ack, delivery_tag=2)
    client.send(1, commands.Basic.Ack, delivery_tag=1)
    assert client.channel_closed() == (406, "PRECONDITION_FAILED - unknown delivery tag 1")


def test_another_channel_s_tag_is_unknown(client: Client) -> None:
    client.open(2)
    fill(client, 1)
    client.send(1, commands.Basic.Get, queue="q")
    client.messages()
    client.send(2, commands.Basic.Ack, delivery_tag=1)
    assert client.channel_closed(2) == (406, "PRECONDITION_FAILED - unknown delivery tag 1")


def test_what_was_delivered_from_a_deleted_queue_can_be_settled_once(client: Client) -> None:
    fill(client, 3)
    for _ in range(3):
        client.send(1, commands.Basic.Get, queue="q")
    client.messages()
    client.call(1, commands.Queue.Delete, commands.Queue.DeleteOk, queue="q")
    client.send(1, commands.Basic.Ack, delivery_tag=1)
    client.send(1, commands.Basic.Nack, delivery_tag=2, requeue=True)
    client.send(1, commands.Basic.Reject, delivery_tag=3)
    assert client.take() == b""
    client.send(1, commands.Basic.Ack, delivery_tag=1)
    assert client.channel_closed() == (406, "PRECONDITION_FAILED - unknown delivery tag 1")


# Prefetch.


def test_a_consumer_keeps_the_limit_it_was_started_with(client: Client) -> None:
    fill(client, 10)
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=2)
    assert consume(client, "two") == [b"0", b"1"]
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=3)
    assert consume(client, "three") == [b"2", b"3", b"4"]
    client.send(1, commands.Basic.Ack, delivery_tag=1)
    assert client.bodies() == [b"5"]


def test_a_limit_of_the_channel_is_shared_and_both_limits_count(client: Client) -> None:
    fill(client, 10)
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=2)
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=3, global_=True)
    assert len(consume(client, "a")) == 2
    assert len(consume(client, "b")) == 1
    assert len(consume(client, "c")) == 0
    client.send(1, commands.Basic.Ack, delivery_tag=3, multiple=True)
    assert len(client.bodies()) == 3


def test_raising_the_limit_of_the_channel_takes_effect_at_once(client: Client) -> None:
    fill(client, 6)
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1, global_=True)
    assert consume(client, "a") == [b"0"]
    client.send(1, commands.Basic.Qos, prefetch_count=3, global_=True)
    assert [item.body for _, item in client.received() if isinstance(item, Content)] == [b"1", b"2"]
    client.send(1, commands.Basic.Qos, prefetch_count=0, global_=True)
    assert [item.body for _, item in client.received() if isinstance(item, Content)] == [b"3", b"4", b"5"]


def test_a_limit_for_consumers_removes_that_of_the_channel(client: Client) -> None:
    fill(client, 4)
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1, global_=True)
    assert consume(client, "a") == [b"0"]
    client.send(1, commands.Basic.Qos, prefetch_count=7)
    assert [item.body for _, item in client.received() if isinstance(item, Content)] == [b"1", b"2", b"3"]


def test_gets_and_consumers_without_acks_do_not_count(client: Client) -> None:
    fill(client, 8)
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=2, global_=True)
    for _ in range(3):
        client.send(1, commands.Basic.Get, queue="q")
    assert len(client.messages()) == 3
    assert len(consume(client, "limited")) == 2
    assert len(consume(client, "unlimited", no_ack=True)) == 3


def test_the_limits_of_channels_are_independent(client: Client) -> None:
    client.open(2)
    fill(client, 4)
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1, global_=True)
    assert len(consume(client, "a")) == 1
    assert len(consume(client, "b", channel=2)) == 3


@pytest.mark.parametrize("settle", ["ack", "nack", "reject", "recover"])
def test_every_way_of_settling_frees_a_place(client: Client, settle: str) -> None:
    fill(client, 2)
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1)
    assert consume(client, "a") == [b"0"]
    if settle == "ack":
        client.send(1, commands.Basic.Ack, delivery_tag=1)
    elif settle == "nack":
        client.send(1, commands.Basic.Nack, delivery_tag=1)
    elif settle == "reject":
        client.send(1, commands.Basic.Reject, delivery_tag=1)
    else:
        client.send(1, commands.Basic.RecoverAsync, requeue=True)
    assert client.bodies() == ([b"0"] if settle == "recover" else [b"1"])


# Cancellation.


def test_a_deleted_queue_ends_its_consumers_and_clients_that_understand_it_are_told(client: Client) -> None:
    client.open(2)
    fill(client, 0)
    consume(client, "c", channel=2)
    client.send(1, commands.Queue.Delete, queue="q")
    received = dict(client.received())
    cancel = received[2]
    assert isinstance(cancel, commands.Basic.Cancel)
    assert (cancel.consumer_tag, cancel.nowait) == ("c", True)
    assert isinstance(received[1], commands.Queue.DeleteOk)
    client.declare("other")
    assert consume(client, "c", channel=2, queue="other") == []


def test_a_client_that_does_not_understand_cancellations_is_not_told(world: World) -> None:
    client = world.raw_client()
    client.feed(b"AMQP\x00\x00\x09\x01")
    client.start_ok(capabilities={})
    client.send(0, commands.Connection.TuneOk, channel_max=10, frame_max=8192)
    client.send(0, commands.Connection.Open, virtual_host="/")
    client.send(1, commands.Channel.Open)
    client.take()
    fill(client, 0)
    consume(client, "c")
    client.call(1, commands.Queue.Delete, commands.Queue.DeleteOk, queue="q")


def test_a_message_returned_after_the_consumer_was_cancelled_is_there_for_others(client: Client) -> None:
    fill(client, 1)
    assert consume(client, "c") == [b"0"]
    client.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="c")
    client.send(1, commands.Basic.Nack, delivery_tag=1, requeue=True)
    assert drain(client) == [(b"0", True)]
