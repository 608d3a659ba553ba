"""Messages as octets, many at once: what a publisher writes with one call.

A body begins with the number of the run and the nanosecond at which the message was due, if it is long enough for both
(16 octets); the rest is filler. All messages of a batch are the same octets but for that moment.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64
from pamqp import commands

from amqpd.wire.frames import BODY, ENVELOPE, HEADER, frame
from amqpd.wire.methods import encode, make

STAMPED: Final = 16  # octets of the shortest body that tells run and moment
_MOMENT_AT: Final = 8
_MOMENT: Final = 8  # octets
_PERSISTENT: Final = b"\x10\x00\x02"  # flag word: delivery-mode; its value
_NO_PROPERTIES: Final = b"\x00\x00"
FILLER: Final = b"x"
LARGE: Final = 64 * 1024  # octets; no batch is larger, unless one message is


@final
class Batch:
    """Copies of one message.

    Args:
        channel: the channel's number.
        exchange, routing_key: where it goes.
        run: the number of the run, 64 bits.
        size: octets of the body.
        frame_max: of the connection; 0 for no limit.
        most: so many messages at most.

    Attributes:
        most: how many messages it holds: no more than were asked for, and no more than are LARGE.
    """

    def __init__(
        self,
        channel: int,
        exchange: str,
        routing_key: str,
        run: int,
        size: int,
        persistent: bool,
        mandatory: bool,
        frame_max: int,
        most: int,
    ) -> None:
        publish = make(commands.Basic.Publish, exchange=exchange, routing_key=routing_key, mandatory=mandatory)
        properties = _PERSISTENT if persistent else _NO_PROPERTIES
        header = b"\x00\x3c\x00\x00" + size.to_bytes(8, "big") + properties
        head = encode(channel, publish) + frame(HEADER, channel, header)
        message = head + b"".join(body_frames(channel, body_of(run, size), frame_max))
        self._one: i64 = len(message)
        self.most: i64 = max(1, min(most, LARGE // len(message)))
        self._stamp_at: i64 = len(head) + 7 + _MOMENT_AT if size >= STAMPED else -1
        self._octets = bytearray(message * int(self.most))

    def stamped(self, count: i64, moment: i64) -> bytes:
        """So many messages that were due at a nanosecond, as they go to the socket."""
        # HOT: once per write
        end: i64 = count * self._one
        octets = self._octets
        if self._stamp_at >= 0:
            for place, octet in enumerate(int(moment).to_bytes(_MOMENT, "big")):
                octets[self._stamp_at + place : end : self._one] = bytes([octet]) * int(count)
        return bytes(memoryview(octets)[:end])


def body_of(run: int, size: int) -> bytes:
    """A body whose moment is still to be stamped."""
    return (run.to_bytes(8, "big") + bytes(_MOMENT)).ljust(size, FILLER) if size >= STAMPED else FILLER * size


def body_frames(channel: int, body: bytes, frame_max: int) -> list[bytes]:
    """A body in frames that are not longer than allowed; none for an empty one."""
    most = frame_max - ENVELOPE if frame_max else max(len(body), 1)
    return [frame(BODY, channel, body[start : start + most]) for start in range(0, len(body), most)]
