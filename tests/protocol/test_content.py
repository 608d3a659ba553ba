"""A message that comes frame by frame: put together as it was sent, refused as soon as it is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import base, commands

from amqpd.errors import AMQPError, FrameError, InternalError, UnexpectedFrame
from amqpd.protocol.content import HARD_BODY_LIMIT, Awaiting, Content
from amqpd.wire.frames import BODY, HEADER, HEARTBEAT_FRAME, METHOD, frame
from amqpd.wire.methods import encode, make
from amqpd.wire.properties import Properties
from tests.builders import Client, World, header_bytes, publish_bytes, split_frames

ROUTE = b"\x00\x01q"
PUBLISH = encode(1, make(commands.Basic.Publish, routing_key="q"))


def header(size: int, class_id: int = 60, weight: int = 0, properties: bytes = b"\0\0") -> bytes:
    """The payload of a content header."""
    return class_id.to_bytes(2, "big") + weight.to_bytes(2, "big") + size.to_bytes(8, "big") + properties


def begun(size_limit: int = 1000) -> Content:
    """A message whose method has come."""
    content = Content(1, size_limit)
    content.begin(ROUTE, 0)
    return content


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_the_frames_come_out_as_they_went_in_but_for_empty_ones(bodies: list[bytes]) -> None:
    content = begun()
    total = sum(map(len, bodies))
    complete = content.take(HEADER, header(total))
    for body in bodies:
        if complete:
            break
        complete = content.take(BODY, body)
    assert complete
    assert content.awaiting is Awaiting.METHOD
    frames = split_frames(content.content())
    assert frames == [(HEADER, 1, header(total))] + [(BODY, 1, body) for body in bodies if body]
    assert content.largest_body == max(map(len, bodies), default=0)
    assert content.body_size == total
    assert content.header_end == len(frame(HEADER, 1, header(total)))


def test_a_message_without_body_is_complete_with_its_header() -> None:
    assert begun().take(HEADER, header(0))


def test_the_next_message_starts_from_nothing() -> None:
    content = begun()
    content.take(HEADER, header(3))
    content.take(BODY, b"abc")
    content.content()
    content.begin(ROUTE, 0)
    content.take(HEADER, header(1))
    content.take(BODY, b"x")
    assert split_frames(content.content())[1:] == [(BODY, 1, b"x")]
    assert content.largest_body == 1


def test_a_body_above_the_limit_is_read_to_its_end_and_not_kept() -> None:
    content = begun(size_limit=10)
    assert not content.take(HEADER, header(11))
    assert not content.take(BODY, b"x" * 10)
    assert content._frames == []
    assert content.take(BODY, b"x")
    assert content.content() == b""


NOT_A_HEADER = "expected content header for class 60, got non content header frame instead"


@pytest.mark.parametrize(
    ("kind", "payload", "error", "text"),
    [
        (METHOD, b"\0\0\0\0", UnexpectedFrame, NOT_A_HEADER),
        (BODY, b"", UnexpectedFrame, NOT_A_HEADER),
        (HEADER, header(5, weight=1), UnexpectedFrame, NOT_A_HEADER),
        (
            HEADER,
            header(5, class_id=50),
            UnexpectedFrame,
            "expected content header for class 60, got one for class 50 instead",
        ),
        (HEADER, header(5, class_id=65535), UnexpectedFrame, "got one for class 65535 instead"),
        (HEADER, header(5, properties=b""), InternalError, ""),
        (
            HEADER,
            header(HARD_BODY_LIMIT + 1),
            FrameError,
            "content body size 536870913 exceeds maximum allowed size 536870912",
        ),
        (
            HEADER,
            header(2**64 - 1),
            FrameError,
            "content body size 18446744073709551615 exceeds maximum allowed size 536870912",
        ),
    ],
)
def test_what_is_no_right_header_is_refused(kind: int, payload: bytes, error: type[AMQPError], text: str) -> None:
    with pytest.raises(error) as caught:
        begun().take(kind, payload)
    assert caught.value.explanation.endswith(text)


def test_the_largest_body_that_rabbitmq_takes_may_be_announced() -> None:
    assert not begun().take(HEADER, header(HARD_BODY_LIMIT))


@pytest.mark.parametrize("kind", [METHOD, HEADER])
def test_only_body_frames_may_follow_the_header(kind: int) -> None:
    content = begun()
    content.take(HEADER, header(5))
    with pytest.raises(UnexpectedFrame, match="expected content body, got non content body frame instead"):
        content.take(kind, header(5))


def test_a_body_longer_than_announced_is_refused() -> None:
    content = begun()
    content.take(HEADER, header(2))
    with pytest.raises(FrameError, match="content body frame exceeds remaining content size"):
        content.take(BODY, b"abc")


# On a connection.


def test_messages_of_several_channels_may_be_mixed(client: Client) -> None:
    client.open(2)
    client.declare("q")
    for channel in (1, 2):
        client.feed(encode(channel, make(commands.Basic.Publish, routing_key="q")))
    for channel in (2, 1):
        client.feed(header_bytes(channel, 2))
    for part in (b"a", b"b"):
        for channel in (1, 2):
            client.feed(frame(BODY, channel, part))
    for _ in range(2):
        client.send(1, commands.Basic.Get, queue="q", no_ack=True)
    assert client.bodies() == [b"ab", b"ab"]


def test_a_body_in_many_frames_is_delivered_in_one_piece_with_its_properties(client: Client) -> None:
    client.declare("q")
    properties = Properties.of(headers={"a": 1}, message_id="m")
    body = bytes(range(256)) * 100
    client.feed(publish_bytes(1, "", "q", body, properties, frame_max=4096))
    client.send(1, commands.Basic.Get, queue="q", no_ack=True)
    (message,) = client.messages()
    assert message.body == body
    assert message.properties.raw == properties.raw


def test_after_a_message_in_pieces_the_channel_takes_whole_ones_again(client: Client) -> None:
    channel = client.connection.channels._by_number[1]
    client.feed(PUBLISH + header_bytes(1, 2) + frame(BODY, 1, b"a"))
    assert not channel.receptive
    client.feed(frame(BODY, 1, b"b"))
    assert channel.receptive


def test_a_heartbeat_in_the_middle_of_a_message_does_not_matter(client: Client) -> None:
    client.declare("q")
    client.feed(PUBLISH + header_bytes(1, 2) + frame(8, 0, b"") + frame(BODY, 1, b"ab"))
    client.send(1, commands.Basic.Get, queue="q", no_ack=True)
    assert client.bodies() == [b"ab"]


@pytest.mark.parametrize(
    ("frames", "code", "text", "ids"),
    [
        (PUBLISH + PUBLISH + HEARTBEAT_FRAME, 505, f"UNEXPECTED_FRAME - {NOT_A_HEADER}", (60, 40)),
        (
            PUBLISH + header_bytes(1, 2) + frame(BODY, 1, b"abc"),
            501,
            "FRAME_ERROR - content body frame exceeds remaining content size",
            (60, 40),
        ),
        (PUBLISH + frame(HEADER, 1, header(0, properties=b"")), 541, "INTERNAL_ERROR", (0, 0)),
        (PUBLISH + frame(HEADER, 1, header(0, properties=b"\xff\xff")), 541, "INTERNAL_ERROR", (0, 0)),
        (PUBLISH + frame(HEADER, 1, header(0, properties=b"\0\0\0")), 541, "INTERNAL_ERROR", (0, 0)),
    ],
)
def test_a_wrong_message_closes_the_connection(
    client: Client, frames: bytes, code: int, text: str, ids: tuple[int, int]
) -> None:
    client.feed(frames)
    close = client.receive_one(0, commands.Connection.Close)
    assert (close.reply_code, close.reply_text, (close.class_id, close.method_id)) == (code, text, ids)


def test_after_a_message_without_body_a_body_frame_is_one_without_method(client: Client) -> None:
    client.feed(PUBLISH + header_bytes(1, 0) + frame(BODY, 1, b""))
    assert client.connection_closed() == (
        505,
        "UNEXPECTED_FRAME - expected method frame, got non method frame instead",
    )


@pytest.mark.parametrize("method", [commands.Basic.Qos, commands.Basic.Ack, commands.Channel.Close])
def test_a_method_in_the_middle_of_a_message_is_unexpected(world: World, method: type[base.Frame]) -> None:
    client = world.client()
    client.open(1)
    client.feed(PUBLISH + header_bytes(1, 5))
    client.send(1, method)
    assert client.connection_closed() == (
        505,
        "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
    )
