"""A message as the payload of a log's record, and back.

    flags (1 octet) | deadline (8, if there is one) | extras (length 4, table; if there are any) | route | content

Route and content are the slices that the message consists of, so storing one costs a copy and no more. What else a
message carries without its consumers seeing it (what it died of, the keys of BCC) stands in a field table.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import read_i32_be, read_i64_be
from mypy_extensions import i64

from amqpd.broker.deaths import Death, DeathHistory
from amqpd.broker.message import Message
from amqpd.wire.frames import ENVELOPE, HEADER_FIXED
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from amqpd.wire.table import Field, Table

HAS_DEADLINE: Final = 1
HAS_EXTRAS: Final = 2
PLAIN: Final = b"\x00"


@final
class Stored:
    """A message that was read back."""

    def __init__(self, position: i64, deadline: i64, message: Message) -> None:
        self.position: i64 = position
        self.deadline: i64 = deadline
        self.message = message
        self.deliveries: i64 = 0


@final
class RecordEncoder:
    """Writes the heads of payloads: all that stands before the content. It remembers the last of the plain ones."""

    def __init__(self) -> None:
        self._route = b""
        self._head = PLAIN

    def head(self, message: Message, deadline: i64) -> bytes:
        """The octets of the payload before the message's content."""
        # HOT: once per stored message
        if deadline or message.deaths is not None or message.blind_keys:
            return full_head(message, int(deadline))
        if message.route is not self._route:
            self._route = message.route
            self._head = PLAIN + message.route
        return self._head


@final
class RecordDecoder:
    """Reads payloads. Messages that have the same route or the same properties as the one before share them."""

    def __init__(self) -> None:
        self._route = b""
        self._properties = EMPTY_PROPERTIES

    def stored(self, position: i64, payload: bytes) -> Stored:
        """The message of a record.

        Raises:
            ValueError: this is no message; the record was written by another program.
        """
        # HOT: once per message that comes back from the disk
        if len(payload) < 3:
            raise ValueError("the record is too short for a message")
        flags = payload[0]
        start: i64 = 1
        deadline: i64 = 0
        if flags & HAS_DEADLINE:
            deadline = read_i64_be(payload, start)
            start += 8
        extras = b""
        if flags & HAS_EXTRAS:
            size: i64 = i64(read_i32_be(payload, start))
            extras = payload[start + 4 : start + 4 + size]
            start += 4 + size
        message = self._message(payload, start)
        if extras:
            take_extras(message, Table(extras))
        return Stored(position, deadline, message)

    def plain(self, octets: bytes, start: i64) -> Message | None:
        """The message of a payload that begins somewhere in some octets, and goes on to their end.

        Returns:
            None if the payload is no plain message, one without a deadline and extras.
        """
        # HOT: once per message that is read from a stream
        if octets[start] != 0:
            return None
        key: i64 = start + 2 + i64(octets[start + 1])
        content_start: i64 = key + 1 + i64(octets[key])
        route = octets[start + 1 : content_start]
        if route == self._route:
            route = self._route
        else:
            self._route = route
        content = octets[content_start:]
        header_end: i64 = i64(read_i32_be(content, 3)) + ENVELOPE
        body_size: i64 = read_i64_be(content, 11)
        channel: i64 = i64(content[1]) << 8 | i64(content[2])
        return Message(
            route, content, channel, header_end, body_size, largest_body(content, header_end, body_size), None
        )

    def _message(self, payload: bytes, start: i64) -> Message:
        key: i64 = start + 1 + i64(payload[start])
        content_start: i64 = key + 1 + i64(payload[key])
        route = payload[start:content_start]
        if route == self._route:
            route = self._route
        else:
            self._route = route
        content = payload[content_start:]
        header_end: i64 = i64(read_i32_be(content, 3)) + ENVELOPE
        body_size: i64 = read_i64_be(content, 11)
        raw = content[HEADER_FIXED : header_end - 1]
        if raw != self._properties.raw:
            self._properties = Properties(raw, scanned=True)  # it was checked when it was published
        channel: i64 = i64(content[1]) << 8 | i64(content[2])
        largest: i64 = largest_body(content, header_end, body_size)
        return Message(route, content, channel, header_end, body_size, largest, self._properties)


def largest_body(content: bytes, header_end: i64, body_size: i64) -> i64:
    """The octets of the largest body frame."""
    if len(content) == header_end + body_size + ENVELOPE:
        return body_size  # one frame, as almost always
    largest: i64 = 0
    pos: i64 = header_end
    while pos < len(content):
        size: i64 = i64(read_i32_be(content, pos + 3))
        if size < 0:
            raise ValueError("a body frame has a negative size")
        largest = max(largest, size)
        pos += size + ENVELOPE
    return largest


def full_head(message: Message, deadline: int) -> bytes:
    """The head of a message that is more than its content."""
    flags = 0
    middle = b""
    if deadline:
        flags |= HAS_DEADLINE
        middle = deadline.to_bytes(8, "big")
    if message.deaths is not None or message.blind_keys:
        flags |= HAS_EXTRAS
        middle += extras_of(message).encode()
    return bytes([flags]) + middle + message.route


def extras_of(message: Message) -> Table:
    """What a message carries without its consumers seeing it."""
    values: dict[str, object] = {}
    if message.blind_keys:
        values["blind"] = list(message.blind_keys)
    history = message.deaths
    if history is not None:
        values["deaths"] = [death_table(death) for death in history.deaths]
        values["first"] = death_table(history.first)
        values["last"] = death_table(history.last)
        values["keys"] = list(history.routing_keys)
    return Table.of(values)


def take_extras(message: Message, extras: Table) -> None:
    """Give them back to a message that was read."""
    message.blind_keys = texts(extras.get("blind"))
    deaths, first, last = extras.get("deaths"), extras.get("first"), extras.get("last")
    if deaths is not None and first is not None and last is not None:
        message.deaths = DeathHistory(
            tuple(death_of(death) for death in elements(deaths)),
            death_of(first),
            death_of(last),
            texts(extras.get("keys")),
        )


def death_table(death: Death) -> Field:
    """One death."""
    values: dict[str, object] = {
        "queue": death.queue,
        "reason": death.reason,
        "exchange": death.exchange,
        "keys": list(death.routing_keys),
        "time": Field.long(death.time),
        "count": Field.long(death.count),
    }
    if death.original_expiration is not None:
        values["expiration"] = death.original_expiration
    return Field("F", Table.of(values))


def death_of(field: Field) -> Death:
    """What death_table() made a field of.

    Raises:
        ValueError: it did not make this one.
    """
    table = field.value
    if not isinstance(table, Table):
        raise ValueError("a death is no table")
    return Death(
        table.text("queue") or "",
        table.text("reason") or "",
        table.text("exchange") or "",
        texts(table.get("keys")),
        number(table.get("time")),
        table.text("expiration"),
        number(table.get("count")),
    )


def elements(field: Field | None) -> list[Field]:
    """The elements of an array."""
    if field is None or not isinstance(field.value, tuple):
        return []
    return [element for element in field.value if isinstance(element, Field)]


def texts(field: Field | None) -> tuple[str, ...]:
    """The texts of an array."""
    return tuple([element.value for element in elements(field) if isinstance(element.value, str)])


def number(field: Field | None) -> int:
    """A whole number; 0 if there is none."""
    return field.value if field is not None and isinstance(field.value, int) else 0
