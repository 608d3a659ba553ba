"""The ledger: which deliveries of a channel are not settled yet, by delivery tag.

One counter per channel numbers all deliveries from 1, those that need no acknowledgement included (AMQP 0-9-1 section
1.8.3.13). Entries stand in chunks of consecutive tags: finding one is an index, settling a range is a slice, and a
single message that is never acknowledged keeps one chunk alive and not everything behind it.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.queues.delivery import Delivery
from amqpd.errors import PreconditionFailed

CHUNK_BITS: Final = 8
CHUNK: Final = 1 << CHUNK_BITS
UNSIGNED: Final = 1 << 64  # delivery tags are unsigned on the wire, and signed here


@final
class Chunk:
    """The entries of CHUNK consecutive tags; the list may end early, settled places hold None."""

    def __init__(self) -> None:
        self.entries: list[Delivery | None] = []
        self.live: i64 = 0


@final
class Ledger:
    """Unsettled deliveries of one channel. Any 64 bits may be asked for as a tag, as a signed number."""

    def __init__(self) -> None:
        self._chunks: dict[int, Chunk] = {}
        self._tail: Chunk | None = None  # the chunk of _tail_number, if it exists
        self._tail_number: i64 = -1
        self._oldest: i64 = 0  # no chunk below this number exists
        self._next: i64 = 1
        self.count: i64 = 0

    def skip(self) -> i64:
        """The next tag, for a delivery that needs no acknowledgement."""
        tag = self._next
        self._next = tag + 1
        return tag

    def add(self, delivery: Delivery) -> i64:
        """Enter a delivery under the next tag, and return the tag."""
        # HOT: once per delivery
        tag = self._next
        self._next = tag + 1
        delivery.tag = tag
        number = tag >> CHUNK_BITS
        tail = self._tail
        if tail is None or self._tail_number != number:
            tail = self._new_tail(number)
        entries = tail.entries
        place: i64 = tag & (CHUNK - 1)
        while len(entries) < place:
            entries.append(None)
        entries.append(delivery)
        tail.live += 1
        self.count += 1
        return tag

    def settle(self, tag: i64) -> Delivery:
        """Remove one entry.

        Raises:
            PreconditionFailed: no such entry (section 1.8.3.13, "delivery-tag").
        """
        # HOT: once per acknowledged message
        number = tag >> CHUNK_BITS
        chunk = self._tail if number == self._tail_number else self._chunks.get(int(number))
        place: i64 = tag & (CHUNK - 1)
        if chunk is None or place >= len(chunk.entries):
            raise unknown_tag(tag)
        delivery = chunk.entries[place]
        if delivery is None:
            raise unknown_tag(tag)
        chunk.entries[place] = None
        self._settled(number, chunk, 1)
        return delivery

    def settle_up_to(self, tag: i64) -> list[Delivery]:
        """Remove the entry of this tag and all before it, oldest first; tag 0 means all there are.

        Raises:
            PreconditionFailed: the tag itself is not unsettled; then nothing is removed.
        """
        if tag == 0:
            return self.settle_all()
        if not self._has(tag):
            raise unknown_tag(tag)
        settled: list[Delivery] = []
        last: i64 = tag >> CHUNK_BITS
        number: i64 = self._oldest
        while number < last:
            self._settle_places(number, CHUNK, settled)
            number += 1
        self._settle_places(last, (tag & (CHUNK - 1)) + 1, settled)
        self._oldest = last
        return settled

    def settle_all(self) -> list[Delivery]:
        """Remove everything, oldest first."""
        settled: list[Delivery] = []
        for number in sorted(self._chunks):
            settled += [delivery for delivery in self._chunks[number].entries if delivery is not None]
        self._chunks.clear()
        self._tail = None
        self._tail_number = -1
        self._oldest = self._next >> CHUNK_BITS
        self.count = 0
        return settled

    def restore(self, deliveries: list[Delivery]) -> None:
        """Put entries back under their old tags (a transaction was rolled back)."""
        for delivery in deliveries:
            number = delivery.tag >> CHUNK_BITS
            chunk = self._chunks.get(int(number))
            if chunk is None:
                chunk = Chunk()
                self._chunks[int(number)] = chunk
                self._oldest = min(self._oldest, number)
                if number == self._next >> CHUNK_BITS:
                    self._tail = chunk
                    self._tail_number = number
            place: i64 = delivery.tag & (CHUNK - 1)
            while len(chunk.entries) <= place:
                chunk.entries.append(None)
            chunk.entries[place] = delivery
            chunk.live += 1
            self.count += 1

    @property
    def next_tag(self) -> i64:
        """The tag that the next delivery will get."""
        return self._next

    def oldest(self) -> Delivery | None:
        """The entry with the lowest tag, or None when everything is settled."""
        for number in sorted(self._chunks):
            for delivery in self._chunks[number].entries:
                if delivery is not None:
                    return delivery
        return None

    def _has(self, tag: i64) -> bool:
        chunk = self._chunks.get(int(tag >> CHUNK_BITS))
        place: i64 = tag & (CHUNK - 1)
        return chunk is not None and place < len(chunk.entries) and chunk.entries[place] is not None

    def _new_tail(self, number: i64) -> Chunk:
        if self._tail is not None and self._tail.live == 0:
            del self._chunks[int(self._tail_number)]
        if self.count == 0:
            self._oldest = number
        chunk = Chunk()
        self._chunks[int(number)] = chunk
        self._tail = chunk
        self._tail_number = number
        return chunk

    def _settle_places(self, number: i64, end: i64, settled: list[Delivery]) -> None:
        """Settle what a chunk holds in its first ``end`` places."""
        chunk = self._chunks.get(int(number))
        if chunk is None:
            return
        entries = chunk.entries
        found: i64 = 0
        place: i64 = 0
        stop: i64 = min(end, i64(len(entries)))
        while place < stop:
            delivery = entries[place]
            if delivery is not None:
                settled.append(delivery)
                entries[place] = None
                found += 1
            place += 1
        self._settled(number, chunk, found)

    def _settled(self, number: i64, chunk: Chunk, how_many: i64) -> None:
        self.count -= how_many
        chunk.live -= how_many
        if chunk.live == 0 and number != self._tail_number:  # the tail will be filled further
            del self._chunks[int(number)]


def unknown_tag(tag: i64) -> PreconditionFailed:
    """The error for a delivery tag that is not (or no longer) unsettled."""
    shown: int = tag
    return PreconditionFailed(f"unknown delivery tag {shown % UNSIGNED}")
