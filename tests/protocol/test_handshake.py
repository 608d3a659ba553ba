"""The handshake: what is offered, who gets in, and how the others are turned away (RabbitMQ 4.0)."""

from __future__ import annotations

import pytest
from pamqp import commands

from amqpd.auth.permissions import Permission
from amqpd.protocol.handshake import CAPABILITIES, LINGER, PROTOCOL_HEADER, check_choice
from amqpd.protocol.limits import Limits
from amqpd.protocol.state import ConnectionState
from amqpd.wire.frames import frame
from amqpd.wire.methods import encode, make
from amqpd.wire.table import Table
from tests.builders import Client, World

REFUSED = "ACCESS_REFUSED - Login was refused using authentication mechanism {}. For details see the broker logfile."


def greeted(world: World, peer: str = "127.0.0.1") -> Client:
    """A client that has got connection.start."""
    client = world.raw_client(peer)
    client.feed(PROTOCOL_HEADER)
    client.receive_one(0, commands.Connection.Start)
    return client


def logged_in(world: World) -> Client:
    """A client that has got connection.tune."""
    client = greeted(world)
    client.start_ok()
    client.receive_one(0, commands.Connection.Tune)
    return client


def tuned(world: World, user: str = "guest") -> Client:
    """A client that is to send connection.open."""
    client = greeted(world)
    client.start_ok(response=f"\0{user}\0{user}".encode())
    client.take()
    client.send(0, commands.Connection.TuneOk, channel_max=2047, frame_max=131_072, heartbeat=0)
    return client


def assert_silent_close(world: World, client: Client, seconds: float = LINGER) -> None:
    """No word, and the socket closed after so many seconds."""
    assert client.take() == b""
    if seconds:
        assert not client.wire.closed
        world.advance(seconds - 0.01)
        assert not client.wire.closed
        world.advance(0.02)
    assert client.wire.closed
    assert client.take() == b""


# The protocol header.


@pytest.mark.parametrize("header", [PROTOCOL_HEADER, b"AMQP\x01\x01\x00\x09"])
def test_amqp_0_9_1_and_the_header_of_0_9_are_answered_with_connection_start(world: World, header: bytes) -> None:
    client = world.raw_client()
    client.feed(header)
    client.receive_one(0, commands.Connection.Start)


@pytest.mark.parametrize(
    "data",
    [b"AMQP\x00\x01\x00\x00", b"AMQP\x01\x01\x08\x00", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01"],
)
def test_any_other_header_is_answered_with_ours_and_the_socket_closed(world: World, data: bytes) -> None:
    client = world.raw_client()
    client.feed(data)
    assert client.take() == PROTOCOL_HEADER
    assert client.wire.closed
    client.feed(PROTOCOL_HEADER)
    assert client.take() == b""


def test_fewer_than_eight_octets_are_waited_for(world: World) -> None:
    client = world.raw_client()
    for octet in PROTOCOL_HEADER[:-1]:
        client.feed(bytes([octet]))
        assert client.take() == b""
    client.feed(PROTOCOL_HEADER[-1:])
    client.receive_one(0, commands.Connection.Start)


def test_who_does_not_get_through_within_ten_seconds_is_closed_without_a_word(world: World) -> None:
    client = world.raw_client()
    client.feed(PROTOCOL_HEADER[:7])
    assert_silent_close(world, client, 10)
    assert world.observer.events == [("refused", "handshake timeout")]


def test_the_ten_seconds_count_to_the_end_of_the_handshake(world: World) -> None:
    client = tuned(world)
    assert_silent_close(world, client, 10)


def test_an_open_connection_is_not_closed_by_the_handshake_timeout(world: World) -> None:
    client = world.client()
    world.advance(11)
    assert not client.wire.closed


def test_the_handshake_may_come_in_one_piece(world: World) -> None:
    client = world.raw_client()
    client.feed(
        PROTOCOL_HEADER
        + encode(0, make(commands.Connection.StartOk, mechanism="PLAIN", response=b"\0guest\0guest"))
        + encode(0, make(commands.Connection.TuneOk, channel_max=1, frame_max=8192))
        + encode(0, make(commands.Connection.Open, virtual_host="/"))
        + encode(1, make(commands.Channel.Open))
    )
    assert [type(method) for _, method in client.received()] == [
        commands.Connection.Start,
        commands.Connection.Tune,
        commands.Connection.OpenOk,
        commands.Channel.OpenOk,
    ]


# connection.start.


def test_start_says_what_rabbitmq_says(world: World) -> None:
    client = world.raw_client()
    client.feed(PROTOCOL_HEADER)
    start = client.receive_one(0, commands.Connection.Start)
    assert (start.version_major, start.version_minor) == (0, 9)
    assert start.mechanisms.split() == [b"PLAIN", b"AMQPLAIN"]  # type: ignore[comparison-overlap]  # longstrs are bytes
    assert start.locales == b"en_US"  # type: ignore[comparison-overlap]  # as above
    properties: object = start.server_properties
    assert isinstance(properties, Table)
    names = [name for name, _ in properties.items()]
    assert names == ["capabilities", "cluster_name", "copyright", "information", "platform", "product", "version"]
    assert properties.text("product") == "RabbitMQ"
    assert properties.text("cluster_name") == "amqpd@test"


def test_every_capability_of_rabbitmq_is_announced(world: World) -> None:
    client = world.raw_client()
    client.feed(PROTOCOL_HEADER)
    properties: object = client.receive_one(0, commands.Connection.Start).server_properties
    assert isinstance(properties, Table)
    field = properties.get("capabilities")
    assert field is not None
    assert isinstance(field.value, Table)
    assert {name: each.value for name, each in field.value.items()} == dict.fromkeys(CAPABILITIES, True)


# Logging in.


def test_a_right_login_is_answered_with_the_offer(world: World) -> None:
    client = greeted(world)
    client.start_ok()
    tune = client.receive_one(0, commands.Connection.Tune)
    assert (tune.channel_max, tune.frame_max, tune.heartbeat) == (2047, 131_072, 60)
    assert world.observer.events == [("authenticated", "guest")]


def test_amqplain_is_a_table_without_its_length(world: World) -> None:
    client = greeted(world)
    client.start_ok("AMQPLAIN", Table.of({"LOGIN": "guest", "PASSWORD": "guest"}).raw)
    client.receive_one(0, commands.Connection.Tune)


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [
        ("EXTERNAL", b""),
        ("plain", b"\0guest\0guest"),
        ("", b""),
        ("PLAIN", b""),
        ("PLAIN", b"guest\0guest"),
        ("PLAIN", b"authzid\0guest\0guest"),
        ("PLAIN", b"\0guest\0guest\0"),
        ("AMQPLAIN", b"\x05LOGINS\x00\x00\x00\x05guest"),
        ("AMQPLAIN", b"garbage"),
    ],
)
def test_an_unknown_mechanism_or_a_malformed_response_is_met_with_silence(
    world: World, mechanism: str, response: bytes
) -> None:
    client = greeted(world)
    client.start_ok(mechanism, response)
    assert_silent_close(world, client)
    assert [event for event, _ in world.observer.events] == ["refused"]


