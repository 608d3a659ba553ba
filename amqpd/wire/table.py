"""Field tables and arrays (AMQP 0-9-1 section 4.2.5.5) that keep the type of every field.

Rule: what may live here is the encoding of tables and fields, and nothing that knows where a table came from. The bytes
of a table are the truth: it is checked completely when it is built, decoded only when someone looks, and what nobody
changes goes out again octet by octet.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias, Union, cast, final

from librt.strings import read_i32_be
from mypy_extensions import i64

FieldValue: TypeAlias = Union[bool, int, float, str, bytes, tuple[int, int], "Table", "tuple[Field, ...]", None]

MAX_DEPTH: Final = 64  # tables and arrays inside each other, the outermost included

TYPE_NAMES: Final[dict[str, str]] = {
    "S": "longstr",
    "I": "signedint",
    "i": "unsignedint",
    "s": "short",
    "u": "unsignedshort",
    "b": "byte",
    "B": "unsignedbyte",
    "l": "long",
    "L": "long",
    "f": "float",
    "d": "double",
    "t": "bool",
    "T": "timestamp",
    "D": "decimal",
    "F": "table",
    "A": "array",
    "x": "binary",
    "V": "void",
}
INTEGER_TAGS: Final = frozenset("bBsuIilL")

_UNSIGNED_TAGS: Final = frozenset("BuiT")
_FIXED_WIDTHS: Final[dict[str, int]] = {
    "V": 0,
    "t": 1,
    "b": 1,
    "B": 1,
    "s": 2,
    "u": 2,
    "I": 4,
    "i": 4,
    "f": 4,
    "D": 5,
    "l": 8,
    "L": 8,
    "d": 8,
    "T": 8,
}
_COUNTED: Final = 0xFE  # the value opens with its length in four octets
_UNKNOWN: Final = 0xFF


def _width_by_octet() -> bytes:
    widths = bytearray([_UNKNOWN]) * 256
    for tag, width in _FIXED_WIDTHS.items():
        widths[ord(tag)] = width
    for tag in "SxFA":
        widths[ord(tag)] = _COUNTED
    return bytes(widths)


_WIDTHS: Final = _width_by_octet()
_TABLE_TAG: Final = 0x46  # F
_ARRAY_TAG: Final = 0x41  # A


class TableError(ValueError):
    """Bytes that are no field table, or a value that no field can hold."""


@final
class Field:
    """One value of a table or an array, with its type.

    Args:
        tag: the type, one character out of ``S I D T F b d f l L s t x V A B u i``.
        value: what belongs to the tag: S str (octets that are no UTF-8 as surrogate escapes), x bytes, t bool, integers
            and T int, f and d float, D (scale, unsigned value), V None, F Table, A tuple of Field.

    Fields are equal when type and value are; l and L are two spellings of one type. Integers of different width differ.
    """

    __slots__ = ("tag", "value")

    def __init__(self, tag: str, value: FieldValue) -> None:
        self.tag = tag
        self.value = value

    @staticmethod
    def of(value: object) -> Field:
        """The field that a Python value gets: str S, bytes x, bool t, int I or l, float d, None V, mapping F, list A.

        Raises:
            TableError: there is no field type for the value.
        """
        if isinstance(value, Field):
            return value
        if isinstance(value, int):
            return Field("t", value) if isinstance(value, bool) else _integer_field(value)
        if isinstance(value, Table):
            return Field("F", value)
        if isinstance(value, Mapping):
            return Field("F", Table.of(value))
        if isinstance(value, (list, tuple)):
            return Field("A", tuple([Field.of(element) for element in value]))
        return _scalar_field(value)

    @staticmethod
    def long(value: int) -> Field:
        """A signed 64-bit integer, the type the broker uses for counts, whatever their size."""
        return Field("l", value)

    @property
    def type_name(self) -> str:
        """RabbitMQ's name of the type, as its error texts use it: ``longstr``, ``signedint``, ..."""
        return TYPE_NAMES[self.tag]

    @property
    def is_integer(self) -> bool:
        """True for integers of any width; timestamps, decimals and booleans are none."""
        return self.tag in INTEGER_TAGS

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Field) and _canonical_field(self) == _canonical_field(other)

    def __hash__(self) -> int:
        return hash(_canonical_field(self))

    def __repr__(self) -> str:
        return f"Field({self.tag!r}, {self.value!r})"


