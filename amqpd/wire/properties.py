"""The properties of a message: the flag word and the values behind it (AMQP 0-9-1 section 4.2.6.1, class 60).

Rule: what may live here is the property list of a content header, and nothing of the frame around it. The octets of the
publisher are the truth: they are checked completely when they arrive, and a value is decoded only when someone asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias, final

from librt.strings import read_i16_be, read_i32_be
from mypy_extensions import i64

from amqpd.errors import InternalError
from amqpd.wire.table import Table, TableError, scan_table

PropertyValue: TypeAlias = str | int | Table | None
PropertyChange: TypeAlias = str | int | Table | Mapping[str, object] | None

CONTENT_TYPE: Final = 0x8000
CONTENT_ENCODING: Final = 0x4000
HEADERS: Final = 0x2000
DELIVERY_MODE: Final = 0x1000
PRIORITY: Final = 0x0800
CORRELATION_ID: Final = 0x0400
REPLY_TO: Final = 0x0200
EXPIRATION: Final = 0x0100
MESSAGE_ID: Final = 0x0080
TIMESTAMP: Final = 0x0040
TYPE: Final = 0x0020
USER_ID: Final = 0x0010
APP_ID: Final = 0x0008
CLUSTER_ID: Final = 0x0004

PERSISTENT: Final = 2  # the delivery mode of a message that outlives the broker

# In wire order: the flag of every property by its name.
FLAGS: Final[dict[str, int]] = {
    "content_type": CONTENT_TYPE,
    "content_encoding": CONTENT_ENCODING,
    "headers": HEADERS,
    "delivery_mode": DELIVERY_MODE,
    "priority": PRIORITY,
    "correlation_id": CORRELATION_ID,
    "reply_to": REPLY_TO,
    "expiration": EXPIRATION,
    "message_id": MESSAGE_ID,
    "timestamp": TIMESTAMP,
    "type": TYPE,
    "user_id": USER_ID,
    "app_id": APP_ID,
    "cluster_id": CLUSTER_ID,
}

_OCTETS: Final = DELIVERY_MODE | PRIORITY
_RESERVED: Final = 0x0003  # bit 0 announces another flag word, which class 60 never has; bit 1 is unused
_FLAG_WORD: Final = 2
_TABLE_LENGTH: Final = 4
_LONGLONG: Final = 8


class PropertiesError(InternalError):
    """A property list that cannot be decoded. RabbitMQ answers it with a bare 541 that names no method.

    Args:
        reason: for the log; the client does not get to see it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("", about_method=False)
        self.reason = reason