@pytest.mark.parametrize("response", [b"\0guest\0wrong", b"\0nobody\0guest", b"\0guest\0", b"\0\0"])
def test_a_wrong_login_is_told_the_same_whatever_was_wrong(world: World, response: bytes) -> None:
    client = greeted(world)
    client.start_ok(response=response)
    close = client.receive_one(0, commands.Connection.Close)
    assert (close.reply_code, close.reply_text) == (403, REFUSED.format("PLAIN"))
    assert (close.class_id, close.method_id) == (0, 0)
    world.advance(2.99)
    assert not client.wire.closed
    world.advance(0.02)
    assert client.wire.closed


def test_a_wrong_login_is_over_with_close_ok(world: World) -> None:
    client = greeted(world)
    client.start_ok(response=b"\0guest\0wrong")
    client.connection_closed()
    client.send(0, commands.Connection.CloseOk)
    assert client.wire.closed


def test_the_log_learns_why_a_login_was_refused(world: World) -> None:
    client = greeted(world)
    client.start_ok(response=b"\0guest\0wrong")
    assert world.observer.events == [
        ("refused", REFUSED.format("PLAIN") + " (login of 'guest' refused: wrong password)")
    ]
    client.take()


@pytest.mark.parametrize("capabilities", [{}, {"authentication_failure_close": False}])
def test_a_client_that_does_not_understand_refusals_is_met_with_silence(
    world: World, capabilities: dict[str, bool]
) -> None:
    client = greeted(world)
    client.start_ok(response=b"\0guest\0wrong", capabilities=capabilities)
    assert_silent_close(world, client)


def test_guest_may_log_in_from_this_machine_only(world: World) -> None:
    client = greeted(world, "10.0.0.1")
    client.start_ok()
    assert client.connection_closed() == (403, REFUSED.format("PLAIN"))
    greeted(world, "127.8.8.8").start_ok()
    assert world.observer.events[-1] == ("authenticated", "guest")


@pytest.mark.parametrize(("size", "accepted"), [(8192, True), (8193, False)])
def test_before_tuning_a_payload_has_at_most_8192_octets(world: World, size: int, accepted: bool) -> None:
    start_ok = encode(0, make(commands.Connection.StartOk, mechanism="PLAIN", response=b"\0guest\0guest"))
    padding = size - (len(start_ok) - 8)
    table = Table.of({"a": "x" * (padding - 7)})
    client = greeted(world)
    method = make(commands.Connection.StartOk, client_properties=table, mechanism="PLAIN", response=b"\0guest\0guest")
    assert len(encode(0, method)) == size + 8
    client.feed(encode(0, method))
    if accepted:
        client.receive_one(0, commands.Connection.Tune)
    else:
        assert_silent_close(world, client)


