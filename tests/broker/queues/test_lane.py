"""The lane against a sorted list, and what it costs when it is long."""

from __future__ import annotations

import tracemalloc

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from amqpd.broker.message import Message
from amqpd.broker.queues.lane import TRIM_AT, Lane
from tests.broker.queues.takers import message


class LaneMachine(RuleBasedStateMachine):
    """Messages enter, leave and come back; the model keeps (position, deliveries, message) sorted by position."""

    def __init__(self) -> None:
        super().__init__()
        self.lane = Lane()
        self.model: list[tuple[int, int, Message]] = []
        self.out: list[tuple[int, int, Message]] = []
        self.entered = 0

    @rule(count=st.sampled_from([1, 2, 10, TRIM_AT]))
    def append(self, count: int) -> None:
        for _ in range(count):
            entering = message(b"%d" % self.entered)
            self.lane.append(entering)
            self.model.append((self.entered, 0, entering))
            self.entered += 1

    @rule(count=st.sampled_from([1, 2, 10, TRIM_AT, TRIM_AT + 1]))
    def take(self, count: int) -> None:
        for _ in range(count):
            taken = self.lane.take()
            if not self.model:
                assert taken is None
                return
            assert taken is not None
            position, deliveries, head = self.model.pop(0)
            assert taken is head
            assert (int(self.lane.position), int(self.lane.deliveries)) == (position, deliveries)
            self.out.append((position, deliveries, head))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), count=st.integers(1, 5))
    def put_back(self, data: st.DataObject, count: int) -> None:
        for _ in range(min(count, len(self.out))):
            place = data.draw(st.integers(0, len(self.out) - 1))
            position, deliveries, back = self.out.pop(place)
            self.lane.put_back(back, position, deliveries + 1)
            self.model = sorted([*self.model, (position, deliveries + 1, back)], key=lambda item: item[0])

    @rule()
    def clear(self) -> None:
        assert self.lane.clear() == len(self.model)
        self.model = []

    @invariant()
    def count_agrees(self) -> None:
        assert self.lane.count == len(self.model)

    def teardown(self) -> None:
        self.take(len(self.model) + 1)


TestLaneMachine = LaneMachine.TestCase


def test_a_lane_through_which_many_messages_pass_stays_small() -> None:
    lane, passing = Lane(), message(b"")
    for _ in range(10):
        lane.append(passing)
    tracemalloc.start()
    for _ in range(20 * TRIM_AT):
        lane.append(passing)
        assert lane.take() is passing
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lane.count == 10
    assert used < 100_000


def test_a_cleared_lane_keeps_the_order_of_what_still_may_come_back() -> None:
    """A message that was out while the others were dropped is older than everything that came since."""
    lane = Lane()
    for body in (b"0", b"1"):
        lane.append(message(body))
    old = lane.take()
    assert old is not None
    position = lane.position
    lane.clear()
    lane.append(message(b"2"))
    lane.append(message(b"3"))
    new = lane.take()
    assert new is not None
    lane.put_back(new, lane.position, 1)
    lane.put_back(old, position, 1)
    order = [taken.body for _ in range(3) if (taken := lane.take()) is not None]
    assert order == [b"0", b"2", b"3"]
