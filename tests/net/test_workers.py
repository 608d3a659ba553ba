"""Threads for what takes long."""

from __future__ import annotations

import asyncio
import threading

import pytest

from amqpd.net.workers import ThreadWorkers
from amqpd.turn import Work
from tests.builders import World

SECONDS = 20.0


class Noted(Work):
    """Work of a turn that notes that it was done."""

    def __init__(self) -> None:
        self.done = False

    def run(self) -> None:
        self.done = True


def test_work_is_done_on_another_thread_and_told_on_this_one_in_a_turn_of_its_own() -> None:
    world, seen, deferred = World(), list[threading.Thread](), Noted()

    async def scenario() -> None:
        workers, over = ThreadWorkers(world.context), asyncio.Event()

        def done() -> None:
            seen.append(threading.current_thread())
            world.turn.defer(deferred)
            over.set()

        workers.run(lambda: seen.append(threading.current_thread()), done)
        await asyncio.wait_for(over.wait(), SECONDS)
        workers.stop()

    asyncio.run(scenario())
    worker, told = seen
    assert told is threading.main_thread()
    assert worker is not told
    assert deferred.done


def test_the_loop_goes_on_while_work_takes_its_time() -> None:
    async def scenario() -> None:
        workers, begun, end, over = (
            ThreadWorkers(World().context),
            threading.Event(),
            threading.Event(),
            asyncio.Event(),
        )

        def work() -> None:
            begun.set()
            assert end.wait(SECONDS)

        workers.run(work, over.set)
        assert await asyncio.to_thread(begun.wait, SECONDS)
        assert not over.is_set()
        end.set()
        await asyncio.wait_for(over.wait(), SECONDS)
        workers.stop()

    asyncio.run(scenario())


def test_workers_that_never_worked_stop() -> None:
    ThreadWorkers(World().context).stop()


def test_they_belong_to_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        ThreadWorkers(World().context).run(lambda: None, lambda: None)
