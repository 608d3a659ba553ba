"""What a stream answers, refuses and tells (RabbitMQ 4.0, and amqpd's own arguments), seen through the protocol."""

from __future__ import annotations

import pytest
from pamqp import base, commands

from amqpd.broker.firehose import TRACE_EXCHANGE
from amqpd.broker.flow import HOLD_ABOVE
from amqpd.broker.policy import Policy
from amqpd.errors import PreconditionFailed
from amqpd.wire.methods import encode, make
from amqpd.wire.properties import Properties
from amqpd.wire.table import Field, Table
from tests.broker.queues.stream.clients import (
    ack,
    bodies,
    consume,
    declared,
    deliveries,
    filtered,
    offsets,
    publish,
    reader,
    stream_of,
)  # fmt: skip
from tests.builders import Client, Content, World, is_read, publish_bytes
from tests.listener import Listener
from tests.stores import Store

STREAM = "queue 'q' in vhost '/'"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def world_on_disk(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(store=Store(tmp_path_factory.mktemp("store")))


@pytest.fixture
def client(world: World) -> Client:
    return declared(world)


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


# Refusals.


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"durable": False}, f"invalid property 'non-durable' for {STREAM}"),
        ({"exclusive": True}, f"invalid property 'exclusive-owner' for {STREAM}"),
        ({"auto_delete": True}, f"invalid property 'auto-delete' for {STREAM}"),
        ({"queue": ""}, "Cannot declare a server-named queue for type rabbit_stream_queue"),
    ],
)
def test_a_stream_is_durable_shared_lasting_and_has_a_name(world: World, flags: dict[str, object], text: str) -> None:
    client = world.client()
    client.open()
    arguments = {"queue": "q", "durable": True, "arguments": {"x-queue-type": "stream"}, **flags}
    client.send(1, commands.Queue.Declare, **arguments)
    assert client.channel_closed() == (406, f"PRECONDITION_FAILED - {text}")


@pytest.mark.parametrize(
    "argument",
    [
        "x-message-ttl", "x-expires", "x-max-length", "x-overflow", "x-dead-letter-exchange", "x-max-priority",
        "x-single-active-consumer", "x-delivery-limit", "x-queue-mode",
    ],
)  # fmt: skip
def test_arguments_of_other_types_are_refused(world: World, argument: str) -> None:
    client = world.client()
    client.open()
    values = {"x-overflow": "drop-head", "x-dead-letter-exchange": "", "x-single-active-consumer": True}
    values["x-queue-mode"] = "lazy"
    arguments = {"x-queue-type": "stream", argument: values.get(argument, 1)}
    client.send(1, commands.Queue.Declare, queue="q", durable=True, arguments=arguments)
    text = f"PRECONDITION_FAILED - invalid arg '{argument}' for {STREAM} of queue type rabbit_stream_queue"
    assert client.channel_closed() == (406, text)


def test_a_declaration_with_another_limit_is_not_equivalent(world: World) -> None:
    client = declared(world, max_age="1D")
    arguments = {"x-queue-type": "stream", "x-max-age": "2D"}
    client.send(1, commands.Queue.Declare, queue="q", durable=True, arguments=arguments)
    text = f"PRECONDITION_FAILED - inequivalent arg 'x-max-age' for {STREAM}: received '2D' but current is '1D'"
    assert client.channel_closed() == (406, text)


def test_get_is_not_implemented(client: Client) -> None:
    client.send(1, commands.Basic.Get, queue="q")
    text = f"NOT_IMPLEMENTED - basic.get not supported by stream queues {STREAM}"
    assert client.connection_closed() == (540, text)


def test_purge_is_not_implemented(client: Client) -> None:
    client.send(1, commands.Queue.Purge, queue="q")
    text = f"NOT_IMPLEMENTED - queue.purge not supported by stream queues {STREAM}"
    assert client.connection_closed() == (540, text)


