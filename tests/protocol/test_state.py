"""Every state with every method on channel 0: the table says which are legal, RabbitMQ what becomes of the others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pamqp import base, commands

from amqpd.protocol.connection import Connection
from amqpd.protocol.handshake import LINGER, PROTOCOL_HEADER
from amqpd.protocol.state import ENDED, HANDSHAKE, LEGAL, ConnectionState
from amqpd.wire.frames import BODY, HEADER, HEARTBEAT_FRAME, frame
from amqpd.wire.methods import AccessRequest, AccessRequestOk, encode, ids, make
from tests.builders import Client, World

COMMANDS: list[type[base.Frame]] = [*commands.INDEX_MAPPING.values(), AccessRequest, AccessRequestOk]
STATES = list(ConnectionState)
LOGIN: dict[str, object] = {"mechanism": "PLAIN", "response": b"\0guest\0guest"}
TUNING: dict[str, object] = {"channel_max": 2047, "frame_max": 131_072}

# What a legal method sends back and which state it leads to, given the arguments of a well-behaved client.
Step = tuple[dict[str, object], type[base.Frame] | None, ConnectionState]
NEXT: dict[tuple[ConnectionState, type[base.Frame]], Step] = {
    (ConnectionState.STARTING, commands.Connection.StartOk): (
        LOGIN,
        commands.Connection.Tune,
        ConnectionState.TUNING,
    ),
    (ConnectionState.TUNING, commands.Connection.TuneOk): (TUNING, None, ConnectionState.OPENING),
    (ConnectionState.OPENING, commands.Connection.Open): (
        {"virtual_host": "/"},
        commands.Connection.OpenOk,
        ConnectionState.RUNNING,
    ),
    (ConnectionState.RUNNING, commands.Connection.Close): (
        {},
        commands.Connection.CloseOk,
        ConnectionState.CLOSED,
    ),
    (ConnectionState.RUNNING, commands.Connection.UpdateSecret): (
        {},
        commands.Connection.UpdateSecretOk,
        ConnectionState.RUNNING,
    ),
    (ConnectionState.CLOSING, commands.Connection.Close): (
        {},
        commands.Connection.CloseOk,
        ConnectionState.CLOSING,
    ),
    (ConnectionState.CLOSING, commands.Connection.CloseOk): ({}, None, ConnectionState.CLOSED),
    # No mechanism has a second step yet, so nobody comes here.
    (ConnectionState.SECURING, commands.Connection.SecureOk): ({}, None, ConnectionState.SECURING),
}


def reach(world: World, state: ConnectionState) -> Client:
    """A client whose connection is in this state, everything it was sent so far taken."""
    client = world.raw_client()
    steps: list[tuple[ConnectionState, Callable[[], None]]] = [
        (ConnectionState.PROTOCOL_HEADER, lambda: client.feed(PROTOCOL_HEADER)),
        (ConnectionState.STARTING, lambda: client.send(0, commands.Connection.StartOk, **LOGIN)),
        (ConnectionState.TUNING, lambda: client.send(0, commands.Connection.TuneOk, **TUNING)),
        (ConnectionState.OPENING, lambda: client.send(0, commands.Connection.Open, virtual_host="/")),
        (ConnectionState.RUNNING, lambda: client.connection.force_close("bye")),
        (ConnectionState.CLOSING, lambda: client.send(0, commands.Connection.CloseOk)),
    ]
    # Nobody comes to the one yet; in the other no frame is processed (test_authentication.py), but if it were, as here.
    if state in (ConnectionState.SECURING, ConnectionState.AUTHENTICATING):
        client = reach(world, ConnectionState.STARTING)
        client.connection.state = state
        return client
    for left, step in steps:
        if state is not left and state_of(client.connection) is left:
            step()
    world.finish()
    client.take()
    assert state_of(client.connection) is state
    return client


def state_of(connection: Connection) -> ConnectionState:
    """The state, read anew: type checkers believe that it stays what it was last compared with."""
    return connection.state


def assert_disconnected(world: World, client: Client) -> None:
    """Not a word, and the socket closed after three seconds."""
    assert client.take() == b""
    assert not client.wire.closed
    world.advance(LINGER - 0.1)
    assert not client.wire.closed
    world.advance(0.2)
    assert client.wire.closed
    assert client.take() == b""
    assert [event for event, _ in world.observer.events].count("refused") == 1


def test_the_table_has_a_row_for_every_state_and_every_legal_method_is_walked_below() -> None:
    assert set(LEGAL) == set(ConnectionState)
    assert {(state, method) for state, methods in LEGAL.items() for method in methods} == set(NEXT)


def test_every_state_is_in_the_handshake_or_running_or_at_its_end() -> None:
    assert HANDSHAKE | ENDED | {ConnectionState.RUNNING} == set(ConnectionState)
    assert not HANDSHAKE & ENDED


@pytest.mark.parametrize(("state", "command"), NEXT.keys(), ids=lambda value: getattr(value, "name", None))
def test_a_legal_method_is_answered_and_leads_on(
    world: World, state: ConnectionState, command: type[base.Frame]
) -> None:
    arguments, answer, after = NEXT[state, command]
    client = reach(world, state)
    client.send(0, command, **arguments)
    assert [type(method) for _, method in client.received()] == ([] if answer is None else [answer])
    assert state_of(client.connection) is after
    assert client.wire.closed is (state is ConnectionState.CLOSING and after is ConnectionState.CLOSED)


@pytest.mark.parametrize("state", STATES, ids=lambda state: str(state.name))
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_every_other_method_meets_the_fate_that_its_state_has_for_it(
    world: World, state: ConnectionState, command: type[base.Frame]
) -> None:
    if command in LEGAL[state]:
        assert (state, command) in NEXT
        return
    client = reach(world, state)
    # Behind a publish the frame reader waits for the next frame, to see whether it is its header.
    client.feed(encode(0, make(command)) + HEARTBEAT_FRAME)
    if state is ConnectionState.PROTOCOL_HEADER:
        assert client.take() == PROTOCOL_HEADER
        assert client.wire.closed
    elif state in HANDSHAKE:
        assert_disconnected(world, client)
    elif state is ConnectionState.RUNNING:
        close = client.receive_one(0, commands.Connection.Close)
        assert close.reply_text == "CHANNEL_ERROR - unexpected method in connection state running"
        assert (close.reply_code, close.class_id, close.method_id) == (504, *ids(make(command)))
        assert state_of(client.connection) is ConnectionState.CLOSING
    else:
        assert client.take() == b""
        assert state_of(client.connection) is state


FRAMES = {
    "a header on channel 0": frame(HEADER, 0, bytes(14)),
    "a body on channel 0": frame(BODY, 0, b"abc"),
    "an unknown frame": frame(4, 0, b"abc"),
    "a method without ids": frame(1, 0, b"ab"),
    "a header on channel 1": frame(HEADER, 1, bytes(14)),
    "a body on channel 1": frame(BODY, 1, b"abc"),
    "a heartbeat with a payload": frame(8, 0, b"abc"),
    "a heartbeat on channel 1": frame(8, 1, b""),
    "a frame without end": b"\x08\x00\x00\x00\x00\x00\x00\x00",
    "a frame that is too large": b"\x03\x00\x00\xff\xff\xff\xff\x00",
}
IN_RUNNING = {
    "a header on channel 0": (
        505,
        "UNEXPECTED_FRAME - type 2, all octets = <<0,0,0,0,0,0,0,0,0,0,0,0,0,0>>",
    ),
    "a body on channel 0": (505, 'UNEXPECTED_FRAME - type 3, all octets = <<"abc">>'),
    "an unknown frame": (501, 'FRAME_ERROR - type 4, all octets = <<"abc">>: unknown_frame'),
    "a method without ids": (501, 'FRAME_ERROR - type 1, all octets = <<"ab">>: unknown_frame'),
    "a header on channel 1": (505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead"),
    "a body on channel 1": (505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead"),
    "a heartbeat with a payload": (501, 'FRAME_ERROR - type 8, all octets = <<"abc">>: unknown_frame'),
    "a heartbeat on channel 1": (505, "UNEXPECTED_FRAME - type 8, all octets = <<>>"),
    "a frame without end": (501, "FRAME_ERROR - type 8, all octets = <<>>: {invalid_frame_end_marker,0}"),
    "a frame that is too large": (501, "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,4294967295,131064}"),
}


@pytest.mark.parametrize("state", STATES, ids=lambda state: str(state.name))
@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_that_is_no_method_meets_the_fate_that_its_state_has_for_it(
    world: World, state: ConnectionState, name: str
) -> None:
    client = reach(world, state)
    client.feed(FRAMES[name])
    if state is ConnectionState.PROTOCOL_HEADER:
        assert client.take() == PROTOCOL_HEADER
        assert client.wire.closed
    elif state in HANDSHAKE:
        assert_disconnected(world, client)
    elif state is ConnectionState.RUNNING:
        close = client.receive_one(0, commands.Connection.Close)
        assert (close.reply_code, close.reply_text) == IN_RUNNING[name]
        assert (close.class_id, close.method_id) == (0, 0)
    else:
        assert client.take() == b""


@pytest.mark.parametrize("state", STATES[1:], ids=lambda state: str(state.name))
def test_a_heartbeat_is_welcome_in_every_state(world: World, state: ConnectionState) -> None:
    client = reach(world, state)
    client.feed(HEARTBEAT_FRAME)
    assert client.take() == b""
    assert state_of(client.connection) is state


@pytest.mark.parametrize("state", STATES[1:], ids=lambda state: str(state.name))
@pytest.mark.parametrize("command", [commands.Channel.Open, commands.Queue.Declare, commands.Basic.Ack])
def test_before_and_after_running_there_are_no_channels(
    world: World, state: ConnectionState, command: type[base.Frame]
) -> None:
    client = reach(world, state)
    client.send(1, command)
    if state in HANDSHAKE:
        assert_disconnected(world, client)
    elif state in ENDED:
        assert client.take() == b""
    else:
        assert len(client.received()) == 1


@pytest.mark.parametrize("state", STATES[1:-1], ids=lambda state: str(state.name))
def test_a_method_that_does_not_exist_closes_the_socket_at_once(world: World, state: ConnectionState) -> None:
    client = reach(world, state)
    client.feed(frame(1, 0, b"\x03\xe7\x00\x09"))
    assert client.take() == b""
    assert client.wire.closed
    assert state_of(client.connection) is ConnectionState.CLOSED


@pytest.mark.parametrize("state", STATES, ids=lambda state: str(state.name))
def test_losing_the_socket_ends_every_state(world: World, state: ConnectionState) -> None:
    client = reach(world, state)
    client.lose()
    assert state_of(client.connection) is ConnectionState.CLOSED
    client.feed(PROTOCOL_HEADER + HEARTBEAT_FRAME)
    world.advance(1000)
    assert client.take() == b""
    assert world.timers.next_deadline() is None


@pytest.mark.parametrize("state", STATES, ids=lambda state: str(state.name))
def test_an_operator_can_close_in_every_state(world: World, state: ConnectionState) -> None:
    client = reach(world, state)
    client.connection.force_close("out of order")
    world.finish()
    if state in HANDSHAKE:
        assert client.take() == b""
        assert client.wire.closed
    elif state is ConnectionState.RUNNING:
        assert client.connection_closed() == (320, "CONNECTION_FORCED - out of order")
    else:
        assert client.take() == b""