@final
class Table:
    """A field table: names and typed values in wire order.

    Two tables are equal when they hold the same fields, whatever their order, in nested tables as well: that is how
    RabbitMQ tells bindings apart.

    Args:
        raw: the encoded fields, without the four octets of length in front of them.
        scanned: True when scan_table has accepted exactly these octets, which are then not checked again.

    Raises:
        TableError: the octets are no table, or nest deeper than MAX_DEPTH.
    """

    __slots__ = ("_canonical", "_index", "_items", "raw")

    def __init__(self, raw: bytes, scanned: bool = False) -> None:
        if not scanned:
            scan_table(raw, 0, len(raw))
        self.raw = raw
        self._items: list[tuple[str, Field]] | None = None
        self._index: dict[str, Field] | None = None
        self._canonical: bytes | None = None

    @staticmethod
    def of(values: Mapping[str, object]) -> Table:
        """The table of Python values, each typed as Field.of does.

        Raises:
            TableError: there is no field type for a value, a name is longer than 255 octets, or it nests too deep.
        """
        return Table(b"".join([_encode_entry(name, Field.of(value)) for name, value in values.items()]))

    def encode(self) -> bytes:
        """The table as it stands in a method or property list: four octets of length, then the fields."""
        return len(self.raw).to_bytes(4, "big") + self.raw

    def get(self, name: str) -> Field | None:
        """The field of that name, or None. Of duplicates the first counts."""
        return self._fields_by_name().get(name)

    def text(self, name: str) -> str | None:
        """The value of that name if it is a longstr, else None."""
        field = self.get(name)
        if field is None or field.tag != "S":
            return None
        value = field.value
        return value if isinstance(value, str) else None

    def items(self) -> list[tuple[str, Field]]:
        """Names and fields in wire order, duplicates included. The list is the table's own: do not change it."""
        items = self._items
        if items is None:
            raw = self.raw
            items = [(name, _decode_field(raw, value, end)) for name, _, value, end in _entries(raw)]
            self._items = items
        return items

    def replaced(self, updates: Mapping[str, Field], removed: AbstractSet[str] = frozenset()) -> Table:
        """A table with some fields changed, every other entry octet by octet as it is here.

        Args:
            updates: new fields by name. They take the place of the name's first entry, or come last if there is none.
            removed: names to leave out. A name that is in both is updated.

        Raises:
            TableError: a field cannot be encoded, or nests too deep.
        """
        raw = self.raw
        pending = dict(updates)
        parts: list[bytes] = []
        for name, start, _, end in _entries(raw):
            if name in updates:
                field = pending.pop(name, None)
                if field is not None:
                    parts.append(_encode_entry(name, field))
            elif name not in removed:
                parts.append(raw[start:end])
        parts.extend([_encode_entry(name, field) for name, field in pending.items()])
        return Table(b"".join(parts))

    def canonical(self) -> bytes:
        """Octets that are the same for equal tables only: sorted by name, every type in its one spelling."""
        canonical = self._canonical
        if canonical is None:
            items = sorted(self.items(), key=_name_of)
            canonical = b"".join([_encode_name(name) + _canonical_field(field) for name, field in items])
            self._canonical = canonical
        return canonical

    def _fields_by_name(self) -> dict[str, Field]:
        index = self._index
        if index is None:
            index = {}
            for name, field in self.items():
                index.setdefault(name, field)
            self._index = index
        return index

    def __contains__(self, name: object) -> bool:
        return name in self._fields_by_name()

    def __len__(self) -> int:
        return len(self.items())

    def __bool__(self) -> bool:
        return len(self.raw) > 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and (self.raw == other.raw or self.canonical() == other.canonical())

    def __hash__(self) -> int:
        return hash(self.canonical())

    def __repr__(self) -> str:
        return f"Table({dict(self.items())!r})"


# Checking. HOT: runs over the headers of every message, so it builds no object.


def scan_table(buf: bytes, start: int, end: int) -> None:
    """Check that buf[start:end] is the inside of a table (without its length), and build nothing.

    Raises:
        TableError: it is not, or nests deeper than MAX_DEPTH.
    """
    if not 0 <= start <= end <= len(buf):
        raise TableError("table outside of its buffer")
    _scan_fields(buf, start, end, 1, True)


def _scan_fields(buf: bytes, pos: i64, end: i64, depth: i64, named: bool) -> None:
    if depth > MAX_DEPTH:
        raise TableError(f"tables nested deeper than {MAX_DEPTH}")
    while pos < end:
        if named:
            pos += buf[pos] + 1
        after = _value_end(buf, pos, end)
        tag: i64 = buf[pos]
        if tag in (_TABLE_TAG, _ARRAY_TAG):
            _scan_fields(buf, pos + 5, after, depth + 1, tag == _TABLE_TAG)
        pos = after


def _value_end(buf: bytes, pos: i64, end: i64) -> i64:
    """Where the value ends whose tag stands at pos. Raises TableError when that is behind end, or the tag unknown."""
    if pos >= end:
        raise TableError("table ends inside a field")
    width: i64 = _WIDTHS[buf[pos]]
    pos += 1
    if width == _UNKNOWN:
        raise TableError(f"unknown field type {buf[pos - 1]}")
    if width == _COUNTED:
        if end - pos < 4:
            raise TableError("table ends inside a length")
        length: int = read_i32_be(buf, pos)
        pos += 4
        if length < 0:  # 2 GiB and more, which no frame holds
            raise TableError("field length out of bounds")
        width = length
    if width > end - pos:
        raise TableError("table ends inside a value")
    return pos + width


# Decoding, over octets that have been checked.


def _entries(raw: bytes) -> list[tuple[str, int, int, int]]:
    """Of every entry: name, where it starts, where its value starts (at the tag), where it ends."""
    entries: list[tuple[str, int, int, int]] = []
    start = 0
    size = len(raw)
    while start < size:
        value = start + 1 + raw[start]
        end: int = _value_end(raw, value, size)
        entries.append((raw[start + 1 : value].decode("utf-8", "surrogateescape"), start, value, end))
        start = end
    return entries


