"""amqpd/broker/exchanges/direct.py: binding key and routing key are equal."""

from __future__ import annotations

from amqpd.broker.binding import Destination
from amqpd.broker.exchanges.direct import DirectExchange
from amqpd.wire.table import EMPTY_TABLE
from tests.builders import message


def routes(keys: list[str]) -> list[str]:
    """The names of the queues, each bound under its name, that a message with these keys reaches."""
    exchange = DirectExchange("x", False, False, False, EMPTY_TABLE)
    for name in ("a", "b", "", "a.#", "*"):
        exchange.bind(Destination(name), name, EMPTY_TABLE)
    found: dict[Destination, None] = {}
    exchange.match(keys, message(), found)
    return [destination.name for destination in found]


def test_only_the_equal_key_matches() -> None:
    assert routes(["a"]) == ["a"]
    assert routes(["A"]) == []
    assert routes(["aa"]) == []


def test_the_empty_key_is_a_normal_key() -> None:
    assert routes([""]) == [""]


def test_wildcards_mean_nothing() -> None:
    assert routes(["a.b"]) == []
    assert routes(["a.#"]) == ["a.#"]


def test_every_key_of_a_message_counts() -> None:
    assert routes(["b", "z", "a"]) == ["b", "a"]


def test_one_key_reaches_all_its_queues() -> None:
    exchange = DirectExchange("x", False, False, False, EMPTY_TABLE)
    queues = [Destination(f"q{number}") for number in range(3)]
    for queue in queues:
        exchange.bind(queue, "k", EMPTY_TABLE)
    exchange.unbind(queues[1], "k", EMPTY_TABLE)
    found: dict[Destination, None] = {}
    exchange.match(["k"], message(), found)
    assert list(found) == [queues[0], queues[2]]


def test_the_result_depends_on_keys_only() -> None:
    assert DirectExchange.by_key
