"""Work in slices: what takes long on the event loop gives way to the message traffic now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
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


def steps(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items, STEP at a time."""
    return (items[start : start + STEP] for start in range(0, len(items), STEP))