@pytest.mark.parametrize(
    "payload", [b"\x00\x0a\x00\x0b\x00\x00\x00\x00\xff", b"\x00\x0a\x00\x0b" + bytes(30)], ids=["short", "long"]
)
def test_an_undecodable_start_ok_is_met_with_silence(world: World, payload: bytes) -> None:
    client = greeted(world)
    client.feed(frame(1, 0, payload))
    assert_silent_close(world, client)


# Tuning.


@pytest.mark.parametrize(
    "choice",
    [
        {"frame_max": 0},
        {"frame_max": 4095},
        {"frame_max": 131_073},
        {"channel_max": 0},
        {"channel_max": 2048},
    ],
    ids=str,
)
def test_a_choice_above_the_offer_or_below_what_is_possible_is_met_with_silence(
    world: World, choice: dict[str, int]
) -> None:
    client = logged_in(world)
    client.send(0, commands.Connection.TuneOk, **({"channel_max": 2047, "frame_max": 131_072} | choice))
    assert_silent_close(world, client)
    assert world.observer.events[-1][1].startswith(f"negotiated {next(iter(choice))} = ")


@pytest.mark.parametrize("choice", [{"frame_max": 4096}, {"channel_max": 1}, {"heartbeat": 61}], ids=str)
def test_a_lower_choice_and_any_heartbeat_are_fine(world: World, choice: dict[str, int]) -> None:
    client = logged_in(world)
    client.send(0, commands.Connection.TuneOk, **({"channel_max": 2047, "frame_max": 131_072} | choice))
    client.call(0, commands.Connection.Open, commands.Connection.OpenOk, virtual_host="/")


@pytest.mark.parametrize("choice", [0, 5, 65_535])
def test_zero_in_the_offer_allows_every_choice(choice: int) -> None:
    check_choice("channel_max", choice, 0, 1)
    world = World(Limits(channel_max=0, frame_max=0))
    client = logged_in(world)
    client.send(0, commands.Connection.TuneOk, channel_max=choice, frame_max=0)
    client.call(0, commands.Connection.Open, commands.Connection.OpenOk, virtual_host="/")


def test_the_limits_are_what_is_offered() -> None:
    client = greeted(World(Limits(channel_max=7, frame_max=9000, heartbeat=5)))
    client.start_ok()
    tune = client.receive_one(0, commands.Connection.Tune)
    assert (tune.channel_max, tune.frame_max, tune.heartbeat) == (7, 9000, 5)


# connection.open.


def test_open_ok_names_no_hosts(world: World) -> None:
    client = tuned(world)
    assert client.call(0, commands.Connection.Open, commands.Connection.OpenOk, virtual_host="/").known_hosts == ""
    assert world.observer.events[-1] == ("opened", "/")


@pytest.mark.parametrize("name", ["no-such", "", "//"])
def test_an_unknown_virtual_host_is_told_and_names_are_literal(world: World, name: str) -> None:
    client = tuned(world)
    client.send(0, commands.Connection.Open, virtual_host=name)
    close = client.receive_one(0, commands.Connection.Close)
    assert (close.reply_code, close.reply_text) == (530, f"NOT_ALLOWED - vhost {name} not found")
    assert (close.class_id, close.method_id) == (10, 40)
    client.send(0, commands.Connection.CloseOk)
    assert client.wire.closed


def test_without_a_permission_the_virtual_host_stays_closed(world: World) -> None:
    world.users.add("stranger", b"stranger")
    client = tuned(world, "stranger")
    client.send(0, commands.Connection.Open, virtual_host="/")
    assert client.connection_closed() == (530, "NOT_ALLOWED - access to vhost '/' refused for user 'stranger'")
    assert world.observer.events[-1][0] == "refused"


def test_a_permission_with_empty_patterns_is_enough_to_open(world: World) -> None:
    world.users.add("stranger", b"stranger")
    world.users.permissions.set("stranger", "/", Permission("", "", ""))
    client = tuned(world, "stranger")
    client.call(0, commands.Connection.Open, commands.Connection.OpenOk, virtual_host="/")
    assert client.connection.state is ConnectionState.RUNNING


def test_a_refused_client_that_never_answers_is_closed_after_half_a_minute(world: World) -> None:
    client = tuned(world)
    client.send(0, commands.Connection.Open, virtual_host="no-such")
    world.advance(29)
    assert not client.wire.closed
    world.advance(2)
    assert client.wire.closed
