"""Long work in small steps: whoever runs it decides how many at once.

Rule: what may live here knows nothing of definitions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from amqpd.clock import Clock

Steps: TypeAlias = Iterator[None]
"""Work of which every next() does a little."""

SLICE_SECONDS: Final = 0.005
"""So long may a slice take where a broker serves others meanwhile."""


def run_slice(steps: Steps, clock: Clock, seconds: float = SLICE_SECONDS) -> bool:
    """Do some steps, for about so long, and at least one. True if there are more."""
    end = clock.monotonic() + seconds
    for _ in steps:
        if clock.monotonic() >= end:
            return True
    return False


def run_all(steps: Steps) -> None:
    """Do all steps."""
    for _ in steps:
        pass
