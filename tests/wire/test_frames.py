"""The frame reader: every frame comes out as it went in however the bytes are split, and nothing else is kept."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from amqpd.errors import AMQPError, FrameError
from amqpd.wire.frames import (
    BODY,
    ENVELOPE,
    HEADER,
    HEADER_FIXED,
    HEARTBEAT,
    HEARTBEAT_FRAME,
    LOOK_AGAIN_AFTER,
    METHOD,
    FrameHandler,
    FrameReader,
    check_frame,
    frame,
    octets_text,
    payload_of_ack,
    unknown_frame,
)
from amqpd.wire.methods import encode, make
from amqpd.wire.properties import Properties
from tests.builders import header_bytes, publish_bytes, split_frames

LARGEST = 4096
Frame = tuple[int, int, bytes]


class Taker(FrameHandler):
    """Writes down what it is handed, whole publishes and acks also as the frames that they were."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self.whole: list[str] = []
        self.routes: list[bytes] = []
        self.property_lists: list[bytes] = []
        self.reader: FrameReader | None = None
        self.pause_at = 0
        self.stop_at = 0

    def on_publish(
        self,
        channel: int,
        route: bytes,
        bits: int,
        property_list: bytes,
        content: bytes,
        header_end: int,
        body_size: int,
    ) -> None:
        assert split_frames(content[header_end:]) == (
            [(BODY, channel, content[header_end + 7 : -1])] if body_size else []
        )
        assert body_size == len(content[header_end + 7 : -1])
        assert property_list == content[HEADER_FIXED : header_end - 1]
        self.routes.append(route)
        self.property_lists.append(property_list)
        self.whole.append("publish")
        self.frames.append((METHOD, channel, b"\x00\x3c\x00\x28\x00\x00" + route + bytes([bits])))
        self.frames += split_frames(content)
        self._brake()

    def on_ack(self, channel: int, tag: int, multiple: bool) -> None:
        self.whole.append("ack")
        payload = b"\x00\x3c\x00\x50" + tag.to_bytes(8, "big", signed=True) + bytes([multiple])
        self.frames.append((METHOD, channel, payload))
        self._brake()

    def on_frame(self, kind: int, channel: int, payload: bytes) -> None:
        self.frames.append((kind, channel, payload))
        self._brake()

    def _brake(self) -> None:
        if self.reader is not None and len(self.frames) == self.pause_at:
            self.reader.paused = True
        if self.reader is not None and len(self.frames) == self.stop_at:
            self.reader.stop()


def taken(data: bytes, cuts: list[int] | None = None) -> Taker:
    """What a handler is handed when these bytes come, cut at these places."""
    taker = Taker()
    reader = FrameReader(taker, LARGEST)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    for start, end in itertools.pairwise(places):
        reader.feed(data[start:end])
    return taker


def method_bytes(channel: int, method: type[commands.Basic.Ack], **arguments: object) -> bytes:
    """The frame of a method."""
    return encode(channel, make(method, **arguments))


