"""amqpd/broker/exchanges/base.py: the contract that every type of exchange keeps, run over all of them."""

from __future__ import annotations

import time

import pytest

from amqpd.broker.binding import Destination
from amqpd.broker.exchanges import EXCHANGE_TYPES
from amqpd.broker.exchanges.base import Exchange
from amqpd.wire.properties import EMPTY_PROPERTIES
from amqpd.wire.table import EMPTY_TABLE, Table

ARGUMENTS = Table.of({"x-foo": 1})


@pytest.fixture(params=sorted(EXCHANGE_TYPES))
def exchange(request: pytest.FixtureRequest) -> Exchange:
    return EXCHANGE_TYPES[request.param]("x", True, True, True, EMPTY_TABLE)


def reached(exchange: Exchange, *keys: str) -> list[Destination]:
    found: dict[Destination, None] = {}
    exchange.match(keys, EMPTY_PROPERTIES, found)
    return list(found)


def test_the_registry_names_each_class_by_its_kind() -> None:
    assert set(EXCHANGE_TYPES) == {"direct", "fanout", "headers", "topic"}
    assert all(cls.kind == kind for kind, cls in EXCHANGE_TYPES.items())


def test_an_exchange_is_an_exchange_in_texts(exchange: Exchange) -> None:
    assert exchange.kind_word == "exchange"


def test_what_was_declared_can_be_read_back(exchange: Exchange) -> None:
    flags = (exchange.durable, exchange.auto_delete, exchange.internal)
    assert (exchange.name, *flags, exchange.arguments) == ("x", True, True, True, EMPTY_TABLE)


def test_the_alternate_exchange_is_the_argument_if_it_is_a_longstr(exchange: Exchange) -> None:
    def alternate(value: object) -> str | None:
        return type(exchange)("x", False, False, False, Table.of({"alternate-exchange": value})).alternate

    assert exchange.alternate is None
    assert alternate("ae") == "ae"
    assert alternate("") == ""  # the default exchange
    assert alternate(1) is None


def test_validate_takes_any_arguments_that_mean_nothing_to_the_type(exchange: Exchange) -> None:
    exchange.validate(Table.of({"x-foo": 1, "hash-header": 1}))


def test_an_exchange_without_bindings_reaches_nothing(exchange: Exchange) -> None:
    assert reached(exchange, "", "k") == []
    assert exchange.bindings() == []
    assert exchange.binding_count == 0


def test_binding_twice_is_binding_once(exchange: Exchange) -> None:
    queue = Destination("q")
    assert exchange.bind(queue, "k", EMPTY_TABLE)
    assert not exchange.bind(queue, "k", EMPTY_TABLE)
    assert exchange.binding_count == len(exchange.bindings()) == 1
    assert exchange.unbind(queue, "k", EMPTY_TABLE)
    assert reached(exchange, "k") == []


def test_the_same_key_with_other_arguments_is_another_binding(exchange: Exchange) -> None:
    queue = Destination("q")
    assert exchange.bind(queue, "k", EMPTY_TABLE)
    assert exchange.bind(queue, "k", ARGUMENTS)
    assert not exchange.unbind(queue, "k", Table.of({"x-foo": 2}))
    assert exchange.unbind(queue, "k", EMPTY_TABLE)
    assert reached(exchange, "k") == [queue]
    assert [binding.arguments for binding in exchange.bindings()] == [ARGUMENTS]


def test_the_order_of_arguments_does_not_make_another_binding(exchange: Exchange) -> None:
    queue = Destination("q")
    exchange.bind(queue, "k", Table.of({"a": 1, "b": 2}))
    assert not exchange.bind(queue, "k", Table.of({"b": 2, "a": 1}))
    assert exchange.unbind(queue, "k", Table.of({"b": 2, "a": 1}))


