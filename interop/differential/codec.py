"""AMQP 0-9-1 on the wire, for the differential test only.

Rule: what may live here turns frames, methods, tables and properties into plain Python values and back, without a
state. It is a second codec on purpose, independent of amqpd's own: a fault in amqpd.wire must not hide itself.

Field values are plain Python where Python has the type (int is I, str S, bool t, float d, bytes x, None V, dict F, list
A); every other type is a pair of tag and value: ("l", 5), ("T", 0), ("D", (2, 314)).
"""

from __future__ import annotations

import struct
from typing import Any, Final

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
BASIC_CLASS: Final = 60

# Class, method, name, arguments. b bit, o octet, s short, l long, L longlong, $ shortstr, S longstr, T table.
_TABLE: Final = """
10 10 connection.start o:major o:minor T:server_properties S:mechanisms S:locales
10 11 connection.start_ok T:client_properties $:mechanism S:response $:locale
10 30 connection.tune s:channel_max l:frame_max s:heartbeat
10 31 connection.tune_ok s:channel_max l:frame_max s:heartbeat
10 40 connection.open $:virtual_host $:capabilities b:insist
10 41 connection.open_ok $:known_hosts
10 50 connection.close s:reply_code $:reply_text s:class_id s:method_id
10 51 connection.close_ok
10 60 connection.blocked $:reason
10 61 connection.unblocked
20 10 channel.open $:out_of_band
20 11 channel.open_ok S:channel_id
20 20 channel.flow b:active
20 21 channel.flow_ok b:active
20 40 channel.close s:reply_code $:reply_text s:class_id s:method_id
20 41 channel.close_ok
40 10 exchange.declare s:ticket $:exchange $:type b:passive b:durable b:auto_delete b:internal b:nowait T:arguments
40 11 exchange.declare_ok
40 20 exchange.delete s:ticket $:exchange b:if_unused b:nowait
40 21 exchange.delete_ok
40 30 exchange.bind s:ticket $:destination $:source $:routing_key b:nowait T:arguments
40 31 exchange.bind_ok
40 40 exchange.unbind s:ticket $:destination $:source $:routing_key b:nowait T:arguments
40 51 exchange.unbind_ok
50 10 queue.declare s:ticket $:queue b:passive b:durable b:exclusive b:auto_delete b:nowait T:arguments
50 11 queue.declare_ok $:queue l:message_count l:consumer_count
50 20 queue.bind s:ticket $:queue $:exchange $:routing_key b:nowait T:arguments
50 21 queue.bind_ok
50 30 queue.purge s:ticket $:queue b:nowait
50 31 queue.purge_ok l:message_count
50 40 queue.delete s:ticket $:queue b:if_unused b:if_empty b:nowait
50 41 queue.delete_ok l:message_count
50 50 queue.unbind s:ticket $:queue $:exchange $:routing_key T:arguments
50 51 queue.unbind_ok
60 10 basic.qos l:prefetch_size s:prefetch_count b:global_
60 11 basic.qos_ok
60 20 basic.consume s:ticket $:queue $:consumer_tag b:no_local b:no_ack b:exclusive b:nowait T:arguments
60 21 basic.consume_ok $:consumer_tag
60 30 basic.cancel $:consumer_tag b:nowait
60 31 basic.cancel_ok $:consumer_tag
60 40 basic.publish s:ticket $:exchange $:routing_key b:mandatory b:immediate
60 50 basic.return s:reply_code $:reply_text $:exchange $:routing_key
60 60 basic.deliver $:consumer_tag L:delivery_tag b:redelivered $:exchange $:routing_key
60 70 basic.get s:ticket $:queue b:no_ack
60 71 basic.get_ok L:delivery_tag b:redelivered $:exchange $:routing_key l:message_count
60 72 basic.get_empty $:cluster_id
60 80 basic.ack L:delivery_tag b:multiple
60 90 basic.reject L:delivery_tag b:requeue
60 100 basic.recover_async b:requeue
60 110 basic.recover b:requeue
60 111 basic.recover_ok
60 120 basic.nack L:delivery_tag b:multiple b:requeue
85 10 confirm.select b:nowait
85 11 confirm.select_ok
90 10 tx.select
90 11 tx.select_ok
90 20 tx.commit
90 21 tx.commit_ok
90 30 tx.rollback
90 31 tx.rollback_ok
"""

