"""The contract of every order of ready messages: nothing is lost, doubled or miscounted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.message import Message
from amqpd.broker.queues.lane import Lane
from amqpd.broker.queues.priorities import PriorityLanes
from amqpd.broker.queues.quorum_lanes import QuorumLanes
from amqpd.broker.queues.ready import Ready
from amqpd.wire.properties import Properties
from tests.broker.queues.takers import memory_room, message

ORDERS = [
    pytest.param(lambda: Lane(memory_room()), id="lane"),
    pytest.param(lambda: PriorityLanes(3, memory_room()), id="priorities"),
    pytest.param(lambda: QuorumLanes(memory_room()), id="quorum"),
]
NEW = st.tuples(st.integers(0, 3), st.sampled_from([None, 0, 2, 7]), st.sampled_from([0, 0, 5, 9]))
STEPS = st.lists(NEW | st.sampled_from(["take", "put_back", "clear"]), max_size=60)


class Away:
    """A message that was taken, with what take() said of it."""

    def __init__(self, ready: Ready, taken: Message) -> None:
        self.message = taken
        self.position = ready.position
        self.deliveries = int(ready.deliveries)
        self.deadline = int(ready.deadline)


@pytest.mark.parametrize("new", ORDERS)
@given(steps=STEPS)
def test_every_message_leaves_once_for_each_time_it_came(
    new: Callable[[], Ready], steps: list[str | tuple[int, int | None, int]]
) -> None:
    ready = new()
    there: dict[Message, tuple[int, int]] = {}  # deliveries, deadline
    away: list[Away] = []
    for step in steps:
        if isinstance(step, tuple):
            size, priority, deadline = step
            entering = message(bytes(size), Properties.of(priority=priority))
            ready.append(entering, deadline)
            there[entering] = (0, deadline)
        elif step == "take":
            expected = ready.head_deadline()
            taken = ready.take()
            assert (taken is None) == (not there)
            if taken is not None:
                away.append(Away(ready, taken))
                assert there.pop(taken) == (away[-1].deliveries, away[-1].deadline)
                assert expected == away[-1].deadline
        elif step == "put_back" and away:
            back = away.pop(len(away) // 2)
            ready.put_back(back.message, back.position, back.deliveries + 1, back.deadline)
            there[back.message] = (back.deliveries + 1, back.deadline)
        elif step == "clear":
            assert ready.clear() == len(there)
            there.clear()
        assert ready.count == len(there)
        assert ready.octets == sum(known.body_size for known in there)
    while (taken := ready.take()) is not None:
        del there[taken]
    assert there == {}
    assert (ready.count, ready.octets, ready.head_deadline()) == (0, 0, 0)