def test_a_consumer_needs_a_prefetch_which_is_asked_before_no_ack(client: Client) -> None:
    client.send(1, commands.Basic.Consume, queue="q", no_ack=True)
    text = f"PRECONDITION_FAILED - consumer prefetch count is not set for stream {STREAM}"
    assert client.channel_closed() == (406, text)


def test_deliveries_have_to_be_acknowledged(client: Client) -> None:
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1)
    client.send(1, commands.Basic.Consume, queue="q", no_ack=True)
    text = f"NOT_IMPLEMENTED - automatic acknowledgement not supported by stream {STREAM}"
    assert client.connection_closed() == (540, text)


def test_there_is_no_consumer_under_a_limit_of_the_whole_channel(client: Client) -> None:
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1)
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1, global_=True)
    client.send(1, commands.Basic.Consume, queue="q")
    assert client.connection_closed() == (540, f"NOT_IMPLEMENTED - {STREAM} does not support global qos")


def test_a_limit_of_the_whole_channel_alone_is_no_prefetch(client: Client) -> None:
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1, global_=True)
    client.send(1, commands.Basic.Consume, queue="q")
    text = f"PRECONDITION_FAILED - consumer prefetch count is not set for stream {STREAM}"
    assert client.channel_closed() == (406, text)


def test_declare_ok_tells_of_no_consumers(client: Client) -> None:
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1)
    client.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, queue="q")
    declared_ok = client.call(1, commands.Queue.Declare, commands.Queue.DeclareOk, queue="q", passive=True)
    assert declared_ok.consumer_count == 0


REFUSED_ARGUMENTS = [
    ({"x-priority": 1}, "invalid arg 'x-priority' for queue 'q' in vhost '/' of queue type rabbit_stream_queue"),
    (
        {"x-stream-offset": "5"},
        "invalid arg 'x-stream-offset' for queue 'q' in vhost '/': {invalid_stream_offset_arg,{longstr,<<\"5\">>}}",
    ),
    (
        {"x-stream-offset": "First"},
        "invalid arg 'x-stream-offset' for queue 'q' in vhost '/': {invalid_stream_offset_arg,{longstr,<<\"First\">>}}",
    ),
    (
        {"x-stream-offset": True},
        "invalid arg 'x-stream-offset' for queue 'q' in vhost '/': {invalid_stream_offset_arg,{bool,true}}",
    ),
    (
        {"x-stream-cursor": "a", "x-stream-group": "b"},
        f"a consumer of {STREAM} has x-stream-cursor or x-stream-group, not both",
    ),
]


@pytest.mark.parametrize(("arguments", "text"), REFUSED_ARGUMENTS)
def test_arguments_of_a_consumer_that_make_no_sense(client: Client, arguments: dict[str, object], text: str) -> None:
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1)
    client.send(1, commands.Basic.Consume, queue="q", arguments=arguments)
    assert client.channel_closed() == (406, f"PRECONDITION_FAILED - {text}")


@pytest.mark.parametrize("name", ["x-stream-cursor", "x-stream-group"])
@pytest.mark.parametrize("value", ["", "n" * 256, 1])
def test_a_name_has_1_to_255_octets(client: Client, name: str, value: object) -> None:
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1)
    client.send(1, commands.Basic.Consume, queue="q", arguments={name: value})
    code, text = client.channel_closed()
    assert code == 406
    assert text.startswith(f"PRECONDITION_FAILED - invalid arg '{name}' for {STREAM}: ")


@pytest.mark.parametrize("argument", ["x-stream-offset", "x-stream-filter", "x-stream-cursor", "x-stream-group"])
def test_other_queues_have_no_such_arguments(client: Client, argument: str) -> None:
    client.declare("classic")
    client.send(1, commands.Basic.Consume, queue="classic", arguments={argument: "first"})
    code, text = client.channel_closed()
    assert code == 406
    assert text.endswith(
        f"invalid arg '{argument}' for queue 'classic' in vhost '/' of queue type rabbit_classic_queue"
    )


