"""What the storage has to say to whoever runs the broker: how far recovery is, what is damaged, what was left out.

Rule: what may live here writes to the log or the terminal. It decides nothing.
"""

from __future__ import annotations

import logging
import shutil
from typing import Final, TextIO

from amqpd.broker.recovery import Progress
from amqpd.clock import Clock
from amqpd.log.damage import Damage
from amqpd.logs import INFO, WARNING, event

# Recovery that takes longer tells how far it is, so often in the log, so often on a terminal.
QUIET_SECONDS: Final = 1.0
LOG_SECONDS: Final = 5.0
BAR_SECONDS: Final = 0.1
BAR_WIDTH: Final = 24
QUEUE_SHARE: Final = 10  # a queue, whose files are opened, takes about so many times as long as a binding


class StorageReport(Progress):
    """Recovery and damage in the log; on a terminal, recovery as a bar.

    Args:
        stream: where the log goes too; the bar is there if it is a terminal.
    """

    def __init__(self, clock: Clock, logger: logging.Logger, stream: TextIO) -> None:
        self._clock = clock
        self._logger = logger
        self._stream = stream
        self._terminal = stream.isatty()
        self._next = clock.monotonic() + QUIET_SECONDS
        self._told = False
        self._drawn = 0  # characters of the bar that are on the terminal
        self._queues_total = self._bindings_total = 0
        self._queues = self._bindings = self._messages = 0

    def begin(self, queues: int, bindings: int) -> None:
        self._queues_total = queues
        self._bindings_total = bindings

    def queue(self, messages: int) -> None:
        self._queues += 1
        self._messages += messages
        self._tell_in_time()

    def binding(self) -> None:
        self._bindings += 1
        self._tell_in_time()

    def skipped(self, what: str, reason: str) -> None:
        self._erase()
        event(self._logger, WARNING, "storage.skipped", what=what, reason=reason)

    def damaged(self, damage: Damage) -> None:
        """Something stored cannot be read."""
        self._erase()
        event(self._logger, WARNING, "storage.damaged", damage=str(damage))

    def end(self) -> None:
        """Recovery is over, however it went. Tells once more how far it came, if it told before."""
        if not self._told:
            return
        self._tell()
        if self._terminal:
            self._stream.write("\n")
            self._drawn = 0

    def _tell_in_time(self) -> None:
        now = self._clock.monotonic()
        if now >= self._next:
            self._next = now + (BAR_SECONDS if self._terminal else LOG_SECONDS)
            self._told = True
            self._tell()

    def _tell(self) -> None:
        if self._terminal:
            self._draw(self._bar())
            return
        event(
            self._logger,
            INFO,
            "storage.recovering",
            queues=self._queues,
            queues_total=self._queues_total,
            bindings=self._bindings,
            bindings_total=self._bindings_total,
            messages=self._messages,
        )

    def _bar(self) -> str:
        done = self._queues * QUEUE_SHARE + self._bindings
        total = max(1, self._queues_total * QUEUE_SHARE + self._bindings_total)
        filled = BAR_WIDTH * done // total
        if self._queues < self._queues_total:
            last = f"{self._queues:,} of {self._queues_total:,} queues"
        elif self._bindings < self._bindings_total:
            last = f"{self._bindings:,} of {self._bindings_total:,} bindings"
        else:
            last = f"{self._queues:,} queues, {self._messages:,} messages"
        return f"recovering [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {100 * done // total:3} %  {last}"

    def _draw(self, text: str) -> None:
        """Put a text over the one that was drawn before."""
        text = text[: shutil.get_terminal_size().columns - 1]  # a line that wraps cannot be drawn over
        self._stream.write("\r" + text.ljust(self._drawn))
        self._stream.flush()
        self._drawn = len(text)

    def _erase(self) -> None:
        """Make room for a line of the log."""
        if self._drawn:
            self._draw("")
            self._stream.write("\r")
            self._stream.flush()
