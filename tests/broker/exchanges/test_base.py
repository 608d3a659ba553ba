"""amqpd/broker/exchanges/base.py: the contract that every type of exchange keeps, run over all of them."""

from __future__ import annotations

import pytest

from amqpd.broker.binding import Destination
from amqpd.broker.declaration import ExchangeSpec
from amqpd.broker.exchanges import EXCHANGE_TYPES
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.queues.base import QueueSpec
from amqpd.broker.queues.sink import MessageSink
from amqpd.broker.vhost import VHost
from amqpd.wire.table import EMPTY_TABLE, Table
from tests.builders import World, message
from tests.timing import shortest

OTHER = Table.of({"x-foo": 1})
NEEDED = {"x-delayed-message": Table.of({"x-delayed-type": "direct"})}  # arguments that a type cannot do without


@pytest.fixture
def vhost() -> VHost:
    return World().vhost


@pytest.fixture(params=sorted(EXCHANGE_TYPES))
def exchange(request: pytest.FixtureRequest, vhost: VHost) -> Exchange:
    spec = ExchangeSpec(request.param, True, True, True, NEEDED.get(request.param, EMPTY_TABLE))
    return vhost.create_exchange("x", spec)


@pytest.fixture
def queue(vhost: VHost) -> Destination:
    return make_queue(vhost, "q")


def make_queue(vhost: VHost, name: str) -> Destination:
    return vhost.create_queue(name, QueueSpec(False, None, False, EMPTY_TABLE))


def identity(exchange: Exchange, number: int) -> tuple[str, Table]:
    """Key and arguments of a binding that the type accepts, another one for each number."""
    if exchange.kind == "x-consistent-hash":
        return str(number + 1), EMPTY_TABLE
    if exchange.kind == "x-local-random":
        return "", Table.of({"n": number})
    return f"k.{number}", EMPTY_TABLE


def key(exchange: Exchange, number: int = 0) -> str:
    return identity(exchange, number)[0]


def bind(exchange: Exchange, destination: Destination, number: int = 0) -> bool:
    return exchange.bind(destination, *identity(exchange, number))


def unbind(exchange: Exchange, destination: Destination, number: int = 0) -> bool:
    return exchange.unbind(destination, *identity(exchange, number))


def reached(exchange: Exchange, *numbers: int) -> list[Destination]:
    found: dict[Destination, None] = {}
    exchange.match([key(exchange, number) for number in numbers] or [key(exchange)], message(), found)
    return list(found)


def test_the_registry_names_each_class_by_its_kind() -> None:
    plain = {"direct", "fanout", "headers", "topic"}
    hashing = {"x-consistent-hash", "x-modulus-hash"}
    others = {"x-random", "x-local-random", "x-recent-history", "x-delayed-message"}
    assert set(EXCHANGE_TYPES) == plain | hashing | others
    assert all(cls.kind == kind for kind, cls in EXCHANGE_TYPES.items())


def test_an_exchange_is_an_exchange_in_texts(exchange: Exchange) -> None:
    assert exchange.kind_word == "exchange"


def test_an_exchange_is_not_a_local_queue(exchange: Exchange) -> None:
    assert not exchange.local


def test_what_was_declared_can_be_read_back(exchange: Exchange) -> None:
    flags = (exchange.durable, exchange.auto_delete, exchange.internal)
    assert (exchange.name, *flags) == ("x", True, True, True)
    assert exchange.arguments == NEEDED.get(exchange.kind, EMPTY_TABLE)


def test_the_alternate_exchange_is_the_argument_if_it_is_a_longstr(exchange: Exchange) -> None:
    def alternate(value: object) -> str | None:
        arguments = dict(exchange.arguments.items()) | {"alternate-exchange": value}
        return type(exchange)("x", False, False, False, Table.of(arguments)).alternate

    assert exchange.alternate is None
    assert alternate("ae") == "ae"
    assert alternate("") == ""  # the default exchange
    assert alternate(1) is None


def test_validate_takes_any_arguments_that_mean_nothing_to_the_type(exchange: Exchange) -> None:
    exchange.validate(exchange.arguments.replaced(dict(Table.of({"x-foo": 1, "x-match": "foo"}).items())))


def test_an_exchange_without_bindings_reaches_nothing(exchange: Exchange) -> None:
    assert reached(exchange, 0, 1) == []
    assert exchange.bindings() == []
    assert exchange.binding_count == 0


def test_binding_twice_is_binding_once(exchange: Exchange, queue: Destination) -> None:
    assert bind(exchange, queue)
    assert not bind(exchange, queue)
    assert exchange.binding_count == len(exchange.bindings()) == 1
    assert unbind(exchange, queue)
    assert reached(exchange) == []


def test_the_same_key_with_other_arguments_is_another_binding(exchange: Exchange, queue: Destination) -> None:
    assert bind(exchange, queue)
    assert exchange.bind(queue, key(exchange), OTHER)
    assert not exchange.unbind(queue, key(exchange), Table.of({"x-foo": 2}))
    assert unbind(exchange, queue)
    assert reached(exchange) == [queue]
    assert [binding.arguments for binding in exchange.bindings()] == [OTHER]


