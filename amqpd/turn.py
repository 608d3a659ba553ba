"""A turn: everything that one wake-up of the event loop sets off.

Frames are processed as they are read, but queues are pumped, confirms sent and sockets written once, at the end of the
turn: thousands of messages in one read become one write per consumer and one basic.ack for the publisher.

Rule: what may live here knows that there is work, not what it does.
"""

from __future__ import annotations

from collections.abc import Callable

from mypy_extensions import mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class Work:
    """Something to be done at the end of the turn. Whoever defers it sees to it that it is not deferred twice."""

    def run(self) -> None:
        """Do it. Must not raise."""
        raise NotImplementedError


class Turn:
    """The work of the current turn.

    The edge sets ``wake`` and, some time after it was called, calls finish(). Tests call finish() themselves.
    """

    def __init__(self) -> None:
        self.wake: Callable[[], None] | None = None
        self.on_fault: Callable[[Exception], None] | None = None  # told of a fault in some work; None lets it through
        self._work: list[Work] = []
        self._writes: list[Work] = []

    @property
    def idle(self) -> bool:
        """True when finish() would do nothing."""
        return not self._work and not self._writes

    def defer(self, work: Work) -> None:
        """Run this once the frames at hand are processed."""
        if not self._work and not self._writes:
            self._call_wake()
        self._work.append(work)

    def defer_write(self, work: Work) -> None:
        """Run this after all other work of the turn."""
        if not self._work and not self._writes:
            self._call_wake()
        self._writes.append(work)

    def finish(self) -> None:
        """Do all deferred work, then all writes. What the writes set off belongs to the next turn."""
        while self._work:
            work = self._work
            self._work = []
            for item in work:
                self._run(item)
        writes = self._writes
        self._writes = []
        for item in writes:
            self._run(item)

    def _run(self, work: Work) -> None:
        try:
            work.run()
        except Exception as fault:  # one queue's fault must not cost all others their turn
            if self.on_fault is None:
                raise
            self.on_fault(fault)

    def _call_wake(self) -> None:
        if self.wake is not None:
            self.wake()
