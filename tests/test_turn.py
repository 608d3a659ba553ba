"""Order within a turn, and when the edge is woken."""

from __future__ import annotations

import pytest

from amqpd.turn import Turn, Work


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
