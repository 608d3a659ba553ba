"""Work in slices: what takes long on the event loop gives way to the message traffic now and then."""

from __future__ import annotations

import asyncio
from typing import Final

from amqpd.clock import Clock

SLICE: Final = 0.001  # seconds
LOOK_EVERY: Final = 16  # steps between two looks at the clock


class Slices:
    """The time that one request has taken since it last gave way.

    Args:
        clock: the broker's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun = clock.monotonic()
        self._steps = 0

    @property
    def over(self) -> bool:
        """It is the others' turn. Looks at the clock."""
        return self._clock.monotonic() - self._begun >= SLICE

    async def next(self) -> None:
        """One small step is done: give way if it is time."""
        self._steps += 1
        if self._steps % LOOK_EVERY == 0 and self.over:
            await self.give_way()

    async def give_way(self) -> None:
        """Let everybody else have a turn."""
        await asyncio.sleep(0)
        self._begun = self._clock.monotonic()
