"""A turn: everything that one wake-up of the event loop sets off.

Frames are processed as they are read, but queues are pumped, confirms sent and sockets written once, at the end of the
turn: thousands of messages in one read become one write per consumer and one basic.ack for the publisher.

Rule: what may live here knows that there is work, not what it does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64, mypyc_attr

# After so many passes of the event loop in a row that brought one read each, the next reads end their turns themselves.
LONELY_PASSES: Final = 16
# So many of them do. Then the ends of passes are waited for again: so many, if each brings one read.
LONELY_READS: Final = 64
PROBES: Final = 4


@mypyc_attr(allow_interpreted_subclasses=True)
class Work:
    """Something to be done at the end of the turn. Whoever defers it sees to it that it is not deferred twice."""

    def run(self) -> None:
        """Do it. Must not raise."""
        raise NotImplementedError


@final
class Turn:
    """The work of the current turn.

    The edge sets ``wake`` and, some time after it was called, calls finish_pass(); it calls begin_read() and end_read()
    around what it hands on of a read. Tests call finish() themselves.

    Waiting for the end of a pass, so that what many sockets sent is written once, costs one more pass. Where one pass
    after the other has a single read, the reads end their turns themselves.
    """

    def __init__(self) -> None:
        self.wake: Callable[[], None] | None = None
        self.on_fault: Callable[[Exception], None] | None = None  # told of a fault in some work; None lets it through
        self._work: list[Work] = []
        self._writes: list[Work] = []
        self._reads: i64 = 0  # of this pass, those after which there was work
        self._lonely_passes: i64 = 0  # in a row, those with one such read
        self._lonely_reads: i64 = 0  # so many of the next reads end their turn themselves
        self._ends_itself = False  # the read at hand does

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

    def begin_read(self, alone: bool) -> None:
        """What one socket delivered is about to be processed.

        Args:
            alone: it is a turn of its own in any case.
        """
        self._ends_itself = alone or self._lonely_reads > 0

    def end_read(self) -> None:
        """It has been processed; this may finish the turn."""
        ends_itself, self._ends_itself = self._ends_itself, False
        if self.idle:
            return
        if not ends_itself:
            self._reads += 1
            return
        if self._lonely_reads > 0:
            self._lonely_reads -= 1
        self.finish()

    def finish_pass(self) -> None:
        """Finish the turn after all reads of a pass of the event loop."""
        if self._reads == 1:
            self._lonely_passes += 1
            if self._lonely_passes == LONELY_PASSES:
                self._lonely_passes -= PROBES
                self._lonely_reads = LONELY_READS
        elif self._reads > 1:
            self._lonely_passes = 0
        self._reads = 0
        self.finish()

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
        if self.wake is not None and not self._ends_itself:
            self.wake()
