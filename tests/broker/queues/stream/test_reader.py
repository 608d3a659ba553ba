"""Readers: whose turn it is, and what a place is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.queues.stream.filters import Filter
from amqpd.broker.queues.stream.reader import Reader, Readers, reader_of
from tests.broker.queues.stream.clients import declared, filtered, publish, stream_of
from tests.broker.queues.takers import Taker
from tests.builders import World


def world_with(count: int) -> World:
    world = World()
    client = declared(world)
    publish(client, *[b"%d" % number for number in range(count)])
    return world


def joined(world: World, readers: Readers, start: int, credit: int = 0, wanted: Filter | None = None) -> Taker:
    taker = Taker("c", stream_of(world), credit)
    taker.place = Reader(taker, start, wanted, None, None)
    readers.add(taker)
    return taker


def positions(taker: Taker) -> list[int]:
    found = [int(delivery.position) for delivery in taker.deliveries]
    taker.deliveries.clear()
    return found


def test_each_gets_everything_from_its_place_on() -> None:
    world = world_with(5)
    readers = Readers()
    takers = [joined(world, readers, start) for start in (0, 3, 9)]
    readers.read(stream_of(world)._store)
    assert [positions(taker) for taker in takers] == [[0, 1, 2, 3, 4], [3, 4], []]


def test_one_that_is_at_the_end_is_not_asked_until_there_is_more() -> None:
    world = world_with(2)
    readers, store = Readers(), stream_of(world)._store
    taker = joined(world, readers, 0)
    readers.read(store)
    asked = taker.asked
    readers.read(store)
    assert taker.asked == asked
    publish(declared(world), b"more")
    assert readers.wake()
    assert not readers.wake()
    readers.read(store)
    assert positions(taker) == [0, 1, 2]


def test_one_without_credit_is_not_asked_until_it_says_so() -> None:
    world = world_with(5)
    readers, store = Readers(), stream_of(world)._store
    taker = joined(world, readers, 0, credit=2)
    readers.read(store)
    asked = taker.asked
    assert not readers.wake()
    readers.read(store)
    assert taker.asked == asked
    taker.unsettled = 0
    readers.resume(taker)
    readers.read(store)
    assert positions(taker) == [0, 1, 2, 3]


def test_one_that_has_gone_gets_nothing() -> None:
    world = world_with(5)
    readers, store = Readers(), stream_of(world)._store
    taker = joined(world, readers, 0)
    assert readers.remove(taker)
    assert not readers.remove(taker)
    readers.resume(taker)
    readers.read(store)
    assert positions(taker) == []
    at_end = joined(world, readers, 5)
    readers.read(store)
    readers.remove(at_end)
    assert not readers.wake()


def test_one_that_has_another_place_is_looked_at_though_it_was_at_the_end() -> None:
    world = world_with(3)
    readers, store = Readers(), stream_of(world)._store
    taker = joined(world, readers, 3)
    readers.read(store)
    reader_of(taker).go_to(1)
    readers.begin(reader_of(taker))
    readers.read(store)
    assert positions(taker) == [1, 2]
    assert readers.wake()


def test_nobody_is_chosen() -> None:
    readers = Readers()
    joined(world_with(1), readers, 0)
    assert readers.take() is None


def test_what_a_filter_leaves_out_counts_as_settled() -> None:
    world = World()
    client = declared(world)
    for value in ("b", "a", "b", "a", "b"):
        publish(client, value.encode(), properties=filtered(value))
    taker = Taker("c", stream_of(world))
    reader = taker.place = Reader(taker, 0, Filter(("a",), False), "cursor", None)
    readers = Readers()
    readers.add(taker)
    readers.read(stream_of(world)._store)
    assert positions(taker) == [1, 3]
    assert reader.place == 1
    reader.settle(3)
    assert reader.place == 1
    reader.settle(1)
    assert reader.place == 5


@given(st.integers(0, 20), st.lists(st.integers(0, 30), unique=True))
def test_a_place_is_the_lowest_offset_that_is_not_settled(start: int, settled: list[int]) -> None:
    taker = Taker("c", stream_of(world_with(0)))
    reader = Reader(taker, start, None, "cursor", None)
    for offset in settled:
        reader.settle(offset + start)
    assert reader.place == next(number for number in range(start, 100) if number - start not in settled)
    reader.go_to(7)
    assert (reader.place, reader.next) == (7, 7)
