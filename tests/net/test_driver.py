"""Turns and timers are run by the event loop, and nothing is run twice or forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from amqpd.broker.context import Context
from amqpd.clock import Clock, ManualClock, SystemClock, Timers
from amqpd.net.driver import LoopDriver
from amqpd.turn import Turn, Work
from tests.net.peers import eventually


class Step(Work):
    """Counts how often it runs, and may defer another piece of work."""

    def __init__(self, turn: Turn, then: Work | None = None) -> None:
        self.turn = turn
        self.then = then
        self.count = 0

    def run(self) -> None:
        self.count += 1
        if self.then is not None:
            self.turn.defer(self.then)


def context_on(clock: Clock) -> Context:
    return Context(clock, Timers(clock), Turn(), bytes)


def driven(clock: Clock) -> tuple[Context, LoopDriver]:
    """A context that the running loop drives."""
    context = context_on(clock)
    return context, LoopDriver(context, asyncio.get_running_loop())


@pytest.mark.anyio
async def test_a_turn_is_finished_in_the_next_pass_of_the_loop() -> None:
    context, driver = driven(ManualClock())
    work, write = Step(context.turn), Step(context.turn)
    context.turn.defer(work)
    context.turn.defer_write(write)
    assert (work.count, write.count) == (0, 0)
    await asyncio.sleep(0)
    assert (work.count, write.count, context.turn.idle) == (1, 1, True)
    driver.stop()


@pytest.mark.anyio
async def test_what_a_write_sets_off_gets_a_turn_too() -> None:
    context, driver = driven(ManualClock())
    later = Step(context.turn)
    context.turn.defer_write(Step(context.turn, then=later))
    await eventually(lambda: later.count == 1)
    driver.stop()


@pytest.mark.anyio
async def test_timers_run_in_order_when_their_moment_has_come() -> None:
    context, driver = driven(SystemClock())
    ran: list[str] = []
    begun = context.clock.monotonic()
    context.timers.call_later(0.02, lambda: ran.append("late"))
    context.timers.call_later(0.01, lambda: ran.append("early"))
    await eventually(lambda: len(ran) == 2)
    assert ran == ["early", "late"]
    assert context.clock.monotonic() - begun >= 0.02
    driver.stop()


@pytest.mark.anyio
async def test_a_timer_that_sets_another_one_keeps_them_going() -> None:
    context, driver = driven(SystemClock())
    ran: list[int] = []

    def tick() -> None:
        ran.append(1)
        context.timers.call_later(0.001, tick)

    context.timers.call_later(0.001, tick)
    await eventually(lambda: len(ran) >= 3)
    driver.stop()


@pytest.mark.anyio
async def test_a_timer_set_before_the_driver_came_runs() -> None:
    context = context_on(SystemClock())
    ran: list[int] = []
    context.timers.call_later(0.001, lambda: ran.append(1))
    driver = LoopDriver(context, asyncio.get_running_loop())
    await eventually(lambda: ran == [1])
    driver.stop()


@pytest.mark.anyio
async def test_after_stop_no_timer_runs() -> None:
    context, driver = driven(SystemClock())
    ran: list[int] = []
    context.timers.call_later(0.001, lambda: ran.append(1))
    driver.stop()
    context.timers.call_later(0.0, lambda: ran.append(2))
    await anyio.sleep(0.01)
    assert ran == []


@pytest.mark.anyio
async def test_a_fault_in_one_timer_does_not_stop_the_others() -> None:
    faults: list[object] = []

    def keep(_: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
        faults.append(told.get("exception"))

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(keep)
    context, driver = driven(SystemClock())
    ran: list[int] = []

    def fault() -> None:
        raise ValueError("fault")

    context.timers.call_later(0.001, fault)
    context.timers.call_later(0.002, lambda: ran.append(1))
    await eventually(lambda: ran == [1])
    assert [str(fault) for fault in faults] == ["fault"]
    driver.stop()
    loop.set_exception_handler(None)