# Deliveries.


def test_everybody_gets_everything_from_where_they_begin(world: World, client: Client) -> None:
    publish(client, *numbers(3))
    first, last, fresh = (reader(world, offset=where) for where in ("first", "last", "next"))
    publish(client, b"3")
    assert [offsets(each) for each in (first, last, fresh)] == [[0, 1, 2, 3], [2, 3], [3]]


def test_a_delivery_is_what_was_published_and_never_flagged(world: World, client: Client) -> None:
    sent = Properties.of(
        content_type="text/plain", headers=Table.of({"a": 1}), priority=3, expiration="1", message_id="m"
    )
    client.call(1, commands.Exchange.Declare, commands.Exchange.DeclareOk, exchange="x", exchange_type="topic")
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue="q", exchange="x", routing_key="#")
    client.publish(1, "x", "some.key", b"body", sent)
    for _ in range(2):
        (content,) = deliveries(reader(world, offset="first"))
        method = content.method
        assert isinstance(method, commands.Basic.Deliver)
        assert (method.exchange, method.routing_key, method.redelivered) == ("x", "some.key", False)
        assert content.body == b"body"
        headers = Table.of({"a": 1, "x-stream-offset": Field("l", 0)})
        assert content.properties == sent.replaced(headers=headers)


def test_a_large_message_comes_in_frames_that_the_consumer_takes(world: World, client: Client) -> None:
    large = bytes(range(256)) * 1500
    publish(client, large)
    small_frames = world.client(frame_max=4096)
    small_frames.open()
    small_frames.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1)
    consume(small_frames, offset="first")
    frames = small_frames.frames()
    assert max(len(payload) for _, _, payload in frames) <= 4096 - 8
    assert b"".join(payload for kind, _, payload in frames if kind == 3) == large


@pytest.mark.parametrize("method", ["ack", "nack", "requeue", "reject", "reject requeue"])
def test_settling_gives_credit_and_nothing_comes_back(world: World, client: Client, method: str) -> None:
    publish(client, *numbers(10))
    consumer = reader(world, prefetch=2, offset="first")
    assert offsets(consumer) == [0, 1]
    calls: dict[str, tuple[type[base.Frame], dict[str, object]]] = {
        "ack": (commands.Basic.Ack, {}),
        "nack": (commands.Basic.Nack, {"requeue": False}),
        "requeue": (commands.Basic.Nack, {"requeue": True}),
        "reject": (commands.Basic.Reject, {"requeue": False}),
        "reject requeue": (commands.Basic.Reject, {"requeue": True}),
    }
    command, arguments = calls[method]
    consumer.send(1, command, delivery_tag=1, **arguments)
    assert offsets(consumer) == [2]
    if not method.startswith("reject"):
        consumer.send(1, command, delivery_tag=3, multiple=True, **arguments)
        assert offsets(consumer) == [3, 4]


def test_recovering_gives_credit_and_nothing_comes_back(world: World, client: Client) -> None:
    publish(client, *numbers(10))
    consumer = reader(world, prefetch=3, offset="first")
    consumer.take()
    consumer.send(1, commands.Basic.Recover, requeue=True)
    assert offsets(consumer) == [3, 4, 5]


def test_the_exclusive_flag_means_nothing(world: World, client: Client) -> None:
    for number in range(2):
        client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1)
        tag = f"c{number}"
        client.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, queue="q", exclusive=True, consumer_tag=tag)
    assert len(stream_of(world).consumers) == 2


