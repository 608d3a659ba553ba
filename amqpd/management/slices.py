"""Work in slices: what takes long on the event loop gives way to the message traffic now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice
from typing import Final, TypeVar

from amqpd.clock import Clock

T = TypeVar("T")

SLICE: Final = 0.001  # seconds
STEP: Final = 64  # objects of which little is asked; looking at the clock after each of them would cost more


class Slices:
    """The time that one request has taken since it last gave way.

    Args:
        clock: the broker's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun = clock.monotonic()

    async def next(self) -> None:
        """One step is done: let everybody else have a turn if it is time."""
        if self._clock.monotonic() - self._begun >= SLICE:
            await asyncio.sleep(0)
            self._begun = self._clock.monotonic()

    async def through(self, steps: Iterable[None]) -> None:
        """Do all steps of some work."""
        for _ in steps:
            await self.next()

    async def all_of(self, items: Iterable[T], step: int = STEP) -> list[T]:
        """What an iterator makes, as a list.

        Args:
            step: items that are made without looking at the clock.
        """
        found: list[T] = []
        iterator = iter(items)
        while some := list(islice(iterator, step)):
            found += some
            await self.next()
        return found

    async def forget(self, items: list[T]) -> None:
        """Empty a list. To let go of 10,000 rows at once takes some milliseconds."""
        while items:
            del items[-STEP:]
            await self.next()
