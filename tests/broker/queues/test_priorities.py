"""Priorities of a classic queue: the contract, and which message is the head."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from amqpd.broker.queues.priorities import PriorityLanes
from amqpd.wire.properties import Properties
from tests.broker.queues.contract import THOROUGH, QueueMachine, StoredQueueMachine, arguments_of
from tests.broker.queues.models import ClassicModel, ConsumerModel, QueueModel, RingModel, Rules
from tests.broker.queues.takers import drained, make_queue, memory_room, message
from tests.builders import World


class PriorityMachine(QueueMachine):
    arguments = arguments_of({"max_priority": 5}, {"max_priority": st.sampled_from([1, 9, 255])})

    def new_model(self, rules: Rules, ring: RingModel[ConsumerModel]) -> QueueModel:
        return ClassicModel(rules, ring)


TestPriorityMachine = PriorityMachine.TestCase
TestPriorityMachine.settings = THOROUGH


class StoredPriorityMachine(StoredQueueMachine, PriorityMachine):
    """On the disk, with restarts."""


TestStoredPriorityMachine = StoredPriorityMachine.TestCase
TestStoredPriorityMachine.settings = THOROUGH


def lanes(highest: int, *priorities: int | None) -> PriorityLanes:
    """Lanes with messages of these priorities, numbered in their order."""
    filled = PriorityLanes(highest, memory_room())
    for number, priority in enumerate(priorities):
        filled.append(message(b"%d" % number, Properties.of(priority=priority)), 0)
    return filled


def taken(filled: PriorityLanes) -> str:
    """The numbers of all messages in the order in which they leave."""
    numbers = ""
    while (head := filled.take()) is not None:
        numbers += head.body.decode()
    return numbers


def test_higher_priorities_leave_first_and_equal_ones_in_their_order() -> None:
    """Conformance row H20."""
    assert taken(lanes(10, 0, 5, 10, 5, None, 10)) == "251304"


@pytest.mark.parametrize(("highest", "order"), [(1, "1203"), (2, "1203"), (255, "2103")])
def test_a_priority_above_the_highest_counts_as_the_highest(highest: int, order: str) -> None:
    """Conformance row H20."""
    assert taken(lanes(highest, 0, 2, 200, None)) == order


def test_a_message_that_comes_back_is_the_first_of_its_priority() -> None:
    filled = lanes(5, 1, 1, 4)
    assert filled.take() is not None
    head = filled.take()
    assert head is not None
    position = filled.position
    filled.append(message(b"3", Properties.of(priority=1)), 0)
    filled.put_back(head, position, 1, 0)
    assert taken(filled) == "013"


def test_only_the_head_of_all_has_a_deadline_to_wait_for() -> None:
    """Conformance row H23: behind a message of higher priority nothing expires."""
    filled = PriorityLanes(5, memory_room())
    filled.append(message(b"0", Properties.of(priority=1)), 70)
    assert filled.head_deadline() == 70
    filled.append(message(b"1", Properties.of(priority=2)), 0)
    assert filled.head_deadline() == 0
    filled.take()
    assert filled.head_deadline() == 70


def test_an_expired_message_of_low_priority_waits_behind_one_of_higher_priority() -> None:
    world = World()
    queue = make_queue(world, max_priority=5)
    queue.publish(message(b"low", Properties.of(priority=1, expiration="100")))
    queue.publish(message(b"high", Properties.of(priority=2)))
    world.finish()
    world.advance(1.0)
    assert queue.message_count == 2
    assert drained(queue) == [(b"high", False)]


def test_what_is_dropped_from_the_head_is_of_the_highest_priority() -> None:
    """Conformance row H22."""
    world = World()
    queue = make_queue(world, max_priority=5, max_length=2)
    for number, priority in enumerate([1, 5, 3]):
        queue.publish(message(b"%d" % number, Properties.of(priority=priority)))
    assert drained(queue) == [(b"2", False), (b"0", False)]


def test_without_the_argument_priorities_are_ignored() -> None:
    """Conformance row H24."""
    world = World()
    queue = make_queue(world)
    for number, priority in enumerate([1, 5, 3]):
        queue.publish(message(b"%d" % number, Properties.of(priority=priority)))
    assert [body for body, _ in drained(queue)] == [b"0", b"1", b"2"]
