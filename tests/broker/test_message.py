"""A message goes out as it came in: for any channel and frame size the same properties and body."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.message import Message, header_frame, make_message, route_of
from amqpd.wire.frames import BODY, HEADER, frame
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from tests.builders import split_frames

PROPERTIES = Properties.of(content_type="text/plain", delivery_mode=2)

names = st.text(st.characters(codec="utf-8"), max_size=40)
bodies = st.binary(max_size=600)
channels = st.integers(1, 65535)


def published(channel: int, pieces: list[bytes], properties: Properties = PROPERTIES) -> Message:
    """A message as a channel takes it from the wire, its body in these frames."""
    size = sum(map(len, pieces))
    header = header_frame(channel, size, properties)
    content = header + b"".join(frame(BODY, channel, piece) for piece in pieces)
    largest = max(map(len, pieces), default=0)
    return Message(route_of("x", "k"), content, channel, len(header), size, largest, properties)


def check_content(content: bytes, channel: int, payload_max: int, properties: Properties, body: bytes) -> None:
    """It is one header and the body in frames for the channel, none above the limit, none empty."""
    header, *rest = split_frames(content)
    assert header[:2] == (HEADER, channel)
    assert header[2][:12] == b"\x00\x3c\x00\x00" + len(body).to_bytes(8, "big")
    assert header[2][12:] == properties.raw
    assert [kind_and_channel[:2] for kind_and_channel in rest] == [(BODY, channel)] * len(rest)
    assert b"".join(payload for _, _, payload in rest) == body
    assert all(0 < len(payload) <= (payload_max or len(body)) for _, _, payload in rest)


def test_the_channel_it_came_on_gets_the_very_octets_that_came() -> None:
    message = published(3, [b"abc", b"de"])
    content = message.content_for(3, 100)
    assert content is message.content_for(3, 0)
    check_content(content, 3, 100, PROPERTIES, b"abcde")
    assert [len(payload) for _, _, payload in split_frames(content)[1:]] == [3, 2]


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=300), max_size=4),
    takers=st.lists(st.tuples(channels, st.sampled_from([0, 1, 7, 100, 131_064])), min_size=1, max_size=6),
)
def test_any_sequence_of_channels_and_frame_sizes_gets_the_whole_message(
    pieces: list[bytes], takers: list[tuple[int, int]]
) -> None:
    message, body = published(1, pieces), b"".join(pieces)
    for channel, payload_max in takers:
        check_content(message.content_for(channel, payload_max), channel, payload_max, PROPERTIES, body)
        assert message.body == body
        assert message.body_size == len(body)


def test_the_form_made_for_one_channel_is_kept_for_the_next_delivery() -> None:
    message = published(1, [b"abc"])
    assert message.content_for(2, 0) is message.content_for(2, 0)


@given(exchange=names, key=names)
def test_exchange_and_routing_key_are_those_of_the_publish(exchange: str, key: str) -> None:
    message = make_message(exchange, key, EMPTY_PROPERTIES, b"")
    assert (message.exchange, message.routing_key) == (exchange, key)


def test_a_routing_key_that_is_not_utf_8_keeps_its_octets() -> None:
    key = b"\xff\x00k".decode("utf-8", "surrogateescape")
    message = make_message("x", key, EMPTY_PROPERTIES, b"")
    assert message.route == b"\x01x\x03\xff\x00k"
    assert message.routing_key == key


@pytest.mark.parametrize(("exchange", "key"), [("x" * 255, "k" * 255), ("", "")])
def test_names_of_up_to_255_octets_fit_a_route(exchange: str, key: str) -> None:
    message = make_message(exchange, key, EMPTY_PROPERTIES, b"")
    assert (message.exchange, message.routing_key) == (exchange, key)


@pytest.mark.parametrize(("exchange", "key"), [("x" * 256, ""), ("", "ü" * 128)])
def test_longer_ones_do_not(exchange: str, key: str) -> None:
    with pytest.raises(ValueError, match="byte"):
        route_of(exchange, key)


@given(body=bodies, channel=channels)
def test_a_message_made_by_the_broker_can_go_to_any_channel(body: bytes, channel: int) -> None:
    check_content(make_message("x", "k", PROPERTIES, body).content_for(channel, 64), channel, 64, PROPERTIES, body)


def test_with_another_route_the_content_is_shared() -> None:
    message = published(1, [b"abc"])
    other = message.with_route("y", "z")
    assert (other.exchange, other.routing_key) == ("y", "z")
    assert (message.exchange, message.routing_key) == ("x", "k")
    assert other.content_for(1, 0) is message.content_for(1, 0)


@given(pieces=st.lists(st.binary(min_size=1, max_size=50), max_size=3), channel=channels)
def test_with_other_properties_the_body_stays_and_the_original_too(pieces: list[bytes], channel: int) -> None:
    message, body = published(1, pieces), b"".join(pieces)
    other = message.with_properties(EMPTY_PROPERTIES)
    check_content(other.content_for(channel, 20), channel, 20, EMPTY_PROPERTIES, body)
    check_content(message.content_for(1, 0), 1, 0, PROPERTIES, body)
    assert other.route == message.route
