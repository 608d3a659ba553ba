"""What is on its way to the disk: records as octets, cut into pieces that know where they belong.

Rule: what may live here turns appended records into octets of files; it touches no file. It is on the hot path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from librt.strings import BytesWriter, write_i32_le, write_i64_le
from mypy_extensions import i32, i64

from amqpd.log.checksum import crc32
from amqpd.log.record import FRONT, PASSING, crc_at, front_of

# A payload above this is not copied, and one above _SMALL not twice.
LARGE: Final = 16 * 1024
_SMALL: Final = 1024
_CUT: Final = 256 * 1024  # a buffer of so many octets becomes a piece: larger ones leave the processor's cache
_SPARE: Final = 4096  # a buffer that grew beyond this is not kept: there may be thousands of logs


@final
class Stretch:
    """Pieces that belong behind each other, and where the first of them belongs."""

    def __init__(self, path: str, position: i64) -> None:
        self.path = path
        self.position = position
        self.pieces: list[bytes] = []


@final
class Gathering:
    """Octets for the end of one segment after the other.

    Attributes:
        octets: not yet taken.
    """

    def __init__(self) -> None:
        self.octets: i64 = 0
        self._stretch = Stretch("", 0)  # the last one; the buffer belongs behind it
        self._position: i64 = 0  # where the buffer belongs
        self._stretches: list[Stretch] = []  # those before it
        self._buffer = BytesWriter()
        self._body = BytesWriter()
        self._crc32: Callable[[bytes], int] = crc32  # found once, not for every record

    def go_to(self, path: str, position: i64) -> None:
        """What comes from now on belongs there."""
        self._cut()
        self._next_stretch(path, position)

    def header(self, data: bytes) -> None:
        """The beginning of a segment."""
        self._buffer.write(data)
        self.octets += len(data)

    def record(self, offset: i64, time: i64, weight: i64, passing: bool, head: bytes, payload: bytes) -> i64:
        """A record; return its CRC."""
        # HOT: once per stored record
        length: i64 = len(head) + len(payload)
        self.octets += FRONT + length
        if length > _SMALL:
            return self._larger(offset, time, weight, passing, head, payload)
        body = self._body
        body.truncate(0)
        write_i64_le(body, offset)
        write_i64_le(body, time)
        write_i32_le(body, i32(weight - PASSING if passing else weight))
        body.write(head)
        body.write(payload)
        checked = body.getvalue()
        crc: i64 = self._crc32(checked)
        buffer = self._buffer
        # Length and CRC in one number; the CRC has to become a signed one for that.
        write_i64_le(buffer, (((crc ^ 0x80000000) - 0x80000000) << 32) | length)
        buffer.write(checked)
        if len(buffer) >= _CUT:
            self._cut()
        return crc

    def _larger(self, offset: i64, time: i64, weight: i64, passing: bool, head: bytes, payload: bytes) -> i64:
        front = front_of(offset, time, weight, passing, head, payload)
        self._buffer.write(front)
        self._buffer.write(head)
        if len(payload) > LARGE:
            self._cut()
            self._add(payload)
        else:
            self._buffer.write(payload)
            if len(self._buffer) >= _CUT:
                self._cut()
        return crc_at(front, 4)

    def take(self) -> list[Stretch]:
        """Return everything, which is gathered no longer."""
        grown = self.octets > _SPARE
        self._cut()
        self._next_stretch(self._stretch.path, self._position)
        stretches = self._stretches
        self._stretches = []
        self.octets = 0
        if grown:
            self._buffer = BytesWriter()
        return stretches

    def _next_stretch(self, path: str, position: i64) -> None:
        if self._stretch.pieces:
            self._stretches.append(self._stretch)
        self._stretch = Stretch(path, position)
        self._position = position

    def _cut(self) -> None:
        if len(self._buffer) > 0:
            self._add(self._buffer.getvalue())
            self._buffer.truncate(0)

    def _add(self, data: bytes) -> None:
        self._stretch.pieces.append(data)
        self._position += len(data)
