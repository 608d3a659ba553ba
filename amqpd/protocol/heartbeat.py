"""Heartbeats of one connection, both ways (AMQP 0-9-1 section 4.2.7, RabbitMQ's timing).

Outgoing: a heartbeat frame after the first half interval, then after each in which nothing else was sent. Incoming:
every interval the counter of received octets is looked at; the second look in a row that finds it unchanged means that
the peer is dead, so that it takes between two and three intervals to notice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64

from amqpd.clock import Timer, Timers
from amqpd.wire.frames import HEARTBEAT_FRAME
from amqpd.wire.output import Output

NEVER_LOOKED: Final = -1


@final
class Heartbeat:
    """The two timers of one connection.

    Args:
        interval: seconds, as the client asked for in connection.tune_ok; not 0.
        timers: the broker's.
        output: where heartbeats go.
        on_dead: called once when the peer is dead.
    """

    def __init__(self, interval: int, timers: Timers, output: Output, on_dead: Callable[[], None]) -> None:
        self._interval = float(interval)
        self._timers = timers
        self._output = output
        self._on_dead = on_dead
        self._sent: i64 = NEVER_LOOKED
        self._received: i64 = 0
        self._seen: i64 = NEVER_LOOKED
        self._silent = False
        self._suspended = False
        self._send_timer: Timer = timers.call_later(self._interval / 2, self._look_at_sent)
        self._receive_timer: Timer = timers.call_later(self._interval, self._look_at_received)

    def received(self) -> None:
        """Octets came in."""
        # HOT: once per read
        self._received += 1

    def suspend(self) -> None:
        """The broker itself does not read (blocked, held): silence proves nothing."""
        self._suspended = True

    def resume(self) -> None:
        """The broker reads again."""
        self._suspended = False
        self._silent = False
        self._seen = NEVER_LOOKED

    def stop(self) -> None:
        """No more heartbeats, no more looking."""
        self._send_timer.cancel()
        self._receive_timer.cancel()

    def _look_at_sent(self) -> None:
        unchanged = self._output.sent == self._sent and not self._output.size
        if unchanged or self._sent == NEVER_LOOKED:
            self._output.write(HEARTBEAT_FRAME)
        self._sent = self._output.sent + self._output.size
        self._send_timer = self._timers.call_later(self._interval / 2, self._look_at_sent)

    def _look_at_received(self) -> None:
        silent = self._received == self._seen and not self._suspended
        self._seen = self._received
        if silent and self._silent:
            self.stop()
            self._on_dead()
            return
        self._silent = silent
        self._receive_timer = self._timers.call_later(self._interval, self._look_at_received)
