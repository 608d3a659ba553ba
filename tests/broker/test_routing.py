"""amqpd/broker/routing.py: from the exchange that was published to, to the queues."""

from __future__ import annotations

import pytest

from amqpd.broker.binding import Destination
from amqpd.broker.exchanges import EXCHANGE_TYPES
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.exchanges.default import DefaultExchange
from amqpd.broker.routing import Routed, keys_of, route, without_blind_copies
from amqpd.errors import PreconditionFailed
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from amqpd.wire.table import EMPTY_TABLE, Field, Table
from tests.builders import World, message


class Topology:
    """Exchanges and queues by name, wired up in one line each."""

    def __init__(self) -> None:
        self.queues: dict[str, Destination] = {}
        self.exchanges: dict[str, Exchange] = {"": DefaultExchange(self.queues)}

    def exchange(self, name: str, kind: str = "fanout", alternate: str | None = None) -> None:
        arguments = {"x-delayed-type": "direct"} if kind == "x-delayed-message" else {}
        if alternate is not None:
            arguments["alternate-exchange"] = alternate
        self.exchanges[name] = EXCHANGE_TYPES[kind](name, False, False, False, Table.of(arguments))
        self.exchanges[name].attach(World().vhost)

    def queue(self, name: str) -> Destination:
        return self.queues.setdefault(name, Destination(name))

    def bind(self, source: str, destination: str, key: str = "") -> None:
        end = self.exchanges.get(destination) or self.queue(destination)
        self.exchanges[source].bind(end, key, EMPTY_TABLE)

    def route(self, start: str, *keys: str) -> Routed:
        return route(self.exchanges[start], keys or ("k",), message(), self.exchanges)

    def reached(self, start: str, *keys: str) -> list[str]:
        return sorted(queue.name for queue in self.route(start, *keys).queues)


@pytest.fixture
def topology() -> Topology:
    return Topology()


def test_queues_of_one_exchange_are_reached(topology: Topology) -> None:
    topology.exchange("x")
    topology.bind("x", "q1")
    topology.bind("x", "q2")
    assert topology.reached("x") == ["q1", "q2"]


def test_no_binding_means_unroutable(topology: Topology) -> None:
    topology.exchange("x")
    assert topology.route("x").queues == []


def test_messages_follow_bindings_between_exchanges_with_their_keys(topology: Topology) -> None:
    topology.exchange("a", "topic")
    topology.exchange("b", "direct")
    topology.bind("a", "b", "k.#")
    topology.bind("b", "q", "k.1")
    topology.bind("b", "other", "k.#")
    assert topology.reached("a", "k.1") == ["q"]


def test_two_paths_reach_a_queue_once(topology: Topology) -> None:
    for name in ("start", "left", "right"):
        topology.exchange(name)
    for source, destination in (("start", "left"), ("start", "right"), ("left", "q"), ("right", "q"), ("start", "q")):
        topology.bind(source, destination)
    assert topology.reached("start") == ["q"]


def test_cycles_end_as_each_exchange_is_visited_once(topology: Topology) -> None:
    topology.exchange("a")
    topology.exchange("b")
    for source, destination in (("a", "a"), ("a", "b"), ("b", "a"), ("b", "q")):
        topology.bind(source, destination)
    assert topology.reached("a") == ["q"]


def test_a_long_chain_of_exchanges_is_followed_to_its_end(topology: Topology) -> None:
    topology.exchange("0")
    for number in range(1, 5000):
        topology.exchange(str(number))
        topology.bind(str(number - 1), str(number))
    topology.bind("4999", "q")
    assert topology.reached("0") == ["q"]


def test_the_alternate_exchange_gets_what_matches_nothing(topology: Topology) -> None:
    topology.exchange("ae")
    topology.exchange("x", "direct", alternate="ae")
    topology.bind("ae", "unmatched")
    topology.bind("x", "matched", "k")
    assert topology.reached("x", "other") == ["unmatched"]
    assert topology.reached("x", "k") == ["matched"]


def test_one_matching_key_is_enough_to_avoid_the_alternate_exchange(topology: Topology) -> None:
    topology.exchange("ae")
    topology.exchange("x", "direct", alternate="ae")
    topology.bind("ae", "unmatched")
    topology.bind("x", "matched", "k")
    assert topology.reached("x", "other", "k") == ["matched"]


def test_an_exchange_that_yields_an_exchange_does_not_ask_its_alternate(topology: Topology) -> None:
    topology.exchange("ae")
    topology.exchange("dead end")
    topology.exchange("x", alternate="ae")
    topology.bind("ae", "unmatched")
    topology.bind("x", "dead end")
    assert topology.reached("x") == []


