"""amqpd/broker/exchanges/consistent_hash.py: one destination a message, by weight."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import commands

from amqpd.broker.binding import Destination
from amqpd.broker.exchanges.consistent_hash import ConsistentHashExchange, weight_of
from amqpd.broker.queues.sink import MessageSink
from amqpd.errors import InternalError, PreconditionFailed
from amqpd.wire.properties import Properties
from amqpd.wire.table import EMPTY_TABLE, Field, Table
from tests.builders import World, message

KEYS = [f"key-{number}" for number in range(4000)]
WEIGHTS = st.dictionaries(st.text("abc", max_size=3), st.integers(1, 20), min_size=2, max_size=6)


def hash_exchange(weights: dict[str, int], **arguments: object) -> ConsistentHashExchange:
    """An exchange with a queue for each weight."""
    exchange = ConsistentHashExchange("x", False, False, False, Table.of(arguments))
    for name, weight in weights.items():
        exchange.bind(MessageSink(name), str(weight), EMPTY_TABLE)
    return exchange


def chosen(exchange: ConsistentHashExchange, *keys: str, **properties: Any) -> str:
    found: dict[Destination, None] = {}
    exchange.match(keys, message(Properties.of(**properties)), found)
    assert len(found) == 1
    return next(iter(found)).name


def choices(exchange: ConsistentHashExchange) -> dict[str, str]:
    return {key: chosen(exchange, key) for key in KEYS}


@settings(max_examples=30)
@given(WEIGHTS)
def test_shares_are_as_the_weights(weights: dict[str, int]) -> None:
    shares = Counter(choices(hash_exchange(weights)).values())
    for name, weight in weights.items():
        expected = weight / sum(weights.values())
        deviation = (len(KEYS) * expected * (1 - expected)) ** 0.5
        assert abs(shares[name] - len(KEYS) * expected) < 5 * deviation + 1


@settings(max_examples=30)
@given(WEIGHTS, st.integers(1, 20))
def test_a_new_queue_takes_its_share_and_moves_nothing_else(weights: dict[str, int], weight: int) -> None:
    exchange = hash_exchange(weights)
    before = choices(exchange)
    exchange.bind(MessageSink("new"), str(weight), EMPTY_TABLE)
    after = choices(exchange)
    assert {after[key] for key in KEYS if after[key] != before[key]} <= {"new"}


@settings(max_examples=30)
@given(WEIGHTS)
def test_a_queue_that_goes_moves_only_what_it_had(weights: dict[str, int]) -> None:
    exchange = hash_exchange(weights)
    before = choices(exchange)
    gone = exchange.bindings()[0].destination
    exchange.remove_destination(gone)
    after = choices(exchange)
    assert all(after[key] == before[key] for key in KEYS if before[key] != gone.name)


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_of_bindings_does_not_matter(names: list[str]) -> None:
    """It may be another one after a restart."""
    exchange = hash_exchange(dict.fromkeys(names, 1))
    ordered = hash_exchange(dict.fromkeys(sorted(names), 1))
    assert [chosen(exchange, key) for key in KEYS[:100]] == [chosen(ordered, key) for key in KEYS[:100]]


def test_queues_stay_where_they_are_from_one_release_to_the_next() -> None:
    exchange = hash_exchange({"a": 1, "b": 1, "c": 2})
    assert [chosen(exchange, f"k{number}") for number in range(12)] == list("cccbaccacccb")


def test_a_huge_weight_costs_nothing_and_counts() -> None:
    exchange = hash_exchange({"small": 1, "huge": 1_000_000})
    assert set(choices(exchange).values()) == {"huge"}


def test_a_second_binding_of_a_queue_is_ignored() -> None:
    exchange, queue = hash_exchange({"a": 1}), MessageSink("b")
    exchange.bind(queue, "3", EMPTY_TABLE)
    before = choices(exchange)
    assert exchange.bind(queue, "900", EMPTY_TABLE)
    assert choices(exchange) == before


def test_the_second_binding_counts_when_the_first_goes() -> None:
    exchange, queue = hash_exchange({"a": 1}), MessageSink("b")
    for key in ("3", "5", "7"):
        exchange.bind(queue, key, EMPTY_TABLE)
    exchange.unbind(queue, "5", EMPTY_TABLE)
    assert choices(exchange) == choices(hash_exchange({"a": 1, "b": 3}))
    exchange.unbind(queue, "3", EMPTY_TABLE)
    assert choices(exchange) == choices(hash_exchange({"a": 1, "b": 7}))


def test_only_the_first_key_of_a_message_counts() -> None:
    exchange = hash_exchange({"a": 1, "b": 1})
    assert all(chosen(exchange, key, "key-0", "key-1") == chosen(exchange, key) for key in KEYS[:100])


def test_a_header_can_be_hashed_instead_of_the_key() -> None:
    exchange = hash_exchange({"a": 1, "b": 1}, **{"hash-header": "h"})
    by_header = {chosen(exchange, "k", headers={"h": f"v{number}"}) for number in range(50)}
    assert by_header == {"a", "b"}
    assert len({chosen(exchange, key, headers={"h": "v"}) for key in KEYS[:50]}) == 1


@pytest.mark.parametrize("value", [1, 1.5, True, None, b"\xff", ["a"], {"a": 1}, Field("T", 5)])
def test_a_header_of_any_type_can_be_hashed(value: object) -> None:
    exchange = hash_exchange({"a": 1, "b": 1}, **{"hash-header": "h"})
    assert len({chosen(exchange, key, headers={"h": value}) for key in KEYS[:20]}) == 1


def test_headers_are_hashed_by_value() -> None:
    exchange = hash_exchange({"a": 1, "b": 1}, **{"hash-header": "h"})
    assert {chosen(exchange, "k", headers={"h": number}) for number in range(50)} == {"a", "b"}


@pytest.mark.parametrize(("name", "make"), [("message_id", str), ("correlation_id", str), ("timestamp", int)])
def test_a_property_can_be_hashed_instead_of_the_key(name: str, make: type) -> None:
    exchange = hash_exchange({"a": 1, "b": 1}, **{"hash-property": name})
    assert {chosen(exchange, "k", **{name: make(number)}) for number in range(50)} == {"a", "b"}
    assert len({chosen(exchange, key, **{name: make(7)}) for key in KEYS[:50]}) == 1


@pytest.mark.parametrize("arguments", [{"hash-header": "h"}, {"hash-property": "message_id"}])
def test_messages_without_what_is_hashed_go_to_one_queue(arguments: dict[str, str]) -> None:
    exchange = hash_exchange({"a": 1, "b": 1}, **arguments)
    without = {chosen(exchange, key) for key in KEYS[:50]}
    with_others = {chosen(exchange, key, headers={"other": key}, correlation_id=key) for key in KEYS[:50]}
    assert len(without | with_others) == 1


@pytest.mark.parametrize(("key", "weight"), [("1", 1), ("+7", 7), ("007", 7), ("1000000", 1_000_000)])
def test_a_weight_is_what_erlang_reads_as_an_integer(key: str, weight: int) -> None:
    assert weight_of(key) == weight


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("0", "The binding key must be greater than 0"),
        ("-1", "The binding key must be greater than 0"),
        ("abc", 'The binding key must be an integer: <<"abc">>'),
        ("", "The binding key must be an integer: <<>>"),
        ("1.5", 'The binding key must be an integer: <<"1.5">>'),
        ("1_000", 'The binding key must be an integer: <<"1_000">>'),
        (" 1", 'The binding key must be an integer: <<" 1">>'),
        ("1\n", 'The binding key must be an integer: <<"1\\n">>'),
        ("\u0661", 'The binding key must be an integer: <<"\u00d9\u00a1">>'),
    ],
)
def test_another_key_is_refused_and_nothing_is_bound(key: str, text: str) -> None:
    exchange = hash_exchange({})
    with pytest.raises(PreconditionFailed) as refused:
        exchange.bind(MessageSink("q"), key, EMPTY_TABLE)
    assert refused.value.explanation == text
    assert exchange.binding_count == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"hash-property": "foo"}, "Unsupported property: foo"),
        ({"hash-property": "foo", "hash-header": "h"}, "hash-header and hash-property are mutually exclusive"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(PreconditionFailed) as refused:
        ConsistentHashExchange.validate(Table.of(arguments))
    assert refused.value.explanation == text


@pytest.mark.parametrize("arguments", [{"hash-header": 1}, {"hash-property": None}, {"hash-header": b"h"}])
def test_an_argument_of_another_type_is_an_internal_error_as_in_rabbitmq(arguments: dict[str, object]) -> None:
    with pytest.raises(InternalError) as refused:
        ConsistentHashExchange.validate(Table.of(arguments))
    assert (refused.value.reply_text, refused.value.about_method) == ("INTERNAL_ERROR", False)


def test_clients_spread_messages_and_get_every_one() -> None:
    client = World().client()
    client.open()
    client.call(
        1, commands.Exchange.Declare, commands.Exchange.DeclareOk, exchange="x", exchange_type="x-consistent-hash"
    )
    for queue, weight in (("a", "1"), ("b", "3")):
        client.declare(queue)
        client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue=queue, exchange="x", routing_key=weight)
    for key in KEYS[:400]:
        client.publish(1, "x", key)
    counts = [client.declare(queue).message_count for queue in ("a", "b")]
    assert sum(counts) == 400
    assert 50 < counts[0] < 150


def test_a_client_is_told_why_its_weight_is_refused() -> None:
    client = World().client()
    client.open()
    client.call(
        1, commands.Exchange.Declare, commands.Exchange.DeclareOk, exchange="x", exchange_type="x-consistent-hash"
    )
    client.declare("q")
    client.send(1, commands.Queue.Bind, queue="q", exchange="x", routing_key="0")
    assert client.channel_closed() == (406, "PRECONDITION_FAILED - The binding key must be greater than 0")


def test_an_argument_of_another_type_closes_the_connection() -> None:
    client = World().client()
    client.open()
    arguments = {"hash-header": 1}
    client.send(1, commands.Exchange.Declare, exchange="x", exchange_type="x-consistent-hash", arguments=arguments)
    assert client.connection_closed() == (541, "INTERNAL_ERROR")
