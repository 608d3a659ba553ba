"""What makes the sans-IO core run: its turns and timers, driven by the event loop."""

from __future__ import annotations

import asyncio

from amqpd.broker.context import Context


class LoopDriver:
    """Joins a context's turn and timers to the running event loop.

    The turn is finished once per pass of the loop, after all sockets that were readable have been read: what twenty
    publishers sent becomes one write for their common consumer.
    """

    def __init__(self, context: Context, loop: asyncio.AbstractEventLoop) -> None:
        self._context = context
        self._loop = loop
        self._sleep: asyncio.TimerHandle | None = None
        context.turn.wake = self._turn_has_work
        context.timers.wake = self._sleep_until_due
        if not context.turn.idle:
            self._turn_has_work()  # of recovery, which came before
        self._sleep_until_due()

    def stop(self) -> None:
        """Run no more timers."""
        self._context.timers.wake = None
        if self._sleep is not None:
            self._sleep.cancel()

    def _turn_has_work(self) -> None:
        self._loop.call_soon(self._context.turn.finish_pass)

    def _sleep_until_due(self) -> None:
        if self._sleep is not None:
            self._sleep.cancel()
            self._sleep = None
        deadline = self._context.timers.next_deadline()
        if deadline is not None:
            delay = max(0.0, deadline - self._context.clock.monotonic())
            self._sleep = self._loop.call_later(delay, self._run_due)

    def _run_due(self) -> None:
        self._sleep = None
        try:
            self._context.timers.run_due()
        finally:  # a fault in one timer must not stop the others
            self._sleep_until_due()
