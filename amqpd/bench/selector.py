"""Waiting more exactly than a millisecond: a publisher at a steady rate must not be late because of its own timer."""

from __future__ import annotations

import asyncio
import select
import selectors
from typing import Final

EXACT_BELOW: Final = 0.05  # seconds; longer waits may be a millisecond off


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop with the most exact timers that the system has."""
    if not hasattr(selectors, "EpollSelector"):
        return asyncio.new_event_loop()
    return asyncio.SelectorEventLoop(ExactSelector())


if hasattr(selectors, "EpollSelector"):

    class ExactSelector(selectors.EpollSelector):
        """epoll, whose own timeout is in whole milliseconds, behind a select() for the exact part."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            """Wait as the base class does, to the microsecond if it is not for long."""
            if timeout is not None and 0 < timeout < EXACT_BELOW:
                select.select([self.fileno()], [], [], timeout)
                timeout = 0
            return super().select(timeout)
