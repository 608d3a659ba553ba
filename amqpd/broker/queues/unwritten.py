"""Messages that are to be written, by position.

Rule: what may live here finds a message by its position at the cost of an index; it knows nothing of the disk.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.message import Message
from amqpd.log.commit import Receipt

# The front of the list, of which nothing is left, is cut off when it is this long and at least half of the list.
TRIM_AT: Final = 1024


@final
class Unwritten:
    """A message that is to be written.

    Args:
        lasting: it survives a restart.
        receipt: who waits until it is safe or settled; None if nobody does.
    """

    def __init__(self, position: i64, deadline: i64, message: Message, lasting: bool, receipt: Receipt | None) -> None:
        self.position: i64 = position
        self.deadline: i64 = deadline
        self.message = message
        self.lasting = lasting
        self.receipt = receipt


@final
class Gathered:
    """Messages with ascending positions, from which any may be taken out again.

    A list with a place for every position from the first to the last one: the positions of messages that were taken
    out, or never came, hold None. Mostly there are few of those.

    Attributes:
        count: of the messages.
    """

    def __init__(self) -> None:
        self.count: i64 = 0
        self._items: list[Unwritten | None] = []
        self._base: i64 = 0  # the position that the list begins with
        self._front: i64 = 0  # places before this one hold None

    @property
    def first(self) -> i64:
        """The lowest position, if there are any messages."""
        return self._base + self._front

    @property
    def end(self) -> i64:
        """The lowest position that may be added."""
        return self._base + len(self._items)

    @property
    def places(self) -> int:
        """How long the list is: what it costs to keep."""
        return len(self._items)

    def add(self, item: Unwritten) -> None:
        """Put a message in; its position is above all before."""
        # HOT: once per stored message
        items = self._items
        if self.count == 0:
            if len(items) > 0:
                items.clear()
            self._base = item.position
            self._front = 0
        else:
            gap: i64 = item.position - self._base - len(items)
            while gap > 0:
                items.append(None)
                gap -= 1
        items.append(item)
        self.count += 1

    def take(self, position: i64) -> Unwritten | None:
        """Take the message with a position out; None if it is not there."""
        # HOT: once per settled message of a durable queue
        place = position - self._base
        items = self._items
        if place < self._front or place >= len(items):
            return None
        item = items[place]
        if item is None:
            return None
        items[place] = None
        self.count -= 1
        if place == self._front:
            self._advance()
        return item

    def take_range(self, first: i64, last: i64) -> list[Unwritten]:
        """Take the messages out whose positions are from first to last."""
        found: list[Unwritten] = []
        position = max(first, self.first)
        last = min(last, self.end - 1)
        while position <= last:
            item = self.take(position)
            if item is not None:
                found.append(item)
            position += 1
        return found

    def all(self) -> list[Unwritten]:
        """The messages, in order."""
        return [item for item in self._items if item is not None]

    def clear(self) -> None:
        """Take everything out."""
        self._items.clear()
        self._base = 0
        self._front = 0
        self.count = 0

    def _advance(self) -> None:
        items = self._items
        front = self._front
        size: i64 = len(items)
        while front < size and items[front] is None:
            front += 1
        if front >= TRIM_AT and front * 2 >= size:
            del items[:front]
            self._base += front
            front = 0
        self._front = front
