"""The classic queue: the contract, and the order that is its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.queues.base import Queue
from tests.broker.queues.contract import THOROUGH, QueueMachine, StoredQueueMachine, arguments_of
from tests.broker.queues.models import ClassicModel, ConsumerModel, QueueModel, RingModel, Rules
from tests.broker.queues.takers import Taker, accepts, drained, make_queue, message
from tests.builders import World


class ClassicMachine(QueueMachine):
    arguments = arguments_of({}, {"max_priority": st.just(0)})

    def new_model(self, rules: Rules, ring: RingModel[ConsumerModel]) -> QueueModel:
        return ClassicModel(rules, ring)


TestClassicMachine = ClassicMachine.TestCase
TestClassicMachine.settings = THOROUGH


class StoredClassicMachine(StoredQueueMachine, ClassicMachine):
    """On the disk, with restarts."""


TestStoredClassicMachine = StoredClassicMachine.TestCase
TestStoredClassicMachine.settings = THOROUGH


def filled(world: World, count: int) -> Queue:
    """A queue with messages 0, 1, 2..."""
    queue = make_queue(world)
    for number in range(count):
        assert accepts(queue, message(b"%d" % number))
    return queue


def test_requeued_messages_return_to_their_places_whatever_the_order() -> None:
    """Conformance row D66: get 0 to 3, requeue 3, 1, 0."""
    queue = filled(World(), 6)
    taken = [queue.get() for _ in range(4)]
    for place in (3, 1, 0):
        delivery = taken[place]
        assert delivery is not None
        queue.requeue(delivery)
    assert drained(queue) == [(b"0", True), (b"1", True), (b"3", True), (b"4", False), (b"5", False)]


@given(st.permutations(range(8)))
def test_requeueing_all_in_any_order_restores_the_queue(order: list[int]) -> None:
    queue = filled(World(), 8)
    taken = [queue.get() for _ in range(8)]
    for place in order:
        delivery = taken[place]
        assert delivery is not None
        queue.requeue(delivery)
    assert drained(queue) == [(b"%d" % number, True) for number in range(8)]


def test_a_message_knows_how_often_it_was_delivered() -> None:
    queue = filled(World(), 1)
    counts = []
    for _ in range(3):
        delivery = queue.get()
        assert delivery is not None
        counts.append(delivery.deliveries)
        queue.requeue(delivery)
    assert counts == [0, 1, 2]


def test_purge_leaves_what_is_delivered_and_it_still_can_come_back() -> None:
    queue = filled(World(), 3)
    delivery = queue.get()
    assert delivery is not None
    assert queue.purge() == 2
    queue.requeue(delivery)
    assert drained(queue) == [(b"0", True)]


def test_messages_are_handed_out_at_the_end_of_the_turn_and_not_before() -> None:
    world = World()
    queue = filled(world, 2)
    taker = Taker("c", queue)
    queue.subscribe(taker)
    assert taker.bodies == []
    world.finish()
    assert taker.bodies == [b"0", b"1"]


def test_a_deleted_queue_takes_nothing_back() -> None:
    queue = filled(World(), 2)
    delivery = queue.get()
    assert delivery is not None
    queue.close()
    queue.requeue(delivery)
    assert (queue.message_count, queue.deleted) == (0, True)
