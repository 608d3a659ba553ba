"""Whether a store is whole: a folder with the segments of a log and its acknowledgement journals.

Rule: what may live here knows which files belong into such a folder, and how they depend on each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from amqpd.check.findings import Cure, Finding, Mend, StoreReport
from amqpd.check.payload import Payloads
from amqpd.check.segment import SegmentCheck, missing
from amqpd.log.damage import NewerFormat
from amqpd.log.files import Files
from amqpd.log.index import Checkpoint
from amqpd.log.journal import Journal, damages_of
from amqpd.log.ranges import Ranges
from amqpd.log.recovery import is_left_over
from amqpd.log.scan import Scan
from amqpd.log.segment import HEADER, VERSION, Segment, base_and_generation, header_is_whole, version_in

STREAM: Final = "stream"
KEEP_ALL: Final = frozenset({"quorum", STREAM, "x-delayed-message"})
"""Types that write every position, unless it is acknowledged first."""
_NO_LIMIT: Final = 1 << 62


class StoreCheck:
    """The check of one store.

    Args:
        files: where it is.
        folder: of the store.
        kind: of the queue or exchange, None if that is not known.
        advance: told how many octets were read.
    """

    def __init__(self, files: Files, folder: str, kind: str | None, advance: Callable[[int], None]) -> None:
        self.report = StoreReport(folder=folder)
        self._files = files
        self._folder = folder
        self._keeps_all = kind in KEEP_ALL
        self._retains = kind == STREAM
        self._advance = advance
        self._gone = Ranges()
        self._newest: dict[int, int] = {}  # generation of each base
        self._leftovers: list[tuple[str, int, int]] = []

    def run(self) -> StoreReport:
        """Read everything. Blocks.

        Raises:
            NewerFormat: a newer amqpd wrote it.
            OSError: a file may not be read, or is gone.
        """
        journals, segments = self._sort()
        self._check_journals(journals)
        self._check_segments(segments)
        return self.report

    def _sort(self) -> tuple[list[tuple[int, str]], list[Segment]]:
        """The journals by number, and the segments in order; what is neither is told."""
        journals: list[tuple[int, str]] = []
        ours: list[tuple[str, int, int]] = []
        for name in self._files.names(self._folder):
            self.report.octets += self._files.size(self._path(name))
            stem, _, kind = name.rpartition(".")
            base, generation = base_and_generation(stem)
            if stem == "acks" and kind.isdecimal():
                journals.append((int(kind), name))
            elif base >= 0 and kind in ("log", "idx", "new"):
                ours.append((name, int(base), int(generation)))
            else:
                self._note(name, "not a file of amqpd's; it is left alone")
        self._find_newest(ours)
        self._leftovers = [entry for entry in ours if is_left_over(entry[0], entry[2], self._newest.get(entry[1], -1))]
        return journals, [Segment(self._folder, base, number) for base, number in sorted(self._newest.items())]

    def _find_newest(self, ours: list[tuple[str, int, int]]) -> None:
        for name, base, generation in ours:
            if name.endswith(".log"):
                self._newest[base] = max(generation, self._newest.get(base, 0))

    # Acknowledgements.

    def _check_journals(self, found: list[tuple[int, str]]) -> None:
        journals: list[Journal] = []
        for number, name in sorted(found, reverse=True):
            path = self._path(name)
            size = self._files.size(path)
            journals.append(Journal(path, number, self._files.read(path, 0, size)))
            self._advance(size)
            self._gone.update(journals[-1].gone)
        for damage in damages_of(journals):
            self.report.damaged(damage)
        for journal in journals[:1]:
            self._note_tail(journal)
        for journal in journals[1:]:
            text = "a journal that a newer one replaces; the next start removes it"
            self.report.notes.append(Finding(journal.path, 0, journal.size, text))
        if len(journals) > 1 or any(not journal.intact for journal in journals):
            self.report.mend(Mend(Cure.REPLACE_JOURNAL, self._folder))

    def _note_tail(self, journal: Journal) -> None:
        end = journal.end if journal.entries > 0 else 0
        told = any(finding.path == journal.path and finding.position >= end for finding in self.report.corrupt)
        if end < journal.size and not told:
            text = "torn acknowledgements at the end, as a crash leaves them; their messages come again"
            self.report.notes.append(Finding(journal.path, end, journal.size - end, text))

    # Segments.

    def _check_segments(self, segments: list[Segment]) -> None:
        for segment in segments:
            self._refuse_newer(segment)
        end = self._last_with_records(segments)
        payloads = Payloads()
        last = -1
        for index, segment in enumerate(segments):
            below = int(segments[index + 1].base) if index + 1 < len(segments) else _NO_LIMIT
            check = SegmentCheck(self._files, segment, below, index >= end, self.report)
            check.run(self._gone, payloads, self._advance)
            self._check_gap(segment, last)
            last = check.last
        for name, base, _ in self._leftovers:
            self._check_leftover(name, base)

    def _refuse_newer(self, segment: Segment) -> None:
        header = self._files.read(segment.path, 0, HEADER)
        if header_is_whole(header) and version_in(header) > VERSION:
            raise NewerFormat(segment.path, version_in(header), VERSION)

    def _last_with_records(self, segments: list[Segment]) -> int:
        """The index of the last segment that has one; those behind it are removed by a start."""
        for index in range(len(segments) - 1, -1, -1):
            segment = segments[index]
            if Scan(self._files, segment, 0, self._files.size(segment.path), _NO_LIMIT).next():
                return index
        return 0

    def _check_gap(self, segment: Segment, last: int) -> None:
        """Positions between two segments that are neither stored nor acknowledged."""
        first = last + 1
        wide = int(segment.base) - first
        absent = wide - self._gone.covered(first, int(segment.base) - 1) if last >= 0 and wide > 0 else 0
        if absent > 0 and self._keeps_all:
            text = f"{absent} positions before this segment are neither stored nor acknowledged: is a segment missing?"
            self.report.notes.append(Finding(segment.path, 0, 0, text))

    def _check_leftover(self, name: str, base: int) -> None:
        """A file that is no part of the log. A checkpoint without its segment tells what has been lost with it."""
        path = self._path(name)
        size = self._files.size(path)
        self.report.mend(Mend(Cure.REMOVE, path))
        oldest = min(self._newest, default=0)
        expired = self._retains and base < oldest  # retention took the segment, and power loss brought this back
        if name.endswith(".idx") and base not in self._newest and not expired:
            known = Checkpoint.decode(self._files.read(path, 0, size))
            lost = 0 if known is None else missing(known, Ranges(), self._gone)
            if lost > 0:
                text = f"the segment of this checkpoint is missing, and with it {lost} messages nobody acknowledged"
                self.report.corrupt.append(Finding(path, 0, size, text))
                self.report.lost += lost
                return
        self.report.notes.append(Finding(path, 0, size, "left over; the next start removes it"))

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _note(self, name: str, text: str) -> None:
        self.report.notes.append(Finding(self._path(name), 0, 0, text))
