"""Named places in a log, on the disk: where consumers that have a name continue.

Rule: what may live here knows names and offsets, never records. A cursor may be moved anywhere at any time, so entries
of the file hold in their order, and each says where a cursor stands without those before it: power loss that takes some
of them leaves every cursor at a place where it has been.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from amqpd.log.cursors_file import (
    CHANGES,
    MAGIC,
    REMOVED,
    SNAPSHOT,
    VERSION,
    CursorsFile,
    damages_of,
    entry,
    places_of,
)
from amqpd.log.damage import Damage
from amqpd.log.files import Files
from amqpd.log.journal_file import JournalFile
from amqpd.log.journal_write import HEADER_SIZE, SMALL, JournalWrite, header_of, journals_in, path_of

KIND: Final = "cursors"


@final
class Cursors:
    """The named cursors of one log.

    move() and remove() change what is in memory; begin() gives what changed as a job. All methods belong to the main
    thread, the job to any one thread; meanwhile cursors may move on. After a restart a cursor stands where it stood at
    a sync or where it was moved to since, never anywhere else.

    Args:
        files: where the cursors are.
        folder: made by the first job.
        small: octets up to which a file is never replaced by a smaller one.
    """

    def __init__(self, files: Files, folder: str, small: int = SMALL) -> None:
        self._files = files
        self._folder = folder
        self._file = JournalFile(files, folder, KIND, small)
        self._places: dict[str, int] = {}
        self._fresh: dict[str, int] = {}  # changed, and not in a job yet

    def open(self) -> list[Damage]:
        """Read what is there; once, before anything else. Changes nothing on the disk.

        A torn tail is what power loss leaves; what is broken elsewhere is told, and the rest used. Either way the next
        job writes a new file: appending to this one could bring back what is behind the broken place.

        Raises:
            NewerFormat: a newer amqpd wrote this.
            OSError: from the disk.
        """
        found = cursors_files(self._files, self._folder)
        if not found:
            return []
        self._places = places_of(found)
        newest = found[0]
        sound = len(found) == 1 and newest.intact
        self._file.found(newest.number, newest.end, newest.first_size, [] if sound else [file.path for file in found])
        return damages_of(found)

    def place(self, name: str) -> i64:
        """Return the offset at which a cursor stands, -1 if there is none of that name."""
        return self._places.get(name, REMOVED)

    def all(self) -> dict[str, int]:
        """Return every cursor and its offset, in a new dict."""
        return self._places.copy()

    def move(self, name: str, offset: i64) -> None:
        """Let a cursor stand at an offset (0 or more), before or behind where it was; one that is not there is made."""
        assert offset >= 0, "not an offset"
        if self._places.get(name, REMOVED) != offset:
            self._places[name] = offset
            self._fresh[name] = offset

    def remove(self, name: str) -> bool:
        """Forget a cursor; False if there is none of that name."""
        if name not in self._places:
            return False
        del self._places[name]
        self._fresh[name] = REMOVED
        return True

    def begin(self) -> JournalWrite | None:
        """Return everything that no job has written yet as one; None if that is nothing.

        Until finished() was called with it there must be no other.
        """
        file = self._file
        assert file.idle, "a write is under way"
        if not self._fresh and not file.outgrown:
            return None
        fresh, self._fresh = self._fresh, {}
        if file.size > 0 and not file.outgrown:
            return file.append(entry(CHANGES, fresh, file.size))
        return file.replace(header_of(MAGIC, VERSION) + entry(SNAPSHOT, self._places, HEADER_SIZE))

    def finished(self, write: JournalWrite) -> None:
        """The job was run. Whether it was synced makes no difference here."""
        self._file.finished(write)


def cursors_files(files: Files, folder: str) -> list[CursorsFile]:
    """Read every file of cursors in a folder, the newest first. All are read before anything is changed.

    Raises:
        NewerFormat: a newer amqpd wrote one of them.
        OSError: from the disk.
    """
    found: list[CursorsFile] = []
    for number in journals_in(files, folder, KIND):
        path = path_of(folder, KIND, number)
        found.append(CursorsFile(path, number, files.read(path, 0, files.size(path))))
    return found
