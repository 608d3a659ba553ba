"""Whether the payload of a record is a message.

Rule: what may live here judges the octets of one payload.
"""

from __future__ import annotations

from typing import Final

from amqpd.broker.records import HAS_DEADLINE, HAS_EXTRAS, RecordDecoder
from amqpd.errors import AMQPError
from amqpd.wire.frames import ENVELOPE
from amqpd.wire.properties import PropertiesError

_HEADER_FRAME: Final = 2
_BODY_FRAME: Final = 3
_FRAME_END: Final = 0xCE


class Payloads:
    """Judges payloads, one queue's after the other: messages that are alike are decoded fast then."""

    def __init__(self) -> None:
        self._decoder = RecordDecoder()

    def fault(self, offset: int, weight: int, payload: bytes) -> str | None:
        """What is wrong with a payload, as a clause; None if nothing is."""
        # HOT: once per record
        try:
            body_size = body_of(payload)
            if body_size != weight:
                return f"its body has {body_size} octets and not {weight}"
            self._decoder.stored(offset, payload)
        except IndexError:
            return "it ends too early"
        except PropertiesError as error:
            return error.reason
        except (ValueError, AMQPError) as error:
            return str(error)
        return None


def body_of(payload: bytes) -> int:
    """The octets of a payload's body, once its frames were found to be whole.

    Raises:
        IndexError: it ends too early.
        ValueError: it does not consist of the frames of a message.
    """
    # HOT: once per record
    start = content_start(payload)
    header_end = start + int.from_bytes(payload[start + 3 : start + 7], "big") + ENVELOPE
    if payload[start] != _HEADER_FRAME or payload[header_end - 1] != _FRAME_END:
        raise ValueError("its header is no frame")
    body_size = int.from_bytes(payload[start + 11 : start + 19], "big")
    position = header_end
    found = 0
    while position < len(payload):
        size = int.from_bytes(payload[position + 3 : position + 7], "big")
        if payload[position] != _BODY_FRAME or payload[position + size + ENVELOPE - 1] != _FRAME_END:
            raise ValueError("its body is no frame")
        found += size
        position += size + ENVELOPE
    if found != body_size:
        raise ValueError(f"its header tells of {body_size} octets, its body has {found}")
    return body_size


def content_start(payload: bytes) -> int:
    """Where the frames begin, behind all that records.py puts in front of them."""
    flags = payload[0]
    if flags & ~(HAS_DEADLINE | HAS_EXTRAS):
        raise ValueError("it is of an unknown kind")
    start = 9 if flags & HAS_DEADLINE else 1
    if flags & HAS_EXTRAS:
        start += 4 + int.from_bytes(payload[start : start + 4], "big")
    key = start + 1 + payload[start]
    return key + 1 + payload[key]
