"""amqpd/broker/exchanges/modulus_hash.py: one destination a message, by a hash of its keys."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.binding import Destination
from amqpd.broker.exchanges.modulus_hash import ModulusHashExchange
from amqpd.broker.queues.sink import MessageSink
from amqpd.wire.table import EMPTY_TABLE
from tests.builders import message

KEYS = [f"key-{number}" for number in range(3000)]


def modulus_exchange(*names: str) -> ModulusHashExchange:
    exchange = ModulusHashExchange("x", False, False, False, EMPTY_TABLE)
    queues = {name: MessageSink(name) for name in names}
    for number, name in enumerate(names):
        exchange.bind(queues[name], f"binding {number}", EMPTY_TABLE)
    return exchange


def chosen(exchange: ModulusHashExchange, *keys: str) -> str:
    found: dict[Destination, None] = {}
    exchange.match(keys, message(), found)
    assert len(found) == 1
    return next(iter(found)).name


@given(st.lists(st.text(max_size=3), min_size=1, max_size=8), st.lists(st.text(), min_size=1, max_size=3), st.randoms())
def test_the_same_keys_always_go_to_the_same_queue(names: list[str], keys: list[str], chance: object) -> None:
    """Also when the bindings were made in another order, as after a restart."""
    shuffled = list(names)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # the type of st.randoms() is no public name
    assert chosen(modulus_exchange(*names), *keys) == chosen(modulus_exchange(*shuffled), *keys)


def test_queues_stay_where_they_are_from_one_release_to_the_next() -> None:
    exchange = modulus_exchange("a", "b", "c")
    assert [chosen(exchange, f"k{number}") for number in range(12)] == list("ccabaabcaacb")


def test_keys_are_spread_evenly() -> None:
    shares = Counter(chosen(modulus_exchange("a", "b", "c"), key) for key in KEYS)
    assert all(abs(share - 1000) < 130 for share in shares.values())


def test_a_queue_bound_twice_gets_double() -> None:
    exchange = modulus_exchange("a", "b", "b")
    shares = Counter(chosen(exchange, key) for key in KEYS)
    assert abs(shares["b"] - 2000) < 130


def test_every_key_of_a_message_counts() -> None:
    exchange = modulus_exchange("a", "b", "c", "d")
    assert len({chosen(exchange, "k", f"cc-{number}") for number in range(50)}) == 4


def test_bindings_that_come_and_go_count_at_once() -> None:
    exchange = modulus_exchange("a")
    assert {chosen(exchange, key) for key in KEYS[:50]} == {"a"}
    new = MessageSink("new")
    exchange.bind(new, "", EMPTY_TABLE)
    assert {chosen(exchange, key) for key in KEYS[:50]} == {"a", "new"}
    exchange.remove_destination(new)
    assert {chosen(exchange, key) for key in KEYS[:50]} == {"a"}


def test_the_result_depends_on_keys_only() -> None:
    assert ModulusHashExchange.by_key
