"""Long work in small steps: whoever runs it decides how many at once.

Rule: what may live here knows nothing of definitions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias, TypeVar

T = TypeVar("T")

Steps: TypeAlias = Iterator[None]
"""Work of which every next() does a little."""


def drain(rows: list[T]) -> Iterator[T]:
    """The elements of a list, which loses each when it is taken: to let go of 100,000 rows at once takes 0.1 s."""
    rows.reverse()
    while rows:
        yield rows.pop()


def run_all(steps: Steps) -> None:
    """Do all steps at once."""
    for _ in steps:
        pass
