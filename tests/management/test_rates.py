"""Rates: RabbitMQ's _details from samples every five seconds, at no cost for what is idle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from pamqp import commands

from amqpd.clock import ManualClock, Timers
from amqpd.management.node import Node
from amqpd.management.rates import FEWEST, Rates
from amqpd.management.subjects import BASIC, Kind, queue_counts, queue_lengths
from tests.builders import Client, World, publish_bytes


class Asked(NamedTuple):
    age: int
    incr: int


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def rates(world: World) -> Rates:
    rates = Node(world.services).rates
    rates.start()
    return rates


@pytest.fixture
def client(world: World, rates: Rates) -> Client:
    client = world.client()
    client.open()
    client.declare("q")
    return client


def publish(client: Client, count: int) -> None:
    client.feed(publish_bytes(1, "", "q") * count)


def details(world: World, rates: Rates, asked: Asked | None = None, name: str = "publish") -> Any:
    queue = world.vhost.queues["q"]
    return rates.details(queue, {**queue_counts(queue), **queue_lengths(queue)}, asked)[f"{name}_details"]


def test_the_rate_is_that_of_the_last_five_seconds(world: World, rates: Rates, client: Client) -> None:
    publish(client, 50)
    assert details(world, rates) == {"rate": 0.0}
    world.advance(5)
    assert details(world, rates) == {"rate": 10.0}
    assert details(world, rates, name="messages") == {"rate": 10.0}
    assert details(world, rates, name="ack") == {"rate": 0.0}
    world.advance(5)
    assert details(world, rates) == {"rate": 0.0}


def test_counts_are_live_and_not_sampled(world: World, rates: Rates, client: Client) -> None:
    world.advance(5)
    publish(client, 3)
    queue = world.vhost.queues["q"]
    assert rates.details(queue, queue_counts(queue))["publish"] == 3


def test_samples_come_newest_first_with_their_averages(world: World, rates: Rates, client: Client) -> None:
    for count in (10, 0, 20, 30):
        publish(client, count) if count else None
        world.advance(5)
    found = details(world, rates, Asked(15, 5))
    assert [sample["sample"] for sample in found["samples"]] == [60, 30, 10, 10]
    newest = found["samples"][0]["timestamp"]
    assert newest % 5000 == 0
    assert [newest - sample["timestamp"] for sample in found["samples"]] == [0, 5000, 10000, 15000]
    assert 0 <= world.clock.time() * 1000 - newest < 5000
    assert found["avg_rate"] == pytest.approx(50 / 15)
    assert found["avg"] == pytest.approx(110 / 4)
    assert found["rate"] == 6.0


def test_samples_can_be_farther_apart(world: World, rates: Rates, client: Client) -> None:
    for _ in range(24):
        publish(client, 1)
        world.advance(5)
    assert [sample["sample"] for sample in details(world, rates, Asked(60, 20))["samples"]] == [24, 20, 16, 12]


def test_an_object_that_is_idle_is_forgotten_and_can_come_back(world: World, rates: Rates, client: Client) -> None:
    publish(client, 5)
    world.advance(5)
    queue = world.vhost.queues["q"]
    assert queue in rates._histories
    world.advance(610)
    assert queue not in rates._histories
    assert [sample["sample"] for sample in details(world, rates, Asked(10, 5))["samples"]] == [5, 5, 5]
    publish(client, 5)
    world.advance(5)
    publish(client, 10)
    world.advance(5)
    assert details(world, rates) == {"rate": 2.0}


def test_an_object_that_was_never_used_costs_nothing(world: World, rates: Rates, client: Client) -> None:
    world.advance(20)
    assert world.vhost.queues["q"] not in rates._histories


def test_a_deleted_object_is_forgotten_with_the_next_sample(world: World, rates: Rates, client: Client) -> None:
    publish(client, 5)
    world.advance(5)
    queue = world.vhost.queues["q"]
    client.send(1, commands.Queue.Delete, queue="q")
    world.advance(5)
    assert queue not in rates._histories


def test_idle_since_is_when_something_last_happened(world: World, rates: Rates, client: Client) -> None:
    queue = world.vhost.queues["q"]
    publish(client, 1)
    assert rates.idle_since(queue) is None
    world.advance(5)
    noticed = int(world.clock.time() * 1000)
    world.advance(60)
    assert rates.idle_since(queue) == noticed
    client.send(1, commands.Basic.Get, queue="q")
    assert rates.idle_since(queue) is None


def test_the_totals_reach_back_a_day(world: World, rates: Rates, client: Client) -> None:
    publish(client, 3600)
    world.advance(3600)
    publish(client, 7200)
    world.advance(3600)
    totals = world.vhost.totals
    counts = {"publish": int(totals.traffic().publish)}
    found: Any = rates.details(totals, counts, Asked(86400, 1800))["publish_details"]
    assert [sample["sample"] for sample in found["samples"]][:6] == [10800, 10800, 3600, 3600, 0, 0]


def test_the_broker_is_sampled_with_churn_lengths_and_the_process(world: World, rates: Rates, client: Client) -> None:
    world.advance(5)
    publish(client, 10)
    world.client()
    world.advance(5)
    counters = world.context.counters
    names = ("publish", "messages_ready", "connection_created", "mem_used")
    found: Any = rates.details(counters, dict.fromkeys(names, 0), Asked(5, 5))
    assert found["publish_details"]["rate"] == 2.0
    assert found["messages_ready_details"]["rate"] == 2.0
    assert found["connection_created_details"]["rate"] == 0.2
    assert found["mem_used_details"]["samples"][0]["sample"] > 1_000_000


class Thing:
    """Something that is sampled; looking at it takes a while."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.sampled = 0
        self.active_at = 0
        self.count = 0
        self.seconds = 0.0

    def activity(self) -> int:
        self.clock.advance(self.seconds)
        return self.count


def sampler(count: int) -> tuple[ManualClock, Timers, list[Thing], Rates]:
    clock = ManualClock()
    timers = Timers(clock)
    things = [Thing(clock) for _ in range(count)]

    def all_things() -> Iterator[Thing]:
        yield from things

    rates = Rates(clock, timers, (Kind(BASIC, all_things, lambda thing: {"n": thing.count}),))
    rates.start()
    return clock, timers, things, rates


def test_sampling_gives_way_to_others_between_slices() -> None:
    clock, timers, things, rates = sampler(1000)
    for thing in things:
        thing.count, thing.seconds = 10, 0.0001
    clock.advance(5)
    begun, rounds, longest = clock.monotonic(), 0, 0.0
    while rates._tick == 0:
        before = clock.monotonic()
        assert timers.run_due() == 1
        longest = max(longest, clock.monotonic() - before)
        rounds += 1
        deadline = timers.next_deadline()
        assert deadline is not None
        if rates._tick == 0:
            clock.advance_to(deadline)
    assert rounds > 10
    assert longest < 0.01
    assert clock.monotonic() - begun < 1.0
    details: Any = rates.details(things[-1], {"n": 10})["n_details"]
    assert details["rate"] == 2.0


def test_however_many_objects_are_active_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amqpd.management.rates.MOST_ROWS", 200)
    clock, timers, things, rates = sampler(20)
    for _ in range(40):
        for thing in things:
            thing.count += 1
        clock.advance(5)
        timers.run_due()
    rows = sum(len(history.series[0]) for history in rates._histories.values())
    assert rows == 20 * FEWEST
