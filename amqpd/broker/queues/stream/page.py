"""Pages: messages of a stream in memory, in the order of their offsets, shared by everybody who reads there.

Rule: what may live here holds messages that are on the disk too, or soon will be. Letting go of one loses nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.message import Message

# Octets of messages that were read back and are kept for the next reader, of all streams together.
CACHED: Final = 8 * 1024 * 1024
# Octets of the latest messages of one stream, and of one page of them.
TAIL: Final = 2 * 1024 * 1024
TAIL_PAGE: Final = 64 * 1024
OVERHEAD: Final = 200  # octets that a message takes in memory beside its content, about


@final
class Page:
    """Messages with consecutive offsets.

    Attributes:
        first: the offset of the first one.
        messages: those.
        octets: of memory, about.
    """

    def __init__(self, first: i64) -> None:
        self.first = first
        self.messages: list[Message] = []
        self.octets: i64 = 0

    @property
    def next(self) -> i64:
        """The offset behind the last message."""
        return self.first + len(self.messages)

    def add(self, message: Message, size: i64) -> None:
        """Append the message with the offset ``next``, whose content has so many octets."""
        self.messages.append(message)
        self.octets += size + OVERHEAD


@final
class Tail:
    """The latest messages of a stream, as they come.

    Args:
        first: the offset of the first one that will be here.
        limit: octets of them together, about.
        page_octets: of one page, about.
    """

    def __init__(self, first: i64, limit: i64 = TAIL, page_octets: i64 = TAIL_PAGE) -> None:
        self._limit = limit
        self._page_octets = page_octets
        self._pages: list[Page] = [Page(first)]
        self._octets: i64 = 0

    @property
    def first(self) -> i64:
        """No message before this offset is here."""
        return self._pages[0].first

    def add(self, message: Message, size: i64) -> None:
        """Append a message; the oldest ones may leave for it."""
        # HOT: once per message published to a stream that somebody reads
        page = self._pages[-1]
        if page.octets >= self._page_octets:
            page = Page(page.next)
            self._pages.append(page)
            while self._octets > self._limit and len(self._pages) > 2:
                self._octets -= self._pages[0].octets
                del self._pages[0]
        before = page.octets
        page.add(message, size)
        self._octets += page.octets - before

    def page_of(self, offset: i64) -> Page | None:
        """The page that an offset is on; None if it is on none."""
        for page in reversed(self._pages):
            if page.first <= offset:
                return page if offset < page.next else None
        return None


@final
class PageCache:
    """What was read back lately, by whatever key."""

    def __init__(self, limit: i64 = CACHED) -> None:
        self._limit = limit
        self._octets: i64 = 0
        self._found: OrderedDict[tuple[str, int, int], list[Page]] = OrderedDict()

    def get(self, key: tuple[str, int, int]) -> list[Page] | None:
        """The pages of a block, if they are here."""
        pages = self._found.get(key)
        if pages is not None:
            self._found.move_to_end(key)
        return pages

    def put(self, key: tuple[str, int, int], pages: list[Page]) -> None:
        """Keep the pages of a block, in the place of what nobody has asked for the longest."""
        before = self._found.pop(key, None)
        if before is not None:
            self._octets -= octets_of(before)
        self._found[key] = pages
        self._octets += octets_of(pages)
        while self._octets > self._limit and len(self._found) > 1:
            oldest = self._found.popitem(last=False)[1]
            self._octets -= octets_of(oldest)

    def drop(self, stream: str) -> None:
        """Let go of what belongs to a stream."""
        for key in [key for key in self._found if key[0] == stream]:
            self._octets -= octets_of(self._found.pop(key))


def octets_of(pages: list[Page]) -> i64:
    """Octets of memory of some pages together."""
    total: i64 = 0
    for page in pages:
        total += page.octets
    return total


def page_in(pages: list[Page], offset: i64) -> Page | None:
    """The page of an offset among those of its block, or else the first one behind it."""
    for page in pages:
        if offset < page.next:
            return page
    return None
