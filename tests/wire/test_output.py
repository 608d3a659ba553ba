"""The output of a connection: everything in order, in one write at the end of the turn; and when it is full."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from amqpd.turn import Turn
from amqpd.wire.methods import encode, make
from amqpd.wire.output import FULL, FULL_SLICE, LONG_SLICE, Output, Wire, deliver_head
from tests.builders import FakeWire, header_bytes


class CountingWire(FakeWire):
    """Counts the writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        super().write(data)
        self.writes.append(data)


class Bench:
    """An output with a wire and a turn to itself."""

    def __init__(self) -> None:
        self.wire = CountingWire()
        self.turn = Turn()
        self.output = Output(self.wire, self.turn)
        self.rooms = 0
        self.output.on_room = self._room

    def _room(self) -> None:
        self.rooms += 1


@pytest.fixture
def bench() -> Bench:
    return Bench()


def shortstr(octets: bytes) -> bytes:
    return bytes([len(octets)]) + octets


def test_nothing_is_written_before_the_end_of_the_turn_and_then_all_at_once(bench: Bench) -> None:
    bench.output.write(b"one")
    bench.output.write(b"two")
    assert bench.wire.writes == []
    assert bench.output.size == 6
    bench.turn.finish()
    assert bench.wire.writes == [b"onetwo"]
    assert bench.output.size == 0


def test_a_turn_without_output_writes_nothing(bench: Bench) -> None:
    bench.output.run()
    assert bench.wire.writes == []


def test_the_next_turn_has_its_own_write(bench: Bench) -> None:
    for data in (b"one", b"two"):
        bench.output.write(data)
        bench.turn.finish()
    assert bench.wire.writes == [b"one", b"two"]
    assert bench.output.sent == 6


def test_long_slices_stay_in_their_place(bench: Bench) -> None:
    pieces = [b"a", b"b" * LONG_SLICE, b"c" * LONG_SLICE, b"d", b"e" * (LONG_SLICE - 1)]
    for piece in pieces:
        bench.output.write(piece)
    bench.turn.finish()
    assert bench.wire.writes == [b"".join(pieces)]


