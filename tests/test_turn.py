"""Order within a turn, and when the edge is woken."""

from __future__ import annotations

import pytest

from amqpd.turn import LONELY_PASSES, LONELY_READS, PROBES, Turn, Work


class Step(Work):
    """Writes its name to a list, then does what it was told to."""

    def __init__(self, name: str, done: list[str]) -> None:
        self.name = name
        self.done = done
        self.defers: list[Work] = []
        self.writes: list[Work] = []
        self.turn: Turn | None = None

    def run(self) -> None:
        self.done.append(self.name)
        if self.turn is not None:
            for work in self.defers:
                self.turn.defer(work)
            for work in self.writes:
                self.turn.defer_write(work)


class Broken(Work):
    """Work with a fault."""

    def run(self) -> None:
        raise ValueError("fault")


class Wakes:
    """Counts how often the edge was woken."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_all_work_is_done_before_any_write_each_in_the_order_it_came() -> None:
    turn, done = Turn(), list[str]()
    turn.defer_write(Step("write 1", done))
    turn.defer(Step("work 1", done))
    turn.defer_write(Step("write 2", done))
    turn.defer(Step("work 2", done))
    turn.finish()
    assert done == ["work 1", "work 2", "write 1", "write 2"]


def test_work_that_work_sets_off_belongs_to_the_same_turn() -> None:
    turn, done = Turn(), list[str]()
    first, second = Step("first", done), Step("second", done)
    first.turn = second.turn = turn
    first.defers = [second]
    second.defers = [Step("third", done)]
    second.writes = [Step("write", done)]
    turn.defer(first)
    turn.finish()
    assert done == ["first", "second", "third", "write"]
    assert turn.idle


def test_what_a_write_sets_off_belongs_to_the_next_turn_for_which_the_edge_is_woken() -> None:
    turn, done, wakes = Turn(), list[str](), Wakes()
    write = Step("write", done)
    write.turn, write.defers, write.writes = turn, [Step("work", done)], [Step("next write", done)]
    turn.wake = wakes
    turn.defer_write(write)
    before = wakes.count
    turn.finish()
    assert (done, turn.idle, wakes.count) == (["write"], False, before + 1)
    turn.finish()
    assert (done, turn.idle) == (["write", "work", "next write"], True)


def test_the_edge_is_woken_once_for_a_turn() -> None:
    turn, done, wakes = Turn(), list[str](), Wakes()
    turn.wake = wakes
    for name in "abc":
        turn.defer(Step(name, done))
        turn.defer_write(Step(name, done))
    assert wakes.count == 1


def test_a_turn_without_work_is_idle_and_may_be_finished() -> None:
    turn = Turn()
    assert turn.idle
    turn.finish()
    assert turn.idle


def test_a_fault_is_reported_and_costs_nobody_else_the_turn() -> None:
    turn, done, faults = Turn(), list[str](), list[Exception]()
    turn.on_fault = faults.append
    turn.defer(Broken())
    turn.defer(Step("work", done))
    turn.defer_write(Broken())
    turn.defer_write(Step("write", done))
    turn.finish()
    assert done == ["work", "write"]
    assert [str(fault) for fault in faults] == ["fault", "fault"]


def test_a_fault_that_nobody_is_told_of_comes_through() -> None:
    turn = Turn()
    turn.defer(Broken())
    with pytest.raises(ValueError, match="fault"):
        turn.finish()


class Edge:
    """An event loop: passes with reads, each of which leaves work."""

    def __init__(self) -> None:
        self.turn = Turn()
        self.turn.wake = self._wake
        self.wanted = False  # somebody waits for the end of the pass
        self.done: list[str] = []

    def _wake(self) -> None:
        self.wanted = True

    def read(self, name: str = "work", alone: bool = False) -> None:
        """A read that leaves work; none without a name."""
        self.turn.begin_read(alone)
        if name:
            self.turn.defer(Step(name, self.done))
        self.turn.end_read()

    def pass_over(self) -> None:
        """The end of a pass."""
        if self.wanted:
            self.wanted = False
            self.turn.finish_pass()

    def lonely(self, passes: int) -> None:
        """So many passes with one read each."""
        for _ in range(passes):
            self.read()
            self.pass_over()


def waiting(edge: Edge, reads: int) -> list[bool]:
    """For each of so many reads, one a pass, whether its work waits for the end of the pass."""
    waited = []
    for _ in range(reads):
        edge.read()
        waited.append(edge.wanted)
        edge.pass_over()
        assert edge.turn.idle
    return waited


def test_reads_of_one_pass_are_one_turn() -> None:
    edge = Edge()
    edge.read("a")
    edge.read("b")
    assert edge.done == []
    edge.pass_over()
    assert edge.done == ["a", "b"]


def test_a_read_that_is_to_be_a_turn_of_its_own_wakes_nobody() -> None:
    edge = Edge()
    edge.read("a", alone=True)
    assert (edge.done, edge.wanted) == (["a"], False)


def test_work_that_waits_already_is_done_with_such_a_read() -> None:
    edge = Edge()
    edge.read("a")
    edge.read("b", alone=True)
    assert edge.done == ["a", "b"]
    edge.pass_over()
    assert edge.turn.idle


def test_where_pass_after_pass_has_one_read_the_next_ones_wait_for_no_pass_and_sometimes_it_is_looked_again() -> None:
    edge = Edge()
    again = [False] * LONELY_READS + [True] * PROBES
    assert waiting(edge, LONELY_PASSES) == [True] * LONELY_PASSES
    assert waiting(edge, 3 * len(again)) == 3 * again


def test_reads_without_work_are_not_counted() -> None:
    edge = Edge()
    for _ in range(LONELY_PASSES):
        edge.read("")
        edge.read()
        edge.pass_over()
    assert waiting(edge, 1) == [False]


def test_two_reads_in_a_pass_are_company() -> None:
    edge = Edge()
    edge.lonely(LONELY_PASSES - 1)
    edge.read()
    edge.lonely(1)
    assert waiting(edge, LONELY_PASSES) == [True] * LONELY_PASSES
    assert waiting(edge, 1) == [False]


def test_company_that_comes_while_reads_end_their_turns_is_seen_when_it_is_looked_again() -> None:
    edge = Edge()
    edge.lonely(LONELY_PASSES)
    for _ in range(LONELY_READS // 2):
        edge.read()
        edge.read()
        assert edge.turn.idle
    edge.read()
    edge.read()
    assert not edge.turn.idle
    edge.pass_over()
    assert waiting(edge, LONELY_PASSES) == [True] * LONELY_PASSES


def test_what_writes_set_off_wakes_the_edge_even_from_such_a_read() -> None:
    edge = Edge()
    edge.lonely(LONELY_PASSES)
    write = Step("write", edge.done)
    write.turn, write.defers = edge.turn, [Step("next", edge.done)]
    edge.turn.begin_read(alone=False)
    edge.turn.defer_write(write)
    edge.turn.end_read()
    assert (edge.wanted, edge.done[-1]) == (True, "write")
    edge.pass_over()
    assert edge.done[-1] == "next"
    assert waiting(edge, 1) == [False], "a pass without a read says nothing"


def test_work_that_comes_from_elsewhere_wakes_the_edge_always() -> None:
    edge = Edge()
    edge.lonely(LONELY_PASSES)
    edge.turn.defer(Step("timer", edge.done))
    assert edge.wanted
