"""Resource alarms: the list of them, and what a connection that publishes meets while one is set (spec A.8)."""

from __future__ import annotations

import pytest
from pamqp import commands

from amqpd.broker.alarms import DISK, MEMORY, Alarms
from amqpd.wire.methods import encode, make
from tests.broker.queues.takers import HeldPublisher
from tests.builders import ALL_CAPABILITIES, Client, World, is_read, publish_bytes

WITHOUT_BLOCKED = {name: True for name in ALL_CAPABILITIES if name != "connection.blocked"}


def test_an_alarm_is_set_once_and_cleared_once() -> None:
    alarms = Alarms()
    assert [alarms.set(MEMORY), alarms.set(MEMORY), alarms.active] == [True, False, True]
    assert [alarms.clear(MEMORY), alarms.clear(MEMORY), alarms.active] == [True, False, False]


@pytest.mark.parametrize(
    ("resources", "reason"),
    [([MEMORY], "low on memory"), ([DISK], "low on disk"), ([DISK, MEMORY], "low on disk & memory")],
)
def test_the_reason_names_what_is_low(resources: list[str], reason: str) -> None:
    alarms = Alarms()
    for resource in resources:
        alarms.set(resource)
    assert alarms.reason == reason


def test_publishers_go_on_when_the_last_alarm_is_cleared() -> None:
    alarms, publisher = Alarms(), HeldPublisher()
    alarms.set(MEMORY)
    alarms.set(DISK)
    alarms.wait(publisher)
    alarms.clear(MEMORY)
    assert (publisher.unblocked, alarms.active, alarms.reason) == (0, True, "low on disk")
    alarms.clear(DISK)
    assert (publisher.unblocked, alarms.active) == (1, False)


def test_a_publisher_waits_for_one_alarm_period_only() -> None:
    alarms, publisher = Alarms(), HeldPublisher()
    alarms.set(MEMORY)
    alarms.wait(publisher)
    alarms.wait(publisher)
    alarms.clear(MEMORY)
    alarms.set(MEMORY)
    alarms.clear(MEMORY)
    assert publisher.unblocked == 1


def test_a_publisher_that_is_gone_is_not_told() -> None:
    alarms, publisher = Alarms(), HeldPublisher()
    alarms.set(MEMORY)
    alarms.wait(publisher)
    alarms.forget(publisher)
    alarms.forget(publisher)
    alarms.clear(MEMORY)
    assert publisher.unblocked == 0


# From bytes to bytes.


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World) -> Client:
    """A client with a channel and a queue."""
    client = world.client()
    client.open()
    client.declare("q")
    return client


def blocked(client: Client) -> Client:
    """The client after it published under a memory alarm."""
    client.world.broker.alarms.set(MEMORY)
    client.publish(1, "", "q", b"first")
    assert client.receive_one(0, commands.Connection.Blocked).reason == "low on memory"
    return client


def test_nothing_happens_to_a_connection_until_it_publishes(world: World, client: Client) -> None:
    world.broker.alarms.set(MEMORY)
    client.declare("other")
    assert is_read(client)
    assert client.take() == b""


def test_the_first_publish_is_processed_and_then_the_connection_is_blocked(world: World, client: Client) -> None:
    blocked(client)
    assert not is_read(client)
    assert world.vhost.queue("q").message_count == 1


def test_no_method_at_all_is_answered_while_blocked_and_every_one_in_order_afterwards(
    world: World, client: Client
) -> None:
    blocked(client)
    client.publish(1, "", "q", b"second")
    client.send(1, commands.Queue.Declare, queue="q", passive=True)
    client.send(2, commands.Channel.Open)
    assert client.take() == b""
    assert world.vhost.queue("q").message_count == 1
    world.broker.alarms.clear(MEMORY)
    world.finish()
    methods = [(channel, type(method)) for channel, method in client.received()]
    assert methods == [
        (0, commands.Connection.Unblocked),
        (1, commands.Queue.DeclareOk),
        (2, commands.Channel.OpenOk),
    ]
    assert is_read(client)
    assert world.vhost.queue("q").message_count == 2


def test_what_was_sent_in_one_piece_with_the_blocking_publish_waits_too(world: World, client: Client) -> None:
    world.broker.alarms.set(MEMORY)
    publish = publish_bytes(1, "", "q", b"m")
    declare = encode(1, make(commands.Queue.Declare, queue="q", passive=True))
    client.feed(publish + publish + declare + publish[:30])
    client.receive_one(0, commands.Connection.Blocked)
    assert world.vhost.queue("q").message_count == 1
    client.feed(publish[30:])
    world.broker.alarms.clear(MEMORY)
    world.finish()
    assert [type(method) for _, method in client.received()] == [
        commands.Connection.Unblocked,
        commands.Queue.DeclareOk,
    ]
    assert world.vhost.queue("q").message_count == 3


