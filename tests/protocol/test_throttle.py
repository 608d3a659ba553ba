"""The brake: a connection is not read from while there is any reason not to, and a blocked one is told (RabbitMQ)."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from amqpd.broker.alarms import DISK, MEMORY
from amqpd.broker.flow import HOLD_ABOVE, HOLD_SECONDS
from amqpd.protocol.throttle import ANSWERS_UNREAD, BLOCKED, HELD, RESTING, STALLED, Throttle
from amqpd.wire.frames import BODY, FrameHandler, FrameReader, frame
from amqpd.wire.methods import encode, make
from tests.builders import Client, FakeWire, World, header_bytes, publish_bytes


class Bench:
    """A throttle with a wire and a reader to itself."""

    def __init__(self) -> None:
        self.wire = FakeWire()
        self.reader = FrameReader(FrameHandler(), 4096)
        self.may_hold = True
        self.changes: list[bool] = []
        self.unblocked = 0
        self.throttle = Throttle(self.wire, self.reader, lambda: self.may_hold, self.changes.append)
        self.throttle.on_unblock = self._unblocked

    def _unblocked(self) -> None:
        self.unblocked += 1


@given(st.lists(st.tuples(st.sampled_from([HELD, BLOCKED, STALLED, RESTING]), st.booleans()), max_size=20))
def test_reading_goes_on_when_the_last_reason_is_gone(steps: list[tuple[int, bool]]) -> None:
    bench = Bench()
    reasons: set[int] = set()
    for reason, there in steps:
        if there:
            bench.throttle.add(reason)
            reasons.add(reason)
        else:
            bench.throttle.remove(reason)
            reasons.discard(reason)
        assert bench.wire.reading is not bool(reasons)
        assert bench.throttle.blocked is (BLOCKED in reasons)
    # Whoever listens is told of changes only, which alternate.
    assert [paused for paused, _ in itertools.groupby(bench.changes)] == bench.changes
    assert bench.changes[:1] in ([], [True])


def test_holds_of_several_queues_end_with_the_last() -> None:
    bench = Bench()
    assert bench.throttle.hold()
    assert bench.throttle.hold()
    bench.throttle.release()
    assert not bench.wire.reading
    bench.throttle.release()
    assert bench.wire.reading


def test_who_may_not_be_held_is_read_on() -> None:
    bench = Bench()
    bench.may_hold = False
    assert not bench.throttle.hold()
    assert bench.wire.reading


def test_blocking_stops_the_reader_in_the_middle_of_its_bytes_and_holding_does_not() -> None:
    bench = Bench()
    bench.throttle.hold()
    assert not bench.reader.paused
    bench.throttle.block()
    assert bench.reader.paused
    bench.throttle.unblock()
    assert not bench.reader.paused
    assert bench.unblocked == 1
    assert not bench.wire.reading


def test_unblocking_what_is_not_blocked_does_nothing() -> None:
    bench = Bench()
    bench.throttle.unblock()
    assert bench.unblocked == 0
    assert bench.changes == []


def test_unblocking_needs_no_listener() -> None:
    bench = Bench()
    bench.throttle.on_unblock = None
    bench.throttle.block()
    bench.throttle.unblock()
    assert bench.wire.reading


def test_who_is_asked_to_rest_is_read_on_until_its_read_is_processed() -> None:
    """The socket knows when that is, and takes the rest."""
    bench = Bench()
    bench.throttle.rest()
    assert bench.throttle.tired
    assert bench.wire.reading


def test_stalling_stops_the_reader_too_and_both_reasons_must_go() -> None:
    bench = Bench()
    bench.throttle.stall()
    bench.throttle.block()
    bench.throttle.unstall()
    assert bench.reader.paused
    bench.throttle.stall()
    bench.throttle.unblock()
    assert bench.reader.paused
    bench.throttle.unstall()
    assert not bench.reader.paused
    assert bench.wire.reading


def test_unstalling_is_told_if_it_was_stalled_and_somebody_listens() -> None:
    bench = Bench()
    told: list[str] = []
    bench.throttle.unstall()
    bench.throttle.stall()
    bench.throttle.unstall()
    bench.throttle.on_unstall = lambda: told.append("go on")
    bench.throttle.unstall()
    assert told == []
    bench.throttle.stall()
    bench.throttle.unstall()
    assert told == ["go on"]


# Resource alarms on connections.


def test_a_connection_that_does_not_publish_is_not_blocked(world: World, client: Client) -> None:
    world.broker.alarms.set(MEMORY)
    assert client.declare("q").queue == "q"
    assert client.wire.reading


def test_the_first_publish_is_taken_then_the_client_is_told_and_read_no_more(world: World, client: Client) -> None:
    client.declare("q")
    world.broker.alarms.set(MEMORY)
    client.publish(1, "", "q", b"body")
    assert client.receive_one(0, commands.Connection.Blocked).reason == "low on memory"
    assert world.vhost.queues["q"].message_count == 1
    assert not client.wire.reading


def test_no_method_behind_the_publish_is_processed_until_the_alarm_is_cleared(world: World, client: Client) -> None:
    world.broker.alarms.set(MEMORY)
    client.feed(publish_bytes(1, "", "nowhere") + encode(1, make(commands.Queue.Declare, queue="one")))
    client.feed(encode(1, make(commands.Queue.Declare, queue="two")))
    client.receive_one(0, commands.Connection.Blocked)
    world.broker.alarms.clear(MEMORY)
    world.finish()
    methods = [method for _, method in client.received()]
    assert isinstance(methods[0], commands.Connection.Unblocked)
    assert [getattr(method, "queue", None) for method in methods[1:]] == ["one", "two"]
    assert client.wire.reading


def test_a_content_header_blocks_too_and_the_message_is_completed_afterwards(world: World, client: Client) -> None:
    client.declare("q")
    world.broker.alarms.set(DISK)
    publish = encode(1, make(commands.Basic.Publish, routing_key="q"))
    client.feed(publish + header_bytes(1, 2) + frame(BODY, 1, b"a") + frame(BODY, 1, b"b"))
    assert client.receive_one(0, commands.Connection.Blocked).reason == "low on disk"
    assert world.vhost.queues["q"].message_count == 0
    world.broker.alarms.clear(DISK)
    world.finish()
    client.receive_one(0, commands.Connection.Unblocked)
    assert world.vhost.queues["q"].message_count == 1


def test_the_last_body_frame_blocks_too(world: World, client: Client) -> None:
    client.declare("q")
    publish = encode(1, make(commands.Basic.Publish, routing_key="q"))
    client.feed(publish + header_bytes(1, 2) + frame(BODY, 1, b"a"))
    world.broker.alarms.set(MEMORY)
    client.feed(frame(BODY, 1, b"b"))
    client.receive_one(0, commands.Connection.Blocked)
    assert world.vhost.queues["q"].message_count == 1


def test_a_second_alarm_says_nothing_and_both_must_clear(world: World, client: Client) -> None:
    world.broker.alarms.set(DISK)
    world.broker.alarms.set(MEMORY)
    client.publish(1, "", "nowhere")
    assert client.receive_one(0, commands.Connection.Blocked).reason == "low on disk & memory"
    world.broker.alarms.clear(DISK)
    world.finish()
    assert client.take() == b""
    world.broker.alarms.clear(MEMORY)
    world.finish()
    client.receive_one(0, commands.Connection.Unblocked)


def test_a_client_without_the_capability_is_blocked_without_a_word(world: World) -> None:
    client = world.raw_client()
    client.feed(b"AMQP\x00\x00\x09\x01")
    client.start_ok(capabilities={})
    client.send(0, commands.Connection.TuneOk, channel_max=10, frame_max=8192)
    client.send(0, commands.Connection.Open, virtual_host="/")
    client.send(1, commands.Channel.Open)
    client.take()
    world.broker.alarms.set(MEMORY)
    client.publish(1, "", "nowhere")
    assert client.take() == b""
    assert not client.wire.reading
    world.broker.alarms.clear(MEMORY)
    world.finish()
    assert client.take() == b""
    assert client.wire.reading


def test_a_blocked_connection_is_blocked_once_whatever_it_has_sent(world: World, client: Client) -> None:
    world.broker.alarms.set(MEMORY)
    client.feed(publish_bytes(1, "", "nowhere") * 3)
    client.receive_one(0, commands.Connection.Blocked)
    world.broker.alarms.clear(MEMORY)
    world.broker.alarms.set(MEMORY)
    world.finish()
    client.receive_one(0, commands.Connection.Unblocked)
    client.publish(1, "", "nowhere")
    client.receive_one(0, commands.Connection.Blocked)


def test_an_alarm_during_a_publish_that_closes_the_connection_does_not_block_it(world: World, client: Client) -> None:
    """connection.close_ok must be read."""
    world.broker.alarms.set(MEMORY)
    client.feed(encode(1, make(commands.Basic.Publish, immediate=True)) + header_bytes(1, 0))
    assert client.connection_closed()[0] == 540
    assert client.wire.reading


def test_a_blocked_connection_that_is_lost_is_forgotten(world: World, client: Client) -> None:
    world.broker.alarms.set(MEMORY)
    client.publish(1, "", "nowhere")
    client.receive_one(0, commands.Connection.Blocked)
    client.lose()
    world.broker.alarms.clear(MEMORY)
    world.finish()
    assert client.take() == b""
    assert not client.wire.reading  # nobody has touched the socket any more


def test_an_operator_can_close_a_blocked_connection(world: World, client: Client) -> None:
    world.broker.alarms.set(MEMORY)
    client.publish(1, "", "nowhere")
    client.receive_one(0, commands.Connection.Blocked)
    client.connection.force_close("bye")
    world.finish()
    assert client.connection_closed() == (320, "CONNECTION_FORCED - bye")
    client.send(0, commands.Connection.CloseOk)
    assert client.wire.closed


# Answers that nobody reads.


def test_requests_wait_while_their_answers_pile_up_and_none_is_lost(world: World) -> None:
    client = world.client(frame_max=131_072)
    client.open(1)
    client.declare("q")
    body = bytes(ANSWERS_UNREAD // 2)
    client.publish(1, "", "q", body)
    get = encode(1, make(commands.Basic.Get, queue="q")) + encode(1, make(commands.Basic.RecoverAsync, requeue=True))
    client.connection.receive(get * 5)
    assert not client.wire.reading
    assert ANSWERS_UNREAD < client.connection.output.size < 2 * ANSWERS_UNREAD
    world.finish()
    assert client.bodies() == [body] * 5
    assert client.wire.reading


# Crowded queues.


def crowd(world: World, consume_on_publisher: bool = False) -> tuple[Client, Client]:
    """A publisher that has filled a queue beyond what its consumer takes, and that consumer."""
    publisher, consumer = world.client(), world.client()
    for each in (publisher, consumer):
        each.open(1)
    publisher.declare("q")
    consumer.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1)
    consumer.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, queue="q")
    if consume_on_publisher:
        publisher.declare("other")
        publisher.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, queue="other")
    publisher.feed(publish_bytes(1, "", "q") * (HOLD_ABOVE + 2))
    publisher.publish(1, "", "q")
    return publisher, consumer


def test_the_publisher_of_a_crowded_queue_is_held_for_a_bounded_time(world: World) -> None:
    publisher, _ = crowd(world)
    assert not publisher.wire.reading
    world.advance(HOLD_SECONDS)
    assert publisher.wire.reading


def test_a_publisher_that_consumes_is_not_held(world: World) -> None:
    publisher, _ = crowd(world, consume_on_publisher=True)
    assert publisher.wire.reading


def test_a_publisher_of_a_queue_whose_consumers_are_slow_is_asked_to_rest(world: World) -> None:
    publisher, _ = crowd(world)
    world.advance(HOLD_SECONDS)
    assert not publisher.connection.throttle.tired
    publisher.publish(1, "", "q")
    assert publisher.connection.throttle.tired
    assert publisher.wire.reading


def test_a_held_publisher_is_released_when_the_queue_has_drained(world: World) -> None:
    publisher, consumer = crowd(world)
    consumer.send(1, commands.Queue.Purge, queue="q")
    consumer.send(1, commands.Basic.Ack, delivery_tag=1)
    assert publisher.wire.reading


def test_a_held_publisher_that_is_lost_does_no_harm(world: World) -> None:
    publisher, consumer = crowd(world)
    publisher.lose()
    world.advance(HOLD_SECONDS)
    consumer.take()
    assert (consumer.declare("q").message_count or 0) > HOLD_ABOVE