@final
class Properties:
    """The properties of one message.

    HOT: built for every message whose properties differ from the message before, so it walks over the values once and
    builds no object.

    Args:
        raw: flag word and values, as they come in a content header behind class, weight and body size.
        scanned: raw was checked before, so the headers are not looked through.

    Attributes:
        altered: raw differs from what came in.
        raw: what came in. Only where the two reserved flag bits were set they are cleared: they mean nothing here, but
            a consumer would take bit 0 for the announcement of a second flag word.
        flags: the flag word; test it against HEADERS, PRIORITY, ... before asking for a value.
        persistent: the delivery mode is 2.

    Raises:
        PropertiesError: a value does not fit into raw, is no table where a table belongs, or octets are left over.
    """

    __slots__ = ("_headers", "altered", "flags", "persistent", "raw")

    def __init__(self, raw: bytes, scanned: bool = False) -> None:
        size: i64 = len(raw)
        if size < _FLAG_WORD:
            raise PropertiesError("no flag word")
        word: int = read_i16_be(raw, 0)
        present: i64 = word & 0xFFFC
        self.altered = word & _RESERVED != 0
        if self.altered:
            raw = int(present).to_bytes(_FLAG_WORD, "big") + raw[_FLAG_WORD:]
        self.raw = raw
        self.flags: int = present
        self.persistent = False
        self._headers: Table | None = None
        flag: i64 = CONTENT_TYPE
        pos: i64 = _FLAG_WORD
        while present:
            if present & flag:
                end = _value_end(raw, pos, flag)
                if flag == HEADERS:
                    if not scanned:
                        _check_headers(raw, pos + _TABLE_LENGTH, end)
                elif flag == DELIVERY_MODE:
                    self.persistent = raw[pos] == PERSISTENT
                pos = end
                present ^= flag
            flag >>= 1
        if pos != size:
            raise PropertiesError("octets left over behind the properties")

    @staticmethod
    def of(**values: PropertyChange) -> Properties:
        """The properties with these values. Headers may be a Table or a mapping.

        Raises:
            ValueError: a value that does not fit: a string above 255 octets, a number out of range.
            TypeError: there is no property of that name, or its type is another.
        """
        return EMPTY_PROPERTIES.replaced(**values)

    def replaced(self, **changes: PropertyChange) -> Properties:
        """The same properties, the named ones set, or removed when None. All others keep their exact octets.

        Raises:
            ValueError: a value that does not fit: a string above 255 octets, a number out of range.
            TypeError: there is no property of that name, or its type is another.
        """
        unknown = changes.keys() - FLAGS.keys()
        if unknown:
            raise TypeError(f"no such property: {', '.join(sorted(unknown))}")
        flags = 0
        parts: list[bytes] = []
        for name, flag in FLAGS.items():
            value = _encode(flag, changes[name]) if name in changes else self._octets(flag)
            if value:  # no encoded value is empty: even the empty string has its length
                flags |= flag
                parts.append(value)
        return Properties(flags.to_bytes(_FLAG_WORD, "big") + b"".join(parts))

    @property
    def content_type(self) -> str | None:
        """MIME type of the body."""
        return self._text(CONTENT_TYPE)

    @property
    def content_encoding(self) -> str | None:
        """MIME encoding of the body."""
        return self._text(CONTENT_ENCODING)

    @property
    def headers(self) -> Table | None:
        """The header table; None, not an empty table, when the publisher sent none."""
        headers = self._headers
        if headers is None and self.flags & HEADERS:
            headers = Table(self._octets(HEADERS)[_TABLE_LENGTH:], scanned=True)
            self._headers = headers
        return headers

    @property
    def delivery_mode(self) -> int | None:
        """1 transient, 2 persistent, as sent: any octet can come."""
        return self._number(DELIVERY_MODE)

    @property
    def priority(self) -> int | None:
        """0 to 255."""
        return self._number(PRIORITY)

    @property
    def correlation_id(self) -> str | None:
        """Which request a reply belongs to."""
        return self._text(CORRELATION_ID)

    @property
    def reply_to(self) -> str | None:
        """The queue that a reply goes to, often amq.rabbitmq.reply-to."""
        return self._text(REPLY_TO)

    @property
    def expiration(self) -> str | None:
        """The message's TTL in milliseconds, as the string it is on the wire."""
        return self._text(EXPIRATION)

    @property
    def message_id(self) -> str | None:
        """The application's id of the message."""
        return self._text(MESSAGE_ID)

    @property
    def timestamp(self) -> int | None:
        """Seconds since the epoch, as the publisher says."""
        return self._number(TIMESTAMP)

    @property
    def type(self) -> str | None:
        """The application's name for the kind of message."""
        return self._text(TYPE)

    @property
    def user_id(self) -> str | None:
        """The user who claims to have published the message."""
        return self._text(USER_ID)

    @property
    def app_id(self) -> str | None:
        """The application that published the message."""
        return self._text(APP_ID)

    @property
    def cluster_id(self) -> str | None:
        """Reserved by the standard, passed through."""
        return self._text(CLUSTER_ID)

    def items(self) -> list[tuple[str, PropertyValue]]:
        """Name and value of every property that is there, in wire order."""
        items: list[tuple[str, PropertyValue]] = []
        for name, flag in FLAGS.items():
            if self.flags & flag:
                items.append((name, self._value(flag)))
        return items

    def _value(self, flag: int) -> PropertyValue:
        if flag == HEADERS:
            return self.headers
        return self._number(flag) if flag & (_OCTETS | TIMESTAMP) else self._text(flag)

    def _text(self, flag: int) -> str | None:
        if not self.flags & flag:
            return None
        return self._octets(flag)[1:].decode("utf-8", "surrogateescape")

    def _number(self, flag: int) -> int | None:
        if not self.flags & flag:
            return None
        return int.from_bytes(self._octets(flag), "big")

    def _octets(self, wanted: int) -> bytes:
        """The encoded value of a property, empty when it is not there."""
        flags: i64 = self.flags
        if not flags & wanted:
            return b""
        flag: i64 = CONTENT_TYPE
        pos: i64 = _FLAG_WORD
        while flag != wanted:
            if flags & flag:
                pos = _value_end(self.raw, pos, flag)
            flag >>= 1
        return self.raw[pos : _value_end(self.raw, pos, flag)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Properties) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        values = ", ".join([f"{name}={value!r}" for name, value in self.items()])
        return f"Properties.of({values})"


def _value_end(raw: bytes, pos: i64, flag: i64) -> i64:
    """Where the value of that property ends which starts at pos. Raises PropertiesError when raw ends before."""
    left = len(raw) - pos
    width: i64 = 1
    if flag == TIMESTAMP:
        width = _LONGLONG
    elif flag == HEADERS:
        width = _TABLE_LENGTH
        if left >= width:
            length: int = read_i32_be(raw, pos)
            if length < 0:  # 2 GiB and more, which no frame holds
                raise PropertiesError("length of headers out of bounds")
            width += length
    elif left > 0 and not flag & _OCTETS:
        width += raw[pos]
    if width > left:
        raise PropertiesError("properties end inside a value")
    return pos + width


def _check_headers(raw: bytes, start: i64, end: i64) -> None:
    try:
        scan_table(raw, start, end)
    except TableError as error:
        raise PropertiesError(f"headers: {error}") from error


def _encode(flag: int, value: PropertyChange) -> bytes:
    if value is None:
        return b""
    if flag == HEADERS:
        if isinstance(value, (str, int)):
            raise TypeError(f"headers are a table, not {value!r}")
        return value.encode() if isinstance(value, Table) else Table.of(value).encode()
    if flag & (_OCTETS | TIMESTAMP):
        return _encode_number(value, _LONGLONG if flag == TIMESTAMP else 1)
    return _encode_text(value)


def _encode_number(value: PropertyChange, width: int) -> bytes:
    if not isinstance(value, int):
        raise TypeError(f"a number is needed, not {value!r}")
    if not 0 <= value < 1 << 8 * width:
        raise ValueError(f"{value} does not fit into {width} octets")
    return value.to_bytes(width, "big")


def _encode_text(value: PropertyChange) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"a string is needed, not {value!r}")
    octets = value.encode("utf-8", "surrogateescape")
    if len(octets) > 255:
        raise ValueError(f"a string of {len(octets)} octets, 255 are allowed")
    return bytes([len(octets)]) + octets


EMPTY_PROPERTIES: Final = Properties(b"\0\0")
