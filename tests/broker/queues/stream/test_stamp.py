"""Stamping: what a publisher sent is kept to the last octet, and the offset is added behind its headers."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.message import Message, header_frame, make_message, route_of
from amqpd.broker.queues.stream.stamp import Stamp, filter_value_of
from amqpd.wire.frames import BODY, HEADER_FIXED, frame
from amqpd.wire.properties import EMPTY_PROPERTIES, FLAGS, Properties
from amqpd.wire.table import Field, Table

texts = st.text(st.characters(codec="utf-8"), max_size=12)
octets = st.binary(max_size=12)
fields = st.recursive(
    st.one_of(
        st.booleans().map(lambda value: Field("t", value)),
        st.integers(-(2**63), 2**63 - 1).map(lambda value: Field("l", value)),
        st.integers(0, 255).map(lambda value: Field("B", value)),
        texts.map(lambda value: Field("S", value)),
        octets.map(lambda value: Field("x", value)),
        st.integers(0, 2**40).map(lambda value: Field("T", value)),
        st.just(Field("V", None)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: Field("A", tuple(values))),
        st.dictionaries(texts, inner, max_size=3).map(lambda values: Field("F", Table.of(values))),
    ),
    max_leaves=5,
)
names = st.sampled_from(["a", "x-stream-filter-value", "x-stream-offset-not", "é", ""]) | texts
# Some property or other, never x-stream-offset.
properties = st.builds(
    lambda values: Properties.of(**values),
    st.fixed_dictionaries(
        {},
        optional={
            "content_type": texts,
            "content_encoding": texts,
            "headers": st.dictionaries(names, fields, max_size=4).map(
                lambda values: Table.of({name: field for name, field in values.items() if name != "x-stream-offset"})
            ),
            "delivery_mode": st.integers(0, 255),
            "priority": st.integers(0, 255),
            "correlation_id": texts,
            "reply_to": texts,
            "expiration": texts,
            "message_id": texts,
            "timestamp": st.integers(0, 2**64 - 1),
            "type": texts,
            "user_id": texts,
            "app_id": texts,
            "cluster_id": texts,
        },
    ),
)
offsets = st.integers(0, 2**62)


def raw_of(stamp: Stamp, content: bytes) -> bytes:
    """The octets of the properties in what was stamped last."""
    return content[HEADER_FIXED : stamp.header_end - 1]


def published(given_properties: Properties, pieces: list[bytes], channel: int = 1) -> Message:
    """A message as a channel makes one, its body in so many frames."""
    size = sum(map(len, pieces))
    header = header_frame(channel, size, given_properties)
    content = header + b"".join(frame(BODY, channel, piece) for piece in pieces)
    largest = max(map(len, pieces), default=0)
    return Message(route_of("x", "k"), content, channel, len(header), size, largest, given_properties)


def parts(content: bytes) -> tuple[int, bytes, bytes, bytes]:
    """Channel, front, properties of the header frame, and what is behind it."""
    kind, channel, size = struct.unpack_from(">BHI", content)
    assert kind == 2
    assert content[7 + size] == 0xCE
    return channel, content[7:19], content[19 : 7 + size], content[8 + size :]


@given(
    st.lists(st.tuples(properties, st.lists(st.binary(min_size=1, max_size=20), max_size=3), offsets), max_size=5),
    st.integers(0, 65535),
)
def test_everything_comes_back_as_it_was_with_the_offset_behind_the_last_header(
    messages: list[tuple[Properties, list[bytes], int]], channel: int
) -> None:
    stamp = Stamp()  # one for all: what it remembers of a message must not show in the next
    for given_properties, pieces, offset in messages:
        message = published(given_properties, pieces, channel)
        before = message.content
        content = stamp.content(message, offset)
        number, front, raw, behind = parts(content)
        assert (number, front) == (channel, b"\x00\x3c\x00\x00" + sum(map(len, pieces)).to_bytes(8, "big"))
        assert behind == message.body_frames()
        assert raw_of(stamp, content) == raw
        assert content[: stamp.header_end] + behind == content
        assert message.content == before
        found = Properties(raw)
        headers = found.headers
        assert headers is not None
        assert headers.items()[-1] == ("x-stream-offset", Field("l", offset))
        entry = b"\x0fx-stream-offsetl" + offset.to_bytes(8, "big")
        sent = given_properties.headers
        assert headers.raw == (b"" if sent is None else sent.raw) + entry
        for name in FLAGS:
            if name != "headers":
                assert getattr(found, name) == getattr(given_properties, name), name
        if sent is not None:
            assert raw.replace(headers.encode(), sent.encode(), 1)[2:] == given_properties.raw[2:]
            assert raw[:2] == given_properties.raw[:2]


@given(properties, offsets, offsets)
def test_a_message_that_was_read_from_a_stream_has_only_the_new_offset(
    given_properties: Properties, earlier: int, offset: int
) -> None:
    stamp = Stamp()
    first = stamp.content(published(given_properties, [b"body"]), earlier)
    read = Properties(raw_of(stamp, first))
    second = stamp.content(published(read, [b"body"]), offset)
    assert second == stamp.content(published(given_properties, [b"body"]), offset) or given_properties.headers is None
    headers = Properties(raw_of(stamp, second)).headers
    assert headers is not None
    assert [field for name, field in headers.items() if name == "x-stream-offset"] == [Field("l", offset)]


def test_an_offset_of_whatever_type_that_a_publisher_made_up_is_replaced() -> None:
    for field in (Field("S", "first"), Field("I", 7), Field("V", None), Field("F", Table.of({"a": 1}))):
        made_up = Properties.of(headers=Table.of({"x-stream-offset": field, "a": 1}))
        stamp = Stamp()
        headers = Properties(raw_of(stamp, stamp.content(published(made_up, []), 3))).headers
        assert headers is not None
        assert headers.items() == [("a", Field.of(1)), ("x-stream-offset", Field("l", 3))]


def test_the_name_of_the_header_inside_of_another_value_changes_nothing() -> None:
    tricky = Properties.of(
        correlation_id="x-stream-offset",
        headers=Table.of({"a": "x-stream-offset", "b": Table.of({"x-stream-offset": 1})}),
    )
    stamp = Stamp()
    found = Properties(raw_of(stamp, stamp.content(published(tricky, []), 3)))
    headers = found.headers
    assert headers is not None
    assert [name for name, _ in headers.items()] == ["a", "b", "x-stream-offset"]
    assert found.correlation_id == "x-stream-offset"


def test_messages_without_properties_share_what_was_learnt_of_the_first() -> None:
    stamp = Stamp()
    contents = [stamp.content(make_message("", "q", EMPTY_PROPERTIES, b"%d" % n), n) for n in range(3)]
    offsets_found = []
    for content in contents:
        headers = Properties(parts(content)[2]).headers
        assert headers is not None
        offsets_found.append(headers.items())
    assert offsets_found == [[("x-stream-offset", Field("l", n))] for n in range(3)]


def test_the_value_to_filter_by_is_the_longstr_in_its_header() -> None:
    def value(headers: dict[str, object] | None) -> str | None:
        return filter_value_of(EMPTY_PROPERTIES if headers is None else Properties.of(headers=Table.of(headers)))

    assert value({"x-stream-filter-value": "a"}) == "a"
    assert value({"x-stream-filter-value": ""}) == ""
    assert value({"other": "x-stream-filter-value"}) is None
    assert value({"x-stream-filter-value": 1}) is None
    assert value({}) is None
    assert value(None) is None


def test_the_stamp_tells_the_value_of_the_message_that_it_stamped_last() -> None:
    stamp = Stamp()
    tagged = published(Properties.of(headers=Table.of({"x-stream-filter-value": "a"})), [])
    found = []
    for message in (tagged, published(EMPTY_PROPERTIES, []), tagged):
        stamp.content(message, 1)
        found.append(stamp.filter_value)
    assert found == ["a", None, "a"]
