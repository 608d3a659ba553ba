"""One file of named cursors: its format, and what can be read of it, whatever happened to it.

Rule: what may live here knows one file; which of several is to be believed is the matter of cursors.py.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, final
from zlib import crc32

from amqpd.log.damage import Damage
from amqpd.log.journal_write import HEADER_SIZE, has_header

# A file is a header (journal_write.py) and entries: octets of the payload and their CRC (u32 each), payload. A payload
# is its kind (u8), how many cursors (u32), and for each its offset (i64), the octets of its name (u32) and its name.
# All numbers are little-endian. The CRC begins with the entry's position, so that nothing within an entry, such as a
# name that a client chose, is taken for an entry when what stands before it is broken.
MAGIC: Final = b"amqpdcur"
VERSION: Final = 1
CHANGES: Final = 1  # these cursors stand there now
SNAPSHOT: Final = 2  # these are all there are
REMOVED: Final = -1  # the offset of a cursor that is no more
_ENTRY: Final = Struct("<II")
_FIRST: Final = Struct("<BI")
_CURSOR: Final = Struct("<qI")


@final
class CursorsFile:
    """What one file says.

    Attributes:
        says: where each cursor stood last, REMOVED for those that are no more.
        whole: it begins with a header and a snapshot.
        entries: how many could be read.
        first_size: where its snapshot ends.
        end: where its last entry ends.
        damages: what is broken between entries.
    """

    def __init__(self, path: str, number: int, data: bytes) -> None:
        self.path = path
        self.number = number
        self.size = len(data)
        self.says: dict[str, int] = {}
        self.whole = has_header(path, data, MAGIC, VERSION)
        self.entries = 0
        self.first_size = 0
        self.end = HEADER_SIZE
        self.damages: list[Damage] = []
        self._read(data)

    @property
    def intact(self) -> bool:
        """True if a job may append to it."""
        return self.whole and self.end == self.size and not self.damages

    def damaged(self, start: int, end: int, text: str) -> None:
        """Something between two positions could not be read."""
        self.damages.append(Damage(self.path, start, end - start, text))

    def _read(self, data: bytes) -> None:
        position = HEADER_SIZE
        while position < self.size:
            length = self._read_entry(data, position)
            if length == 0:
                self.whole = self.whole and self.entries > 0
                position += 1
                continue
            if position > self.end:
                text = "places of cursors are unreadable; their consumers may continue at an earlier one"
                self.damaged(self.end, position, text)
            position += length
            self.end = position
            self.entries += 1
            if self.entries == 1:
                self.first_size = position
        self.whole = self.whole and self.entries > 0

    def _read_entry(self, data: bytes, position: int) -> int:
        """Use the entry at a position and return its octets, 0 if there is none."""
        start = position + _ENTRY.size
        if start + _FIRST.size > self.size:
            return 0
        length, crc = _ENTRY.unpack_from(data, position)
        if length < _FIRST.size or length > self.size - start or data[start] not in (CHANGES, SNAPSHOT):
            return 0
        payload = data[start : start + length]
        if crc32(payload, position & 0xFFFFFFFF) != crc:
            return 0
        places = decode(payload)
        if places is None:
            return 0
        self.says.update(places)
        return _ENTRY.size + len(payload)


def entry(kind: int, places: dict[str, int], position: int) -> bytes:
    """An entry for a position of a file."""
    pieces = [_FIRST.pack(kind, len(places))]
    for name, offset in places.items():
        octets = name.encode("utf-8", "surrogatepass")  # any str there is comes back as it was
        pieces.append(_CURSOR.pack(offset, len(octets)))
        pieces.append(octets)
    payload = b"".join(pieces)
    return _ENTRY.pack(len(payload), crc32(payload, position & 0xFFFFFFFF)) + payload


def decode(payload: bytes) -> dict[str, int] | None:
    """Return the cursors of an entry; None if it makes no sense, CRC or not."""
    count: int = _FIRST.unpack_from(payload)[1]
    at = _FIRST.size
    places: dict[str, int] = {}
    for _ in range(count):
        if at + _CURSOR.size > len(payload):
            return None
        offset, length = _CURSOR.unpack_from(payload, at)
        at += _CURSOR.size
        if length > len(payload) - at or offset < REMOVED:
            return None
        try:
            name = payload[at : at + length].decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return None
        places[name] = offset
        at += length
    return places if at == len(payload) else None


def damages_of(found: list[CursorsFile]) -> list[Damage]:
    """What is wrong with the files, the newest first, that power loss does not explain."""
    damages: list[Damage] = []
    numbers = [file.number for file in found]
    for file in found:
        # Power loss in the first write of a file leaves it torn; the one that it was to replace is still there then.
        first_write = file.entries <= 1 and (file.number == 0 or file.number - 1 in numbers)
        if not file.whole and not file.damages and not first_write:
            file.damaged(0, file.size, "places of cursors are unreadable from the beginning of the file")
        damages += file.damages
    return damages


def places_of(found: list[CursorsFile]) -> dict[str, int]:
    """Where each cursor stands, by the files, the newest first.

    The newest that is whole says it all; what can be read of a broken one that was to replace it is newer than that.
    """
    believed: list[CursorsFile] = []
    for file in found:
        believed.append(file)
        if file.whole:
            break
    says: dict[str, int] = {}
    for file in reversed(believed):
        says.update(file.says)
    return {name: offset for name, offset in says.items() if offset != REMOVED}
