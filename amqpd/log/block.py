"""A block: the stretch of a segment between two entries of its index, which is read at once and as a whole.

Rule: what may live here finds blocks; reading them is the reader's.
"""

from __future__ import annotations

from typing import final

from mypy_extensions import i64

from amqpd.log.segment import HEADER, Segment, find


@final
class Block:
    """A stretch of a segment.

    Attributes:
        segment: whose.
        number: of the entry that it begins with.
        position: where it begins in the file.
        end: where it ends, as far as it is written.
        next: no record with this offset, or a higher one, is in it; as far as it is written.
        whole: nothing will be added to it.
    """

    def __init__(self, segment: Segment, number: i64, position: i64, end: i64, next_offset: i64, whole: bool) -> None:
        self.segment = segment
        self.number = number
        self.position = position
        self.end = end
        self.next = next_offset
        self.whole = whole


def block_at(segments: list[Segment], offset: i64) -> Block | None:
    """Return the block that an offset is in, or else the first one behind it; None behind what is written."""
    place = max(find(segments, offset), 0)
    if place < len(segments) and offset > segments[place].last:
        place += 1
    if place >= len(segments):
        return None
    segment = segments[place]
    number = segment.index.block_of(offset)
    return _block(segment, number)


def _block(segment: Segment, number: i64) -> Block | None:
    index = segment.index
    count = i64(len(index))
    position: i64 = index.position_at(number) if number < count else HEADER
    if position >= segment.written:
        return None
    if number + 1 < count and index.position_at(number + 1) <= segment.written:
        return Block(segment, number, position, index.position_at(number + 1), index.offset_at(number + 1), True)
    whole = segment.sealed and segment.written == segment.size
    return Block(segment, number, position, segment.written, segment.last + 1, whole)