Arguments = tuple[tuple[str, str], ...]  # (type, name) in wire order
WITH_CONTENT: Final = frozenset({"basic.publish", "basic.return", "basic.deliver", "basic.get_ok"})

# In wire order, the first has bit 15 of the flag word.
PROPERTIES: Final[dict[str, str]] = {
    "content_type": "$",
    "content_encoding": "$",
    "headers": "T",
    "delivery_mode": "o",
    "priority": "o",
    "correlation_id": "$",
    "reply_to": "$",
    "expiration": "$",
    "message_id": "$",
    "timestamp": "L",
    "type": "$",
    "user_id": "$",
    "app_id": "$",
    "cluster_id": "$",
}

_NUMBERS: Final = {"o": ">B", "s": ">H", "l": ">I", "L": ">Q"}
_FIELD_NUMBERS: Final = {
    "b": ">b",
    "B": ">B",
    "s": ">h",
    "u": ">H",
    "I": ">i",
    "i": ">I",
    "l": ">q",
    "L": ">q",
    "f": ">f",
    "d": ">d",
    "T": ">Q",
}
_PLAIN: Final = frozenset("ISdxtVFA")  # the tags whose values stand for themselves


def _methods() -> tuple[dict[str, tuple[bytes, Arguments]], dict[int, tuple[str, Arguments]]]:
    by_name: dict[str, tuple[bytes, Arguments]] = {}
    by_ids: dict[int, tuple[str, Arguments]] = {}
    for line in _TABLE.strip().splitlines():
        class_id, method_id, name, *fields = line.split()
        arguments = tuple((field[0], field[2:]) for field in fields)
        by_name[name] = struct.pack(">HH", int(class_id), int(method_id)), arguments
        by_ids[int(class_id) << 16 | int(method_id)] = name, arguments
    return by_name, by_ids


METHODS, _BY_IDS = _methods()


# Encoding.


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """One frame around a payload."""
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method_frame(channel: int, name: str, values: dict[str, Any]) -> bytes:
    """The frame of a method; arguments that are not given are zero, false or empty.

    Raises:
        KeyError: there is no such method, or it has no such argument.
    """
    ids, arguments = METHODS[name]
    unknown = values.keys() - {argument for _, argument in arguments}
    if unknown:
        raise KeyError(f"{name} has no {', '.join(sorted(unknown))}")
    payload = bytearray(ids)
    bits, place = 0, 0
    for kind, argument in arguments:
        if kind == "b":
            bits |= bool(values.get(argument)) << place
            place += 1
            continue
        if place:
            payload.append(bits)
            bits, place = 0, 0
        payload += _encode(kind, values.get(argument))
    if place:
        payload.append(bits)
    return frame(METHOD, channel, bytes(payload))


def content_frames(channel: int, properties: dict[str, Any], body: bytes) -> bytes:
    """Content header and body (which has to fit into one frame)."""
    flags = 0
    values = bytearray()
    for place, (name, kind) in enumerate(PROPERTIES.items()):
        if name in properties:
            flags |= 0x8000 >> place
            values += _encode(kind, properties[name])
    header = struct.pack(">HHQH", BASIC_CLASS, 0, len(body), flags) + bytes(values)
    return frame(HEADER, channel, header) + (frame(BODY, channel, body) if body else b"")


def _encode(kind: str, value: Any) -> bytes:
    if kind in _NUMBERS:
        return struct.pack(_NUMBERS[kind], value or 0)
    if kind == "T":
        return _long(_table(value or {}))
    octets = value if isinstance(value, bytes) else (value or "").encode("utf-8", "surrogateescape")
    return _long(octets) if kind == "S" else bytes([len(octets)]) + octets


def _long(octets: bytes) -> bytes:
    return len(octets).to_bytes(4, "big") + octets


def _table(table: dict[str, Any]) -> bytes:
    return b"".join(_encode("$", name) + _field(value) for name, value in table.items())


