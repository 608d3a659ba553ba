"""Time in queues: the moment at which a head expires, and queues that nobody uses (RabbitMQ, TTL).

Both are timers on the broker's one heap; there is none for a queue that needs none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from mypy_extensions import i64

from amqpd.broker.context import Context
from amqpd.clock import Timer


@final
class HeadTimer:
    """Waits for the deadline of a queue's head.

    Heads come and go with every delivery, mostly with ever later deadlines. So a timer that is set too early is left to
    run: there is one at most, not one per head.

    Args:
        on_due: called when the deadline has come, or may have; whoever is called asks to wait again.
    """

    def __init__(self, context: Context, on_due: Callable[[], None]) -> None:
        self._context = context
        self._on_due = on_due
        self._deadline: i64 = 0
        self._timer: Timer | None = None

    def wait_for(self, deadline: i64) -> None:
        """Wait for another deadline from now on.

        Args:
            deadline: milliseconds since the epoch; 0 waits for nothing.
        """
        if self._timer is not None and (not deadline or self._deadline <= deadline):
            return
        self.stop()
        if deadline:
            self._deadline = deadline
            delay = max(0, deadline - self._context.now()) / 1000
            self._timer = self._context.timers.call_later(delay, self._due)

    def stop(self) -> None:
        """Wait for nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        self._on_due()


@final
class IdleTimer:
    """Deletes a queue that nobody has used for some time (x-expires).

    Args:
        busy: True while the queue has consumers; then it is in use all the time.
        on_idle: called when the time is over.
    """

    def __init__(self, context: Context, busy: Callable[[], bool], on_idle: Callable[[], None]) -> None:
        self._context = context
        self._busy = busy
        self._on_idle = on_idle
        self._seconds = 0.0
        self._last_use = 0.0
        self._timer: Timer | None = None

    def set(self, milliseconds: int | None) -> None:
        """Allow so much time without use; None allows any. The time starts now."""
        self.stop()
        if milliseconds is not None:
            self._seconds = milliseconds / 1000
            self.used()
            self._timer = self._context.timers.call_later(self._seconds, self._look)

    def used(self) -> None:
        """The queue is used; the time starts anew."""
        if self._seconds:
            self._last_use = self._context.clock.monotonic()

    def stop(self) -> None:
        """Watch no longer."""
        self._seconds = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._context.clock.monotonic()
        if self._busy():
            self._last_use = now
        left = self._last_use + self._seconds - now
        if left > 0:
            self._timer = self._context.timers.call_later(left, self._look)
        else:
            self._timer = None
            self._on_idle()