# A publish is handed on whole when its three frames follow each other; each of these is almost one.
ROUTE = b"\x02ex\x03key"
PUBLISH = frame(METHOD, 1, b"\x00\x3c\x00\x28\x00\x00" + ROUTE + b"\x01")
HEADER_5 = header_bytes(1, 5)
NEARLY: dict[str, bytes] = {
    "a body in two frames": PUBLISH + HEADER_5 + frame(BODY, 1, b"ab") + frame(BODY, 1, b"cde"),
    "a header on another channel": PUBLISH + header_bytes(2, 5) + frame(BODY, 1, b"abcde"),
    "a body on another channel": PUBLISH + HEADER_5 + frame(BODY, 257, b"abcde"),
    "no header": PUBLISH + HEARTBEAT_FRAME,
    "a body before the header": PUBLISH + frame(BODY, 1, b"abcde") + HEADER_5,
    "a method in place of the body": PUBLISH + HEADER_5 + PUBLISH + HEARTBEAT_FRAME,
    "a header of another class": PUBLISH + frame(HEADER, 1, b"\x00\x32" + bytes(12)) + frame(BODY, 1, b"abcde"),
    "a header with a weight": PUBLISH + frame(HEADER, 1, b"\x00\x3c\x00\x01" + bytes(10)) + frame(BODY, 1, b"abcde"),
    "a header without flags": PUBLISH + frame(HEADER, 1, b"\x00\x3c\x00\x00" + bytes(8)) + frame(BODY, 1, b"abcde"),
    "a body size above 63 bits": PUBLISH + frame(HEADER, 1, b"\x00\x3c\x00\x00" + b"\xff" * 8 + b"\0\0"),
    "a body above the frame size": PUBLISH + header_bytes(1, LARGEST + 1) + frame(BODY, 1, b"x" * LARGEST),
    "octets behind its arguments": frame(METHOD, 1, b"\x00\x3c\x00\x28\x00\x00" + ROUTE + b"\x00\x00") + HEADER_5,
    "a publish that is too short": frame(METHOD, 1, b"\x00\x3c\x00\x28\x00\x00\x00\x00") + HEADER_5,
    "a short key without end": frame(METHOD, 1, b"\x00\x3c\x00\x28\x00\x00\x00\x01\x00") + HEADER_5,
    "a short exchange without end": frame(METHOD, 1, b"\x00\x3c\x00\x28\x00\x00\x01\x00\x00") + HEADER_5,
    "an exchange name without end": frame(METHOD, 1, b"\x00\x3c\x00\x28\x00\x00\xffabcdefgh") + HEADER_5,
    "a routing key without end": frame(METHOD, 1, b"\x00\x3c\x00\x28\x00\x00\x02ex\xffkey\x00") + HEADER_5,
    "an ack that is too long": frame(METHOD, 1, b"\x00\x3c\x00\x50" + bytes(10)),
    "an ack that is too short": frame(METHOD, 1, b"\x00\x3c\x00\x50" + bytes(8)),
}
WHOLE: dict[str, bytes] = {
    "with a body": publish_bytes(1, "ex", "key", b"abcde", mandatory=True),
    "without a body": publish_bytes(65535, "ex", "key"),
    "with an empty exchange": publish_bytes(1, "", "a queue"),
    "with nothing at all": publish_bytes(1, "", ""),
    "with an empty key": publish_bytes(1, "an exchange", ""),
    "with a body of the frame size": publish_bytes(1, "ex", "key", b"x" * LARGEST, frame_max=LARGEST + ENVELOPE),
}

simple_publishes = st.builds(
    publish_bytes,
    channel=st.integers(0, 65535),
    exchange=st.text(max_size=8),
    routing_key=st.text(max_size=8),
    body=st.binary(max_size=40),
    mandatory=st.booleans(),
)
acks = st.builds(
    lambda channel, tag, multiple: method_bytes(channel, commands.Basic.Ack, delivery_tag=tag, multiple=multiple),
    st.integers(0, 65535),
    st.integers(0, 2**64 - 1),
    st.booleans(),
)
any_frames = st.builds(frame, st.integers(0, 255), st.integers(0, 65535), st.binary(max_size=40))
streams = st.lists(
    simple_publishes | acks | any_frames | st.sampled_from([*NEARLY.values(), *WHOLE.values()]), max_size=6
).map(b"".join)
cuts = st.lists(st.integers(0, 10_000), max_size=12)
# Publishes like the one before, and some that are almost like it.
one_kind = st.lists(
    st.builds(
        publish_bytes,
        channel=st.sampled_from([1, 1, 1, 2]),
        exchange=st.just("ex"),
        routing_key=st.sampled_from(["key", "key", "key", "kez"]),
        body=st.sampled_from([b"abcde", b"vwxyz", b"vwxyz", b"", b"abcdef"]),
        mandatory=st.sampled_from([True, True, False]),
        properties=st.sampled_from([Properties.of(priority=1), Properties.of(priority=1), Properties.of(priority=2)]),
    ),
    min_size=2,
    max_size=2,
).flatmap(lambda kinds: st.lists(st.sampled_from([*kinds, *kinds, *NEARLY.values()]), max_size=60).map(b"".join))


@given(streams, cuts)
def test_frames_come_out_as_they_went_in_however_the_bytes_are_split(stream: bytes, cuts: list[int]) -> None:
    assert taken(stream, cuts).frames == split_frames(stream)


@given(one_kind, cuts)
def test_publishes_like_those_before_them_come_out_as_they_went_in(stream: bytes, cuts: list[int]) -> None:
    assert taken(stream, cuts).frames == split_frames(stream)


