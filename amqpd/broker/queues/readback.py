"""Reading messages back from a backlog's log.

Rule: what may live here turns records into messages. It changes nothing on the disk, and knows only what is written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.queues.disk import Disk
from amqpd.broker.records import RecordDecoder, Stored
from amqpd.errors import AMQPError
from amqpd.log.acks import Acks
from amqpd.log.damage import Damage
from amqpd.log.log import Log
from amqpd.log.record import Record

# Of messages that are wanted by position: those no farther apart are read together, so many octets at a time.
NEAR: Final = 64
TOGETHER: Final = 64 * 1024


@final
class ReadBack:
    """The place in a log up to which a backlog was read back, and reading apart from that.

    Args:
        disk: is told of what cannot be read.
        folder: the backlog's.
        log: what is read.
        acks: what is gone or dead, and how often the others were delivered.
        on_failure: called when the disk fails for good.

    Attributes:
        through: everything up to this position was read back.
    """

    def __init__(self, disk: Disk, folder: str, log: Log, acks: Acks, on_failure: Callable[[OSError], None]) -> None:
        self.through: i64 = -1
        self._disk = disk
        self._folder = folder
        self._log = log
        self._acks = acks
        self._on_failure = on_failure
        self._decoder = RecordDecoder()

    def page(self) -> list[Stored]:
        """The next messages that are neither gone nor dead, in order; none when nothing more is written."""
        page: list[Stored] = []
        while not page:
            try:
                records = self._log.read(self.through + 1, self._disk.page_octets)
            except OSError as error:
                self._on_failure(error)
                break
            self.report_damage()
            if not records:
                break
            gone, marks = self._acks.gone, self._acks.marks
            for record in records:
                self.through = record.offset
                if not gone.covers(record.offset) and record.offset not in marks:
                    self._add(page, record)
        return page

    def fetch(self, positions: list[int], octets: i64) -> list[Stored]:
        """The messages of some positions, as far as they are written and can be read.

        Args:
            positions: ascending.
            octets: about how much to return; one message at least, if there is one.
        """
        found: list[Stored] = []
        wanted = set(positions)
        at = 0
        while at < len(positions) and octets > 0:
            near = at + 1 < len(positions) and positions[at + 1] - positions[at] < NEAR
            try:
                records = self._log.read(positions[at], TOGETHER if near else 1)
            except OSError as error:
                self._on_failure(error)
                return found
            if not records:
                break
            for record in records:
                if record.offset in wanted and octets > 0:
                    octets -= len(record.payload)
                    self._add(found, record)
            while at < len(positions) and positions[at] <= record.offset:
                at += 1
        self.report_damage()
        return found

    def one(self, position: i64) -> Stored | None:
        """The message of a position, if it is there, not gone, and can be read.

        Raises:
            OSError: from the disk.
        """
        found: list[Stored] = []
        for record in self._log.read(position, 1):
            if record.offset == position and not self._acks.gone.covers(position):
                self._add(found, record)
        self.report_damage()
        return found[0] if found else None

    def report_damage(self) -> None:
        """Tell of what the log could not read since the last call."""
        if self._log.damages:
            for damage in self._log.damages:
                self._disk.damaged(damage)
            self._log.damages.clear()

    def _add(self, page: list[Stored], record: Record) -> None:
        """Add the message of a record; one that is no message is left out, and told of."""
        position = record.offset
        try:
            stored = self._decoder.stored(position, record.payload)
        except (ValueError, IndexError, AMQPError) as error:
            path = f"{self._folder}, record {int(position)}"
            self._disk.damaged(Damage(path, 0, len(record.payload), f"it is no message ({error})"))
            return
        if position < self._acks.delivered:
            stored.deliveries = i64(self._acks.counts.get(int(position), 1))
        page.append(stored)
