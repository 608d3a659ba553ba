"""Messages as records: what was stored is what comes back, to the last octet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.deaths import DeathHistory, dead_letter
from amqpd.broker.message import Message, header_frame, make_message, route_of
from amqpd.broker.records import PLAIN, RecordDecoder, RecordEncoder
from amqpd.wire.frames import BODY, frame
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties

names = st.binary(max_size=60).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
texts = st.text(st.characters(codec="utf-8"), max_size=20)
properties = st.builds(
    lambda values: Properties.of(**values),
    st.fixed_dictionaries(
        {},
        optional={
            "content_type": texts,
            "headers": st.dictionaries(texts, st.integers(-5, 2**40) | texts, max_size=4),
            "delivery_mode": st.sampled_from([1, 2]),
            "priority": st.integers(0, 255),
            "expiration": st.just("1000"),
        },
    ),
)
deaths = st.lists(
    st.tuples(texts, st.sampled_from(["rejected", "expired", "maxlen"]), texts, st.none() | texts), max_size=4
)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Messages as they came from a publisher, or as they are after some deaths."""
    channel, pieces = draw(st.integers(0, 65535)), draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4))
    given_properties = draw(properties)
    size = sum(map(len, pieces))
    header = header_frame(channel, size, given_properties)
    content = header + b"".join(frame(BODY, channel, piece) for piece in pieces)
    largest = max(map(len, pieces), default=0)
    route = route_of(draw(names), draw(names))
    made = Message(route, content, channel, len(header), size, largest, given_properties)
    made.blind_keys = tuple(draw(st.lists(texts, max_size=3)))
    for queue, reason, exchange, key in draw(deaths):
        blind = made.blind_keys
        made, history = dead_letter(made, made.deaths, queue, reason, exchange, key, 1_700_000_000)
        made.deaths, made.blind_keys = history, blind
    return made


def known(message: Message) -> tuple[object, ...]:
    """All that there is to a message."""
    return (
        message.route,
        message.content,
        message._channel,
        message._header_end,
        message.body_size,
        message._largest_body,
        message.properties.raw,
        message.body,
        message.blind_keys,
        history_of(message.deaths),
    )


def history_of(history: DeathHistory | None) -> object:
    if history is None:
        return None
    every = (*history.deaths, history.first, history.last)
    fields = [(each.queue, each.reason, each.exchange, each.routing_keys, each.time) for each in every]
    return fields, [(each.original_expiration, each.count) for each in every], history.routing_keys


@given(st.lists(st.tuples(messages(), st.sampled_from([0, 1, 1_700_000_000_000, 2**62])), max_size=5))
def test_what_is_stored_is_what_comes_back(stored: list[tuple[Message, int]]) -> None:
    encoder, decoder = RecordEncoder(), RecordDecoder()
    payloads = [encoder.head(message, deadline) + message.content for message, deadline in stored]
    for position, (payload, (message, deadline)) in enumerate(zip(payloads, stored, strict=True)):
        found = decoder.stored(position, payload)
        assert (found.position, found.deadline, found.deliveries) == (position, deadline, 0)
        assert known(found.message) == known(message)


def test_messages_of_one_kind_share_their_route_and_their_properties() -> None:
    """Millions of them come back one after the other."""
    encoder, decoder = RecordEncoder(), RecordDecoder()
    one, other = [make_message("x", "key", Properties.of(delivery_mode=2), body) for body in (b"1", b"2")]
    first = decoder.stored(0, encoder.head(one, 0) + one.content).message
    second = decoder.stored(1, encoder.head(other, 0) + other.content).message
    assert first.route is second.route
    assert first.properties is second.properties


def test_the_head_of_a_message_of_the_same_kind_is_made_once() -> None:
    encoder, route = RecordEncoder(), route_of("x", "key")
    header = header_frame(0, 0, EMPTY_PROPERTIES)
    plain = [Message(route, header, 0, len(header), 0, 0, EMPTY_PROPERTIES) for _ in range(2)]
    assert encoder.head(plain[0], 0) is encoder.head(plain[1], 0)
    assert encoder.head(plain[0], 5) != encoder.head(plain[0], 0)


@pytest.mark.parametrize("payload", [b"", b"\0", b"\0\0"])
def test_a_record_too_short_for_a_message_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="too short"):
        RecordDecoder().stored(0, payload)


def test_a_body_frame_of_negative_size_is_refused() -> None:
    """Such a record must not keep the reader in its place for ever."""
    content = header_frame(0, 5, EMPTY_PROPERTIES) + b"\x03\x00\x00" + (-8).to_bytes(4, "big", signed=True) + b"\xce"
    with pytest.raises(ValueError, match="negative size"):
        RecordDecoder().stored(0, PLAIN + route_of("", "q") + content)