def test_the_order_of_arguments_does_not_make_another_binding(exchange: Exchange, queue: Destination) -> None:
    exchange.bind(queue, key(exchange), Table.of({"a": 1, "b": 2}))
    assert not exchange.bind(queue, key(exchange), Table.of({"b": 2, "a": 1}))
    assert exchange.unbind(queue, key(exchange), Table.of({"b": 2, "a": 1}))


def test_unbinding_what_is_not_bound_changes_nothing(exchange: Exchange, queue: Destination, vhost: VHost) -> None:
    bind(exchange, queue)
    assert not unbind(exchange, queue, 1)
    assert not unbind(exchange, make_queue(vhost, "other"))
    assert reached(exchange) == [queue]


def test_two_matching_bindings_reach_a_queue_once(exchange: Exchange, queue: Destination) -> None:
    bind(exchange, queue)
    exchange.bind(queue, key(exchange), OTHER)
    assert reached(exchange, 0, 0) == [queue]


def test_match_keeps_what_was_found_before(exchange: Exchange, queue: Destination, vhost: VHost) -> None:
    earlier = make_queue(vhost, "earlier")
    bind(exchange, queue)
    found: dict[Destination, None] = {earlier: None}
    exchange.match([key(exchange)], message(), found)
    assert list(found) == [earlier, queue]


def test_removing_a_destination_takes_all_its_bindings_and_no_others(
    exchange: Exchange, queue: Destination, vhost: VHost
) -> None:
    other = make_queue(vhost, "other")
    for number in range(3):
        bind(exchange, queue, number)
    exchange.bind(queue, key(exchange), OTHER)
    bind(exchange, other)
    assert exchange.remove_destination(queue) == 4
    assert exchange.remove_destination(queue) == 0
    assert reached(exchange, 0, 1, 2) == [other]
    assert exchange.binding_count == 1


def test_bindings_can_be_looked_up_by_destination_and_by_identity(
    exchange: Exchange, queue: Destination, vhost: VHost
) -> None:
    other = make_queue(vhost, "other")
    bind(exchange, queue, 0)
    bind(exchange, other, 0)
    bind(exchange, queue, 1)
    keys = [key(exchange, 0), key(exchange, 1)]
    assert [binding.key for binding in exchange.bindings_to(queue)] == keys
    assert [binding.destination for binding in exchange.bindings()] == [queue, queue, other]
    assert exchange.find_binding(queue, *identity(exchange, 1)) is exchange.bindings_to(queue)[1]
    assert exchange.find_binding(queue, keys[1], OTHER) is None
    assert exchange.find_binding(make_queue(vhost, "third"), *identity(exchange, 1)) is None


def test_an_exchange_is_the_source_of_its_bindings(exchange: Exchange, queue: Destination) -> None:
    bind(exchange, queue)
    assert [binding.source for binding in exchange.bindings()] == [exchange]


def test_an_exchange_leads_to_a_destination_until_its_last_binding_there_goes(
    exchange: Exchange, queue: Destination
) -> None:
    assert not exchange.leads_to(queue)
    bind(exchange, queue, 0)
    bind(exchange, queue, 1)
    unbind(exchange, queue, 0)
    assert exchange.leads_to(queue)
    unbind(exchange, queue, 1)
    assert not exchange.leads_to(queue)
    assert exchange.bindings_to(queue) == []


@pytest.mark.parametrize("kind", sorted(EXCHANGE_TYPES.keys() - {"x-local-random"}))
def test_an_exchange_can_be_bound_to_itself(kind: str, vhost: VHost) -> None:
    spec = ExchangeSpec(kind, True, True, True, NEEDED.get(kind, EMPTY_TABLE))
    exchange = vhost.create_exchange("x", spec)
    assert bind(exchange, exchange)
    assert reached(exchange) == [exchange]


def test_removing_a_destination_costs_no_more_among_100_000_bindings(
    exchange: Exchange, vhost: VHost, queue: Destination
) -> None:
    large = vhost.create_exchange("y", ExchangeSpec(exchange.kind, True, True, True, exchange.arguments))
    for number in range(100_000):
        name, arguments = identity(large, number)
        other = queue if large.kind == "x-local-random" else MessageSink("other")
        large.bind(other, name, Table.of({"n": number}) if large.kind == "headers" else arguments)
    # A search through all bindings would cost some thousand times as much.
    queues = [make_queue(vhost, f"q{number}") for number in range(200)]
    assert removal_seconds(large, queues) < 30 * removal_seconds(exchange, queues)


def removal_seconds(exchange: Exchange, queues: list[Destination]) -> float:
    def bind_all() -> None:
        for queue in queues:
            bind(exchange, queue)

    def remove_all() -> None:
        for queue in queues:
            exchange.remove_destination(queue)

    return shortest(remove_all, bind_all)
