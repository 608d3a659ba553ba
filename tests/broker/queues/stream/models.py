"""A stream as one would write it if time and memory did not matter: what the real one is compared with."""

from __future__ import annotations

from amqpd.log.record import FRONT
from amqpd.log.segment import HEADER
from tests.builders import Client


class Record:
    """One message.

    Args:
        value: to filter by.
        size: octets on the disk.
    """

    def __init__(self, offset: int, time: int, exchange: str, value: str | None, body: bytes, size: int) -> None:
        self.offset = offset
        self.time = time
        self.exchange = exchange
        self.value = value
        self.body = body
        self.size = size


class Piece:
    """A segment."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.size = HEADER
        self.records = 0
        self.latest = -1


def pieces_of(records: list[Record], segment_size: int) -> list[Piece]:
    """The segments that so many records make."""
    pieces: list[Piece] = []
    for record in records:
        if not pieces or (pieces[-1].size + record.size > segment_size and pieces[-1].size > HEADER):
            pieces.append(Piece(record.offset))
        piece = pieces[-1]
        piece.size += record.size
        piece.records += 1
        piece.latest = max(piece.latest, record.time)
    return pieces


def octets_on_disk(exchange: str, key: str, raw_properties: int, has_headers: bool, body: int) -> int:
    """A record: its front, flags, route, header frame with the offset, body frame."""
    route = 2 + len(exchange) + len(key)
    header = 8 + 12 + raw_properties + 25 + (0 if has_headers else 4)
    return FRONT + 1 + route + header + (8 + body if body else 0)


class ReaderModel:
    """A consumer.

    Attributes:
        next: the first offset that it has not been given.
        unsettled: what it has been given, by delivery tag.
        stuck: what came back; it is not delivered again here, but no cursor moves over it.
        live: it was not cancelled.
    """

    def __init__(self, client: Client, prefetch: int, values: list[str] | None, unfiltered: bool) -> None:
        self.client = client
        self.prefetch = prefetch
        self.values = values
        self.unfiltered = unfiltered
        self.next = 0
        self.unsettled: dict[int, int] = {}
        self.stuck: set[int] = set()
        self.cursor: str | None = None
        self.group: GroupModel | None = None
        self.live = True

    def wants(self, record: Record) -> bool:
        if self.values is None:
            return True
        return self.unfiltered if record.value is None else record.value in self.values

    @property
    def reads(self) -> bool:
        return self.live and (self.group is None or self.group.active is self)

    @property
    def place(self) -> int:
        return min([self.next, *self.unsettled.values(), *self.stuck])

    def begin(self, offset: int) -> None:
        self.next = offset
        self.stuck.clear()


class GroupModel:
    """Members of which one reads."""

    def __init__(self) -> None:
        self.members: list[ReaderModel] = []
        self.active: ReaderModel | None = None

    def elect(self, partition: int) -> ReaderModel | None:
        """Return the one that begins."""
        if not self.members:
            self.active = None
            return None
        chosen = self.members[partition % len(self.members)]
        before = self.active
        busy = [member for member in self.members if member is not chosen and member.unsettled]
        self.active = None if busy else chosen
        begins = self.active is not None and self.active is not before and not chosen.unsettled
        return chosen if begins else None
