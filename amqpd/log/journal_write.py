"""What is written to a journal: a file of entries behind each other that is replaced when it has grown.

Rule: what may live here knows files and octets, not what the entries say. acks.py and cursors.py do.
"""

from __future__ import annotations

import struct
from typing import Final, final
from zlib import crc32

from amqpd.log.commit import Job
from amqpd.log.damage import NewerFormat
from amqpd.log.files import Files

# A journal begins with what it is (eight octets), its format version and the CRC of both (u32 each, little-endian).
HEADER_SIZE: Final = 16
_NUMBERS: Final = struct.Struct("<II")
# A file is replaced by a snapshot when it is larger than this and has grown to so many times what it began with.
SMALL: Final = 64 * 1024
GROWTH: Final = 4


@final
class JournalWrite(Job):
    """What is to be written to a journal. It may be run again when it failed.

    Args:
        files: where the journal is.
        folder: its folder; made with the file.
        kind: the file's name up to its number.
        number: of the file.
        position: in the file, where data is put; 0 makes the file.
        data: one entry, behind a header when the file is new.
        named: the file's name is safe.
        obsolete: paths that are removed once a new file is safe.

    Attributes:
        safe: it survives power loss.
        doubted: a sync failed. The disk may have lost what earlier jobs wrote and nobody synced, too.
    """

    def __init__(
        self,
        files: Files,
        folder: str,
        kind: str,
        number: int,
        position: int,
        data: bytes,
        named: bool,
        obsolete: list[str],
    ) -> None:
        self.number = number
        self.position = position
        self.data = data
        self.named = named
        self.obsolete = obsolete
        self.safe = False
        self.doubted = False
        self._files = files
        self._folder = folder
        self._path = path_of(folder, kind, number)

    def run(self) -> None:
        """Write. Blocks; may raise OSError. A file that replaces others is synced here, and they are removed."""
        self.safe = False
        if self.position == 0:
            self._files.make_folder(self._folder)
        self._files.write(self._path, self.position, self.data)
        if self.obsolete:
            self.sync()
            for path in self.obsolete:
                self._files.remove(path)

    def sync(self) -> None:
        """Make it and what earlier jobs wrote survive power loss. Blocks; after an OSError run() comes first again."""
        if self.safe:
            return
        try:
            self._files.sync(self._path)
        except OSError:
            self.doubted = True
            raise
        if not self.named:
            self._sync_names()
        self.safe = True

    def _sync_names(self) -> None:
        """The file's name, the folder's, and those of the folders it is in: make_folder may have made them all."""
        folder = self._folder
        self._files.sync_folder(folder)
        while folder:
            folder = folder.rpartition("/")[0]
            self._files.sync_folder(folder)


def path_of(folder: str, kind: str, number: int) -> str:
    """Where the journal of that number is."""
    return f"{folder}/{kind}.{number}"


def journals_in(files: Files, folder: str, kind: str) -> list[int]:
    """The numbers of the journals that are in a folder, the highest first."""
    numbers: list[int] = []
    for name in files.names(folder):
        digits = name.removeprefix(f"{kind}.")
        if digits.isdecimal() and name == f"{kind}.{int(digits)}":  # not acks.007 of somebody else's
            numbers.append(int(digits))
    numbers.sort(reverse=True)
    return numbers


def header_of(magic: bytes, version: int) -> bytes:
    """The beginning of a journal."""
    start = magic + struct.pack("<I", version)
    return start + struct.pack("<I", crc32(start))


def has_header(path: str, data: bytes, magic: bytes, known: int) -> bool:
    """True if a journal begins as it should.

    Raises:
        NewerFormat: its format version is higher than the known one.
    """
    if len(data) < HEADER_SIZE or data[:8] != magic:
        return False
    version, crc = _NUMBERS.unpack_from(data, 8)
    if crc32(data[:12]) != crc:
        return False
    if version > known:
        raise NewerFormat(path, version, known)
    return True
