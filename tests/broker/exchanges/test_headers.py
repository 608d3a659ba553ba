"""amqpd/broker/exchanges/headers.py: arguments of bindings against headers of messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.binding import Destination
from amqpd.broker.exchanges.headers import HeadersExchange
from amqpd.errors import PreconditionFailed
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from amqpd.wire.table import EMPTY_TABLE, Field, Table
from tests.builders import message

FIVE_SECONDS = Field("T", 5)

# The bindings of conformance row C71, by short names.
BINDINGS: dict[str, dict[str, Any]] = {
    "all a b": {"x-match": "all", "a": 1, "b": "x"},
    "any a b": {"x-match": "any", "a": 1, "b": "x"},
    "all": {"x-match": "all"},
    "any": {"x-match": "any"},
    "a": {"a": 1},
    "all a void": {"x-match": "all", "a": None},
    "any a void": {"x-match": "any", "a": None},
    "all x-foo a": {"x-match": "all", "x-foo": 1, "a": 1},
    "any x-foo": {"x-match": "any", "x-foo": 1},
    "all-with-x x-foo a": {"x-match": "all-with-x", "x-foo": 1, "a": 1},
    "any-with-x x-foo": {"x-match": "any-with-x", "x-foo": 1},
    "nothing": {},
    "all a short": {"x-match": "all", "a": Field("s", 1)},
    "all a double": {"x-match": "all", "a": 1.0},
    "all a string": {"x-match": "all", "a": "1"},
    "all t": {"x-match": "all", "t": FIVE_SECONDS},
    "all d": {"x-match": "all", "d": {"k": 1}},
    "all l": {"x-match": "all", "l": [1, 2]},
    "all bo": {"x-match": "all", "bo": True},
}
ALWAYS = ["all", "nothing"]
A_IS_1 = [*ALWAYS, "any a b", "a", "all a void", "any a void", "all x-foo a", "all a short"]
# What RabbitMQ 4.0.5 does with these headers, but for the two rows with t: there it compares milliseconds with seconds,
# so that a timestamp matches the integer 5 and not the timestamp 5. Here timestamps match timestamps.
MATRIX: list[tuple[dict[str, Any] | None, list[str]]] = [
    (None, ALWAYS),
    ({}, ALWAYS),
    ({"a": 1}, A_IS_1),
    ({"a": 1, "b": "x"}, [*A_IS_1, "all a b"]),
    ({"b": "x"}, [*ALWAYS, "any a b"]),
    ({"a": Field("l", 1)}, A_IS_1),
    ({"a": "z"}, [*ALWAYS, "all a void", "any a void"]),
    ({"a": None}, [*ALWAYS, "all a void", "any a void"]),
    ({"x-foo": 1}, [*ALWAYS, "any-with-x x-foo"]),
    ({"x-foo": 1, "a": 1}, [*A_IS_1, "all-with-x x-foo a", "any-with-x x-foo"]),
    ({"a": 1, "b": "x", "c": 3}, [*A_IS_1, "all a b"]),
    ({"t": FIVE_SECONDS}, [*ALWAYS, "all t"]),
    ({"t": Field("l", 5)}, ALWAYS),
    ({"d": {"k": 1}}, [*ALWAYS, "all d"]),
    ({"l": [1, 2]}, [*ALWAYS, "all l"]),
    ({"bo": True}, [*ALWAYS, "all bo"]),
    ({"bo": 1}, ALWAYS),
    ({"a": 1.0}, [*ALWAYS, "all a void", "any a void", "all a double"]),
]


def headers_exchange(bindings: dict[str, Table]) -> HeadersExchange:
    """An exchange with a queue for each binding, called like it."""
    exchange = HeadersExchange("x", False, False, False, EMPTY_TABLE)
    for name, arguments in bindings.items():
        exchange.bind(Destination(name), "", arguments)
    return exchange


def matched(exchange: HeadersExchange, headers: Table | None) -> set[str]:
    properties = EMPTY_PROPERTIES if headers is None else Properties.of(headers=headers)
    found: dict[Destination, None] = {}
    exchange.match(["k"], message(properties), found)
    return {destination.name for destination in found}


def match(argument: object, header: object) -> bool:
    """Whether one header satisfies a binding with one argument."""
    exchange = headers_exchange({"q": Table.of({"h": argument})})
    return matched(exchange, Table.of({"h": header})) == {"q"}


@pytest.mark.parametrize(("headers", "names"), MATRIX)
def test_bindings_match_as_in_rabbitmq(headers: dict[str, Any] | None, names: list[str]) -> None:
    exchange = headers_exchange({name: Table.of(arguments) for name, arguments in BINDINGS.items()})
    assert matched(exchange, None if headers is None else Table.of(headers)) == set(names)


@pytest.mark.parametrize("tag", "bBsuIilL")
def test_integers_are_equal_whatever_their_width(tag: str) -> None:
    assert match(Field(tag, 7), Field("I", 7))
    assert match(Field("I", 7), Field(tag, 7))
    assert not match(Field(tag, 7), Field("I", 8))


def test_an_integer_is_no_float_no_boolean_no_timestamp() -> None:
    assert not match(1, 1.0)
    assert not match(1.0, 1)
    assert not match(1, True)
    assert not match(1, Field("T", 1))
    assert not match(Field("T", 1), 1)


def test_floats_of_both_widths_are_equal_by_value() -> None:
    assert match(Field("f", 0.5), Field("d", 0.5))
    assert match(Field("d", 0.5), Field("f", 0.5))


def test_strings_and_binaries_are_equal_by_bytes() -> None:
    assert match("ä", "ä".encode())
    assert match(b"\xff", b"\xff")
    assert not match("a", "A")


def test_tables_are_equal_whatever_their_order() -> None:
    assert match({"a": 1, "b": [2]}, {"b": [2], "a": 1})
    assert not match({"a": 1}, {"a": 2})
    assert not match([1, 2], [2, 1])


def test_a_void_argument_asks_for_presence_and_a_void_header_is_only_that() -> None:
    assert match(None, "anything")
    assert match(None, None)
    assert not match("anything", None)


def test_of_an_argument_given_twice_the_first_counts() -> None:
    twice = Table(Table.of({"h": 1}).raw + Table.of({"h": 2}).raw)
    exchange = headers_exchange({"q": twice})
    assert matched(exchange, Table.of({"h": 1})) == {"q"}
    assert matched(exchange, Table.of({"h": 2})) == set()


def test_of_a_header_sent_twice_the_first_counts() -> None:
    twice = Table(Table.of({"h": 1}).raw + Table.of({"h": 2}).raw)
    assert matched(headers_exchange({"q": Table.of({"h": 1})}), twice) == {"q"}
    assert matched(headers_exchange({"q": Table.of({"h": 2})}), twice) == set()


@pytest.mark.parametrize("mode", ["all", "any", "all-with-x", "any-with-x", None])
def test_every_mode_can_be_bound(mode: str | None) -> None:
    exchange = HeadersExchange("x", False, False, False, EMPTY_TABLE)
    assert exchange.bind(Destination("q"), "", Table.of({} if mode is None else {"x-match": mode}))


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("foo", 'Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x'),
        ("", "Invalid x-match field value <<>>; expected all, any, all-with-x, or any-with-x"),
        (1, "Invalid x-match field type signedint (value 1); expected longstr"),
        (True, "Invalid x-match field type bool (value true); expected longstr"),
        (b"all", 'Invalid x-match field type binary (value <<"all">>); expected longstr'),
    ],
)
def test_another_x_match_is_refused_and_nothing_is_bound(mode: object, text: str) -> None:
    exchange = HeadersExchange("x", False, False, False, EMPTY_TABLE)
    with pytest.raises(PreconditionFailed) as refused:
        exchange.bind(Destination("q"), "", Table.of({"x-match": mode}))
    assert refused.value.reply_text == f"PRECONDITION_FAILED - {text}"
    assert exchange.binding_count == 0


def test_the_result_depends_on_more_than_keys() -> None:
    assert not HeadersExchange.by_key


NAMES = st.sampled_from(["a", "b", "x-c"])
VALUES = st.sampled_from([1, 2, Field("l", 1), 1.0, True, "1", b"1", None])
HEADERS = st.dictionaries(NAMES, VALUES, max_size=3)
MODES = st.sampled_from(["all", "any", "all-with-x", "any-with-x"])
RULES = st.lists(st.tuples(MODES, HEADERS), max_size=12)


def satisfied(mode: str, arguments: dict[str, Any], headers: dict[str, Any]) -> bool:
    """The definition, argument by argument: what the index must agree with."""
    wanted = {name: value for name, value in arguments.items() if mode.endswith("-with-x") or not name.startswith("x-")}
    results = [name in headers and match(value, headers[name]) for name, value in wanted.items()]
    return all(results) if mode.startswith("all") else any(results)


def tables(rules: list[tuple[str, dict[str, Any]]]) -> dict[str, Table]:
    return {str(number): Table.of({"x-match": mode, **values}) for number, (mode, values) in enumerate(rules)}


@given(RULES, HEADERS)
def test_the_index_agrees_with_the_definition(rules: list[tuple[str, dict[str, Any]]], headers: dict[str, Any]) -> None:
    expected = {str(number) for number, (mode, values) in enumerate(rules) if satisfied(mode, values, headers)}
    assert matched(headers_exchange(tables(rules)), Table.of(headers)) == expected


@given(RULES, RULES, HEADERS)
def test_removed_bindings_leave_the_others_as_they_were(
    kept: list[tuple[str, dict[str, Any]]], removed: list[tuple[str, dict[str, Any]]], headers: dict[str, Any]
) -> None:
    exchange = headers_exchange(tables(kept + removed))
    for binding in exchange.bindings():
        if int(binding.destination.name) >= len(kept):
            exchange.unbind(binding.destination, binding.key, binding.arguments)
    assert matched(exchange, Table.of(headers)) == matched(headers_exchange(tables(kept)), Table.of(headers))


@given(RULES)
def test_nothing_is_left_of_removed_bindings(rules: list[tuple[str, dict[str, Any]]]) -> None:
    exchange = headers_exchange(tables(rules))
    for binding in exchange.bindings():
        exchange.remove_destination(binding.destination)
    assert (exchange._unconditional, exchange._waiting) == ({}, {})