class ScatteringWire(FakeWire):
    """Takes pieces as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    def write_pieces(self, pieces: list[bytes]) -> None:
        self.pieces += pieces


def test_a_long_slice_comes_to_the_wire_as_it_is() -> None:
    wire, turn = ScatteringWire(), Turn()
    output = Output(wire, turn)
    content = b"c" * LONG_SLICE
    output.write(b"a")
    output.write(content)
    output.write(b"b")
    turn.finish()
    assert wire.pieces == [b"a", content, b"b"]
    assert wire.pieces[1] is content
    assert output.sent == LONG_SLICE + 2


def test_much_output_comes_to_the_wire_in_pieces_of_moderate_size() -> None:
    wire, turn = ScatteringWire(), Turn()
    output = Output(wire, turn)
    head, content = deliver_head(1, b"tag", 2), b"c" * 1000
    for tag in range(1, 201):
        output.deliver(head, tag, False, b"\0\0", content)
    turn.finish()
    assert len(wire.pieces) == 4
    assert all(len(piece) < FULL_SLICE + 1100 for piece in wire.pieces)
    assert b"".join(wire.pieces).count(content) == 200
    assert output.sent == sum(len(piece) for piece in wire.pieces)


texts = st.binary(max_size=255)
calls = st.lists(
    st.tuples(st.just("write"), st.sampled_from([b"", b"x", b"y" * LONG_SLICE]))
    | st.tuples(st.just("deliver"), st.sampled_from([b"", b"content", b"z" * LONG_SLICE]))
    | st.tuples(st.sampled_from(["ack", "nack"]), st.booleans())
    | st.tuples(st.just("finish"), st.none()),
    max_size=12,
)


@given(calls)
def test_what_was_added_first_leaves_first_whatever_it_is(calls: list[tuple[str, object]]) -> None:
    bench = Bench()
    expected = b""
    for name, value in calls:
        if name == "write" and isinstance(value, bytes):
            bench.output.write(value)
            expected += value
        elif name == "deliver" and isinstance(value, bytes):
            bench.output.deliver(deliver_head(3, b"tag", 2), 7, True, b"\0\0", value)
            method = make(commands.Basic.Deliver, consumer_tag="tag", delivery_tag=7, redelivered=True)
            expected += encode(3, method) + value
        elif name == "ack":
            bench.output.ack(2, 9, bool(value))
            expected += encode(2, make(commands.Basic.Ack, delivery_tag=9, multiple=value))
        elif name == "nack":
            bench.output.nack(2, 9, bool(value))
            expected += encode(2, make(commands.Basic.Nack, delivery_tag=9, multiple=value, requeue=True))
        else:
            bench.turn.finish()
            assert bench.wire.written == expected
    bench.turn.finish()
    assert bench.wire.written == expected
    assert bench.output.sent == len(expected)


@given(st.integers(1, 65535), texts, st.integers(1, 2**63 - 1), st.booleans(), texts, texts)
def test_a_delivery_is_a_basic_deliver_with_its_content(
    channel: int, tag: bytes, delivery_tag: int, redelivered: bool, exchange: bytes, key: bytes
) -> None:
    bench = Bench()
    route = shortstr(exchange) + shortstr(key)
    content = header_bytes(channel, 0)
    bench.output.deliver(deliver_head(channel, tag, len(route)), delivery_tag, redelivered, route, content)
    bench.turn.finish()
    method = make(
        commands.Basic.Deliver,
        consumer_tag=tag.decode("utf-8", "surrogateescape"),
        delivery_tag=delivery_tag,
        redelivered=redelivered,
        exchange=exchange.decode("utf-8", "surrogateescape"),
        routing_key=key.decode("utf-8", "surrogateescape"),
    )
    assert bench.wire.written == encode(channel, method) + content


@given(st.integers(1, 65535), st.integers(1, 2**63 - 1), st.booleans())
def test_confirms_are_basic_ack_and_basic_nack_with_the_requeue_bit(channel: int, tag: int, multiple: bool) -> None:
    bench = Bench()
    bench.output.ack(channel, tag, multiple)
    bench.output.nack(channel, tag, multiple)
    bench.turn.finish()
    ack = make(commands.Basic.Ack, delivery_tag=tag, multiple=multiple)
    nack = make(commands.Basic.Nack, delivery_tag=tag, multiple=multiple, requeue=True)
    assert bench.wire.written == encode(channel, ack) + encode(channel, nack)


def test_it_is_full_with_half_a_mebibyte_and_tells_when_it_has_left(bench: Bench) -> None:
    bench.output.write(bytes(FULL - 1))
    assert not bench.output.full
    bench.output.write(b"x")
    assert bench.output.full
    bench.turn.finish()
    assert not bench.output.full
    assert bench.rooms == 1


def test_nobody_is_told_of_room_when_there_was_room_all_the_time(bench: Bench) -> None:
    bench.output.write(b"x")
    bench.turn.finish()
    assert bench.rooms == 0


def test_a_stalled_transport_makes_it_full_until_it_has_drained(bench: Bench) -> None:
    bench.output.stall()
    assert bench.output.full
    bench.output.write(bytes(FULL))
    bench.turn.finish()
    assert bench.rooms == 0
    bench.output.unstall()
    assert not bench.output.full
    assert bench.rooms == 1


def test_room_is_told_to_nobody_if_nobody_asked() -> None:
    output = Output(CountingWire(), Turn())
    output.room()
    assert output.on_room is None


def test_close_sends_what_is_there_and_drops_what_comes_later(bench: Bench) -> None:
    bench.output.write(b"last words")
    bench.output.close()
    assert bench.wire.written == b"last words"
    assert bench.wire.closed
    bench.output.write(b"too late")
    bench.output.ack(1, 1, False)
    bench.output.deliver(deliver_head(1, b"t", 2), 1, False, b"\0\0", b"too late")
    bench.turn.finish()
    assert bench.wire.written == b"last words"
    assert bench.rooms == 0
    assert bench.output.size == 0


def test_closing_twice_closes_once(bench: Bench) -> None:
    bench.output.close()
    bench.wire.closed = False
    bench.output.close()
    assert not bench.wire.closed


def test_an_abandoned_output_writes_nothing_and_tells_nobody_of_room(bench: Bench) -> None:
    bench.output.stall()
    bench.output.write(bytes(FULL))
    bench.output.abandon()
    bench.output.unstall()
    bench.turn.finish()
    assert bench.wire.writes == []
    assert bench.rooms == 0


def test_a_wire_has_to_say_what_it_does() -> None:
    wire = Wire()
    with pytest.raises(NotImplementedError):
        wire.write(b"")
    for call in (wire.close, wire.pause_reading, wire.resume_reading):
        with pytest.raises(NotImplementedError):
            call()