def test_what_is_the_same_in_two_publishes_is_one_object() -> None:
    first, second, third = (publish_bytes(1, "ex", "key", body) for body in (b"a", b"b", b"c"))
    taker = taken(first + second + third, [len(first) - 1, len(first) + 20])
    assert taker.routes == [b"\x02ex\x03key"] * 3
    assert len(set(map(id, taker.routes))) == 1
    assert len(set(map(id, taker.property_lists))) == 1


def test_a_publisher_of_many_kinds_is_not_compared_all_the_time() -> None:
    kinds = [publish_bytes(1, "ex", f"key {number}", b"x") for number in (1, 2)]
    same = [publish_bytes(1, "ex", "key 3", b"x")] * (LOOK_AGAIN_AFTER + 3)
    routes = taken(b"".join(kinds + same)).routes
    assert len(set(map(id, routes[:-3]))) == LOOK_AGAIN_AFTER + 2  # each read for itself
    assert len(set(map(id, routes[-3:]))) == 1


@given(streams, cuts)
def test_the_same_publishes_are_handed_on_whole_however_the_bytes_are_split(stream: bytes, cuts: list[int]) -> None:
    assert taken(stream, cuts).whole == taken(stream).whole


@pytest.mark.parametrize("stream", WHOLE.values(), ids=WHOLE.keys())
def test_a_publish_whose_frames_follow_each_other_is_handed_on_whole(stream: bytes) -> None:
    taker = taken(stream)
    assert taker.whole == ["publish"]
    assert taker.frames == split_frames(stream)


@pytest.mark.parametrize("stream", NEARLY.values(), ids=NEARLY.keys())
def test_what_is_not_quite_such_a_publish_or_an_ack_is_handed_on_by_frames(stream: bytes) -> None:
    taker = taken(stream)
    assert taker.whole == []
    assert taker.frames == split_frames(stream)


@pytest.mark.parametrize("stream", [*NEARLY.values(), *WHOLE.values()], ids=[*NEARLY, *WHOLE])
def test_every_single_octet_may_come_alone(stream: bytes) -> None:
    assert taken(stream, list(range(len(stream)))).frames == split_frames(stream)


def test_an_ack_comes_with_its_tag_as_a_signed_number() -> None:
    taker = taken(method_bytes(1, commands.Basic.Ack, delivery_tag=2**64 - 1, multiple=True))
    assert taker.whole == ["ack"]
    assert taker.frames == [(METHOD, 1, b"\x00\x3c\x00\x50" + b"\xff" * 8 + b"\x01")]


def test_a_payload_above_the_limit_is_refused_before_it_has_come() -> None:
    with pytest.raises(FrameError, match=r"type 3, all octets = <<>>: {frame_too_large,4097,4088}"):
        taken(b"\x03\x00\x01" + (LARGEST + 1).to_bytes(4, "big") + b"x")


def test_a_payload_of_the_limit_itself_is_taken() -> None:
    assert taken(frame(BODY, 1, b"x" * LARGEST)).frames == [(BODY, 1, b"x" * LARGEST)]


def test_the_limit_can_be_changed_and_zero_is_none() -> None:
    taker = Taker()
    reader = FrameReader(taker, LARGEST)
    reader.limit(8192)
    reader.feed(frame(BODY, 1, bytes(8192)))
    reader.limit(0)
    reader.feed(frame(BODY, 1, bytes(200_000)))
    assert [len(payload) for _, _, payload in taker.frames] == [8192, 200_000]


