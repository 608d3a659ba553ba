"""Filters: which blocks of a stream need not be read by somebody who wants only messages with certain values.

For every block there is a Bloom filter of the values of its messages, and a mark if one of them has none. They are
hints: where one is missing the block is read. Segments take theirs along in the notes of their checkpoints.

Rule: what may live here says "certainly not" or "perhaps". What a message's value is, the stamp knows.
"""

from __future__ import annotations

from typing import Final, final
from zlib import crc32

from mypy_extensions import i64

_HASHES: Final = 3
_FORM: Final = 1  # the first octet of notes, should they look different one day
_HEAD: Final = 6
# What a block's mark may consist of.
_UNFILTERED: Final = 1
_VALUES: Final = 2
_UNKNOWN: Final = 4


@final
class Filter:
    """What a reader wants.

    Args:
        values: one of these.
        unfiltered: or messages without a value.
    """

    def __init__(self, values: tuple[str, ...], unfiltered: bool) -> None:
        self._values = frozenset(values)
        self.unfiltered = unfiltered
        self._masks: dict[int, list[int]] = {}

    def masks(self, size: int) -> list[int]:
        """The bits of the values in Bloom filters of so many octets, which is for every segment to say."""
        masks = self._masks.get(size)
        if masks is None:
            masks = self._masks[size] = [mask_of(value, size) for value in self._values]
        return masks

    def passes(self, value: str | None) -> bool:
        """A message with this value is wanted."""
        return self.unfiltered if value is None else value in self._values


@final
class BlockFilters:
    """The filters of one segment's blocks, by number.

    Args:
        size: octets of a Bloom filter, 16 to 255.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._marks = bytearray()
        self._bits: dict[int, int] = {}
        self._any_mark = 0  # of all blocks together
        self._any_bits = 0

    def add(self, block: i64, value: str | None) -> None:
        """The block that is written to now has a message with this value."""
        marks = self._marks
        number = int(block)
        known = len(marks)
        if number >= known:
            marks.extend(bytes([_UNKNOWN]) * (number - known))
            marks.append(0)
            self._any_mark |= _UNKNOWN if number > known else 0
        if value is None:
            marks[number] |= _UNFILTERED
            self._any_mark |= _UNFILTERED
        else:
            mask = mask_of(value, self._size)
            marks[number] |= _VALUES
            self._bits[number] = self._bits.get(number, 0) | mask
            self._any_mark |= _VALUES
            self._any_bits |= mask

    def may_match(self, block: i64, wanted: Filter) -> bool:
        """False if no message in the block is wanted."""
        number = int(block)
        mark = self._marks[number] if number < len(self._marks) else _UNKNOWN
        return self._may_be(mark, self._bits.get(number, 0), wanted)

    def any_may_match(self, blocks: i64, wanted: Filter) -> bool:
        """False if no message in so many blocks, the first ones, is wanted."""
        if len(self._marks) < blocks:
            return True
        return self._may_be(self._any_mark, self._any_bits, wanted)

    def _may_be(self, mark: int, bits: int, wanted: Filter) -> bool:
        """False if no message is wanted of those that a mark and the bits of a Bloom filter are about."""
        if mark & _UNKNOWN or (wanted.unfiltered and mark & _UNFILTERED):
            return True
        if mark & _VALUES:
            for mask in wanted.masks(self._size):
                if bits & mask == mask:
                    return True
        return False

    def forget(self, block: i64, blocks: i64) -> None:
        """What was noted of this block and of those behind it does not count.

        Args:
            blocks: how many there are. More may be added to the last one: it stays unknown all the same.
        """
        for number in range(int(block), len(self._marks)):
            self._bits.pop(number, None)
        del self._marks[int(block) :]
        if blocks > len(self._marks):
            self._marks.extend(bytes([_UNKNOWN]) * (int(blocks) - len(self._marks)))
            self._any_mark |= _UNKNOWN

    def encode(self) -> bytes:
        """The notes about the blocks."""
        parts = [bytes([_FORM, self._size]), len(self._marks).to_bytes(4, "little"), bytes(self._marks)]
        parts += [self._bits[number].to_bytes(self._size, "little") for number in sorted(self._bits)]
        return b"".join(parts)

    @staticmethod
    def decode(notes: bytes) -> BlockFilters | None:
        """What encode() made octets of; None if it did not make these."""
        if len(notes) < _HEAD or notes[0] != _FORM:
            return None
        found = BlockFilters(notes[1])
        at = _HEAD + int.from_bytes(notes[2:_HEAD], "little")
        found._marks = bytearray(notes[_HEAD:at])
        for number in range(len(found._marks)):
            mark = found._marks[number]
            if mark & _VALUES:
                bits = int.from_bytes(notes[at : at + found._size], "little")
                found._bits[number] = bits
                found._any_bits |= bits
                at += found._size
            found._any_mark |= mark
        return found if at == len(notes) else None


def mask_of(value: str, size: int) -> int:
    """The bits of a value in a Bloom filter of so many octets, the same in every process."""
    octets = value.encode("utf-8", "surrogateescape")
    first = crc32(octets)
    second = first >> 16 | 1  # a CRC with another seed would tell nothing new: they differ by a constant
    bits = 0
    for number in range(_HASHES):
        bits |= 1 << ((first + number * second) % (size * 8))
    return bits
