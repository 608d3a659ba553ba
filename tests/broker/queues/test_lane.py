"""The lane against a sorted list, and what it costs when it is long."""

from __future__ import annotations

import tracemalloc
from typing import NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from amqpd.broker.message import Message
from amqpd.broker.queues.lane import TRIM_AT, Lane
from tests.broker.queues.takers import memory_room, message


class Known(NamedTuple):
    """All that a lane knows about a message."""

    position: int
    deliveries: int
    deadline: int
    message: Message


class LaneMachine(RuleBasedStateMachine):
    """Messages enter, leave and come back; the model keeps them sorted by position."""

    def __init__(self) -> None:
        super().__init__()
        self.lane = Lane(memory_room())
        self.model: list[Known] = []
        self.out: list[Known] = []
        self.entered = 0

    @rule(count=st.sampled_from([1, 2, 10, TRIM_AT]), deadline=st.sampled_from([0, 0, 5, 7]))
    def append(self, count: int, deadline: int) -> None:
        for _ in range(count):
            entering = message(b"x" * (self.entered % 3))
            self.lane.append(entering, deadline)
            self.model.append(Known(self.entered, 0, deadline, entering))
            self.entered += 1

    @rule(count=st.sampled_from([1, 2, 10, TRIM_AT, TRIM_AT + 1]))
    def take(self, count: int) -> None:
        for _ in range(count):
            taken = self.lane.take()
            if not self.model:
                assert taken is None
                return
            assert taken is not None
            lane = self.lane
            head = self.model.pop(0)
            assert Known(int(lane.position), int(lane.deliveries), int(lane.deadline), taken) == head
            self.out.append(head)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), count=st.integers(1, 5))
    def put_back(self, data: st.DataObject, count: int) -> None:
        for _ in range(min(count, len(self.out))):
            place = data.draw(st.integers(0, len(self.out) - 1))
            position, deliveries, deadline, back = self.out.pop(place)
            self.lane.put_back(back, position, deliveries + 1, deadline)
            self.model.append(Known(position, deliveries + 1, deadline, back))
            self.model.sort(key=lambda known: known.position)

    @rule()
    def clear(self) -> None:
        assert self.lane.clear() == len(self.model)
        self.model = []

    @invariant()
    def counts_and_the_heads_deadline_agree(self) -> None:
        assert self.lane.count == len(self.model)
        assert self.lane.octets == sum(known.message.body_size for known in self.model)
        assert self.lane.head_deadline() == (self.model[0].deadline if self.model else 0)

    def teardown(self) -> None:
        self.take(len(self.model) + 1)


TestLaneMachine = LaneMachine.TestCase


@pytest.mark.parametrize("deadline", [0, 1])
def test_a_lane_through_which_many_messages_pass_stays_small(deadline: int) -> None:
    lane, passing = Lane(memory_room()), message(b"")
    for _ in range(10):
        lane.append(passing, deadline)
    tracemalloc.start()
    for _ in range(20 * TRIM_AT):
        lane.append(passing, deadline)
        assert lane.take() is passing
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lane.count == 10
    assert used < 100_000


def test_a_cleared_lane_keeps_the_order_of_what_still_may_come_back() -> None:
    """A message that was out while the others were dropped is older than everything that came since."""
    lane = Lane(memory_room())
    for body in (b"0", b"1"):
        lane.append(message(body), 0)
    old = lane.take()
    assert old is not None
    position = lane.position
    lane.clear()
    lane.append(message(b"2"), 0)
    lane.append(message(b"3"), 0)
    new = lane.take()
    assert new is not None
    lane.put_back(new, lane.position, 1, 0)
    lane.put_back(old, position, 1, 0)
    order = [taken.body for _ in range(3) if (taken := lane.take()) is not None]
    assert order == [b"0", b"2", b"3"]


def test_messages_without_a_deadline_cost_no_list_of_deadlines() -> None:
    lane = Lane(memory_room())
    lane.append(message(b""), 0)
    assert lane._deadlines is None
    lane.append(message(b""), 7)
    assert lane._deadlines == [0, 7]
    lane.clear()
    assert lane._deadlines is None
