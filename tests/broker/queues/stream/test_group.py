"""Groups: one member reads, chosen by the partition; another one begins when nothing is under way."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amqpd.broker.queues.stream.group import Group
from amqpd.broker.queues.stream.reader import Reader
from tests.broker.queues.takers import Taker, make_queue
from tests.builders import World

STREAM = make_queue(World(), durable=True, queue_type="stream")  # consumers want a queue


def member(name: str = "c") -> Reader:
    taker = Taker(name, STREAM)
    return Reader(taker, 0, None, "group", None)


def test_members_are_chosen_by_the_partition() -> None:
    for partition, chosen in [(0, 0), (1, 1), (2, 2), (3, 0), (4, 1)]:
        group = Group("g")
        members = [member() for _ in range(3)]
        for each in members:
            group.join(each)
        assert group.elect(partition) is members[chosen]
        assert group.active is members[chosen]
        assert group.elect(partition) is None, "nothing has changed"


def test_the_next_one_waits_until_the_one_before_has_settled_everything() -> None:
    group, first, second = Group("g"), member(), member()
    group.join(first)
    assert group.elect(1) is first
    first.consumer.unsettled = 2
    group.join(second)
    assert group.elect(1) is None
    assert group.active is None
    first.consumer.unsettled = 1
    assert group.elect(1) is None
    first.consumer.unsettled = 0
    assert group.elect(1) is second
    assert group.active is second


def test_one_that_is_chosen_again_before_it_has_settled_everything_goes_on_where_it_is() -> None:
    group, first, second = Group("g"), member(), member()
    group.join(first)
    group.elect(1)
    first.consumer.unsettled = 1
    group.join(second)
    group.elect(1)
    group.leave(second)
    assert group.elect(1) is None
    assert group.active is first


def test_what_one_that_has_gone_had_is_not_waited_for() -> None:
    group, first, second = Group("g"), member(), member()
    group.join(first)
    group.elect(1)
    first.consumer.unsettled = 1
    group.join(second)
    group.elect(1)
    group.leave(first)
    assert group.elect(1) is second


class GroupMachine(RuleBasedStateMachine):
    """Never two that read, never one that reads while another has something, and nobody waits for nothing."""

    partitions: ClassVar = st.integers(0, 5)

    @initialize(partition=partitions)
    def begin(self, partition: int) -> None:
        self.group = Group("g")
        self.partition = partition
        self.active: Reader | None = None

    @precondition(lambda self: len(self.group.members) < 4)
    @rule()
    def join(self) -> None:
        self.group.join(member())
        self.elect()

    @precondition(lambda self: self.group.members)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.group.leave(data.draw(st.sampled_from(self.group.members)))
        self.elect()

    @precondition(lambda self: self.group.active is not None)
    @rule()
    def deliver(self) -> None:
        assert self.group.active is not None
        self.group.active.consumer.unsettled += 1

    @precondition(lambda self: any(each.consumer.unsettled for each in self.group.members))
    @rule()
    def settle(self) -> None:
        busy = [each for each in self.group.members if each.consumer.unsettled]
        assert len(busy) == 1
        busy[0].consumer.unsettled -= 1
        self.elect()

    def elect(self) -> None:
        before = self.group.active
        begins = self.group.elect(self.partition)
        if begins is not None:
            assert begins is self.group.active
            assert begins is not before
            assert begins.consumer.unsettled == 0

    @invariant()
    def one_reads_or_something_is_waited_for(self) -> None:
        members = self.group.members
        if not members:
            assert self.group.active is None
            return
        chosen = members[self.partition % len(members)]
        others = [each for each in members if each is not chosen and each.consumer.unsettled]
        assert self.group.active is (None if others else chosen)


TestGroupMachine = GroupMachine.TestCase
TestGroupMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
