"""What is told to whoever starts the broker: how far recovery and imports are, what is damaged, what was left out.

Rule: what may live here writes to the log or the terminal. It decides nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from amqpd.broker.recovery import Progress
from amqpd.clock import Clock
from amqpd.log.damage import Damage
from amqpd.logs import INFO, WARNING, event

if TYPE_CHECKING:
    from amqpd.definitions.importing import Import

# What takes longer tells how far it is, so often in the log, so often on a terminal.
QUIET_SECONDS: Final = 1.0
LOG_SECONDS: Final = 5.0
BAR_SECONDS: Final = 0.1
BAR_WIDTH: Final = 24
QUEUE_SHARE: Final = 10  # a queue, whose files are opened, takes about so many times as long as a binding


class Teller:
    """Tells how far something is: in the log, or on a terminal as a bar.

    Args:
        stream: where the log goes too; the bar is there if it is a terminal.
        name: of the event in the log.
        bar: makes the line with the bar.
        facts: makes the event's fields.
    """

    def __init__(
        self,
        clock: Clock,
        logger: logging.Logger,
        stream: TextIO,
        name: str,
        bar: Callable[[], str],
        facts: Callable[[], Mapping[str, object]],
    ) -> None:
        self._clock = clock
        self._logger = logger
        self._stream = stream
        self._name = name
        self._bar = bar
        self._facts = facts
        self._terminal = stream.isatty()
        self._next = clock.monotonic() + QUIET_SECONDS
        self._told = False
        self._drawn = 0  # characters of the bar that are on the terminal

    def tell_in_time(self) -> None:
        """There is more to tell; tell it if it is time."""
        now = self._clock.monotonic()
        if now >= self._next:
            self._next = now + (BAR_SECONDS if self._terminal else LOG_SECONDS)
            self._told = True
            self._tell()

    def end(self) -> None:
        """It is over, however it went. Tells once more how far it came, if it told before."""
        if not self._told:
            return
        self._tell()
        if self._terminal:
            self._stream.write("\n")
            self._drawn = 0

    def warn(self, name: str, **fields: object) -> None:
        """Log a warning, in a line of its own."""
        if self._drawn:
            self._draw("")
            self._stream.write("\r")
            self._stream.flush()
        event(self._logger, WARNING, name, **fields)

    def _tell(self) -> None:
        if self._terminal:
            self._draw(self._bar())
        else:
            event(self._logger, INFO, self._name, **self._facts())

    def _draw(self, text: str) -> None:
        """Put a text over the one that was drawn before."""
        from shutil import get_terminal_size  # it brings all compressors along, and few starts draw anything

        text = text[: get_terminal_size().columns - 1]  # a line that wraps cannot be drawn over
        self._stream.write("\r" + text.ljust(self._drawn))
        self._stream.flush()
        self._drawn = len(text)


def bar_line(what: str, done: int, total: int, last: str) -> str:
    """A bar with what is done in front, and how much behind."""
    total = max(1, total)
    filled = BAR_WIDTH * done // total
    return f"{what} [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {100 * done // total:3} %  {last}"


class StorageReport(Progress):
    """Recovery and damage in the log; on a terminal, recovery as a bar.

    Args:
        stream: as for Teller.
    """

    def __init__(self, clock: Clock, logger: logging.Logger, stream: TextIO) -> None:
        self._teller = Teller(clock, logger, stream, "storage.recovering", self._bar, self._facts)
        self._queues_total = self._bindings_total = 0
        self._queues = self._bindings = self._messages = 0

    def begin(self, queues: int, bindings: int) -> None:
        self._queues_total = queues
        self._bindings_total = bindings

    def queue(self, messages: int) -> None:
        self._queues += 1
        self._messages += messages
        self._teller.tell_in_time()

    def binding(self) -> None:
        self._bindings += 1
        self._teller.tell_in_time()

    def skipped(self, what: str, reason: str) -> None:
        self._teller.warn("storage.skipped", what=what, reason=reason)

    def damaged(self, damage: Damage) -> None:
        """Something stored cannot be read."""
        self._teller.warn("storage.damaged", damage=str(damage))

    def end(self) -> None:
        """Recovery is over, however it went. Tells once more how far it came, if it told before."""
        self._teller.end()

    def _facts(self) -> Mapping[str, object]:
        return {
            "queues": self._queues,
            "queues_total": self._queues_total,
            "bindings": self._bindings,
            "bindings_total": self._bindings_total,
            "messages": self._messages,
        }

    def _bar(self) -> str:
        if self._queues < self._queues_total:
            last = f"{self._queues:,} of {self._queues_total:,} queues"
        elif self._bindings < self._bindings_total:
            last = f"{self._bindings:,} of {self._bindings_total:,} bindings"
        else:
            last = f"{self._queues:,} queues, {self._messages:,} messages"
        done = self._queues * QUEUE_SHARE + self._bindings
        return bar_line("recovering", done, self._queues_total * QUEUE_SHARE + self._bindings_total, last)


class ImportReport:
    """The import of one file in the log; if it takes long, on a terminal as a bar.

    Args:
        path: of the file.
        stream: as for Teller.
    """

    def __init__(self, path: Path, clock: Clock, logger: logging.Logger, stream: TextIO) -> None:
        self._path = path
        self._logger = logger
        self._teller = Teller(clock, logger, stream, "definitions.importing", self._bar, self._facts)
        self._loading: Import | None = None

    def run(self, loading: Import) -> None:
        """Do all of an import, and tell of it.

        Raises:
            DefinitionsError: nothing was imported.
        """
        self._loading = loading
        try:
            for _ in loading.steps():
                self._teller.tell_in_time()
        finally:
            self._teller.end()
        event(self._logger, INFO, "definitions.imported", file=str(self._path), **loading.summary)

    def skipped(self, row: str, reason: str) -> None:
        """A row was left out."""
        self._teller.warn("definitions.skipped", file=str(self._path), row=row, reason=reason)

    def _facts(self) -> Mapping[str, object]:
        done, total = self._count()
        return {"file": str(self._path), "rows": done, "rows_total": total}

    def _bar(self) -> str:
        done, total = self._count()
        return bar_line("importing", done, total, f"{done:,} of {total:,} rows of {self._path.name}")

    def _count(self) -> tuple[int, int]:
        return (0, 0) if self._loading is None else (self._loading.done, self._loading.total)