def test_an_exchange_on_the_way_has_its_alternate_too(topology: Topology) -> None:
    topology.exchange("ae")
    topology.exchange("inner", "direct", alternate="ae")
    topology.exchange("x")
    topology.bind("x", "inner")
    topology.bind("ae", "unmatched")
    assert topology.reached("x") == ["unmatched"]


def test_alternate_exchanges_chain_and_may_form_a_cycle(topology: Topology) -> None:
    topology.exchange("a", "direct", alternate="b")
    topology.exchange("b", "direct", alternate="c")
    topology.exchange("c", "direct", alternate="a")
    assert topology.reached("a") == []
    topology.bind("c", "q", "k")
    assert topology.reached("a") == ["q"]


def test_a_missing_alternate_exchange_is_ignored(topology: Topology) -> None:
    topology.exchange("x", alternate="missing")
    assert topology.reached("x") == []


def test_the_default_exchange_as_the_alternate_leads_nowhere(topology: Topology) -> None:
    """As in RabbitMQ: nothing is bound to it, and only a publish to it is looked up by name."""
    topology.exchange("x", alternate="")
    topology.queue("q")
    assert topology.reached("x", "q") == []


def test_an_alternate_set_by_a_policy_counts(topology: Topology) -> None:
    topology.exchange("ae")
    topology.exchange("x")
    topology.bind("ae", "q")
    topology.exchanges["x"].alternate = "ae"
    assert topology.reached("x") == ["q"]


@pytest.mark.parametrize("kind", sorted(EXCHANGE_TYPES))
def test_an_answer_is_cacheable_if_the_type_goes_by_keys(topology: Topology, kind: str) -> None:
    topology.exchange(kind, kind)
    by_key = kind in ("direct", "fanout", "topic", "x-modulus-hash")
    assert topology.route(kind).cacheable is EXCHANGE_TYPES[kind].by_key is by_key


def test_an_answer_is_cacheable_unless_an_exchange_looked_beyond_the_keys(topology: Topology) -> None:
    for kind in ("direct", "fanout", "topic", "headers"):
        topology.exchange(kind, kind)
    topology.bind("fanout", "direct")
    topology.bind("fanout", "topic")
    assert topology.route("fanout").cacheable
    assert not topology.route("headers").cacheable
    topology.bind("topic", "headers", "k")
    assert not topology.route("fanout").cacheable
    assert topology.route("fanout", "other").cacheable


def headers(**values: object) -> Properties:
    return Properties.of(headers=Table.of(values))


def test_a_message_without_headers_has_its_own_key_only() -> None:
    assert keys_of("k", EMPTY_PROPERTIES) == ["k"]
    assert keys_of("k", headers()) == ["k"]


def test_cc_and_bcc_add_keys_and_duplicates_collapse() -> None:
    assert keys_of("k", headers(BCC=["c", "k"], CC=["a", "b", "a"])) == ["k", "a", "b", "c"]


def test_sender_selected_headers_are_upper_case() -> None:
    assert keys_of("k", headers(cc=["a"], Bcc=["b"])) == ["k"]


def test_elements_that_are_not_longstr_are_skipped() -> None:
    assert keys_of("k", headers(CC=["a", 1, None, b"x", ["b"], {"c": "c"}])) == ["k", "a"]


@pytest.mark.parametrize(
    ("name", "value", "type_name"),
    [
        ("CC", "a", "longstr"),
        ("BCC", "a", "longstr"),
        ("CC", None, "void"),
        ("CC", 1, "signedint"),
        ("BCC", {"a": "b"}, "table"),
        ("CC", Field("D", (0, 1)), "decimal"),
    ],
)
def test_cc_that_is_no_array_is_refused(name: str, value: object, type_name: str) -> None:
    with pytest.raises(PreconditionFailed) as refused:
        keys_of("k", headers(**{name: value}))
    expected = f'PRECONDITION_FAILED - invalid message: {{unacceptable_type_in_header,"{name}",{type_name}}}'
    assert refused.value.reply_text == expected


def test_cc_is_told_of_before_bcc() -> None:
    with pytest.raises(PreconditionFailed, match='"CC"'):
        keys_of("k", headers(BCC="b", CC="c"))


def test_blind_copies_are_taken_out_and_all_else_stays() -> None:
    published = message(headers(BCC=["b"], CC=["a"], n=1), b"body", key="k")
    delivered = without_blind_copies(published)
    assert delivered.properties == headers(CC=["a"], n=1)
    assert (delivered.body, delivered.exchange, delivered.routing_key) == (b"body", "x", "k")


@pytest.mark.parametrize("properties", [EMPTY_PROPERTIES, headers(), headers(CC=["a"], bcc=["b"])])
def test_a_message_without_blind_copies_stays_as_it_is(properties: Properties) -> None:
    published = message(properties)
    assert without_blind_copies(published) is published