def test_a_transaction_is_in_the_stream_when_it_is_committed_and_answered_when_it_is_safe(world_on_disk: World) -> None:
    world = world_on_disk
    declared(world)
    client = world.client()
    client.open()
    client.call(1, commands.Tx.Select, commands.Tx.SelectOk)
    consumer = reader(world, offset="first")
    consumer.take()
    world.hold_commits()
    publish(client, b"0", b"1")
    assert stream_of(world).next_offset == 0
    client.send(1, commands.Tx.Commit)
    assert (client.received(), offsets(consumer), stream_of(world).next_offset) == ([], [], 2)
    world.run_commit()
    client.receive_one(1, commands.Tx.CommitOk)
    assert offsets(consumer) == [0, 1]
    publish(client, b"never")
    client.call(1, commands.Tx.Rollback, commands.Tx.RollbackOk)
    assert stream_of(world).next_offset == 2


def test_nothing_is_confirmed_or_delivered_before_it_is_safe(world_on_disk: World) -> None:
    world = world_on_disk
    client = declared(world)
    consumer = reader(world, offset="first")
    consumer.take()
    world.hold_commits()
    client.publish(1, "", "q", b"0")
    assert (client.received(), offsets(consumer)) == ([], [])
    world.run_commit()
    client.receive_one(1, commands.Basic.Ack)
    assert offsets(consumer) == [0]


def test_a_dead_letter_keeps_what_it_died_of(world: World, client: Client) -> None:
    client.declare("dying", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"})
    publish(client, b"body", name="dying")
    (content,) = _got(client, "dying")
    client.send(1, commands.Basic.Reject, delivery_tag=content.method.delivery_tag, requeue=False)
    (dead,) = deliveries(reader(world, offset="first"))
    headers = dead.properties.headers
    assert headers is not None
    assert headers.text("x-first-death-reason") == "rejected"
    assert "x-death" in headers
    assert headers.items()[-1] == ("x-stream-offset", Field("l", 0))


def _got(client: Client, queue: str) -> list[Content]:
    client.send(1, commands.Basic.Get, queue=queue)
    return client.messages()


def test_publishers_do_not_wait_for_readers(world: World, client: Client) -> None:
    slow = reader(world, prefetch=1, offset="first")
    publish(client, *numbers(HOLD_ABOVE + 10))
    publish(client, b"more")
    assert is_read(client)
    world.advance(2.0)
    publish(client, b"more")
    assert is_read(client)
    assert offsets(slow) == [0]


# Filters.


def test_a_filter_is_one_value_or_several_and_exact(world: World, client: Client) -> None:
    for value in ("a", "b", "c"):
        publish(client, value.encode(), properties=filtered(value))
    publish(client, b"none")
    one = reader(world, offset="first", filter="a")
    several = reader(world, offset="first", filter=["a", "c"])
    generous = reader(world, offset="first", filter=["b"], match_unfiltered=True)
    everything = reader(world, offset="first", match_unfiltered=False)
    found = [bodies(each) for each in (one, several, generous, everything)]
    assert found == [[b"a"], [b"a", b"c"], [b"b", b"none"], [b"a", b"b", b"c", b"none"]]


# Cursors and groups.


def test_a_consumer_with_a_cursor_continues_where_it_was(world: World, client: Client) -> None:
    publish(client, *numbers(10))
    consumer = reader(world, prefetch=5, cursor="me", offset="first")
    ack(consumer, 3)
    assert stream_of(world).cursor_places() == {"me": 3}
    consumer.lose()
    assert offsets(reader(world, prefetch=2, cursor="me", offset="next")) == [3, 4]


def test_what_was_settled_in_the_same_read_counts(world: World, client: Client) -> None:
    publish(client, *numbers(10))
    consumer = reader(world, prefetch=5, cursor="me", offset="first")
    consumer.take()
    consumer.feed(
        encode(1, make(commands.Basic.Ack, delivery_tag=3, multiple=True))
        + encode(1, make(commands.Basic.Cancel, consumer_tag="c"))
        + encode(1, make(commands.Basic.Consume, queue="q", consumer_tag="d", arguments={"x-stream-cursor": "me"}))
    )
    assert offsets(consumer)[:2] == [3, 4]


def test_a_cursor_does_not_move_over_what_came_back(world: World, client: Client) -> None:
    publish(client, *numbers(10))
    consumer = reader(world, prefetch=5, cursor="me", offset="first")
    consumer.send(1, commands.Basic.Nack, delivery_tag=2, requeue=True)
    ack(consumer, 5)
    assert stream_of(world).cursor_places() == {"me": 1}
    consumer.lose()
    assert offsets(reader(world, prefetch=1, cursor="me")) == [1]


def test_two_consumers_do_not_have_one_cursor(world: World, client: Client) -> None:
    first = reader(world, cursor="me")
    second = reader(world, cursor="me")
    text = f"ACCESS_REFUSED - cursor 'me' of {STREAM} in exclusive use"
    assert second.channel_closed() == (403, text)
    first.lose()
    assert isinstance(reader(world, cursor="me").received()[0][1], commands.Basic.ConsumeOk)


def test_what_is_settled_after_a_cursor_was_moved_by_hand_does_not_count(world: World, client: Client) -> None:
    publish(client, *numbers(10))
    consumer = reader(world, prefetch=5, cursor="me", offset="first")
    consumer.take()
    consumer.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="c")
    assert stream_of(world).reset_cursor("me", Field.of(1)) == 1
    ack(consumer, 5)
    assert stream_of(world).cursor_places() == {"me": 1}