def test_unbinding_what_is_not_bound_changes_nothing(exchange: Exchange) -> None:
    queue, other = Destination("q"), Destination("q")
    exchange.bind(queue, "k", EMPTY_TABLE)
    assert not exchange.unbind(queue, "z", EMPTY_TABLE)
    assert not exchange.unbind(other, "k", EMPTY_TABLE)
    assert reached(exchange, "k") == [queue]


def test_two_matching_bindings_reach_a_queue_once(exchange: Exchange) -> None:
    queue = Destination("q")
    exchange.bind(queue, "k", EMPTY_TABLE)
    exchange.bind(queue, "k", ARGUMENTS)
    assert reached(exchange, "k", "k") == [queue]


def test_match_keeps_what_was_found_before(exchange: Exchange) -> None:
    queue, earlier = Destination("q"), Destination("earlier")
    exchange.bind(queue, "k", EMPTY_TABLE)
    found: dict[Destination, None] = {earlier: None}
    exchange.match(["k"], EMPTY_PROPERTIES, found)
    assert list(found) == [earlier, queue]


def test_removing_a_destination_takes_all_its_bindings_and_no_others(exchange: Exchange) -> None:
    doomed, other = Destination("doomed"), Destination("other")
    for key in ("k", "a", "b"):
        exchange.bind(doomed, key, EMPTY_TABLE)
    exchange.bind(doomed, "k", ARGUMENTS)
    exchange.bind(other, "k", EMPTY_TABLE)
    assert exchange.remove_destination(doomed) == 4
    assert exchange.remove_destination(doomed) == 0
    assert reached(exchange, "k", "a", "b") == [other]
    assert exchange.binding_count == 1


def test_bindings_can_be_looked_up_by_destination_and_by_identity(exchange: Exchange) -> None:
    queue, other = Destination("q"), Destination("other")
    exchange.bind(queue, "a", EMPTY_TABLE)
    exchange.bind(other, "a", EMPTY_TABLE)
    exchange.bind(queue, "b", EMPTY_TABLE)
    assert [binding.key for binding in exchange.bindings_to(queue)] == ["a", "b"]
    assert [binding.destination for binding in exchange.bindings()] == [queue, queue, other]
    assert exchange.find_binding(queue, "b", EMPTY_TABLE) is exchange.bindings_to(queue)[1]
    assert exchange.find_binding(queue, "b", ARGUMENTS) is None
    assert exchange.find_binding(Destination("q"), "b", EMPTY_TABLE) is None


def test_an_exchange_leads_to_a_destination_until_its_last_binding_there_goes(exchange: Exchange) -> None:
    queue = Destination("q")
    assert not exchange.leads_to(queue)
    exchange.bind(queue, "a", EMPTY_TABLE)
    exchange.bind(queue, "b", EMPTY_TABLE)
    exchange.unbind(queue, "a", EMPTY_TABLE)
    assert exchange.leads_to(queue)
    exchange.unbind(queue, "b", EMPTY_TABLE)
    assert not exchange.leads_to(queue)
    assert exchange.bindings_to(queue) == []


def test_an_exchange_can_be_bound_to_itself(exchange: Exchange) -> None:
    assert exchange.bind(exchange, "k", EMPTY_TABLE)
    assert reached(exchange, "k") == [exchange]


def test_removing_a_destination_costs_no_more_among_100_000_bindings(exchange: Exchange) -> None:
    small, large = exchange, type(exchange)("y", False, False, False, EMPTY_TABLE)
    for number in range(100_000):
        large.bind(
            Destination("other"), f"other.{number}", Table.of({"n": number}) if large.kind == "headers" else EMPTY_TABLE
        )
    # A search through all bindings would cost some thousand times as much.
    assert removal_seconds(large) < 20 * removal_seconds(small)


def removal_seconds(exchange: Exchange) -> float:
    queues = [Destination("q") for _ in range(200)]
    for queue in queues:
        exchange.bind(queue, "some.key", EMPTY_TABLE)
    began = time.perf_counter()
    for queue in queues:
        exchange.remove_destination(queue)
    return time.perf_counter() - began
