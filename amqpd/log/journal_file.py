"""The file of a journal: entries behind each other, replaced by a snapshot when they have become many.

Rule: what may live here knows files, numbers and sizes, not what the entries say. acks.py and cursors.py do.
"""

from __future__ import annotations

from typing import final

from amqpd.log.files import Files
from amqpd.log.journal_write import GROWTH, SMALL, JournalWrite, path_of


@final
class JournalFile:
    """The file that a journal stands in, as its owner sees it; at most one write of it is under way.

    Args:
        files: where the journal is.
        folder: made by the first job.
        kind: the file's name up to its number.
        small: octets up to which a file is never replaced by a smaller one.

    Attributes:
        size: of the file; 0: there is none yet.
    """

    def __init__(self, files: Files, folder: str, kind: str, small: int = SMALL) -> None:
        self.size: int = 0
        self._files = files
        self._folder = folder
        self._kind = kind
        self._small = small
        self._number: int = 0
        self._first_size: int = 0  # with its snapshot alone
        self._named = False  # its name is safe
        self._obsolete: list[str] = []  # files that are not as they should be; the next write replaces them
        self._write: JournalWrite | None = None  # that is under way

    def found(self, number: int, size: int, first_size: int, obsolete: list[str]) -> None:
        """A start has read the newest file.

        Args:
            size: up to the end of its last entry.
            first_size: with its snapshot alone.
            obsolete: every file there is, if the newest is not as it should be or not alone. Then nothing is appended
                to it: that could bring back what is behind a broken place.
        """
        self._number = number
        self.size = size
        self._first_size = first_size
        self._obsolete = obsolete

    @property
    def outgrown(self) -> bool:
        """A snapshot is to replace it, whether there is something to write or not."""
        return bool(self._obsolete) or (self.size > self._small and self.size > GROWTH * self._first_size)

    @property
    def idle(self) -> bool:
        """No write is under way."""
        return self._write is None

    def append(self, entry: bytes) -> JournalWrite:
        """The write of one more entry."""
        return self._begin(
            JournalWrite(self._files, self._folder, self._kind, self._number, self.size, entry, self._named, [])
        )

    def replace(self, snapshot: bytes) -> JournalWrite:
        """The write of a new file, header and snapshot; the first one, too."""
        obsolete = self._obsolete
        if self.size > 0 and not obsolete:
            obsolete = [path_of(self._folder, self._kind, self._number)]
        number = self._number + 1 if obsolete else self._number
        return self._begin(JournalWrite(self._files, self._folder, self._kind, number, 0, snapshot, False, obsolete))

    def finished(self, write: JournalWrite) -> None:
        """A write was run. Whether it was synced makes no difference here."""
        assert write is self._write, "not the write that is under way"
        self._write = None
        self._number = write.number
        self.size = write.position + len(write.data)
        self._named = write.safe or (self._named and write.position > 0)
        if write.position == 0:
            self._first_size = self.size
            self._obsolete = []
        elif write.doubted:
            self._obsolete = [path_of(self._folder, self._kind, self._number)]

    def _begin(self, write: JournalWrite) -> JournalWrite:
        assert self._write is None, "a write is under way"
        self._write = write
        return write
