"""When messages are due at a steady rate, decided before the first one is sent.

Messages come in ticks of a millisecond at least. A tick's moment stays what it was when the publisher is late for it,
because the broker does not read or confirm: latency then counts from the moment at which the message should have been
sent. Otherwise a broker that stands still for a second would spoil one message, not all that were due meanwhile (the
error is known as coordinated omission).
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

NS: Final = 1_000_000_000
LEAST_TICK: Final = 1_000_000  # ns


@final
class Pace:
    """The messages of one publisher that are due.

    Args:
        rate: messages a second.
        begin: nanosecond of the first tick.

    Attributes:
        moment: nanosecond of the current tick.
        left: messages of it that were not sent yet.
    """

    def __init__(self, rate: float, begin: int) -> None:
        self._rate = rate
        self._begin: i64 = begin
        self._tick: i64 = max(LEAST_TICK, int(NS / rate))
        self._ticks: i64 = 0
        self._before: i64 = 0  # messages of all ticks until now
        self.moment: i64 = begin
        self.left: i64 = 0
        self._fill()

    def advance(self, now: i64) -> bool:
        """Go to the next tick if all of the current one was sent; False while that is not due yet."""
        while not self.left:
            if self.moment > now:
                return False
            self._ticks += 1
            self.moment = self._begin + self._ticks * self._tick
            self._fill()
        return self.moment <= now

    def due(self, now: i64) -> i64:
        """How many messages are due and not sent."""
        if now < self.moment:
            return 0
        ticks: i64 = (now - self._begin) // self._tick
        return max(self._until(ticks) - self._before + self.left, 0)

    def _fill(self) -> None:
        total = self._until(self._ticks)
        self.left = total - self._before
        self._before = total

    def _until(self, ticks: i64) -> i64:
        """Messages of the first ticks, up to this one. Half a message is no message yet, whatever floats say."""
        return i64(int(self._rate * int((ticks + 1) * self._tick) / NS + 1e-6))
