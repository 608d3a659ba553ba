"""Single active consumer: who gets everything, and who is next. From queue to bytes."""

from __future__ import annotations

from pamqp import commands

from amqpd.broker.queues.single_active import SingleActiveConsumers
from tests.broker.queues.takers import Taker, make_queue, message
from tests.builders import Client, World

QUEUE = make_queue(World())  # consumers want one; most tests here do not use it


def waiting(by_priority: bool, *priorities: int) -> tuple[SingleActiveConsumers, list[Taker]]:
    """Consumers of these priorities, which came in this order."""
    consumers = SingleActiveConsumers(by_priority)
    takers = [Taker(f"c{place}", QUEUE, priority=priority) for place, priority in enumerate(priorities)]
    for taker in takers:
        consumers.add(taker)
    return consumers, takers


def test_the_first_that_came_gets_everything() -> None:
    consumers, (first, _, _) = waiting(False, 0, 5, 0)
    assert [consumers.take() for _ in range(3)] == [first] * 3


def test_nobody_is_served_instead_of_the_active_one() -> None:
    consumers, (first, _) = waiting(False, 0, 0)
    first.stopped = True
    assert consumers.take() is None
    first.stopped = False
    consumers.resume(first)
    assert consumers.take() is first


def test_when_the_active_one_leaves_the_next_in_line_follows() -> None:
    consumers, (first, second, third) = waiting(False, 0, 0, 7)
    consumers.remove(second)
    consumers.remove(first)
    assert consumers.take() is third
    assert consumers.all() == [third]


def test_one_that_comes_back_is_the_last_in_line() -> None:
    consumers, (first, second) = waiting(False, 0, 0)
    consumers.remove(first)
    consumers.add(first)
    assert consumers.take() is second


def test_without_consumers_nobody_is_active() -> None:
    consumers, (only,) = waiting(True, 0)
    assert consumers.remove(only)
    assert not consumers.remove(only)
    assert (consumers.take(), consumers.active) == (None, None)


def test_by_priority_a_higher_one_takes_over_once_everything_is_settled() -> None:
    """Conformance row M14."""
    consumers, (first,) = waiting(True, 1)
    first.unsettled = 1
    higher = Taker("h", QUEUE, priority=2)
    consumers.add(higher)
    assert consumers.take() is None
    assert consumers.active is first
    first.unsettled = 0
    assert consumers.take() is higher


def test_by_priority_an_equal_one_does_not_take_over() -> None:
    consumers, (first, _) = waiting(True, 1, 1)
    assert consumers.take() is first


def test_by_priority_the_highest_follows_and_of_equals_the_oldest() -> None:
    consumers, (first, _, third, _) = waiting(True, 9, 1, 3, 3)
    consumers.remove(first)
    assert consumers.take() is third


def test_a_queue_serves_its_active_consumer_only() -> None:
    world = World()
    queue = make_queue(world, single_active_consumer=True)
    first, second = Taker("a", queue, credit=1), Taker("b", queue)
    queue.subscribe(first)
    queue.subscribe(second)
    for number in range(3):
        queue.publish(message(b"%d" % number))
    world.finish()
    assert (first.bodies, second.bodies) == ([b"0"], [])
    queue.unsubscribe(first)
    world.finish()
    assert (first.bodies, second.bodies) == ([b"0"], [b"1", b"2"])


# From bytes to bytes.


def consuming(world: World, tag: str) -> Client:
    """A client that consumes from q."""
    client = world.client()
    client.open()
    client.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, queue="q", consumer_tag=tag)
    return client


def test_what_the_active_consumer_had_goes_to_the_next_when_its_connection_ends() -> None:
    """Conformance row H30."""
    world = World()
    publisher = world.client()
    publisher.open()
    publisher.declare("q", arguments={"x-single-active-consumer": True})
    first, second = consuming(world, "a"), consuming(world, "b")
    for number in range(3):
        publisher.publish(1, "", "q", b"%d" % number)
    assert (first.bodies(), second.bodies()) == ([b"0", b"1", b"2"], [])
    first.send(1, commands.Basic.Ack, delivery_tag=2)
    first.lose()
    delivered = second.messages()
    assert [item.body for item in delivered] == [b"0", b"2"]
    assert all(isinstance(item.method, commands.Basic.Deliver) and item.method.redelivered for item in delivered)
    publisher.publish(1, "", "q", b"3")
    assert second.bodies() == [b"3"]


def test_what_a_cancelled_consumer_has_stays_with_its_channel() -> None:
    world = World()
    publisher = world.client()
    publisher.open()
    publisher.declare("q", arguments={"x-single-active-consumer": True})
    first, second = consuming(world, "a"), consuming(world, "b")
    publisher.publish(1, "", "q", b"0")
    assert first.bodies() == [b"0"]
    first.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="a")
    publisher.publish(1, "", "q", b"1")
    assert second.bodies() == [b"1"]


def test_an_exclusive_consumer_is_refused_and_all_consumers_are_counted() -> None:
    world = World()
    client = world.client()
    client.open()
    client.declare("q", arguments={"x-single-active-consumer": True})
    consuming(world, "a")
    consuming(world, "b")
    assert client.declare("q", passive=True).consumer_count == 2
    client.send(1, commands.Basic.Consume, queue="q", exclusive=True)
    assert client.channel_closed() == (403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use")
