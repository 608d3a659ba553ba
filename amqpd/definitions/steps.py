"""Long work in small steps: whoever runs it decides how many at once.

Rule: what may live here knows nothing of definitions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

Steps: TypeAlias = Iterator[None]
"""Work of which every next() does a little."""


def run_all(steps: Steps) -> None:
    """Do all steps at once."""
    for _ in steps:
        pass
