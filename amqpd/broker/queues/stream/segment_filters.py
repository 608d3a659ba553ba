"""The filters of all segments of a stream: from records to the blocks that they are in, and back to where to read on.

Rule: what may live here knows segments and blocks. What a filter says of a block, filters.py knows.
"""

from __future__ import annotations

from typing import final

from mypy_extensions import i64

from amqpd.broker.queues.stream.filters import BlockFilters, Filter
from amqpd.log.log import Log
from amqpd.log.segment import Segment


@final
class SegmentFilters:
    """Filters by the base of their segment.

    Args:
        log: whose segments they are; their checkpoints take the filters along.
        size: octets of a Bloom filter.
    """

    def __init__(self, log: Log, size: int) -> None:
        self._log = log
        self._size = size
        self._filters: dict[int, BlockFilters] = {}
        self._noted: Segment | None = None  # what the last record was noted as: segment, block, value
        self._noted_block: i64 = -1
        self._noted_value: str | None = None
        log.notes_of = self._notes_of

    def note(self, value: str | None) -> None:
        """The record that was just appended can be filtered by this value."""
        # HOT: once per message published to a stream
        segment = self._log.active
        if segment is None:
            return
        block: i64 = len(segment.index) - 1
        if block == self._noted_block and value is self._noted_value and segment is self._noted:
            return
        filters = self._filters.get(int(segment.base))
        if filters is None:
            filters = self._filters[int(segment.base)] = BlockFilters(self._size)
        filters.add(block, value)
        self._noted = segment
        self._noted_block = block
        self._noted_value = value

    def next_match(self, offset: i64, wanted: Filter) -> i64:
        """The first offset, from this one on, at which something wanted may be."""
        while True:
            block = self._log.block_at(offset)
            if block is None or not block.whole:
                return offset
            segment = block.segment
            filters = self._filters.get(int(segment.base))
            if filters is None or filters.may_match(block.number, wanted):
                return offset
            sealed = segment.sealed and segment.written == segment.size
            if sealed and not filters.any_may_match(len(segment.index), wanted):
                offset = segment.last + 1
            else:
                offset = block.next

    def recover(self, segment: Segment) -> None:
        """Take in what the checkpoint of a segment says, as far as it goes."""
        filters = BlockFilters.decode(segment.notes)
        if filters is None:
            filters = BlockFilters(self._size)
            filters.forget(0, len(segment.index))
        elif segment.vouched < segment.size:  # records came behind the checkpoint, to the last block at first
            filters.forget(max(segment.index.block_at(segment.vouched), 0), len(segment.index))
        self._filters[int(segment.base)] = filters
        segment.notes = b""

    def forget_below(self, first: i64) -> None:
        """The segments with lower bases are gone."""
        for base in [base for base in self._filters if base < first]:
            del self._filters[base]

    def _notes_of(self, segment: Segment) -> bytes:
        filters = self._filters.get(int(segment.base))
        return b"" if filters is None else filters.encode()
