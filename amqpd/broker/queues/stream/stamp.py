"""Stamping: a message as a stream keeps it, with its offset among its headers.

The offset is known when the message comes. So the header frame is made once, then, and everybody who reads gets the
octets that are kept.

Rule: what may live here makes header frames, and reads what stands in the headers for the stream's own use.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter, read_i32_be, write_i32_be, write_i64_be
from mypy_extensions import i32, i64

from amqpd.broker.message import Message
from amqpd.wire.frames import FRAME_END, HEADER
from amqpd.wire.properties import CONTENT_ENCODING, CONTENT_TYPE, HEADERS, Properties

OFFSET_HEADER: Final = "x-stream-offset"
FILTER_HEADER: Final = "x-stream-filter-value"

_OFFSET_OCTETS: Final = OFFSET_HEADER.encode()
_FILTER_OCTETS: Final = FILTER_HEADER.encode()
_ENTRY: Final = bytes([len(_OFFSET_OCTETS)]) + _OFFSET_OCTETS + b"l"
_CLASS_AND_WEIGHT: Final = b"\x00\x3c\x00\x00"
_FIXED: Final = 12  # octets of class, weight and body size
_OFFSET_SIZE: Final = 8
_FRONT: Final = 7  # octets of a frame before its payload


@final
class Stamp:
    """Makes the content of messages. What it learnt of the properties of one it uses for the next with the same.

    Attributes:
        filter_value: x-stream-filter-value of the message that was stamped last; None if it had none.
        header_end: octets of the header frame of that message.
    """

    def __init__(self) -> None:
        self.filter_value: str | None = None
        self.header_end: i64 = 0
        self._properties: Properties | None = None
        self._before = b""  # of the offset, from the flag word on
        self._behind = b""  # up to the end of the frame
        self._size: i64 = 0  # of the header frame's payload
        self._writer = BytesWriter()

    def content(self, message: Message, offset: i64) -> bytes:
        """Return header and body frames, with the offset as the last header."""
        # HOT: once per message published to a stream
        if message.properties is not self._properties:
            self._learn(message.properties)
        writer = self._writer
        writer.truncate(0)
        writer.append(HEADER)
        channel = message.channel
        writer.append((channel >> 8) & 0xFF)
        writer.append(channel & 0xFF)
        write_i32_be(writer, i32(self._size))
        writer.write(_CLASS_AND_WEIGHT)
        write_i64_be(writer, message.body_size)
        writer.write(self._before)
        write_i64_be(writer, offset)
        writer.write(self._behind)
        writer.write(message.body_frames())
        return writer.getvalue()

    def _learn(self, properties: Properties) -> None:
        raw = properties.raw
        self.filter_value = filter_value_of(properties)
        if _OFFSET_OCTETS in raw:  # it was read from a stream: that offset does not count here
            headers = properties.headers
            if headers is not None:
                raw = properties.replaced(headers=headers.replaced({}, frozenset({OFFSET_HEADER}))).raw
        flags: i64 = i64(raw[0]) << 8 | i64(raw[1])
        pos: i64 = 2
        if flags & CONTENT_TYPE:
            pos += 1 + i64(raw[pos])
        if flags & CONTENT_ENCODING:
            pos += 1 + i64(raw[pos])
        start = pos  # of the headers
        behind = pos
        if flags & HEADERS:
            start = pos + 4
            behind = start + i64(read_i32_be(raw, pos))
        flags |= HEADERS
        writer = BytesWriter()
        writer.append((flags >> 8) & 0xFF)
        writer.append(flags & 0xFF)
        writer.write(raw[2:pos])
        write_i32_be(writer, i32(behind - start + len(_ENTRY) + _OFFSET_SIZE))
        writer.write(raw[start:behind])
        writer.write(_ENTRY)
        self._before = writer.getvalue()
        self._behind = raw[behind:] + bytes([FRAME_END])
        self._size = _FIXED + len(self._before) + _OFFSET_SIZE + len(self._behind) - 1
        self.header_end = _FRONT + self._size + 1
        self._properties = properties


def filter_value_of(properties: Properties) -> str | None:
    """Return the value that a message can be filtered by; None if it has none."""
    if not properties.flags & HEADERS or _FILTER_OCTETS not in properties.raw:
        return None
    headers = properties.headers
    return None if headers is None else headers.text(FILTER_HEADER)
