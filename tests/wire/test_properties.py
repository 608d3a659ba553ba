"""Properties: checked as a whole when they arrive, decoded one by one, and otherwise left as they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pamqp import commands

from amqpd.errors import InternalError
from amqpd.wire import properties as module
from amqpd.wire.properties import (
    DELIVERY_MODE,
    EMPTY_PROPERTIES,
    EXPIRATION,
    FLAGS,
    HEADERS,
    PRIORITY,
    Properties,
    PropertiesError,
)
from amqpd.wire.table import EMPTY_TABLE, Field, Table

texts = st.text(max_size=20) | st.binary(max_size=20).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
octets = st.integers(0, 255)
KINDS: dict[str, st.SearchStrategy[object]] = dict.fromkeys(FLAGS, texts) | {
    "headers": st.dictionaries(texts, texts | st.integers(-(2**63), 2**63 - 1), max_size=3).map(Table.of),
    "delivery_mode": octets,
    "priority": octets,
    "timestamp": st.integers(0, 2**64 - 1),
}
values_of_properties = st.fixed_dictionaries({}, optional=KINDS)


@given(values_of_properties)
@example({})
def test_every_property_survives_encoding_and_decoding(values: dict[str, Any]) -> None:
    properties = Properties(Properties.of(**values).raw)

    assert {name: getattr(properties, name) for name in FLAGS} == dict.fromkeys(FLAGS) | values
    assert properties.items() == [(name, values[name]) for name in FLAGS if name in values]


PAMQP_NAMES = {"type": "message_type"}


def test_the_flags_are_those_of_pamqp_and_each_has_its_constant() -> None:
    assert commands.Basic.Properties.flags == {PAMQP_NAMES.get(name, name): flag for name, flag in FLAGS.items()}
    assert {name: getattr(module, name.upper()) for name in FLAGS} == FLAGS


pamqp_values = st.fixed_dictionaries(
    {},
    # What pamqp can express: it leaves empty strings out, knows delivery modes 1 and 2 and no cluster_id, takes
    # timestamps as datetimes, and sorts headers.
    optional={name: st.text(min_size=1, max_size=20) for name in FLAGS if name not in ("timestamp", "cluster_id")}
    | {
        "headers": st.dictionaries(st.text(max_size=20), st.text(max_size=20), min_size=1, max_size=3).map(
            lambda headers: dict(sorted(headers.items()))
        ),
        "delivery_mode": st.sampled_from([1, 2]),
        "priority": octets,
    },
)


@given(pamqp_values)
def test_the_octets_are_those_of_pamqp(values: dict[str, Any]) -> None:
    theirs = commands.Basic.Properties(**{PAMQP_NAMES.get(name, name): value for name, value in values.items()})

    assert Properties.of(**values).raw == theirs.marshal()


def test_headers_may_be_given_as_a_mapping() -> None:
    assert Properties.of(headers={"a": 1}).headers == Table.of({"a": 1})


def test_an_empty_headers_table_is_there_and_no_headers_are_none() -> None:
    assert Properties.of(headers=EMPTY_TABLE).headers == EMPTY_TABLE
    assert EMPTY_PROPERTIES.headers is None


def test_headers_are_decoded_once() -> None:
    properties = Properties.of(headers={"a": 1})
    assert properties.headers is properties.headers


def test_the_flag_word_tells_what_is_there() -> None:
    properties = Properties.of(headers={}, priority=0, expiration="")
    assert properties.flags == HEADERS | PRIORITY | EXPIRATION
    assert EMPTY_PROPERTIES.flags == 0


@pytest.mark.parametrize(("mode", "persistent"), [(None, False), (0, False), (1, False), (2, True), (3, False)])
def test_only_delivery_mode_2_is_persistent(mode: int | None, persistent: bool) -> None:
    assert Properties.of(delivery_mode=mode, content_type="t", headers={"a": 1}).persistent is persistent


# Changing.


@given(values_of_properties, values_of_properties, st.sets(st.sampled_from(list(FLAGS))))
def test_replaced_sets_what_it_is_told_and_removes_what_is_none(
    old: dict[str, Any], new: dict[str, Any], removed: set[str]
) -> None:
    changes = new | dict.fromkeys(removed)

    assert Properties.of(**old).replaced(**changes) == Properties.of(**old | changes)


def test_replaced_keeps_the_octets_of_all_others() -> None:
    # A true that is not 1, and one name twice: no Python value would give these octets.
    headers = b"\x00\x00\x00\x08\x01at\x02\x01at\x00"
    properties = Properties(b"\x21\x00" + headers + b"\x015")

    assert properties.replaced(expiration=None).raw == b"\x20\x00" + headers
    assert properties.replaced(delivery_mode=2).raw == b"\x31\x00" + headers + b"\x02\x015"


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"colour": "red"}, TypeError),
        ({"headers": "text"}, TypeError),
        ({"headers": 1}, TypeError),
        ({"priority": "1"}, TypeError),
        ({"type": 1}, TypeError),
        ({"type": EMPTY_TABLE}, TypeError),
        ({"headers": {"a": object()}}, ValueError),
        ({"priority": 256}, ValueError),
        ({"priority": -1}, ValueError),
        ({"timestamp": 2**64}, ValueError),
        ({"type": "é" * 128}, ValueError),
    ],
)
def test_values_that_no_property_can_have_are_refused(values: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Properties.of(**values)


# What comes from outside.


@given(values_of_properties.filter(bool), st.data())
def test_a_property_list_cut_short_is_refused(values: dict[str, Any], data: st.DataObject) -> None:
    raw = Properties.of(**values).raw
    with pytest.raises(PropertiesError):
        Properties(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(values_of_properties, st.binary(min_size=1, max_size=10))
def test_octets_left_over_are_refused(values: dict[str, Any], more: bytes) -> None:
    with pytest.raises(PropertiesError):
        Properties(Properties.of(**values).raw + more)


@given(st.binary(max_size=60))
@example(b"\xff\xff")  # A85: flags but no values
@example(b"\x00\x01\x00\x00")  # A86: a second flag word
@example(b"\x20\x00\xff\xff\xff\xff")  # headers of 4 GiB
@example(b"\x20\x00\x00\x00\x00\x03\x01aQ")  # headers with an unknown type
def test_any_octets_are_properties_or_a_properties_error(raw: bytes) -> None:
    try:
        properties = Properties(raw)
    except PropertiesError:
        return
    assert Properties.of(**dict(properties.items())).flags == properties.flags == raw[0] << 8 | raw[1] & 0xFC


def test_a_properties_error_is_answered_with_a_bare_541_that_names_no_method() -> None:
    with pytest.raises(InternalError) as caught:
        Properties(b"\x00\x01\x00\x00")
    assert caught.value.code == 541
    assert caught.value.reply_text == "INTERNAL_ERROR"
    assert isinstance(caught.value, PropertiesError)
    assert caught.value.reason == "octets left over behind the properties"
    assert not caught.value.about_method


@pytest.mark.parametrize("low_bits", [1, 2, 3])
def test_the_two_low_flag_bits_are_ignored_and_not_passed_on(low_bits: int) -> None:
    properties = Properties(bytes([DELIVERY_MODE >> 8, low_bits, 2]))

    assert properties == Properties.of(delivery_mode=2)
    assert properties.raw == bytes([DELIVERY_MODE >> 8, 0, 2])
    assert properties.persistent


def test_strings_need_not_be_utf_8() -> None:
    properties = Properties(b"\x00\x20\x01\xff")
    assert properties.type == "\udcff"
    assert Properties.of(type=properties.type).raw == properties.raw


def test_properties_are_equal_when_their_octets_are() -> None:
    assert Properties.of(type="a") == Properties.of(type="a")
    assert len({Properties.of(type="a"), Properties.of(type="a"), Properties.of(type="b")}) == 2
    assert EMPTY_PROPERTIES != b"\x00\x00"


def test_properties_show_what_they_hold() -> None:
    properties = Properties.of(headers={"a": Field("I", 1)}, priority=5)
    assert repr(properties) == "Properties.of(headers=Table({'a': Field('I', 1)}), priority=5)"
