"""The acknowledgement journal of one queue: which positions are no longer live, on the disk.

Rule: what may live here knows positions, never records. Every entry of the journal is a statement that stays true
(these positions are gone, everything below this one was handed out), so that entries may be read twice, out of order or
without those before them; what matters is only that none is on the disk earlier than the records it may depend on.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from amqpd.log.damage import Damage
from amqpd.log.files import Files
from amqpd.log.journal import DELTA, MAGIC, SNAPSHOT, VERSION, Journal, damages_of, entry
from amqpd.log.journal_file import JournalFile
from amqpd.log.journal_write import SMALL, JournalWrite, header_of, journals_in, path_of
from amqpd.log.ranges import Ranges, ranges_of

KIND: Final = "acks"
LONG_RUN: Final = 8  # positions, from which on a run is worth an interval of its own


@final
class Acks:
    """Which positions of a queue are gone, and what must be known of the others after a restart.

    settle() and its like only gather in memory; begin() gives what was gathered as a job. All methods belong to the
    main thread, the job to any one thread; meanwhile gathering goes on.

    Args:
        files: where the journal is.
        folder: the queue's; made by the first job.
        small: octets up to which a file is never replaced by a smaller one.

    Attributes:
        gone: every position that is not live: acknowledged, dropped, or never written. As of the last gather().
        delivered: every position below was handed out at least once.
        marks: what the owner has noted of live positions, a number from 0 to 255 each; it stays until they are gone.
        counts: how often a live position was delivered, if more than once.
    """

    def __init__(self, files: Files, folder: str, small: int = SMALL) -> None:
        self.gone = Ranges()
        self.delivered: i64 = 0
        self.counts: dict[int, int] = {}
        self.marks: dict[int, int] = {}
        self._files = files
        self._folder = folder
        self._file = JournalFile(files, folder, KIND, small)
        self._run_first: i64 = 0  # what settle() was told last, one behind the other, from here
        self._run_end: i64 = 0  # to before here
        self._runs = Ranges()  # long runs before that
        self._settled: list[i64] = []  # everything else before that
        self._fresh = Ranges()  # gone, and not in a job yet
        self._fresh_counts: dict[int, int] = {}
        self._fresh_marks: dict[int, int] = {}
        self._told_delivered: i64 = 0  # the last one that is in a job

    @property
    def next_position(self) -> i64:
        """The lowest position above all that the journal mentions.

        A new message must not get a lower one, even if no record says so: a position that is gone stays gone.
        """
        highest: i64 = max(self.gone.last() + 1, self.delivered)
        for positions in (self.counts, self.marks):
            for position in positions:
                highest = max(highest, position + 1)
        return highest

    def open(self) -> list[Damage]:
        """Read what is there; once, before anything else. Changes nothing on the disk.

        A torn tail is what power loss leaves; what is broken elsewhere is told, and the rest used. Either way the next
        job writes a new file: appending to this one could bring back what is behind the broken place.

        Raises:
            NewerFormat: a newer amqpd wrote this.
            OSError: from the disk.
        """
        journals = self._journals()
        for journal in journals:
            self._take(journal)
        self._told_delivered = self.delivered
        if not journals:
            return []
        newest = journals[0]
        sound = len(journals) == 1 and newest.intact and newest.version == VERSION
        obsolete = [] if sound else [journal.path for journal in journals]
        self._file.found(newest.number, newest.end, newest.first_size, obsolete)
        return damages_of(journals)

    def settle(self, position: i64) -> None:
        """The position is gone."""
        # HOT: once per message
        if position != self._run_end:
            self._end_run()
            self._run_first = position
        self._run_end = position + 1

    def _end_run(self) -> None:
        """Put the run away; the next one begins behind it."""
        first, end = self._run_first, self._run_end
        self._run_first = end
        if end - first >= LONG_RUN:
            self._runs.add(first, end - 1)
            return
        while first < end:
            self._settled.append(first)
            first += 1

    def settle_through(self, position: i64) -> None:
        """The position and every one below it are gone."""
        self.settle_range(0, position)

    def settle_range(self, first: i64, last: i64) -> None:
        """Every position from first to last is gone; nothing when last is below first."""
        self.gone.add(first, last)
        self._fresh.add(first, last)
        if self.counts:
            self.counts = _outside(self.counts, first, last)
            self._fresh_counts = _outside(self._fresh_counts, first, last)
        if self.marks:
            self.marks = _outside(self.marks, first, last)
            self._fresh_marks = _outside(self._fresh_marks, first, last)

    def returned(self, position: i64, deliveries: int) -> None:
        """The position is live, and was delivered so many times."""
        self.counts[position] = deliveries
        self._fresh_counts[position] = deliveries

    def mark(self, position: i64, mark: int) -> None:
        """The position is live, and this is to be known of it after a restart."""
        self.marks[position] = mark
        self._fresh_marks[position] = mark

    def handed_out(self, position: i64) -> None:
        """Every position below this one was handed out. A lower one than before changes nothing."""
        if position > self.delivered:
            self.delivered = position

    def gather(self) -> None:
        """Bring gone up to date with what was settled since."""
        self._end_run()
        settled, runs = self._settled, self._runs
        if not settled and not runs:
            return
        self._settled, self._runs = [], Ranges()
        settled.sort()
        runs.update(ranges_of(settled))
        self.gone.update(runs)
        self._fresh.update(runs)
        if self.counts or self.marks:
            for first, last in runs.intervals():
                self._forget(first, last)

    def begin(self) -> JournalWrite | None:
        """Gather, and return everything that no job has written yet as one; None if that is nothing.

        Until finished() was called with it there must be no other.
        """
        file = self._file
        assert file.idle, "a write is under way"
        self.gather()
        noted = bool(self._fresh_counts) or bool(self._fresh_marks)
        news = noted or bool(self._fresh) or self._told_delivered != self.delivered
        if not news and not file.outgrown:
            return None
        if file.size > 0 and not file.outgrown:
            write = file.append(entry(DELTA, self._fresh, self.delivered, self._fresh_counts, self._fresh_marks))
        else:
            snapshot = entry(SNAPSHOT, self.gone, self.delivered, self.counts, self.marks)
            write = file.replace(header_of(MAGIC, VERSION) + snapshot)
        self._fresh = Ranges()
        self._fresh_counts = {}
        self._fresh_marks = {}
        self._told_delivered = self.delivered
        return write

    def finished(self, write: JournalWrite) -> None:
        """The job was run. Whether it was synced makes no difference here."""
        self._file.finished(write)

    def _forget(self, first: i64, last: i64) -> None:
        """Of what is gone nothing need be known."""
        for position in range(first, last + 1):
            self.counts.pop(position, None)
            self._fresh_counts.pop(position, None)
            self.marks.pop(position, None)
            self._fresh_marks.pop(position, None)

    def _journals(self) -> list[Journal]:
        """Every file there is, the newest first. All are read before anything is changed."""
        found: list[Journal] = []
        for number in journals_in(self._files, self._folder, KIND):
            path = path_of(self._folder, KIND, number)
            found.append(Journal(path, number, self._files.read(path, 0, self._files.size(path))))
        return found

    def _take(self, journal: Journal) -> None:
        """Make the statements of a file one's own."""
        self.gone.update(journal.gone)
        self.handed_out(journal.delivered)
        for position, count in journal.counts.items():
            self.counts[position] = max(count, self.counts.get(position, 0))
        self.counts = {position: count for position, count in self.counts.items() if not self.gone.covers(position)}
        self.marks.update(journal.marks)
        self.marks = {position: mark for position, mark in self.marks.items() if not self.gone.covers(position)}


def _outside(counts: dict[int, int], first: i64, last: i64) -> dict[int, int]:
    return {position: count for position, count in counts.items() if position < first or position > last}
