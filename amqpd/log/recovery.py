"""Opening a log: which segments there are, what is in them, and what is wrong with them.

Rule: what may live here runs before the log is used. Bad content never raises; a newer format does, before anything is
changed.
"""

from __future__ import annotations

from typing import final

from mypy_extensions import i64

from amqpd.log.damage import Damage, NewerFormat
from amqpd.log.files import Files
from amqpd.log.index import Checkpoint
from amqpd.log.record import CHECKED, FRONT, crc_at
from amqpd.log.scan import Scan
from amqpd.log.segment import HEADER, SPAN, VERSION, Segment, base_and_generation, header_is_whole, version_in

_NO_LIMIT = 1 << 62


@final
class Found:
    """A segment that was found.

    Attributes:
        torn: where the octets behind its last record begin that are none; -1 if there are none.
    """

    def __init__(self, segment: Segment, header_whole: bool) -> None:
        self.segment = segment
        self.header_whole = header_whole
        self.damages: list[Damage] = []
        self.torn: i64 = -1


@final
class Recovery:
    """What is there of a log.

    Attributes:
        segments: in order; all but the last one are sealed.
        damages: what is wrong.

    Args:
        files: where the log is.
        folder: the log's; it may be missing.
    """

    def __init__(self, files: Files, folder: str) -> None:
        self.segments: list[Segment] = []
        self.damages: list[Damage] = []
        self._files = files
        self._folder = folder

    def run(self) -> None:
        """Find out, remove what is left over, cut off a torn tail.

        Raises:
            NewerFormat: a segment was written by a newer version; nothing was changed.
        """
        found = self._find_segments()
        for index in range(len(found)):
            below = found[index + 1].segment.base if index + 1 < len(found) else _NO_LIMIT
            self._understand(found[index], below)
        self._drop_empty_end(found)
        for entry in found:
            self._report(entry)
            entry.segment.seal()
            self.segments.append(entry.segment)
        if found:
            self._cut_tail(found[-1])
            found[-1].segment.unseal()

    def _find_segments(self) -> list[Found]:
        """Return the newest generation of every segment; what else is left of a log is removed."""
        newest: dict[int, int] = {}
        ours: list[tuple[str, int, int]] = []
        for name in self._files.names(self._folder):
            stem, _, kind = name.rpartition(".")
            base, generation = base_and_generation(stem)
            if base < 0 or kind not in ("log", "idx", "new"):
                continue
            ours.append((name, int(base), int(generation)))
            if kind == "log":
                newest[int(base)] = max(int(generation), newest.get(int(base), 0))
        found = [self._with_header(base, generation) for base, generation in sorted(newest.items())]
        self._remove([name for name, base, generation in ours if is_left_over(name, generation, newest.get(base, -1))])
        return found

    def _with_header(self, base: i64, generation: i64) -> Found:
        segment = Segment(self._folder, base, generation)
        header = self._files.read(segment.path, 0, HEADER)
        whole = header_is_whole(header)
        if whole and version_in(header) > VERSION:
            raise NewerFormat(segment.path, version_in(header), VERSION)
        return Found(segment, whole)

    def _remove(self, names: list[str]) -> None:
        if names:
            # The newer generation may not have its name for good yet; it must not vanish together with the older one.
            self._files.sync_folder(self._folder)
        for name in names:
            self._files.remove(f"{self._folder}/{name}")
        if names:  # an older generation must not be back when the newer one is removed, too
            self._files.sync_folder(self._folder)

    def _understand(self, entry: Found, below: i64) -> None:
        """Find out what is in a segment, with as little reading as possible."""
        segment = entry.segment
        size: i64 = self._files.size(segment.path)
        known = self._checkpoint(segment, size)
        if known is not None:
            segment.restore(known)
        if size > segment.size:
            segment.unseal()
            self._read_rest(entry, size, below)
        segment.written = segment.size

    def _read_rest(self, entry: Found, size: i64, below: i64) -> None:
        segment = entry.segment
        scan = Scan(self._files, segment, segment.size, size, below)
        while scan.next():
            if scan.position > segment.size:
                segment.skip_to(scan.position)
            if scan.passing:
                segment.add_passed(scan.offset, scan.time, scan.size, scan.crc())
            else:
                segment.add(scan.offset, scan.time, scan.weight, False, scan.size, scan.crc())
        segment.skip_to(size)
        entry.damages = scan.damages
        entry.torn = scan.torn

    def _checkpoint(self, segment: Segment, size: i64) -> Checkpoint | None:
        """Return the checkpoint of a segment, if there is one and it is about what is there."""
        try:
            data = self._files.read(segment.index_path, 0, self._files.size(segment.index_path))
        except FileNotFoundError:
            return None
        known = Checkpoint.decode(data)
        if known is None or known.base != segment.base or known.size > size or known.last < known.base:
            return None
        front = self._files.read(segment.path, known.last_position, FRONT)
        fits = len(front) == FRONT and crc_at(front, CHECKED - 4) == known.last_crc
        return known if fits and known.last < segment.base + SPAN else None

    def _drop_empty_end(self, found: list[Found]) -> None:
        """Remove segments without any record at the end: their making was cut short."""
        while found and found[-1].segment.last < found[-1].segment.base:
            entry = found.pop()
            self.damages.extend(entry.damages)
            self._files.remove(entry.segment.path)
            self._files.remove(entry.segment.index_path)

    def _report(self, entry: Found) -> None:
        if not entry.header_whole:
            text = "the header of a segment is broken; its records can be read all the same"
            self.damages.append(Damage(entry.segment.path, 0, HEADER, text))
        self.damages.extend(entry.damages)

    def _cut_tail(self, last: Found) -> None:
        if last.torn >= 0:
            self._files.truncate(last.segment.path, last.torn)
            last.segment.skip_to(last.torn)
            last.segment.written = last.torn


def is_left_over(name: str, generation: int, newest: int) -> bool:
    """Tell whether a file of a log is not, or no longer, a part of it."""
    return name.endswith(".new") or generation != newest