def test_a_large_message_blocks_in_the_middle_and_is_completed_afterwards(world: World, client: Client) -> None:
    body = bytes(300_000)
    world.broker.alarms.set(MEMORY)
    client.publish(1, "", "q", body)
    client.receive_one(0, commands.Connection.Blocked)
    world.broker.alarms.clear(MEMORY)
    world.finish()
    client.receive_one(0, commands.Connection.Unblocked)
    delivery = world.vhost.queue("q").get()
    assert delivery is not None
    assert delivery.message.body == body


def test_blocked_is_sent_once_for_a_period_however_many_alarms_there_are(world: World, client: Client) -> None:
    blocked(client)
    world.broker.alarms.set(DISK)
    world.broker.alarms.clear(MEMORY)
    world.finish()
    assert client.take() == b""
    world.broker.alarms.clear(DISK)
    world.finish()
    client.receive_one(0, commands.Connection.Unblocked)


def test_the_next_period_blocks_again(world: World, client: Client) -> None:
    blocked(client)
    world.broker.alarms.clear(MEMORY)
    world.finish()
    client.receive_one(0, commands.Connection.Unblocked)
    blocked(client)


def test_stalled_publishes_block_again_when_another_alarm_was_set_meanwhile(world: World, client: Client) -> None:
    """Of ten publishes that wait, one more goes through; the rest waits on."""
    blocked(client)
    client.feed(publish_bytes(1, "", "q", b"m") * 10)
    world.broker.alarms.clear(MEMORY)
    world.finish()
    assert world.vhost.queue("q").message_count == 11
    client.receive_one(0, commands.Connection.Unblocked)
    world.broker.alarms.set(DISK)
    client.feed(publish_bytes(1, "", "q", b"m") * 10)
    assert world.vhost.queue("q").message_count == 12
    assert client.receive_one(0, commands.Connection.Blocked).reason == "low on disk"


def test_a_client_without_the_capability_is_blocked_all_the_same_but_not_told(world: World) -> None:
    client = world.raw_client()
    client.feed(b"AMQP\x00\x00\x09\x01")
    client.start_ok(capabilities=WITHOUT_BLOCKED)
    client.send(0, commands.Connection.TuneOk, channel_max=10, frame_max=131_072, heartbeat=0)
    client.send(0, commands.Connection.Open, virtual_host="/")
    client.send(1, commands.Channel.Open)
    client.take()
    world.broker.alarms.set(MEMORY)
    client.publish(1, "", "nowhere", b"m")
    assert not is_read(client)
    world.broker.alarms.clear(MEMORY)
    world.finish()
    assert is_read(client)
    assert client.take() == b""


def test_consumers_are_left_alone(world: World, client: Client) -> None:
    client.publish(1, "", "q", b"m")
    blocked(client)
    consumer = world.client()
    consumer.open()
    consumer.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1)
    consumer.send(1, commands.Basic.Consume, queue="q", consumer_tag="c")
    assert len(consumer.received()) == 2
    consumer.send(1, commands.Basic.Ack, delivery_tag=1)
    assert consumer.bodies() == [b"first"]
    assert is_read(consumer)


def test_new_connections_can_be_opened_and_used_until_they_publish(world: World) -> None:
    world.broker.alarms.set(MEMORY)
    late = world.client()
    late.open()
    late.declare("q")
    blocked(late)


def test_a_blocked_client_is_not_taken_for_dead(world: World) -> None:
    client = world.client(heartbeat=2)
    client.open()
    client.declare("q")
    blocked(client)
    world.advance(60.0)
    assert not client.wire.closed
    world.broker.alarms.clear(MEMORY)
    world.advance(10.0)
    assert client.wire.closed, "afterwards it is again"


def test_a_blocked_client_that_goes_is_forgotten(world: World, client: Client) -> None:
    blocked(client)
    client.lose()
    world.broker.alarms.clear(MEMORY)
    world.finish()
    assert world.observer.crashes == []


def test_a_blocked_connection_that_the_broker_closes_can_answer_and_its_stalled_methods_are_discarded(
    world: World, client: Client
) -> None:
    blocked(client)
    client.publish(1, "", "q", b"second")
    client.connection.force_close("for a test")
    world.finish()
    assert client.connection_closed() == (320, "CONNECTION_FORCED - for a test")
    assert is_read(client)
    client.send(0, commands.Connection.CloseOk)
    assert client.wire.closed
    assert world.vhost.queue("q").message_count == 1


def test_a_publish_that_is_refused_blocks_the_connection_too(world: World, client: Client) -> None:
    """The channel is closed, which the client is told; the next publish would block the connection as well."""
    world.broker.alarms.set(MEMORY)
    client.publish(1, "missing", "k", b"m")
    assert [type(method) for _, method in client.received()] == [commands.Channel.Close, commands.Connection.Blocked]
    world.broker.alarms.clear(MEMORY)
    world.finish()
    client.receive_one(0, commands.Connection.Unblocked)