def test_a_header_or_body_above_the_limit_behind_a_publish_is_refused_too() -> None:
    too_long = b"\x02\x00\x01\x7f\xff\xff\xff" + b"x"
    with pytest.raises(FrameError, match="frame_too_large,2147483647"):
        taken(PUBLISH + too_long)


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (b"\x08\x00\x00\x00\x00\x00\x00\xcd", "type 8, all octets = <<>>: {invalid_frame_end_marker,205}"),
        (b"\x01\x00\x01\x00\x00\x00\x02ab\x00", 'type 1, all octets = <<"ab">>: {invalid_frame_end_marker,0}'),
        (PUBLISH[:-1] + b"\x00", "{invalid_frame_end_marker,0}"),
        (PUBLISH + HEADER_5[:-1] + b"\x01", "{invalid_frame_end_marker,1}"),
        (PUBLISH + HEADER_5 + frame(BODY, 1, b"abcde")[:-1] + b"\x02", "{invalid_frame_end_marker,2}"),
        (WHOLE["with a body of the frame size"][:-1] + b"\x03", "{invalid_frame_end_marker,3}"),
    ],
)
@pytest.mark.parametrize("cuts", [[], [60, 2000]], ids=["in one read", "in three"])
def test_a_frame_that_does_not_end_in_ce_is_refused(stream: bytes, text: str, cuts: list[int]) -> None:
    with pytest.raises(FrameError) as caught:
        taken(stream, cuts)
    assert text.replace(" ", "") in caught.value.explanation.replace("\n", "").replace(" ", "")
    assert not caught.value.about_method


def test_a_refusal_of_more_than_80_columns_is_broken_as_erlang_breaks_it() -> None:
    with pytest.raises(FrameError) as caught:
        taken(b"\x01\x00\x01\x00\x00\x00\x14" + bytes(20) + b"\x07")
    shown = "type 1, first 16 octets = <<0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0>>: "
    assert caught.value.explanation == shown + "{invalid_frame_end_marker,\n" + " " * (len(shown) + 1) + "7}"


def test_frames_before_a_broken_one_are_handed_on() -> None:
    taker = Taker()
    reader = FrameReader(taker, LARGEST)
    with pytest.raises(FrameError):
        reader.feed(HEARTBEAT_FRAME + frame(BODY, 1, b"abc") + b"\x08\x00\x00\x00\x00\x00\x00\x00")
    assert taker.frames == [(HEARTBEAT, 0, b""), (BODY, 1, b"abc")]


@given(streams, cuts, st.integers(1, 4))
def test_a_pause_holds_back_everything_behind_the_frame_and_loses_nothing(
    stream: bytes, cuts: list[int], pause_at: int
) -> None:
    taker = Taker()
    taker.reader = reader = FrameReader(taker, LARGEST)
    taker.pause_at = pause_at
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in itertools.pairwise(places):
        reader.feed(stream[start:end])
    before = len(taker.frames)
    if reader.paused:
        assert before == pause_at
        reader.feed(b"")
        assert len(taker.frames) == before
        reader.paused = False
        reader.feed(b"")
    assert taker.frames == split_frames(stream)


def test_bytes_that_come_during_a_pause_are_kept() -> None:
    taker = Taker()
    reader = FrameReader(taker, LARGEST)
    reader.paused = True
    reader.feed(HEARTBEAT_FRAME[:3])
    reader.feed(HEARTBEAT_FRAME[3:])
    assert taker.frames == []
    reader.paused = False
    reader.feed(b"")
    assert taker.frames == [(HEARTBEAT, 0, b"")]


def test_after_stop_nothing_is_handed_on_or_kept() -> None:
    taker = Taker()
    taker.reader = reader = FrameReader(taker, LARGEST)
    taker.stop_at = 1
    reader.feed(HEARTBEAT_FRAME * 3 + b"\x08")
    reader.feed(HEARTBEAT_FRAME)
    assert taker.frames == [(HEARTBEAT, 0, b"")]
    assert reader._have == 0


@given(st.lists(st.binary(max_size=300) | st.just(HEARTBEAT_FRAME) | st.just(PUBLISH + HEADER_5), max_size=60))
def test_arbitrary_bytes_are_frames_or_a_frame_error_and_never_pile_up(chunks: list[bytes]) -> None:
    """What is kept is at most the three frames of one publish, short of one octet, whatever comes."""
    taker = Taker()
    reader = FrameReader(taker, LARGEST)
    bound = 3 * (LARGEST + ENVELOPE)
    for chunk in chunks:
        try:
            reader.feed(chunk)
        except FrameError:
            break
        assert reader._have < bound
        assert reader._have == sum(map(len, reader._chunks))


def test_a_long_frame_is_joined_once_and_not_at_every_read() -> None:
    taker = Taker()
    reader = FrameReader(taker, 1_000_000)
    stream = frame(BODY, 1, bytes(900_000))
    for start in range(0, 900_000, 1000):
        reader.feed(stream[start : start + 1000])
    assert len(reader._chunks) == 900
    reader.feed(stream[900_000:])
    assert [len(payload) for _, _, payload in taker.frames] == [900_000]
    assert reader._chunks == []


