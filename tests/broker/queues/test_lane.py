"""The lane against a sorted list, in memory and on the disk, and what it costs when it is long."""

from __future__ import annotations

import tracemalloc
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amqpd.broker.queues.disk import Disk
from amqpd.broker.queues.lane import TRIM_AT, Lane
from amqpd.broker.queues.room import ALL, NOTHING, PERSISTENT, Room
from amqpd.clock import ManualClock, Timers
from amqpd.log.commit import SAFE, Commit, Commits
from amqpd.turn import Turn
from amqpd.wire.properties import Properties
from tests.broker.queues.takers import memory_room, message, never_fails
from tests.log.faults import MemoryFiles

PERSISTENCE = {True: Properties.of(delivery_mode=2), False: Properties.of(delivery_mode=1)}


class Known(NamedTuple):
    """All that a lane knows about a message."""

    position: int
    deliveries: int
    deadline: int
    body: bytes
    persistent: bool


class LaneMachine(RuleBasedStateMachine):
    """Messages enter, leave and come back; the model keeps them sorted by position."""

    bulk = TRIM_AT

    def __init__(self) -> None:
        super().__init__()
        self.lane = Lane(memory_room())
        self.model: list[Known] = []
        self.out: list[Known] = []
        self.entered = 0

    def check_ticket(self, ticket: int, persistent: bool) -> None:
        assert ticket == SAFE

    @rule(count=st.sampled_from([1, 2, 10, None]), deadline=st.sampled_from([0, 0, 5, 7]), persistent=st.booleans())
    def append(self, count: int | None, deadline: int, persistent: bool) -> None:
        for _ in range(count or self.bulk):
            body = b"%d" % self.entered
            ticket = self.lane.append(message(body, PERSISTENCE[persistent]), deadline)
            self.check_ticket(int(ticket), persistent)
            self.model.append(Known(self.entered, 0, deadline, body, persistent))
            self.entered += 1

    @rule(count=st.sampled_from([1, 2, 10, None]))
    def take(self, count: int | None) -> None:
        for _ in range(count or self.bulk + 1):
            taken = self.lane.take()
            if not self.model:
                assert taken is None
                return
            assert taken is not None
            lane = self.lane
            head = self.model.pop(0)
            persistent = taken.properties.persistent
            assert Known(int(lane.position), int(lane.deliveries), int(lane.deadline), taken.body, persistent) == head
            self.out.append(head)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), count=st.integers(1, 5))
    def put_back(self, data: st.DataObject, count: int) -> None:
        for _ in range(min(count, len(self.out))):
            known = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
            known = known._replace(deliveries=known.deliveries + 1)
            back = message(known.body, PERSISTENCE[known.persistent])
            self.lane.put_back(back, known.position, known.deliveries, known.deadline)
            self.model.append(known)
            self.model.sort(key=lambda known: known.position)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), count=st.integers(1, 5))
    def settle(self, data: st.DataObject, count: int) -> None:
        for _ in range(min(count, len(self.out))):
            self.lane.settle(self.out.pop(data.draw(st.integers(0, len(self.out) - 1))).position)

    @rule()
    def clear(self) -> None:
        assert self.lane.clear() == len(self.model)
        self.model = []

    @invariant()
    def counts_and_the_heads_deadline_agree(self) -> None:
        assert self.lane.count == len(self.model)
        assert self.lane.octets == sum(len(known.body) for known in self.model)

    @rule()
    def look_at_the_head(self) -> None:
        """No invariant: a look may read a page."""
        assert self.lane.head_deadline() == (self.model[0].deadline if self.model else 0)

    def teardown(self) -> None:
        while self.model:
            self.take(len(self.model) + 1)
        self.take(1)


class PagedLaneMachine(LaneMachine):
    """The same with room for three messages, pages of a few, and a disk that is done when hypothesis wants it to."""

    bulk = 30

    def __init__(self) -> None:
        super().__init__()
        self.files = MemoryFiles()
        self.held: list[Commit] = []

    @initialize(keeps=st.sampled_from([NOTHING, PERSISTENT, ALL]), page=st.sampled_from([1, 200, 100_000]))
    def begin(self, keeps: int, page: int) -> None:
        self.keeps = keeps
        self.page = page
        self.open()

    def open(self) -> None:
        """A lane on what the files have."""
        clock = ManualClock()
        self.turn = Turn()
        self.commits = Commits(self.turn, Timers(clock))
        self.commits.execute = self.held.append
        self.disk = Disk(self.files, self.commits, clock, waits=True)
        self.disk.messages = 3
        self.disk.page_octets = self.page
        self.lane = Lane(Room(self.disk, "queues/1" if self.keeps else "", self.keeps, never_fails))
        self.lane.recover()

    def check_ticket(self, ticket: int, persistent: bool) -> None:
        lasting = self.keeps == ALL or (self.keeps == PERSISTENT and persistent)
        assert ticket == (self.commits.number if lasting else SAFE)

    @rule()
    def end_turn(self) -> None:
        """What was gathered is a commit, if none is under way."""
        self.lane.progress()
        while not self.turn.idle:
            self.turn.finish()

    @precondition(lambda self: self.held)
    @rule()
    def run_commit(self) -> None:
        commit = self.held.pop()
        commit.run()
        self.commits.finished(commit)

    @precondition(lambda self: self.keeps != NOTHING)
    @rule(clean=st.booleans())
    def restart(self, clean: bool) -> None:
        """After everything has got to the disk. What lasts is there, in the order of positions; the rest is gone."""
        self.end_turn()
        while self.held:
            self.run_commit()
            self.end_turn()
        assert self.commits.idle
        if clean:
            for backlog in self.disk.kept:
                job = backlog.checkpoint()
                if job is not None:
                    job.run()
                    job.sync()
        there = self.model + [known._replace(deliveries=known.deliveries + 1) for known in self.out]
        self.model = sorted(known for known in there if known.persistent or self.keeps == ALL)
        self.out = []
        self.files = self.files.killed()
        self.open()
        assert self.lane.count == len(self.model)
        highest = max((known.position for known in self.model), default=-1)
        assert highest < self.lane._front_position, "a position would be used twice"
        self.entered = int(self.lane._front_position)

    def teardown(self) -> None:
        super().teardown()
        if self.held:
            self.run_commit()


TestPagedLaneMachine = PagedLaneMachine.TestCase
TestPagedLaneMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
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
