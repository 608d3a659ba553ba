"""Whose turn it is: round robin, priorities, and consumers that cannot take anything."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from amqpd.broker.queues.consumers import ConsumerRing
from tests.broker.queues.models import RingModel
from tests.broker.queues.takers import Taker, make_queue
from tests.builders import World

QUEUE = make_queue(World())  # consumers want one; nothing here uses it


def taker(tag: str, priority: int = 0, exclusive: bool = False) -> Taker:
    """A consumer that is always ready, unless stopped."""
    return Taker(tag, QUEUE, priority=priority, exclusive=exclusive)


def ring_of(*takers: Taker) -> ConsumerRing:
    """A ring that these joined in this order."""
    ring = ConsumerRing()
    for each in takers:
        ring.add(each)
    return ring


def served(ring: ConsumerRing, times: int) -> str:
    """The tags of the consumers whose turn it is, one after another; - for nobody."""
    return "".join("-" if taken is None else taken.tag for taken in (ring.take() for _ in range(times)))


class RingMachine(RuleBasedStateMachine):
    """Consumers come, go, stop and resume between turns."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = ConsumerRing()
        self.model: RingModel[Taker] = RingModel()
        self.takers: list[Taker] = []

    @rule(priority=st.sampled_from([0, 0, 0, 3, -3]))
    def add(self, priority: int) -> None:
        new = taker(f"c{len(self.takers)}", priority)
        self.takers.append(new)
        self.ring.add(new)
        self.model.add(new, priority)

    @precondition(lambda self: self.takers)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """Removing one that is gone already does nothing."""
        gone = data.draw(st.sampled_from(self.takers))
        known = gone in self.model.priorities
        assert self.ring.remove(gone) == known
        if known:
            self.model.remove(gone)

    @precondition(lambda self: self.takers)
    @rule(data=st.data(), resumes=st.booleans())
    def turn_on_or_off(self, data: st.DataObject, resumes: bool) -> None:
        """Not everybody who could take messages again says so at once."""
        chosen = data.draw(st.sampled_from(self.takers))
        chosen.stopped = not chosen.stopped
        if resumes:
            self.ring.resume(chosen)
            self.model.resume(chosen)

    @rule(times=st.integers(1, 7))
    def take(self, times: int) -> None:
        for _ in range(times):
            assert self.ring.take() is self.model.take(lambda member: not member.stopped)

    @invariant()
    def the_members_are_those_that_came_and_did_not_go(self) -> None:
        assert self.ring.all() == list(self.model.priorities)
        assert len(self.ring) == len(self.model.priorities)
        assert not any(each.in_ring for each in self.takers if each not in self.model.priorities)


TestRingMachine = RingMachine.TestCase


def test_consumers_of_one_priority_take_turns() -> None:
    assert served(ring_of(taker("a"), taker("b"), taker("c")), 7) == "abcabca"


def test_nobody_is_served_by_an_empty_ring() -> None:
    assert served(ConsumerRing(), 2) == "--"


def test_lower_priorities_are_served_only_while_all_higher_ones_are_blocked() -> None:
    high, low = taker("h", priority=10), taker("l", priority=-10)
    ring = ring_of(low, taker("a"), taker("b"), high)
    assert served(ring, 2) == "hh"
    high.stopped = True
    assert served(ring, 3) == "aba"
    high.stopped = False
    assert served(ring, 1) == "b"
    ring.resume(high)
    assert served(ring, 2) == "hh"


def test_a_parked_consumer_is_not_asked_again_until_it_resumes() -> None:
    blocked = [taker("x") for _ in range(1000)]
    for each in blocked:
        each.stopped = True
    ring = ring_of(*blocked, taker("a"))
    assert served(ring, 500) == "a" * 500
    assert [each.asked for each in blocked] == [1] * 1000


def test_one_that_resumes_waits_behind_those_that_waited_before() -> None:
    """Also when the last of the ring has just been served: the next in line is then the first again."""
    a, b, c = taker("a"), taker("b"), taker("c")
    ring = ring_of(a, b, c)
    a.stopped = True
    assert served(ring, 2) == "bc"
    a.stopped = False
    ring.resume(a)
    assert served(ring, 4) == "bcab"


def test_consumers_that_come_and_go_cannot_starve_one_that_stays() -> None:
    """A client that consumes one message, cancels and consumes again is always the newest."""
    ring = ring_of(taker("s"))
    order = served(ring, 1)
    for _ in range(6):
        guest = taker("g")
        ring.add(guest)
        order += served(ring, 1)
        ring.remove(guest)
    assert order == "sssssss"


@pytest.mark.parametrize(("gone", "order"), [(0, "cbc"), (1, "cac"), (2, "aba")])
def test_removal_does_not_disturb_the_order_of_the_others(gone: int, order: str) -> None:
    takers = [taker("a"), taker("b"), taker("c")]
    ring = ring_of(*takers)
    assert served(ring, 2) == "ab"
    ring.remove(takers[gone])
    assert served(ring, 3) == order


def test_priorities_that_nobody_has_any_more_leave_nothing_behind() -> None:
    """x-priority may be any integer: a client that counts it up must not fill memory."""
    ring = ring_of(taker("a"))
    blocked = [taker("x", priority) for priority in range(1, 500)]
    for each in blocked:
        ring.add(each)
        each.stopped = True
        assert served(ring, 1) == "a"
        ring.remove(each)
    assert len(ring._levels) == 1


def test_exclusive_means_that_a_member_is() -> None:
    ring = ring_of(taker("a"))
    assert not ring.exclusive
    lone = taker("b", exclusive=True)
    assert ring_of(lone).exclusive
