"""Time as the broker sees it: one clock that is handed in, and one heap of timers.

Rule: nothing else in the broker may read a clock. Everything timed (heartbeats, TTL, expiry, handshake timeout, holds)
is a Timer on the one heap; there is no task or timer per message, queue or connection.
"""

from __future__ import annotations

import heapq
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

# Fewer cancelled timers than this are not worth looking for.
COMPACT_AT: Final = 64


class Clock(ABC):
    """Where time comes from."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean something."""

    @abstractmethod
    def time(self) -> float:
        """Seconds since the epoch, for timestamps that people or other programs read."""


class SystemClock(Clock):
    """The machine's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()


class ManualClock(Clock):
    """A clock that stands still until it is told to move: for tests, replay and virtual time."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._elapsed = 0.0
        self._start = start

    def monotonic(self) -> float:
        return self._elapsed

    def time(self) -> float:
        return self._start + self._elapsed

    def advance(self, seconds: float) -> None:
        """Move forward by so many seconds. Timers run when someone calls Timers.run_due."""
        self._elapsed += seconds

    def advance_to(self, moment: float) -> None:
        """Move forward to a monotonic second, exactly; one that is over changes nothing."""
        self._elapsed = max(self._elapsed, moment)


class Timer:
    """One call that is to happen at a moment; Timers.call_later makes it.

    Args:
        timers: on whose heap it stands.
        deadline: the monotonic second.
        callback: the call.
    """

    __slots__ = ("_callback", "_timers", "deadline")

    def __init__(self, timers: Timers, deadline: float, callback: Callable[[], None]) -> None:
        self.deadline = deadline
        self._timers = timers
        self._callback: Callable[[], None] | None = callback

    @property
    def pending(self) -> bool:
        """True until the timer has run or was cancelled."""
        return self._callback is not None

    def cancel(self) -> None:
        """Never run. Cancelling twice, or after it ran, does nothing."""
        if self._callback is not None:
            self._callback = None
            self._timers.timer_cancelled()

    def run(self) -> None:
        """Run the call once, unless cancelled."""
        callback = self._callback
        self._callback = None
        if callback is not None:
            callback()


class Timers:
    """The broker's one heap of timers.

    The edge sleeps until next_deadline() and then calls run_due(). Tests move a ManualClock and call run_due()
    themselves.

    Cancelling is cheap: a cancelled timer stays on the heap until its moment comes, or until there are more of its kind
    than of those that wait. So the heap is never much longer than what it is for, even if connections with long
    heartbeats come and go by the thousand.

    Args:
        clock: read once per run_due and once per call_later.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.wake: Callable[[], None] | None = None  # told when a new timer became the earliest
        self._heap: list[tuple[float, int, Timer]] = []
        self._cancelled = 0  # timers on the heap that will not run
        self._serial = 0

    def __len__(self) -> int:
        """How many timers the heap holds, those included that were cancelled and are still there."""
        return len(self._heap)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run callback once, so many seconds from now. It must not raise."""
        timer = Timer(self, self.clock.monotonic() + seconds, callback)
        self._serial += 1
        heapq.heappush(self._heap, (timer.deadline, self._serial, timer))
        if self.wake is not None and self._heap[0][2] is timer:
            self.wake()
        return timer

    def next_deadline(self) -> float | None:
        """The monotonic second at which run_due has something to do, or None."""
        self._drop_cancelled()
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> int:
        """Run every timer whose moment has come, earliest first, and return how many ran."""
        now = self.clock.monotonic()
        ran = 0
        while self._heap and self._heap[0][0] <= now:
            timer = heapq.heappop(self._heap)[2]
            if timer.pending:
                ran += 1
                timer.run()
            else:
                self._cancelled -= 1
        return ran

    def timer_cancelled(self) -> None:
        """A timer on the heap will not run; it calls this itself."""
        self._cancelled += 1
        if self._cancelled >= COMPACT_AT and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].pending]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def _drop_cancelled(self) -> None:
        while self._heap and not self._heap[0][2].pending:
            heapq.heappop(self._heap)
            self._cancelled -= 1
