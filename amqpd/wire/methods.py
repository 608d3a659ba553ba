"""Methods to bytes and back: everything but the hot ones, over pamqp's command classes.

Rule: what may live here knows how the arguments of a method lie in a frame, and nothing of what a method means. pamqp
gives the vocabulary: a class for every method with its argument names, types and order. Its own encoding is not used:
it loses the types of table fields, takes truncated methods for whole ones, and refuses names that RabbitMQ allows.

Decoding puts ``bytes`` into arguments that are longstrs and a Table where a field table belongs, whatever pamqp's
annotations say; the ``..._of`` functions are the typed way to them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final, TypeAlias, TypeVar, final

from librt.strings import read_i32_be
from mypy_extensions import mypyc_attr
from pamqp import commands
from pamqp.base import Frame

from amqpd.errors import REPLY_TEXT_LIMIT, Disconnect, FrameError
from amqpd.wire.frames import METHOD, frame, unknown_frame
from amqpd.wire.table import EMPTY_TABLE, Table, TableError

Method: TypeAlias = Frame
M = TypeVar("M", bound=Frame)

_IDS: Final = 4  # octets: class id and method id
# Numbers are told by their width in octets, everything else by a number no width has.
_BIT: Final = 0
_SHORTSTR: Final = 16
_LONGSTR: Final = 17
_TABLE: Final = 18
_KINDS: Final[dict[str, int]] = {
    "bit": _BIT,
    "octet": 1,
    "short": 2,
    "long": 4,
    "longlong": 8,
    "shortstr": _SHORTSTR,
    "longstr": _LONGSTR,
    "table": _TABLE,
}
_BITS_IN_OCTET: Final = 8


@mypyc_attr(native_class=False)
class AccessRequest(Frame):
    """access.request, a relic of AMQP 0-8 that RabbitMQ still answers and pamqp does not know."""

    # In wire order, which is what pamqp means by it.
    __slots__: ClassVar[list[str]] = ["realm", "exclusive", "passive", "active", "write", "read"]  # noqa: RUF023
    frame_id: ClassVar[int] = 10
    index: ClassVar[int] = 0x001E000A
    name: ClassVar[str] = "Access.Request"
    synchronous: ClassVar[bool] = True
    valid_responses: ClassVar[list[str]] = ["Access.RequestOk"]

    _realm = "shortstr"
    _exclusive = "bit"
    _passive = "bit"
    _active = "bit"
    _write = "bit"
    _read = "bit"

    realm: str
    exclusive: bool
    passive: bool
    active: bool
    write: bool
    read: bool


@mypyc_attr(native_class=False)
class AccessRequestOk(Frame):
    """access.request_ok: the ticket that methods then carry and nobody looks at."""

    __slots__: ClassVar[list[str]] = ["ticket"]
    frame_id: ClassVar[int] = 11
    index: ClassVar[int] = 0x001E000B
    name: ClassVar[str] = "Access.RequestOk"

    _ticket = "short"

    ticket: int


# The layout of every method.


@final
class _Argument:
    """Where one argument lies, and how."""

    __slots__ = ("checked", "kind", "mask", "name", "opens_octet")

    def __init__(self, name: str, kind: int, place: int, checked: bool) -> None:
        self.name = name
        self.kind = kind
        self.mask = 1 << place % _BITS_IN_OCTET  # of a bit, which is the place-th of bits in a row
        self.opens_octet = place % _BITS_IN_OCTET == 0
        self.checked = checked  # a shortstr that has to be UTF-8


@final
class _Layout:
    """One method: its class and its arguments in order."""

    __slots__ = ("arguments", "command", "name")

    def __init__(self, command: type[Method]) -> None:
        self.command = command
        self.name = re.sub("(?<=[a-z])(?=[A-Z])", "_", command.name).lower()
        self.arguments: list[_Argument] = []
        # RabbitMQ routes any octets: only here it leaves exchange and routing key unchecked.
        checked = command is not commands.Basic.Publish
        place = -1  # of the last bit in a row of bits
        for name in command.__slots__:
            kind = _KINDS[command.amqp_type(name)]
            place = place + 1 if kind == _BIT else -1
            self.arguments.append(_Argument(name, kind, max(place, 0), checked))


def _layouts() -> dict[int, _Layout]:
    found = {index: _Layout(command) for index, command in commands.INDEX_MAPPING.items()}
    found[AccessRequest.index] = _Layout(AccessRequest)
    found[AccessRequestOk.index] = _Layout(AccessRequestOk)
    return found


_LAYOUTS: Final = _layouts()


def ids(method: Method) -> tuple[int, int]:
    """Class id and method id."""
    return method.index >> 16, method.index & 0xFFFF


def name(method: Method) -> str:
    """The name as RabbitMQ spells it: ``queue.declare``, ``connection.start_ok``, ``basic.recover_async``."""
    return _LAYOUTS[method.index].name


def make(command: type[M], **values: object) -> M:
    """A method with these arguments, without pamqp's checks, which refuse names that are legal.

    Arguments that are not given are zero, False, the empty string or the empty table.

    Raises:
        TypeError: the method has no such argument.
    """
    arguments = _LAYOUTS[command.index].arguments
    method = command.__new__(command)
    for argument in arguments:
        setattr(method, argument.name, values.pop(argument.name, _zero(argument.kind)))
    if values:
        raise TypeError(f"{command.name} has no argument {', '.join(sorted(values))}")
    return method


def _zero(kind: int) -> object:
    if kind == _BIT:
        return False
    if kind == _SHORTSTR:
        return ""
    if kind == _LONGSTR:
        return b""
    return EMPTY_TABLE if kind == _TABLE else 0


def arguments_of(method: Method) -> Table:
    """The ``arguments`` of a declare, bind, unbind or consume that was decoded or made here."""
    return _table_of(method, "arguments")


def client_properties_of(method: commands.Connection.StartOk) -> Table:
    """The ``client_properties`` of a connection.start_ok that was decoded or made here."""
    return _table_of(method, "client_properties")


def response_of(method: commands.Connection.StartOk | commands.Connection.SecureOk) -> bytes:
    """The SASL response: any octets."""
    return _octets_of(method, "response")


def new_secret_of(method: commands.Connection.UpdateSecret) -> bytes:
    """The secret of a connection.update_secret: any octets."""
    return _octets_of(method, "new_secret")


def _table_of(method: Method, attribute: str) -> Table:
    table = getattr(method, attribute)
    assert isinstance(table, Table)
    return table


def _octets_of(method: Method, attribute: str) -> bytes:
    octets = getattr(method, attribute)
    assert isinstance(octets, bytes)
    return octets


# Decoding.


def decode(payload: bytes) -> Method:
    """The method in the payload of a method frame.

    Raises:
        FrameError: the arguments end too early or too late, or a name is no UTF-8.
        Disconnect: there is no such method, or a field table is broken. RabbitMQ closes the socket without a word.
    """
    if len(payload) < _IDS:
        raise unknown_frame(METHOD, payload)
    layout = _LAYOUTS.get(read_i32_be(payload, 0))
    if layout is None:
        class_id, method_id = int.from_bytes(payload[:2], "big"), int.from_bytes(payload[2:4], "big")
        raise Disconnect(f"unknown method {class_id}.{method_id}")
    method = layout.command.__new__(layout.command)
    reader = _Reader(payload)
    for argument in layout.arguments:
        setattr(method, argument.name, reader.value(argument))
    reader.finish()
    return method


@final
class _Reader:
    """Reads the arguments of one method.

    Like RabbitMQ it looks at the shape of the whole method first: only when that is right, a broken string or table
    counts. So these faults wait for finish().
    """

    __slots__ = ("_bits", "_fault", "_payload", "_pos")

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._pos = _IDS
        self._bits = 0
        self._fault: Exception | None = None

    def value(self, argument: _Argument) -> object:
        kind = argument.kind
        if kind == _SHORTSTR:
            return self._shortstr(argument.checked)
        if kind == _BIT:
            if argument.opens_octet:
                self._bits = self._number(1)
            return self._bits & argument.mask != 0
        if kind == _TABLE:
            return self._table()
        if kind == _LONGSTR:
            return self._take(self._number(4))
        return self._number(kind)

    def finish(self) -> None:
        """Raises the fault that was found, if any: octets left over, else the first broken string or table."""
        if self._pos != len(self._payload):
            raise self._undecodable()
        if self._fault is not None:
            raise self._fault

    def _take(self, size: int) -> bytes:
        start = self._pos
        end = start + size
        if end > len(self._payload):
            raise self._undecodable()
        self._pos = end
        return self._payload[start:end]

    def _number(self, width: int) -> int:
        return int.from_bytes(self._take(width), "big")

    def _shortstr(self, checked: bool) -> str:
        octets = self._take(self._number(1))
        try:
            return octets.decode()
        except UnicodeDecodeError:
            if checked:
                self._found(FrameError("Malformed UTF-8 in shortstr", about_method=False))
            return octets.decode("utf-8", "surrogateescape")

    def _table(self) -> Table:
        octets = self._take(self._number(4))
        try:
            return Table(octets) if octets else EMPTY_TABLE
        except TableError as error:
            self._found(Disconnect(f"broken field table: {error}"))
            return EMPTY_TABLE

    def _found(self, fault: Exception) -> None:
        if self._fault is None:
            self._fault = fault

    def _undecodable(self) -> FrameError:
        # No more than a reply text holds: it is cut anyway, and a client must not choose how much text we build.
        octets = ",".join([str(octet) for octet in self._payload[_IDS : _IDS + REPLY_TEXT_LIMIT]])
        return FrameError(f"cannot decode <<{octets}>>")


# Encoding.


def encode(channel: int, method: Method) -> bytes:
    """The whole frame of a method.

    Strings go out as UTF-8, surrogate escapes as the octets they stand for. Longstrs may be str or bytes, tables Table
    or a mapping of Python values.

    Raises:
        ValueError: a shortstr is longer than 255 octets, a mapping does not fit a table.
        OverflowError: a number does not fit its type.
    """
    parts = [method.index.to_bytes(_IDS, "big")]
    bits = -1  # of the octet that gathers bits; -1 while there is none
    for argument in _LAYOUTS[method.index].arguments:
        if bits >= 0 and argument.opens_octet:
            parts.append(bits.to_bytes(1, "big"))
            bits = -1
        value: object = getattr(method, argument.name)
        if argument.kind == _BIT:
            bits = max(bits, 0) | (argument.mask if value else 0)
        else:
            parts.append(_encode_value(argument.kind, value))
    if bits >= 0:
        parts.append(bits.to_bytes(1, "big"))
    return frame(METHOD, channel, b"".join(parts))


def _encode_value(kind: int, value: object) -> bytes:
    if isinstance(value, int):
        return value.to_bytes(kind, "big")
    if isinstance(value, Table):
        return value.encode()
    if isinstance(value, Mapping):
        return Table.of(value).encode()
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if not isinstance(value, bytes):
        raise TypeError(f"{value!r} is no argument of a method")
    if kind == _LONGSTR:
        return len(value).to_bytes(4, "big") + value
    if len(value) > 255:
        raise ValueError(f"shortstr of {len(value)} octets, 255 are allowed")
    return bytes([len(value)]) + value
