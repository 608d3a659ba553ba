"""A connection as a whole: what closes it, how it ends, and that its end gives everything back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pamqp import base, commands

from amqpd.auth.users import User
from amqpd.errors import NotFound
from amqpd.protocol.connection import Connection
from amqpd.protocol.services import Address, Observer
from amqpd.protocol.state import ConnectionState
from amqpd.wire.frames import BODY, HEARTBEAT_FRAME, METHOD, frame
from amqpd.wire.methods import decode, encode, make
from tests.builders import Client, World, header_bytes, publish_bytes, split_frames

CLOSE_SECONDS = 30


def assert_connection_closed(client: Client, code: int, text: str, class_id: int = 0, method_id: int = 0) -> None:
    """connection.close came, with these details and nothing else."""
    close = client.receive_one(0, commands.Connection.Close)
    told = (close.reply_code, close.reply_text, close.class_id, close.method_id)
    assert told == (code, text, class_id, method_id)


def test_a_connection_is_named_as_rabbitmq_names_it() -> None:
    assert str(Address("10.0.0.1", 40000, "127.0.0.1", 5672)) == "10.0.0.1:40000 -> 127.0.0.1:5672"


# Methods and frames that close it.


@pytest.mark.parametrize("command", [commands.Connection.Close, commands.Connection.TuneOk, commands.Connection.Start])
def test_connection_methods_have_no_place_on_a_channel(client: Client, command: type[base.Frame]) -> None:
    client.send(1, command)
    assert client.connection_closed() == (503, "COMMAND_INVALID - unimplemented method")


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"\x00\x32\x00\x0a\x00", "FRAME_ERROR - cannot decode <<0>>"),
        (b"\x00\x3c\x00\x0a" + bytes(7) + b"zz", "FRAME_ERROR - cannot decode <<0,0,0,0,0,0,0,122,122>>"),
    ],
)
def test_too_few_or_too_many_arguments_are_told_with_the_method(client: Client, payload: bytes, text: str) -> None:
    client.feed(frame(METHOD, 1, payload))
    assert_connection_closed(client, 501, text, payload[1], payload[3])


def test_a_name_that_is_not_utf_8_is_told_without_the_method(client: Client) -> None:
    client.send(1, commands.Queue.Declare, queue="\udcff\udcfe")
    assert_connection_closed(client, 501, "FRAME_ERROR - Malformed UTF-8 in shortstr")


def test_a_broken_table_closes_the_socket_without_a_word(world: World, client: Client) -> None:
    client.feed(frame(METHOD, 1, b"\x00\x32\x00\x0a\x00\x00\x01q\x00" + b"\x00\x00\x00\x03\x01aQ"))
    assert client.take() == b""
    assert client.wire.closed
    assert world.observer.events[-1][0] == "failed"


@pytest.mark.parametrize("number", [0, 1])
def test_an_unknown_method_closes_the_socket_without_a_word(world: World, client: Client, number: int) -> None:
    client.feed(frame(METHOD, number, b"\x03\xe7\x00\x09") + encode(1, make(commands.Queue.Declare, queue="q")))
    assert client.take() == b""
    assert client.wire.closed
    assert "q" not in world.vhost.queues


@pytest.mark.parametrize("number", [1, 2, 0])
def test_an_unknown_frame_is_told_on_any_channel(client: Client, number: int) -> None:
    client.feed(frame(7, number, b"abc"))
    assert_connection_closed(client, 501, 'FRAME_ERROR - type 7, all octets = <<"abc">>: unknown_frame')


@pytest.mark.parametrize("prefix", [b"", encode(1, make(commands.Basic.Publish))])
@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (frame(METHOD, 1, b"ab"), 'type 1, all octets = <<"ab">>'),
        (frame(2, 1, b"\0<\0\0"), "type 2, all octets = <<0,60,0,0>>"),
    ],
)
def test_a_frame_too_short_for_its_type_is_unknown_whatever_is_awaited(
    client: Client, prefix: bytes, data: bytes, shown: str
) -> None:
    client.feed(prefix + data)
    assert_connection_closed(client, 501, f"FRAME_ERROR - {shown}: unknown_frame")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x08\x00\x00\x00\x00\x00\x00\xcd", "type 8, all octets = <<>>: {invalid_frame_end_marker,205}"),
        (b"\x03\x00\x01\x00\x02\x00\x01x", "type 3, all octets = <<>>: {frame_too_large,131073,131064}"),
    ],
)
def test_a_stream_out_of_step_is_told_and_closed_after_three_seconds(world: World, data: bytes, text: str) -> None:
    client = world.client()
    client.feed(data)
    assert_connection_closed(client, 501, f"FRAME_ERROR - {text}")
    client.send(0, commands.Connection.CloseOk)  # cannot be understood any more
    world.advance(2.9)
    assert not client.wire.closed
    world.advance(0.2)
    assert client.wire.closed


def test_a_stream_out_of_step_after_the_end_is_only_closed(world: World, client: Client) -> None:
    client.call(0, commands.Connection.Close, commands.Connection.CloseOk, reply_code=200)
    client.feed(b"\x08\x00\x00\x00\x00\x00\x00\xcd")
    assert client.take() == b""
    world.advance(3.1)
    assert client.wire.closed


def test_a_payload_of_frame_max_itself_is_taken(world: World) -> None:
    client = world.client(frame_max=8192)
    client.open(1)
    client.declare("a queue")
    client.feed(encode(1, make(commands.Basic.Publish, routing_key="a queue")) + header_bytes(1, 8192))
    client.feed(frame(BODY, 1, bytes(8192)))
    assert client.declare("a queue").message_count == 1


# Closing.


@pytest.mark.parametrize(("heartbeat", "seconds"), [(5, 5), (29, 29), (60, 30), (0, 30)])
def test_a_close_is_waited_for_as_long_as_a_heartbeat_at_most_half_a_minute(
    world: World, heartbeat: int, seconds: int
) -> None:
    for close in (True, False):
        client = world.client(heartbeat=heartbeat)
        if close:
            client.send(0, commands.Connection.Close)
        else:
            client.connection.force_close("bye")
        world.advance(seconds - 0.1)
        assert not client.wire.closed
        world.advance(0.2)
        assert client.wire.closed


@pytest.mark.parametrize("how", ["close", "error", "operator", "lost", "disconnect"])
def test_the_end_gives_everything_back(world: World, how: str) -> None:
    """Unsettled messages return in their order, exclusive queues go, consumers end; before close_ok is sent."""
    client, other = world.client(), world.client()
    for each in (client, other):
        each.open(1)
    client.declare("mine", exclusive=True)
    client.declare("shared")
    client.feed(publish_bytes(1, "", "shared", b"0") + publish_bytes(1, "", "shared", b"1"))
    client.publish(1, "", "shared", b"2")
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=2)
    client.send(1, commands.Basic.Consume, queue="shared")
    client.take()
    endings: dict[str, Callable[[], None]] = {
        "close": lambda: client.send(0, commands.Connection.Close),
        "error": lambda: client.send(0, commands.Channel.Open),
        "operator": lambda: client.connection.force_close("bye"),
        "lost": client.lose,
        "disconnect": lambda: client.feed(frame(METHOD, 1, b"\x03\xe7\x00\x09")),
    }
    endings[how]()
    assert other.declare("mine").consumer_count == 0
    other.call(1, commands.Queue.Declare, commands.Queue.DeclareOk, queue="shared", passive=True)
    fetched = []
    for _ in range(3):
        other.send(1, commands.Basic.Get, queue="shared", no_ack=True)
        (message,) = other.messages()
        assert isinstance(message.method, commands.Basic.GetOk)
        fetched.append((message.body, message.method.redelivered))
    assert fetched == [(b"0", True), (b"1", True), (b"2", False)]


def test_what_was_sent_before_is_written_before_the_socket_is_closed(world: World) -> None:
    client = world.client()
    client.feed(encode(1, make(commands.Channel.Open)) + frame(METHOD, 0, b"\x03\xe7\x00\x09"))
    client.receive_one(1, commands.Channel.OpenOk)
    assert client.wire.closed


@pytest.mark.parametrize("ended", [False, True])
def test_the_log_is_told_once_of_a_connection_that_was_open(world: World, ended: bool) -> None:
    client = world.client()
    if ended:
        client.send(0, commands.Connection.Close)
    client.lose()
    assert [event for event, _ in world.observer.events] == ["authenticated", "opened", "closed"]


def test_the_log_is_not_told_of_a_connection_that_never_was_open(world: World) -> None:
    client = world.raw_client()
    client.lose()
    assert world.observer.events == []


def test_the_log_is_told_of_what_closed_a_channel_or_the_connection(world: World, client: Client) -> None:
    client.send(1, commands.Queue.Purge, queue="missing")
    client.send(0, commands.Channel.Open)
    assert world.observer.events[-2:] == [
        ("channel_failed", "NOT_FOUND - no queue 'missing' in vhost '/'"),
        ("failed", "CHANNEL_ERROR - unexpected method in connection state running"),
    ]


def test_an_observer_may_ignore_everything(client: Client) -> None:
    observer = Observer()
    connection: Connection = client.connection
    assert connection.session is not None
    before = client.wire.written
    observer.authenticated(connection, "u")
    observer.opened(connection, connection.session)
    observer.refused(connection, "r")
    observer.channel_failed(connection, 1, NotFound())
    observer.failed(connection, NotFound())
    observer.closed(connection, "r")
    observer.crashed(connection, ValueError())
    client.world.finish()
    assert client.wire.written == before


# Faults of the broker's own.


class Fault(Exception):
    """What is not supposed to happen."""


def fail_to_wake(world: World) -> None:
    """The next queue that is to be pumped meets a fault in the edge."""

    def wake() -> None:
        world.turn.wake = None
        raise Fault

    world.turn.wake = wake


def fail_to_invent_names(world: World) -> None:
    """The next name that is to be made up meets a fault in the machine."""

    def random_bytes(_: int) -> bytes:
        raise Fault

    world.context.random_bytes = random_bytes


class FaultyUser(User):
    """A user whose login is not refused but fails."""

    def has_password(self, password: bytes) -> bool:
        raise Fault


PROVOCATIONS: dict[str, tuple[Callable[[World], None], Callable[[Client], None]]] = {
    "publish": (fail_to_wake, lambda client: client.publish(1, "", "a queue")),
    "ack": (fail_to_wake, lambda client: client.send(1, commands.Basic.Ack, delivery_tag=1)),
    "frame": (fail_to_invent_names, lambda client: client.send(1, commands.Queue.Declare)),
}


@pytest.mark.parametrize("name", PROVOCATIONS)
def test_a_fault_of_the_broker_closes_that_connection_and_no_other(name: str) -> None:
    world = World()
    client, other = world.client(), world.client()
    for each in (client, other):
        each.open(1)
    client.declare("a queue")
    client.feed(publish_bytes(1, "", "a queue") * 2)
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1)
    client.send(1, commands.Basic.Consume, queue="a queue")
    client.take()
    fail, provoke = PROVOCATIONS[name]
    fail(world)
    provoke(client)
    assert_connection_closed(client, 541, "INTERNAL_ERROR")
    assert [type(fault) for fault in world.observer.crashes] == [Fault]
    assert client.connection.state is ConnectionState.CLOSING
    other.declare("still working")


def test_a_fault_during_the_handshake_is_met_with_silence() -> None:
    world = World()
    client = world.raw_client()
    client.feed(b"AMQP\x00\x00\x09\x01")
    client.take()
    world.users.put(FaultyUser("guest", ""))
    client.start_ok()
    assert client.take() == b""
    world.advance(3.1)
    assert client.wire.closed
    assert [type(fault) for fault in world.observer.crashes] == [Fault]


# Room in the output.


def test_deliveries_stop_while_the_transport_is_full_and_go_on_when_it_has_drained(client: Client) -> None:
    client.declare("q")
    client.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, queue="q", no_ack=True)
    client.connection.output.stall()
    client.publish(1, "", "q", b"body")
    assert client.take() == b""
    client.connection.output.unstall()
    client.world.finish()
    assert client.bodies() == [b"body"]


def test_more_than_fits_is_delivered_in_several_turns(client: Client) -> None:
    client.declare("q")
    client.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, queue="q", no_ack=True)
    client.feed(publish_bytes(1, "", "q", bytes(100_000)) * 12)
    assert [len(body) for body in client.bodies()] == [100_000] * 12


def test_octets_are_counted_both_ways(client: Client) -> None:
    before = client.connection.received
    client.feed(HEARTBEAT_FRAME)
    assert client.connection.received == before + 8
    assert client.connection.output.sent == len(client.wire.written)
    assert all(isinstance(decode(payload), base.Frame) for _, _, payload in split_frames(client.wire.written))