def test_a_cursor_in_use_is_not_moved_by_hand(world: World, client: Client) -> None:
    consumer = reader(world, cursor="me")
    for _ in range(2):
        with pytest.raises(PreconditionFailed, match="is in use: stop its consumers first"):
            stream_of(world).reset_cursor("me", Field.of("first"))
        with pytest.raises(PreconditionFailed, match="is in use"):
            stream_of(world).delete_cursor("me")
        consumer.lose()
        reader(world, group="me")


def test_of_a_group_one_reads_and_the_next_takes_over(world: World, client: Client) -> None:
    publish(client, *numbers(6))
    first, second = (reader(world, prefetch=2, group="g", offset="first") for _ in range(2))
    assert (offsets(first), offsets(second)) == ([0, 1], [])
    ack(first, 1)
    assert offsets(first) == [2]
    first.lose()
    assert offsets(second) == [1, 2]
    ack(second, 2)
    assert offsets(second) == [3, 4]


def test_the_next_member_begins_when_the_one_before_has_settled_everything_though_nothing_new_comes(
    world: World, client: Client
) -> None:
    client.call(1, commands.Exchange.Declare, commands.Exchange.DeclareOk, exchange="x", exchange_type="direct")
    order = {"x-stream-partition-order": 1}
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue="q", exchange="x", arguments=order)
    publish(client, *numbers(3))
    first = reader(world, group="g", offset="first")
    assert offsets(first) == [0, 1, 2]
    second = reader(world, group="g")
    ack(first, 2)
    assert offsets(second) == []
    first.send(1, commands.Basic.Nack, delivery_tag=3, requeue=True)
    assert offsets(second) == [2]
    publish(client, b"3")
    assert (offsets(first), offsets(second)) == ([], [3])


# Limits by policy.


@pytest.mark.parametrize("definition", [{"max-length-bytes": 900}, {"stream-max-length": 4}])
def test_a_policy_limits_a_stream_at_once_and_no_more_when_it_is_gone(
    world: World, definition: dict[str, object]
) -> None:
    client = declared(world, stream_max_segment_size_bytes=400)
    publish(client, *numbers(40))
    assert stream_of(world).first_offset == 0
    world.vhost.set_policy(Policy("p", "^q$", definition))
    world.finish()
    first = stream_of(world).first_offset
    assert 30 < first < 40
    assert offsets(reader(world, offset="first"))[0] == first
    world.vhost.delete_policy("p")
    publish(client, *numbers(40))
    assert stream_of(world).first_offset == first


