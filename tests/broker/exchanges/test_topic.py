"""amqpd/broker/exchanges/topic.py: patterns of words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.binding import Destination
from amqpd.broker.exchanges.topic import TopicExchange
from amqpd.wire.table import EMPTY_TABLE
from tests.builders import message
from tests.timing import shortest

# What RabbitMQ 4.0.5 and 3.10.8 do with these patterns (conformance row C70).
PATTERNS = (
    "#", "*", "*.*", "a.b", "a.*", "a.#", "#.b", "*.b", "a.#.b", "#.#",
    "*.#", "#.*", "", "a..b", "*.", "a.*.b", "#.*.#", "a#", "*b", ".",
)  # fmt: skip
MATRIX = {
    "": ["#", "#.#", ""],
    "a": ["#", "*", "a.#", "#.#", "*.#", "#.*", "#.*.#"],
    "a.b": ["#", "*.*", "a.b", "a.*", "a.#", "#.b", "*.b", "a.#.b", "#.#", "*.#", "#.*", "#.*.#"],
    "a.x.b": ["#", "a.#", "#.b", "a.#.b", "#.#", "*.#", "#.*", "a.*.b", "#.*.#"],
    "a.x.y.b": ["#", "a.#", "#.b", "a.#.b", "#.#", "*.#", "#.*", "#.*.#"],
    "b": ["#", "*", "#.b", "#.#", "*.#", "#.*", "#.*.#"],
    "a..b": ["#", "a.#", "#.b", "a.#.b", "#.#", "*.#", "#.*", "a..b", "a.*.b", "#.*.#"],
    "a.": ["#", "*.*", "a.*", "a.#", "#.#", "*.#", "#.*", "*.", "#.*.#"],
    ".b": ["#", "*.*", "#.b", "*.b", "#.#", "*.#", "#.*", "#.*.#"],
    ".": ["#", "*.*", "#.#", "*.#", "#.*", "*.", "#.*.#", "."],
    "a#": ["#", "*", "#.#", "*.#", "#.*", "#.*.#", "a#"],
    "xb": ["#", "*", "#.#", "*.#", "#.*", "#.*.#"],
    "#": ["#", "*", "#.#", "*.#", "#.*", "#.*.#"],
    "*": ["#", "*", "#.#", "*.#", "#.*", "#.*.#"],
}


def topic_exchange(*patterns: str) -> TopicExchange:
    """An exchange with a queue for each pattern, called like it."""
    exchange = TopicExchange("x", False, False, False, EMPTY_TABLE)
    for pattern in patterns:
        exchange.bind(Destination(pattern), pattern, EMPTY_TABLE)
    return exchange


def matched(exchange: TopicExchange, *keys: str) -> set[str]:
    found: dict[Destination, None] = {}
    exchange.match(keys, message(), found)
    return {destination.name for destination in found}


def matches(pattern: list[str], words: list[str]) -> bool:
    """The definition, word by word: what the trie must agree with."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return matches(pattern[1:], words) or (bool(words) and matches(pattern, words[1:]))
    return bool(words) and pattern[0] in ("*", words[0]) and matches(pattern[1:], words[1:])


def split(key: str) -> list[str]:
    return key.split(".") if key else []


def expected(patterns: set[str], key: str) -> set[str]:
    return {pattern for pattern in patterns if matches(split(pattern), split(key))}


WORDS = st.sampled_from(["a", "b", "", "#", "*", "a#"])
KEYS = st.lists(WORDS, max_size=6).map(".".join)


@pytest.mark.parametrize("key", MATRIX)
def test_patterns_match_as_in_rabbitmq(key: str) -> None:
    assert matched(topic_exchange(*PATTERNS), key) == set(MATRIX[key])


@given(st.sets(KEYS, max_size=20), KEYS)
def test_the_trie_agrees_with_the_definition(patterns: set[str], key: str) -> None:
    assert matched(topic_exchange(*patterns), key) == expected(patterns, key)


@given(st.sets(KEYS, max_size=20), st.sets(KEYS, max_size=20), KEYS)
def test_removed_bindings_leave_the_others_as_they_were(kept: set[str], removed: set[str], key: str) -> None:
    exchange = topic_exchange(*kept, *(removed - kept))
    for binding in exchange.bindings():
        if binding.key not in kept:
            exchange.unbind(binding.destination, binding.key, binding.arguments)
    assert matched(exchange, key) == expected(kept, key)


@given(st.sets(KEYS, max_size=20))
def test_the_trie_forgets_the_branches_of_removed_bindings(patterns: set[str]) -> None:
    exchange = topic_exchange(*patterns)
    for binding in exchange.bindings():
        exchange.remove_destination(binding.destination)
    assert exchange._root.empty


@given(st.sets(KEYS, max_size=20), st.lists(KEYS, min_size=1, max_size=3))
def test_every_key_of_a_message_counts(patterns: set[str], keys: list[str]) -> None:
    assert matched(topic_exchange(*patterns), *keys) == set().union(*(expected(patterns, key) for key in keys))


def test_keys_are_case_sensitive() -> None:
    assert matched(topic_exchange("a.B", "A.b"), "a.B") == {"a.B"}


def test_several_queues_may_have_one_pattern() -> None:
    exchange = TopicExchange("x", False, False, False, EMPTY_TABLE)
    queues = [Destination(f"q{number}") for number in range(3)]
    for queue in queues:
        exchange.bind(queue, "a.*", EMPTY_TABLE)
    exchange.remove_destination(queues[1])
    assert matched(exchange, "a.b") == {"q0", "q2"}


def test_no_pattern_makes_the_walk_explode() -> None:
    """Trying one way after the other would take longer than the universe has."""
    pattern = ".".join(["#", "a"] * 60)
    assert matched(topic_exchange(pattern), "a." * 120 + "b") == set()
    assert matched(topic_exchange(pattern), "a." * 120 + "a") == {pattern}


def test_the_result_depends_on_keys_only() -> None:
    assert TopicExchange.by_key


def test_100_000_bindings_cost_no_more_than_three_times_ten() -> None:
    few = topic_exchange(*[f"device.{number}.#" for number in range(10)])
    many = topic_exchange(*[f"device.{number}.#" for number in range(100_000)])
    assert match_seconds(many) < 3 * match_seconds(few)


def match_seconds(exchange: TopicExchange) -> float:
    keys = [f"device.{number}.temperature" for number in range(10)]

    def match_all() -> None:
        for _ in range(50):
            matched(exchange, *keys)

    return shortest(match_all)