def _field(value: Any) -> bytes:
    tag, value = tagged(value)
    return tag.encode() + _field_value(tag, value)


def _field_value(tag: str, value: Any) -> bytes:
    if tag in _FIELD_NUMBERS:
        return struct.pack(_FIELD_NUMBERS[tag], value)
    if tag == "t":
        return b"\x01" if value else b"\x00"
    if tag == "V":
        return b""
    if tag == "D":
        return struct.pack(">BI", *value)
    if tag == "F":
        return _long(_table(value))
    if tag == "A":
        return _long(b"".join(_field(element) for element in value))
    return _long(value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape"))


def tagged(value: Any) -> tuple[str, Any]:
    """The type and the bare value of a field value."""
    if isinstance(value, tuple):
        return value[0], value[1]
    for kind, tag in ((bool, "t"), (int, "I"), (str, "S"), (float, "d"), (bytes, "x"), (dict, "F"), (list, "A")):
        if isinstance(value, kind):
            return tag, value
    return "V", None


# Decoding.


class Reader:
    """Takes values off the front of some bytes."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._pos = 0

    @property
    def empty(self) -> bool:
        return self._pos == len(self._octets)

    def take(self, size: int) -> bytes:
        """Take that many octets.

        Raises:
            ValueError: there are not as many.
        """
        start, self._pos = self._pos, self._pos + size
        if self._pos > len(self._octets):
            raise ValueError("ends too early")
        return self._octets[start : self._pos]

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def value(self, kind: str) -> Any:
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind == "T":
            return Reader(self.take(self.number(">I"))).table()
        if kind == "S":
            return self.take(self.number(">I"))
        return self.take(self.number(">B")).decode("utf-8", "surrogateescape")

    def table(self) -> dict[str, Any]:
        """The rest, as a table; a name that comes twice is kept as name, name#2, ..."""
        found: dict[str, Any] = {}
        while not self.empty:
            name = self.value("$")
            while name in found:
                name += "#2"
            found[name] = self.field()
        return found

    def field(self) -> Any:
        tag = self.take(1).decode("ascii")
        value = self._field_value(tag)
        return value if tag in _PLAIN else (tag, value)

    def _field_value(self, tag: str) -> Any:
        if tag in _FIELD_NUMBERS:
            return self.number(_FIELD_NUMBERS[tag])
        if tag == "t":
            return self.take(1) != b"\x00"
        if tag == "V":
            return None
        if tag == "D":
            return self.number(">B"), self.number(">I")
        inner = Reader(self.take(self.number(">I")))
        if tag == "F":
            return inner.table()
        if tag == "A":
            elements = []
            while not inner.empty:
                elements.append(inner.field())
            return elements
        if tag not in "Sx":
            raise ValueError(f"no field type {tag!r}")
        octets = inner.take(len(inner._octets))
        return octets if tag == "x" else octets.decode("utf-8", "surrogateescape")


def decode_method(payload: bytes) -> tuple[str, dict[str, Any]]:
    """Name and arguments of a method.

    Raises:
        KeyError: there is no such method.
        ValueError: it is malformed.
    """
    name, arguments = _BY_IDS[int.from_bytes(payload[:4], "big")]
    reader = Reader(payload[4:])
    values: dict[str, Any] = {}
    bits, place = 0, 8
    for kind, argument in arguments:
        if kind == "b":
            if place == 8:
                bits, place = reader.number(">B"), 0
            values[argument] = bool(bits >> place & 1)
            place += 1
        else:
            place = 8
            values[argument] = reader.value(kind)
    if not reader.empty:
        raise ValueError(f"octets left over behind {name}")
    return name, values


def decode_header(payload: bytes) -> tuple[int, dict[str, Any]]:
    """Body size and properties of a content header.

    Raises:
        ValueError: it is malformed.
    """
    reader = Reader(payload)
    _class_id, _weight, size, flags = (reader.number(layout) for layout in (">H", ">H", ">Q", ">H"))
    properties = {
        name: reader.value(kind) for place, (name, kind) in enumerate(PROPERTIES.items()) if flags & 0x8000 >> place
    }
    if not reader.empty:
        raise ValueError("octets left over behind the properties")
    return size, properties
