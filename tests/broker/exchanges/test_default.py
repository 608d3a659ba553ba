"""amqpd/broker/exchanges/default.py: every queue is bound under its own name."""

from __future__ import annotations

import pytest

from amqpd.broker.binding import Destination
from amqpd.broker.exchanges.default import DefaultExchange
from amqpd.errors import AccessRefused
from amqpd.wire.table import EMPTY_TABLE, Table
from tests.builders import message


@pytest.fixture
def queues() -> dict[str, Destination]:
    return {name: Destination(name) for name in ("a", "b")}


@pytest.fixture
def exchange(queues: dict[str, Destination]) -> DefaultExchange:
    return DefaultExchange(queues)


def reached(exchange: DefaultExchange, *keys: str) -> list[Destination]:
    found: dict[Destination, None] = {}
    exchange.match(keys, message(), found)
    return list(found)


def test_it_is_a_durable_direct_exchange_with_the_empty_name(exchange: DefaultExchange) -> None:
    assert (exchange.name, exchange.kind, exchange.durable, exchange.by_key) == ("", "direct", True, True)
    assert (exchange.auto_delete, exchange.internal, exchange.alternate) == (False, False, None)


def test_a_key_reaches_the_queue_of_that_name(exchange: DefaultExchange, queues: dict[str, Destination]) -> None:
    assert reached(exchange, "b") == [queues["b"]]
    assert reached(exchange, "b", "z", "a", "b") == [queues["b"], queues["a"]]
    assert reached(exchange, "B", "") == []


def test_queues_come_and_go_with_the_virtual_host(exchange: DefaultExchange, queues: dict[str, Destination]) -> None:
    queues["c"] = Destination("c")
    del queues["a"]
    assert reached(exchange, "a", "c") == [queues["c"]]


def test_nothing_can_be_bound(exchange: DefaultExchange, queues: dict[str, Destination]) -> None:
    with pytest.raises(AccessRefused) as refused:
        exchange.bind(queues["a"], "key", EMPTY_TABLE)
    assert refused.value.reply_text == "ACCESS_REFUSED - operation not permitted on the default exchange"
    assert reached(exchange, "key") == []


def test_the_implicit_bindings_can_be_listed(exchange: DefaultExchange, queues: dict[str, Destination]) -> None:
    listed = [(binding.source, binding.destination, binding.key) for binding in exchange.bindings()]
    assert listed == [(exchange, queues["a"], "a"), (exchange, queues["b"], "b")]
    assert exchange.binding_count == 2


def test_a_reply_address_is_reached_without_a_binding(
    exchange: DefaultExchange, queues: dict[str, Destination]
) -> None:
    address = "amq.rabbitmq.reply-to.somebody"
    queues[address] = Destination(address)
    assert reached(exchange, address) == [queues[address]]
    assert [binding.key for binding in exchange.bindings()] == ["a", "b"]
    assert exchange.binding_count == 2


def test_implicit_bindings_can_be_looked_up(exchange: DefaultExchange, queues: dict[str, Destination]) -> None:
    assert [binding.key for binding in exchange.bindings_to(queues["a"])] == ["a"]
    assert exchange.bindings_to(Destination("a")) == []
    assert exchange.leads_to(queues["a"])
    assert not exchange.leads_to(Destination("a"))
    found = exchange.find_binding(queues["a"], "a", EMPTY_TABLE)
    assert found is not None
    assert found.destination is queues["a"]
    assert exchange.find_binding(queues["a"], "b", EMPTY_TABLE) is None
    assert exchange.find_binding(queues["a"], "a", Table.of({"x": 1})) is None


def test_implicit_bindings_cannot_be_removed(exchange: DefaultExchange, queues: dict[str, Destination]) -> None:
    assert not exchange.unbind(queues["a"], "a", EMPTY_TABLE)
    assert exchange.remove_destination(queues["a"]) == 0
    assert reached(exchange, "a") == [queues["a"]]