def test_a_large_message_in_several_reads_leaves_the_next_one_in_its_read() -> None:
    taker = Taker()
    reader = FrameReader(taker, LARGEST)
    large = WHOLE["with a body of the frame size"]
    reader.feed(large[:100])
    reader.feed(large[100:2000])
    reader.feed(large[2000:] + large + large[:50])
    assert taker.whole == ["publish", "publish"]
    assert taker.frames == split_frames(large + large)
    assert reader._chunks == [large[:50]]


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "all octets = <<>>"),
        (b"abc", 'all octets = <<"abc">>'),
        (b"ab\x00", "all octets = <<97,98,0>>"),
        (b"a" * 16, 'all octets = <<"aaaaaaaaaaaaaaaa">>'),
        (bytes(range(17)), "first 16 octets = <<0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15>>"),
    ],
)
def test_octets_are_shown_as_rabbitmq_shows_them(payload: bytes, text: str) -> None:
    assert octets_text(payload) == text


def test_an_unknown_frame_is_told_with_type_and_octets() -> None:
    error = unknown_frame(4, b"abc")
    assert error.reply_text == 'FRAME_ERROR - type 4, all octets = <<"abc">>: unknown_frame'
    assert not error.about_method


def test_a_handler_has_to_say_what_it_does_with_frames() -> None:
    handler = FrameHandler()
    with pytest.raises(NotImplementedError):
        handler.on_publish(1, b"\0\0", 0, b"", b"", 0, 0)
    with pytest.raises(NotImplementedError):
        handler.on_ack(1, 1, False)
    with pytest.raises(NotImplementedError):
        handler.on_frame(METHOD, 1, b"")


@pytest.mark.parametrize(
    ("kind", "channel", "payload", "error"),
    [
        (METHOD, 1, b"\0" * 3, "FRAME_ERROR - type 1, all octets = <<0,0,0>>: unknown_frame"),
        (HEADER, 1, b"\0" * 11, "FRAME_ERROR - type 2, all octets = <<0,0,0,0,0,0,0,0,0,0,0>>: unknown_frame"),
        (4, 0, b"", "FRAME_ERROR - type 4, all octets = <<>>: unknown_frame"),
        (HEARTBEAT, 0, b"abc", 'FRAME_ERROR - type 8, all octets = <<"abc">>: unknown_frame'),
        (HEARTBEAT, 1, b"", "UNEXPECTED_FRAME - type 8, all octets = <<>>"),
        (HEARTBEAT, 1, b"a", 'UNEXPECTED_FRAME - type 8, all octets = <<"a">>'),
    ],
)
def test_a_frame_that_cannot_be_is_told_with_type_and_octets(
    kind: int, channel: int, payload: bytes, error: str
) -> None:
    with pytest.raises(AMQPError) as refused:
        check_frame(kind, channel, payload)
    assert (refused.value.reply_text, refused.value.about_method) == (error, False)


@pytest.mark.parametrize(("kind", "size"), [(METHOD, 4), (HEADER, 12), (BODY, 0), (HEARTBEAT, 0)])
def test_a_frame_may_be_as_small_as_its_type_allows(kind: int, size: int) -> None:
    check_frame(kind, 0, bytes(size))


class Undoer(FrameHandler):
    """Makes bytes again of what comes ready-made."""

    def __init__(self) -> None:
        super().__init__()
        self.made = b""

    def on_frame(self, kind: int, channel: int, payload: bytes) -> None:
        self.made += frame(kind, channel, payload)

    def on_ack(self, channel: int, tag: int, multiple: bool) -> None:
        self.made += frame(METHOD, channel, payload_of_ack(tag, multiple))


@given(st.binary(max_size=30), st.booleans(), st.integers(0, (1 << 64) - 1))
def test_what_comes_ready_made_can_be_made_frames_again(body: bytes, flag: bool, tag: int) -> None:
    ack = encode(7, make(commands.Basic.Ack, delivery_tag=tag, multiple=flag))
    came = publish_bytes(7, "an exchange", "a key", body, mandatory=flag) + ack
    undoer = Undoer()
    FrameReader(undoer, LARGEST).feed(came)
    assert undoer.made == came
