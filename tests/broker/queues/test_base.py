"""What queues of all types do alike, shown with a classic one."""

from __future__ import annotations

import pytest

from amqpd.broker.flow import HOLD_ABOVE
from amqpd.broker.queues.base import Queue
from amqpd.errors import AccessRefused
from tests.broker.queues.takers import HeldPublisher, Taker, make_queue, message
from tests.builders import World


def crowded_queue(world: World) -> tuple[Queue, Taker, HeldPublisher]:
    """A queue that outgrew its slow consumer, and the publisher it holds for that."""
    queue = make_queue(world)
    taker, publisher = Taker("c", queue, credit=1), HeldPublisher()
    queue.subscribe(taker)
    for _ in range(HOLD_ABOVE + 2):
        queue.publish(message(b""))
    world.finish()
    assert queue.crowded
    queue.hold(publisher)
    assert publisher.holds == 1
    return queue, taker, publisher


def test_a_queue_is_called_as_in_rabbitmqs_texts() -> None:
    assert str(make_queue(World(), "orders")) == "queue 'orders' in vhost '/'"


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (True, True)])
def test_an_exclusive_consumer_is_alone(first: bool, second: bool) -> None:
    queue = make_queue(World())
    queue.subscribe(Taker("a", queue, exclusive=first))
    with pytest.raises(AccessRefused) as refused:
        queue.subscribe(Taker("b", queue, exclusive=second))
    assert refused.value.reply_text == "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"
    assert len(queue.consumers) == 1


def test_after_an_exclusive_consumer_has_left_others_may_come() -> None:
    queue = make_queue(World())
    exclusive = Taker("a", queue, exclusive=True)
    queue.subscribe(exclusive)
    assert queue.unsubscribe(exclusive)
    queue.subscribe(Taker("b", queue))
    queue.subscribe(Taker("c", queue))
    assert len(queue.consumers) == 2


def test_only_the_last_consumer_to_leave_is_reported_as_the_last() -> None:
    queue = make_queue(World())
    a, b = Taker("a", queue), Taker("b", queue)
    queue.subscribe(a)
    queue.subscribe(b)
    assert [queue.unsubscribe(a), queue.unsubscribe(a), queue.unsubscribe(b)] == [False, False, True]


def test_any_number_of_messages_in_a_turn_are_one_piece_of_work() -> None:
    """Otherwise a read of thousands of small messages would leave as many pumps behind."""
    world = World()
    wakes = []
    world.turn.wake = lambda: wakes.append(1)
    queue = make_queue(world)
    taker = Taker("c", queue)
    queue.subscribe(taker)
    for _ in range(100):
        queue.publish(message(b""))
    assert len(wakes) == 1
    world.turn.finish()
    assert len(taker.deliveries) == 100
    assert world.turn.idle


def test_a_queue_deleted_within_a_turn_is_not_pumped_any_more() -> None:
    world = World()
    queue = make_queue(world)
    taker = Taker("c", queue)
    queue.subscribe(taker)
    queue.publish(message(b""))
    queue.close()
    world.finish()
    assert (taker.deliveries, taker.told_of_deletion) == ([], 1)


def test_deleting_a_crowded_queue_lets_its_publishers_go() -> None:
    queue, _, publisher = crowded_queue(World())
    queue.close()
    assert (publisher.holds, queue.crowded) == (0, False)


def test_a_crowded_queue_that_loses_its_last_consumer_lets_its_publishers_go() -> None:
    world = World()
    queue, taker, publisher = crowded_queue(world)
    queue.unsubscribe(taker)
    world.finish()
    assert (publisher.holds, queue.crowded) == (0, False)


def test_a_crowded_queue_that_is_purged_lets_its_publishers_go() -> None:
    world = World()
    queue, _, publisher = crowded_queue(world)
    queue.purge()
    world.finish()
    assert (publisher.holds, queue.crowded) == (0, False)
