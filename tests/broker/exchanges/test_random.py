"""amqpd/broker/exchanges/random.py: one binding a message, whichever."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from amqpd.broker.binding import Destination
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.exchanges.random import RandomExchange
from amqpd.broker.queues.sink import MessageSink
from amqpd.broker.vhost import VHost
from amqpd.wire.table import EMPTY_TABLE
from tests.builders import World, message


@pytest.fixture
def exchange() -> Exchange:
    return random_exchange()


def random_exchange() -> Exchange:
    """With randomness that is the same in every run."""
    world = World()
    world.context.random_bytes = Random(7).randbytes
    exchange = RandomExchange("x", False, False, False, EMPTY_TABLE)
    exchange.attach(VHost("v", world.context, world.broker.events))
    return exchange


def chosen(exchange: Exchange) -> Destination:
    found: dict[Destination, None] = {}
    exchange.match(["any"], message(), found)
    assert len(found) == 1
    return next(iter(found))


def test_all_bindings_are_alike_whatever_their_keys(exchange: Exchange) -> None:
    for name in ("a", "b", "c"):
        exchange.bind(MessageSink(name), name, EMPTY_TABLE)
    shares = Counter(chosen(exchange).name for _ in range(3000))
    assert all(abs(shares[name] - 1000) < 130 for name in ("a", "b", "c"))


def test_a_queue_bound_twice_gets_double(exchange: Exchange) -> None:
    once, twice = MessageSink("once"), MessageSink("twice")
    for queue, key in ((once, "a"), (twice, "a"), (twice, "b")):
        exchange.bind(queue, key, EMPTY_TABLE)
    shares = Counter(chosen(exchange).name for _ in range(3000))
    assert abs(shares["twice"] - 2000) < 130


def test_chance_comes_from_the_context() -> None:
    world = World()
    numbers = itertools.cycle([0, 1, 2, 1])
    world.context.random_bytes = lambda size: next(numbers).to_bytes(size, "big")
    exchange = RandomExchange("x", False, False, False, EMPTY_TABLE)
    exchange.attach(VHost("v", world.context, world.broker.events))
    for name in ("a", "b", "c"):
        exchange.bind(MessageSink(name), "", EMPTY_TABLE)
    assert [chosen(exchange).name for _ in range(4)] == ["a", "b", "c", "b"]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=40))
def test_exactly_the_queues_that_are_bound_can_be_chosen(steps: list[tuple[bool, int]]) -> None:
    exchange = random_exchange()
    queues = [MessageSink(str(number)) for number in range(6)]
    bound: set[Destination] = set()
    for binds, number in steps:
        if binds:
            exchange.bind(queues[number], "", EMPTY_TABLE)
            bound.add(queues[number])
        else:
            exchange.unbind(queues[number], "", EMPTY_TABLE)
            bound.discard(queues[number])
    drawn = {chosen(exchange) for _ in range(200)} if bound else set()
    assert drawn == bound


def test_the_result_depends_on_more_than_keys() -> None:
    assert not RandomExchange.by_key


def test_each_message_of_a_client_reaches_one_queue() -> None:
    client = World().client()
    client.open()
    client.call(1, commands.Exchange.Declare, commands.Exchange.DeclareOk, exchange="x", exchange_type="x-random")
    for queue in ("a", "b", "c"):
        client.declare(queue)
        client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue=queue, exchange="x", routing_key=queue)
    for _ in range(60):
        client.publish(1, "x", "the same key all the time")
    counts = [client.declare(queue).message_count for queue in ("a", "b", "c")]
    assert sum(counts) == 60
    assert min(counts) > 0
