"""Clocks, and the heap of timers against a list that is sorted anew each time."""

from __future__ import annotations

import time

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from amqpd.clock import COMPACT_AT, ManualClock, SystemClock, Timer, Timers


class Calls:
    """Counts calls."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_the_system_clock_is_the_machines() -> None:
    clock = SystemClock()
    before = time.monotonic(), time.time()
    now = clock.monotonic(), clock.time()
    after = time.monotonic(), time.time()
    assert before[0] <= now[0] <= after[0]
    assert abs(now[1] - before[1]) < 60


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(start=1000.0)
    assert (clock.monotonic(), clock.time()) == (clock.monotonic(), clock.time())
    clock.advance(2.5)
    assert (clock.monotonic(), clock.time()) == (2.5, 1002.5)


def test_a_timer_runs_at_its_moment_and_once() -> None:
    clock, ran = ManualClock(), Calls()
    timers = Timers(clock)
    timer = timers.call_later(2.0, ran)
    clock.advance(1.9)
    assert timers.run_due() == 0
    assert timer.pending
    clock.advance(0.1)
    assert (timers.run_due(), timers.run_due(), ran.count, timer.pending) == (1, 0, 1, False)


def test_a_cancelled_timer_never_runs_and_is_nobodys_deadline() -> None:
    clock, ran = ManualClock(), Calls()
    timers = Timers(clock)
    timer = timers.call_later(1.0, ran)
    timer.cancel()
    timer.cancel()
    assert timers.next_deadline() is None
    clock.advance(5.0)
    assert (timers.run_due(), ran.count) == (0, 0)


def test_a_timer_may_be_cancelled_by_one_that_runs_before_it_in_the_same_call() -> None:
    clock, ran = ManualClock(), Calls()
    timers = Timers(clock)
    doomed: list[Timer] = []
    timers.call_later(1.0, lambda: doomed[0].cancel())
    doomed.append(timers.call_later(1.0, ran))
    clock.advance(1.0)
    assert (timers.run_due(), ran.count) == (1, 0)


def test_a_timer_set_by_a_timer_for_now_runs_in_the_same_call() -> None:
    clock, ran = ManualClock(), Calls()
    timers = Timers(clock)

    def again() -> None:
        timers.call_later(0.0, ran)

    timers.call_later(1.0, again)
    clock.advance(1.0)
    assert (timers.run_due(), ran.count) == (2, 1)


def test_cancelled_timers_never_make_up_more_than_half_of_a_large_heap() -> None:
    clock, ran = ManualClock(), Calls()
    timers = Timers(clock)
    kept = [timers.call_later(float(seconds), ran) for seconds in range(100, 200)]
    for _ in range(10_000):
        timers.call_later(3600.0, Calls()).cancel()
        assert len(timers) <= 2 * len(kept)
    clock.advance(150.0)
    assert (timers.run_due(), ran.count) == (51, 51)


def test_of_a_thousand_timers_that_are_all_cancelled_few_are_kept() -> None:
    timers = Timers(ManualClock())
    for timer in [timers.call_later(60.0, Calls()) for _ in range(1000)]:
        timer.cancel()
        timer.cancel()
    assert len(timers) < COMPACT_AT
    assert timers.next_deadline() is None
    assert len(timers) == 0


def test_a_timer_that_cancels_others_while_it_runs_may_shrink_the_heap() -> None:
    clock, ran = ManualClock(), Calls()
    timers = Timers(clock)
    doomed = [timers.call_later(2.0, Calls()) for _ in range(2 * COMPACT_AT)]

    def cancel_all() -> None:
        for timer in doomed:
            timer.cancel()

    timers.call_later(1.0, cancel_all)
    timers.call_later(3.0, ran)
    clock.advance(3.0)
    assert (timers.run_due(), ran.count, len(timers)) == (2, 1, 0)


def test_the_sleeper_is_woken_only_for_a_new_earliest_timer() -> None:
    woken = Calls()
    timers = Timers(ManualClock())
    timers.wake = woken
    counts = []
    for seconds in (5.0, 7.0, 5.0, 1.0):
        timers.call_later(seconds, Calls())
        counts.append(woken.count)
    assert counts == [1, 1, 1, 2]


class TimerMachine(RuleBasedStateMachine):
    """Timers are set, cancelled and run in any order; a plain list tells what must have happened."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.timers = Timers(self.clock)
        self.set: list[tuple[float, int, Timer]] = []
        self.ran: list[int] = []
        self.serial = 0

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 1.0, 3.0]))
    def call_later(self, seconds: float) -> None:
        number = self.serial
        self.serial += 1
        timer = self.timers.call_later(seconds, lambda: self.ran.append(number))
        self.set.append((self.clock.monotonic() + seconds, number, timer))

    @precondition(lambda self: self.set)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.set))[2].cancel()
        self.set = [item for item in self.set if item[2].pending]

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        now = self.clock.monotonic()
        due = [number for deadline, number, _ in sorted(self.set, key=lambda item: item[:2]) if deadline <= now]
        self.set = [item for item in self.set if item[0] > now]
        self.ran.clear()
        assert self.timers.run_due() == len(due)
        assert self.ran == due

    @invariant()
    def the_deadline_is_the_earliest(self) -> None:
        assert self.timers.next_deadline() == min((deadline for deadline, _, _ in self.set), default=None)


TestTimerMachine = TimerMachine.TestCase
