"""A publisher publishes what is due and allowed, and knows what is confirmed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.bench.client.histogram import Histogram
from amqpd.bench.client.publisher import Publisher, Unconfirmed
from tests.bench.joined import QUEUE, Joined, clock_of, publisher_in, world_with_queue
from tests.builders import World


def joined(world: World, publisher: Publisher) -> Joined:
    """The publisher, ready."""
    found = Joined(world, publisher)
    assert publisher.ready
    assert publisher.publish(clock_of(world)()) == 0  # it has not begun
    publisher.begin(clock_of(world)())
    return found


def depth(world: World) -> int:
    return len(list(bodies(world)))


def bodies(world: World) -> Iterator[bytes]:
    queue = world.vhost.queue(QUEUE)
    while (delivery := queue.get()) is not None:
        yield delivery.message.body


def test_without_a_rate_it_publishes_batch_after_batch() -> None:
    world = world_with_queue()
    publisher = publisher_in(world)
    peer = joined(world, publisher)
    for _ in range(3):
        assert publisher.publish(5) == 5
    peer.run()
    assert depth(world) == publisher.published > 1000


def test_no_more_than_the_window_is_unconfirmed() -> None:
    world = world_with_queue()
    publisher = publisher_in(world, window=10)
    peer = joined(world, publisher)
    assert [publisher.publish(1), publisher.publish(1)] == [1, 0]
    assert (publisher.published, publisher.waiting) == (10, 10)
    peer.run()
    assert (publisher.confirmed, publisher.waiting) == (10, 0)
    assert [publisher.publish(1), publisher.published] == [1, 20]


def test_a_count_is_kept_exactly_and_then_it_is_done() -> None:
    world = world_with_queue()
    publisher = publisher_in(world, window=7, count=25)
    peer = joined(world, publisher)
    while not publisher.done:
        publisher.publish(0)
        peer.run()
    assert (publisher.published, publisher.confirmed, depth(world)) == (25, 25, 25)
    assert publisher.publish(0) == 0


def test_at_a_rate_messages_carry_the_moment_at_which_they_were_due() -> None:
    world = world_with_queue()
    publisher = publisher_in(world, rate=1000.0)
    begin = clock_of(world)()
    peer = joined(world, publisher)
    assert publisher.publish(begin + 2_500_000) == begin + 2_500_000
    assert publisher.publish(begin + 2_500_000) == begin + 2_500_000
    assert publisher.publish(begin + 2_500_000) == begin + 2_500_000
    assert publisher.publish(begin + 2_500_000) == begin + 3_000_000  # not before that
    peer.run()
    moments = [int.from_bytes(body[8:16], "big") - begin for body in bodies(world)]
    assert moments == [0, 1_000_000, 2_000_000]


def test_confirms_of_a_late_publisher_count_from_the_moment_of_the_schedule() -> None:
    world = world_with_queue()
    latencies = Histogram()
    publisher = publisher_in(world, latencies, rate=1000.0, window=1)
    peer = joined(world, publisher)
    world.clock.advance(0.1)  # it could not publish: 101 messages are due
    for _ in range(101):
        publisher.publish(clock_of(world)())
        peer.run()
    assert latencies.count == 101
    assert latencies.percentile(50) == pytest.approx(50_000_000, rel=0.02)
    assert latencies.largest == 100_000_000


def test_messages_that_are_long_due_are_told() -> None:
    world = world_with_queue()
    publisher = publisher_in(world, rate=1000.0, window=1)
    joined(world, publisher)
    assert publisher.late == 0
    world.clock.advance(0.12)
    assert publisher.late == 101
    publisher.stop()
    assert publisher.late == 0


def test_it_publishes_nothing_while_the_broker_blocks_it_and_goes_on_by_itself() -> None:
    world = world_with_queue()
    publisher = publisher_in(world)
    peer = joined(world, publisher)
    told: list[bool] = []
    publisher.on_room = lambda: told.append(True)
    publisher.publish(1)
    world.broker.alarms.set("memory")
    peer.run()
    assert peer.session.blocked is not None
    published = publisher.published
    assert publisher.publish(1) == 0
    assert publisher.published == published
    world.broker.alarms.clear("memory")
    world.finish()
    peer.run()
    assert told
    assert publisher.publish(1) == 1


@given(st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=40))
def test_confirms_in_any_order_settle_each_message_once(acks: list[tuple[int, bool]]) -> None:
    latencies = Histogram()
    unconfirmed = Unconfirmed(latencies)
    for count in (10, 1, 29, 20):
        unconfirmed.add(count, 0)
    settled: set[int] = set()
    for tag, multiple in acks:
        fresh = (set(range(1, tag + 1)) if multiple else {tag}) - settled
        settled |= fresh
        assert unconfirmed.settle(tag, multiple, 5) == len(fresh)
    assert unconfirmed.settled == latencies.count == len(settled)


def test_a_confirm_takes_as_long_as_since_its_own_write() -> None:
    latencies = Histogram()
    unconfirmed = Unconfirmed(latencies)
    for moment in (100, 110, 120):
        unconfirmed.add(2, moment)
    unconfirmed.settle(5, False, 130)
    unconfirmed.settle(4, True, 140)
    unconfirmed.settle(0, True, 150)
    assert latencies.entries() == [(10, 1), (30, 3), (40, 2)]
