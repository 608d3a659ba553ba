"""Work that takes too long for the one thread on which everything else happens."""

from __future__ import annotations

from collections.abc import Callable

from mypy_extensions import mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class Workers:
    """Who does such work. This one does it at once, which is for tests; the edge has threads."""

    def run(self, work: Callable[[], None], done: Callable[[], None]) -> None:
        """Have something done, and be told.

        Args:
            work: touches nothing that others use, and raises nothing.
            done: called on the caller's thread when the work is done; maybe before this returns.
        """
        work()
        done()
