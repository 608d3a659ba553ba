"""Readers: who reads a stream, where each of them is, and whom there is something to do for.

A reader costs its place while it has no credit or nothing to read; only those that are awake are looked at.

Rule: what may live here goes from offset to offset and hands messages to consumers.
"""

from __future__ import annotations

from typing import final

from mypy_extensions import i64

from amqpd.broker.queues.consumers import Consumer, Consumers, Place
from amqpd.broker.queues.stream.filters import Filter
from amqpd.broker.queues.stream.group import Group
from amqpd.broker.queues.stream.page import Page
from amqpd.broker.queues.stream.stamp import filter_value_of
from amqpd.broker.queues.stream.store import StreamStore
from amqpd.log.ranges import Ranges


@final
class Reader(Place):
    """One consumer's place in a stream.

    Args:
        consumer: whose.
        start: the offset it begins with.
        wanted: None is everything.
        cursor: the name under which its place is kept; None is not at all.
        group: it reads only while it is the group's active member.

    Attributes:
        next: the offset it goes on with.
    """

    def __init__(
        self, consumer: Consumer, start: i64, wanted: Filter | None, cursor: str | None, group: Group | None
    ) -> None:
        self.consumer = consumer
        self.next = start
        self.wanted = wanted
        self.cursor = cursor
        self.group = group
        self._settled = Ranges()  # offsets that need not be delivered again, if the place is kept
        if cursor is not None:
            self.go_to(start)

    @property
    def place(self) -> i64:
        """No offset before this one need be delivered again."""
        return self._settled.first_gap()

    def go_to(self, offset: i64) -> None:
        """Go on there; nothing is under way."""
        self.next = offset
        self._settled = Ranges()
        if offset > 0:
            self._settled.add(0, offset - 1)

    def settle(self, offset: i64) -> None:
        """A message was taken care of."""
        self._settled.add(offset, offset)

    def read(self, store: StreamStore) -> bool:
        """Deliver what the consumer can take. Returns whether it can take more, and there is nothing."""
        # HOT: the loop over delivered messages
        consumer = self.consumer
        page = Page(0)
        while consumer.ready():
            offset = self.next
            if offset < store.first:
                self._skip_to(store.first)
                continue
            if offset >= store.end:
                return True
            at = offset - page.first
            if at < 0 or at >= len(page.messages):
                found = self._turn(store, offset)
                if found is None:
                    return True
                page = found
                continue
            message = page.messages[at]
            if self.wanted is not None and not self.wanted.passes(filter_value_of(message.properties)):
                self._skip_to(offset + 1)
                continue
            self.next = offset + 1
            consumer.deliver(message, offset, 0, 0)
        return False

    def _turn(self, store: StreamStore, offset: i64) -> Page | None:
        """The page to go on with; an empty one where the place has changed instead."""
        if self.wanted is not None:
            offset = store.next_match(offset, self.wanted)
            if offset > self.next:
                self._skip_to(offset)
                return Page(0)
        page = store.page_at(offset)
        if page is not None and page.first > offset:
            self._skip_to(page.first)
        return page

    def _skip_to(self, offset: i64) -> None:
        """What is before this offset need not be delivered."""
        if self.cursor is not None:
            self._settled.add(self.next, offset - 1)
        self.next = offset


@final
class Readers(Consumers):
    """All readers of one stream."""

    def __init__(self) -> None:
        super().__init__()
        self._awake: dict[Reader, None] = {}
        self._at_end: dict[Reader, None] = {}

    def is_active(self, consumer: Consumer) -> bool:
        reader = reader_of(consumer)
        return reader.group is None or reader.group.active is reader

    def add(self, consumer: Consumer) -> None:
        """A consumer has come, whose place is a Reader."""
        self._all[consumer] = None
        self.resume(consumer)

    def remove(self, consumer: Consumer) -> bool:
        if consumer not in self._all:
            return False
        del self._all[consumer]
        reader = reader_of(consumer)
        self._awake.pop(reader, None)
        self._at_end.pop(reader, None)
        consumer.in_ring = False
        return True

    def resume(self, consumer: Consumer) -> None:
        if not consumer.in_ring and consumer in self._all:
            consumer.in_ring = True
            self._awake[reader_of(consumer)] = None

    def begin(self, reader: Reader) -> None:
        """It has another place than before, where there may be something even if it was at the end."""
        self._at_end.pop(reader, None)
        reader.consumer.in_ring = True
        self._awake[reader] = None

    def take(self) -> Consumer | None:
        """Nobody: each of them gets everything."""
        return None

    def wake(self) -> bool:
        """There is more to read. Returns whether somebody has waited for it."""
        if not self._at_end:
            return False
        self._awake.update(self._at_end)
        self._at_end = {}
        return True

    def read(self, store: StreamStore) -> None:
        """Deliver to everybody who can take something."""
        awake = self._awake
        self._awake = {}
        for reader in awake:
            if reader.consumer not in self._all:
                continue  # a delivery before this one has ended it
            if reader.group is not None and reader.group.active is not reader:
                reader.consumer.in_ring = False
            elif reader.read(store):
                self._at_end[reader] = None
            else:
                reader.consumer.in_ring = False


def reader_of(consumer: Consumer) -> Reader:
    """The place of a stream's consumer."""
    place = consumer.place
    assert isinstance(place, Reader)  # the stream gave it one
    return place
