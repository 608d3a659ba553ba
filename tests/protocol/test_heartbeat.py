"""Heartbeats: sent every half interval of silence, and a peer is dead after two to three intervals without an octet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from amqpd.broker.alarms import MEMORY
from amqpd.protocol.heartbeat import Heartbeat
from amqpd.wire.frames import HEARTBEAT_FRAME
from amqpd.wire.output import Output
from tests.builders import Client, FakeWire, World


def test_the_first_heartbeat_leaves_after_half_an_interval(world: World) -> None:
    client = world.client(heartbeat=10)
    world.advance(4.9)
    assert client.take() == b""
    world.advance(0.2)
    assert client.take() == HEARTBEAT_FRAME


def test_in_silence_one_leaves_every_half_interval(world: World) -> None:
    client = world.client(heartbeat=10)
    world.advance(5)
    for _ in range(3):
        client.take()
        client.feed(HEARTBEAT_FRAME)
        world.advance(5)
        assert client.take() == HEARTBEAT_FRAME


def test_other_output_takes_the_place_of_a_heartbeat(world: World) -> None:
    client = world.client(heartbeat=10)
    world.advance(5)
    client.take()
    client.open(1)
    world.advance(5)
    assert client.take() == b""
    world.advance(5)
    assert client.take() == HEARTBEAT_FRAME


def test_output_of_the_same_turn_takes_its_place_too(world: World) -> None:
    client = world.client(heartbeat=10)
    world.advance(5)
    client.take()
    world.clock.advance(5)
    client.connection.output.write(HEARTBEAT_FRAME)
    world.timers.run_due()
    world.finish()
    assert client.take() == HEARTBEAT_FRAME


def test_without_an_interval_there_are_neither_heartbeats_nor_deaths(world: World) -> None:
    client = world.client(heartbeat=0)
    world.advance(10_000)
    assert client.take() == b""
    assert not client.wire.closed


def test_a_silent_peer_is_cut_off_after_two_to_three_intervals_without_a_word(world: World) -> None:
    client = world.client(heartbeat=2)
    world.advance(5.9)
    assert not client.wire.closed
    world.advance(0.2)
    assert client.wire.closed
    assert client.take().replace(HEARTBEAT_FRAME, b"") == b""
    assert world.observer.events[-1][0] == "failed"


@given(st.lists(st.floats(0.01, 1.99), max_size=12))
def test_a_peer_is_never_cut_off_within_two_intervals_and_always_within_three(gaps: list[float]) -> None:
    """Octets come after each gap; then there is silence."""
    world = World()
    client = world.client(heartbeat=1)
    for gap in gaps:
        world.advance(gap)
        assert not client.wire.closed
        client.feed(HEARTBEAT_FRAME)
    world.advance(1.99)
    assert not client.wire.closed
    world.advance(1.02)
    assert client.wire.closed


def test_any_octet_is_a_sign_of_life(world: World) -> None:
    client = world.client(heartbeat=1)
    for octet in HEARTBEAT_FRAME * 2:
        world.advance(0.9)
        client.feed(bytes([octet]))
    assert not client.wire.closed


def test_the_messages_of_a_dead_peer_return_to_their_queue(world: World) -> None:
    client, other = world.client(heartbeat=1), world.client()
    client.open(1)
    other.open(1)
    other.declare("q")
    other.publish(1, "", "q", b"body")
    client.send(1, commands.Basic.Consume, queue="q")
    world.advance(0.4)
    assert other.declare("q").message_count == 0
    world.advance(3)
    assert other.declare("q").message_count == 1


@pytest.mark.parametrize("seconds", [0.0, 0.9])
def test_silence_proves_nothing_while_the_broker_does_not_read(world: World, seconds: float) -> None:
    """And afterwards the peer has its two to three intervals again."""
    client = world.client(heartbeat=1)
    client.open(1)
    world.broker.alarms.set(MEMORY)
    client.publish(1, "", "nowhere")
    world.advance(100 + seconds)
    assert not client.wire.closed
    world.broker.alarms.clear(MEMORY)
    world.advance(1.99)
    assert not client.wire.closed
    world.advance(1.02)
    assert client.wire.closed


@pytest.mark.parametrize("after", [0.1, 0.5, 0.9])
def test_a_peer_has_two_to_three_intervals_after_the_broker_reads_again(world: World, after: float) -> None:
    deaths: list[float] = []
    output = Output(FakeWire(), world.turn)
    heartbeat = Heartbeat(1, world.timers, output, lambda: deaths.append(world.clock.monotonic()))
    heartbeat.received()
    heartbeat.suspend()
    world.advance(10 + after)
    heartbeat.resume()
    world.advance(1.99)
    assert deaths == []
    world.advance(1.02)
    assert len(deaths) == 1


def test_heartbeats_go_on_while_a_close_ok_is_awaited(world: World) -> None:
    client = world.client(heartbeat=4)
    client.connection.force_close("bye")
    world.finish()
    client.take()
    world.advance(2)
    assert client.take() == HEARTBEAT_FRAME


def test_there_are_none_on_a_connection_that_waits_to_be_closed_without_a_word(world: World) -> None:
    client = world.raw_client()
    client.feed(b"AMQP\x00\x00\x09\x01")
    client.start_ok()
    client.send(0, commands.Connection.TuneOk, channel_max=10, frame_max=8192, heartbeat=1)
    client.take()
    client.send(0, commands.Channel.Open)  # not now
    world.advance(2.99)
    assert client.take() == b""
    assert not client.wire.closed


def test_a_peer_that_dies_while_a_broken_stream_is_being_closed_is_not_reported_again(world: World) -> None:
    client = world.client(heartbeat=1)
    world.advance(0.9)
    client.feed(b"\x08\x00\x00\x00\x00\x00\x00\x00")  # no frame end: closed after three seconds
    before = list(world.observer.events)
    world.advance(2.2)
    assert client.wire.closed
    assert world.observer.events == before


def test_a_lost_connection_sends_none(world: World) -> None:
    client = world.client(heartbeat=1)
    client.lose()
    client.take()
    world.advance(10)
    assert client.take() == b""


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (b"\x08\x00\x01\x00\x00\x00\x00\xce", 505, "UNEXPECTED_FRAME - type 8, all octets = <<>>"),
        (b"\x08\x00\x00\x00\x00\x00\x03abc\xce", 501, 'FRAME_ERROR - type 8, all octets = <<"abc">>: unknown_frame'),
    ],
)
def test_a_heartbeat_is_empty_and_comes_on_channel_0(client: Client, data: bytes, code: int, text: str) -> None:
    client.feed(data)
    close = client.receive_one(0, commands.Connection.Close)
    assert (close.reply_code, close.reply_text, close.class_id, close.method_id) == (code, text, 0, 0)


def test_a_heartbeat_is_accepted_whatever_was_agreed(client: Client) -> None:
    client.feed(HEARTBEAT_FRAME)
    assert client.take() == b""
    assert client.declare("still there").queue == "still there"
