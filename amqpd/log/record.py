"""A record: what a log keeps of one payload, in memory and in octets.

Rule: what may live here is the form of one record. All numbers are little-endian.

    octet 0        4       8        16      24                28            28 + length
          +--------+-------+--------+-------+-----------------+-------------+
          | length |  crc  | offset | time  | weight, passing |   payload   |
          +--------+-------+--------+-------+-----------------+-------------+

length is that of the payload, crc the CRC-32 of everything behind it, time in milliseconds. The top bit of the weight
is set in a passing record, one that need not survive a restart.
"""

from __future__ import annotations

import struct
from typing import Final, final

from librt.strings import read_i32_le
from mypy_extensions import i64

from amqpd.log.checksum import crc32

FRONT: Final = 28  # octets before the payload
CHECKED: Final = 8  # octets before what the CRC is over
PASSING: Final = 0x80000000
LARGEST_WEIGHT: Final = 0x7FFFFFFF
LARGEST_PAYLOAD: Final = 0x7FFFFFFF - FRONT
_FIELDS: Final = struct.Struct("<qqI")
_ENVELOPE: Final = struct.Struct("<II")


@final
class Record:
    """A record that was read.

    Attributes:
        offset: its place in the log.
        time: milliseconds.
        weight: what the caller counts it as.
        payload: as it was appended.
    """

    def __init__(self, offset: i64, time: i64, weight: i64, payload: bytes) -> None:
        self.offset = offset
        self.time = time
        self.weight = weight
        self.payload = payload

    def __repr__(self) -> str:
        return f"Record({self.offset}, {self.time}, {self.weight}, {self.payload!r})"


def front_of(offset: i64, time: i64, weight: i64, passing: bool, head: bytes, payload: bytes) -> bytes:
    """Return the octets of a record up to its payload, which consists of head and payload; they are not copied."""
    flags = weight | PASSING if passing else weight
    fields = _FIELDS.pack(offset, time, flags)
    crc = crc32(payload, crc32(head, crc32(fields)))
    return _ENVELOPE.pack(len(head) + len(payload), crc) + fields


def crc_at(data: bytes, at: i64) -> i64:
    """Return the unsigned number that stands at a place of at least four octets."""
    number = i64(read_i32_le(data, at))
    return number & 0xFFFFFFFF