def test_a_policy_of_age_removes_what_gets_too_old_while_nothing_else_happens(world: World) -> None:
    client = declared(world, stream_max_segment_size_bytes=400)
    publish(client, *numbers(20))
    world.vhost.set_policy(Policy("p", "^q$", {"max-age": "10s"}))
    world.finish()
    world.advance(9.0)
    assert stream_of(world).first_offset == 0
    world.advance(2.0)
    assert 10 < stream_of(world).first_offset < 20


def test_a_reader_on_removed_ground_continues_at_the_first_that_is_kept(world: World) -> None:
    client = declared(world, stream_max_segment_size_bytes=400, stream_max_length=10)
    publish(client, *numbers(5))
    slow = reader(world, prefetch=2, offset="first")
    assert offsets(slow) == [0, 1]
    publish(client, *numbers(50))
    first = stream_of(world).first_offset
    assert first > 2
    ack(slow, 2)
    assert offsets(slow) == [first, first + 1]


# What others hear.


def test_deleting_a_stream_cancels_its_consumers_and_counts_nothing(world: World, client: Client) -> None:
    publish(client, *numbers(3))
    consumer = reader(world, offset="first")
    consumer.take()
    client.send(1, commands.Queue.Delete, queue="q", if_empty=True, if_unused=True)
    assert client.receive_one(1, commands.Queue.DeleteOk).message_count == 0
    assert consumer.receive_one(1, commands.Basic.Cancel).consumer_tag == "c"
    ack(consumer, 1)  # late, and of no use
    assert consumer.received() == []


def test_a_stream_in_the_place_of_a_deleted_one_is_empty_and_has_no_cursors(world_on_disk: World) -> None:
    world = world_on_disk
    client = declared(world)
    publish(client, *numbers(3))
    reader(world, cursor="me", offset="first").lose()
    client.call(1, commands.Queue.Delete, commands.Queue.DeleteOk, queue="q")
    declared(world)
    for after in (world, world.killed()):
        stream = stream_of(after)
        assert (stream.first_offset, stream.next_offset, stream.cursor_places()) == (0, 0, {})


def test_the_firehose_copies_what_goes_in_and_what_comes_out(world: World, client: Client) -> None:
    world.vhost.set_tracing(True)
    listener = Listener(world, TRACE_EXCHANGE)
    publish(client, b"body")
    reader(world, offset="first")
    copies = listener.heard()
    assert [copy.key for copy in copies] == ["publish.", "deliver.q"]
    assert [copy.message.body for copy in copies] == [b"body"] * 2
    assert copies[1]["redelivered"] == 0


def test_events_tell_of_a_stream_and_its_consumers(world: World) -> None:
    listener = Listener(world)
    client = declared(world)
    assert listener.only("queue.created")["name"] == "q"
    consumer = reader(world, cursor="me")
    created = listener.only("consumer.created")
    assert (created["queue"], created["prefetch_count"], created["ack_required"]) == ("q", 100, True)
    client.call(1, commands.Queue.Delete, commands.Queue.DeleteOk, queue="q")
    assert {"consumer.deleted", "queue.deleted"} <= set(listener.heard_keys())
    assert consumer.received() != []


def test_counts_are_of_what_is_kept_and_safe(world: World) -> None:
    client = declared(world, stream_max_segment_size_bytes=400, stream_max_length=5)
    publish(client, *numbers(20))
    stream = stream_of(world)
    count = client.declare("q", passive=True).message_count
    assert count == stream.message_count == 20 - stream.first_offset


def test_a_stream_is_published_to_by_name_and_by_exchange_in_one_order(world: World, client: Client) -> None:
    client.call(1, commands.Exchange.Declare, commands.Exchange.DeclareOk, exchange="x", exchange_type="fanout")
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue="q", exchange="x")
    client.feed(b"".join(publish_bytes(1, "x" if n % 2 else "", "q", b"%d" % n) for n in range(6)))
    assert bodies(reader(world, offset="first")) == numbers(6)