def _decode_field(raw: bytes, pos: int, end: int) -> Field:
    tag = chr(raw[pos])
    if tag == "S":
        return Field(tag, raw[pos + 5 : end].decode("utf-8", "surrogateescape"))
    if tag in INTEGER_TAGS or tag == "T":
        return Field(tag, int.from_bytes(raw[pos + 1 : end], "big", signed=tag not in _UNSIGNED_TAGS))
    if tag == "t":
        return Field(tag, raw[pos + 1] != 0)
    if tag == "F":
        return Field(tag, Table(raw[pos + 5 : end], scanned=True))
    if tag == "A":
        return Field(tag, _decode_array(raw, pos + 5, end))
    return _decode_rare_field(tag, raw, pos, end)


def _decode_rare_field(tag: str, raw: bytes, pos: int, end: int) -> Field:
    if tag == "x":
        return Field(tag, raw[pos + 5 : end])
    if tag == "V":
        return Field(tag, None)
    if tag == "D":
        return Field(tag, (raw[pos + 1], int.from_bytes(raw[pos + 2 : end], "big")))
    number: float = struct.unpack(">f" if tag == "f" else ">d", raw[pos + 1 : end])[0]
    return Field(tag, number)


def _decode_array(raw: bytes, pos: int, end: int) -> tuple[Field, ...]:
    fields: list[Field] = []
    while pos < end:
        after: int = _value_end(raw, pos, end)
        fields.append(_decode_field(raw, pos, after))
        pos = after
    return tuple(fields)


# Encoding.


def _integer_field(value: int) -> Field:
    bits = value.bit_length() if value >= 0 else (value + 1).bit_length()
    if bits > 63:
        raise TableError(f"{value} does not fit a field of 64 bits")
    return Field("I" if bits < 32 else "l", value)


def _scalar_field(value: object) -> Field:
    if isinstance(value, str):
        return Field("S", value)
    if isinstance(value, bytes):
        return Field("x", value)
    if isinstance(value, float):
        return Field("d", value)
    if value is None:
        return Field("V", None)
    raise TableError(f"no field type for {value!r}")


def _name_of(item: tuple[str, Field]) -> str:
    return item[0]


def _encode_entry(name: str, field: Field) -> bytes:
    return _encode_name(name) + _encode_field(field)


def _encode_name(name: str) -> bytes:
    raw = _octets(name)
    if len(raw) > 255:
        raise TableError(f"name of {len(raw)} octets, 255 are allowed")
    return bytes([len(raw)]) + raw


def _encode_field(field: Field) -> bytes:
    """Tag and value. Raises TableError when the value is not what the tag says, or out of its range."""
    value_type = _VALUE_TYPES.get(field.tag)
    if value_type is None or not isinstance(field.value, value_type):
        raise TableError(f"{field!r}: not a value of that type")
    try:
        return field.tag.encode() + _encode_value(field.tag, field.value)
    except (OverflowError, struct.error) as error:
        raise TableError(f"{field!r}: out of range") from error


def _encode_value(tag: str, value: FieldValue) -> bytes:
    if isinstance(value, str):
        return _counted(_octets(value))
    if isinstance(value, bytes):
        return _counted(value)
    if isinstance(value, int):
        return value.to_bytes(_FIXED_WIDTHS[tag], "big", signed=tag not in _UNSIGNED_TAGS)
    if isinstance(value, float):
        return struct.pack(">f" if tag == "f" else ">d", value)
    if isinstance(value, Table):
        return value.encode()
    if value is None:
        return b""
    if tag == "A":
        return _counted(b"".join([_encode_field(element) for element in _elements(value)]))
    scale, unsigned = cast("tuple[int, int]", value)
    return scale.to_bytes(1, "big") + unsigned.to_bytes(4, "big")


def _elements(value: FieldValue) -> tuple[Field, ...]:
    """The value of an array. (In place, the cast trips mypyc.)"""
    return cast("tuple[Field, ...]", value)


def _octets(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:  # half a surrogate pair, as JSON can hold it
        raise TableError(f"{text!r} has no UTF-8") from error


def _counted(octets: bytes) -> bytes:
    return len(octets).to_bytes(4, "big") + octets


def _canonical_field(field: Field) -> bytes:
    value = field.value
    if isinstance(value, Table):
        return b"F" + _counted(value.canonical())
    if field.tag == "A":
        return b"A" + _counted(b"".join([_canonical_field(element) for element in _elements(value)]))
    return _encode_field(Field("l", value) if field.tag == "L" else field)


_VALUE_TYPES: Final[dict[str, type]] = {
    **dict.fromkeys(INTEGER_TAGS | {"T"}, int),
    "S": str,
    "x": bytes,
    "t": bool,
    "f": float,
    "d": float,
    "D": tuple,
    "F": Table,
    "A": tuple,
    "V": type(None),
}

EMPTY_TABLE: Final = Table(b"")
