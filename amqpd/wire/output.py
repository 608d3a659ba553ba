"""Frames to bytes: what one connection is about to send, gathered until the end of the turn.

Rule: what may live here encodes the hot frames (basic.deliver, basic.ack to a publisher) by hand and joins everything
into one write. It knows octets and sizes, neither channels nor queues.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from librt.strings import BytesWriter, write_i32_be, write_i64_be
from mypy_extensions import i32, i64, mypyc_attr

from amqpd.turn import Turn, Work
from amqpd.wire.frames import FRAME_END, METHOD

BASIC_DELIVER: Final = 0x003C003C
BASIC_ACK: Final = 0x003C0050
BASIC_NACK: Final = 0x003C0078
# A slice at least this long is passed on as it is; copying it into the common buffer would cost more than a list entry.
LONG_SLICE: Final = 4096
# The common buffer is handed on as a slice when it has so many octets. In one piece, hundreds of KiB would be copied
# each time it grows, and come from fresh pages of memory with every turn.
FULL_SLICE: Final = 64 * 1024
# With so many octets waiting here or in the transport, consumers of this connection get nothing until some have left.
FULL: Final = 512 * 1024


@mypyc_attr(allow_interpreted_subclasses=True)
class Wire:
    """The socket, as a connection sees it. All calls return at once."""

    def write(self, data: bytes) -> None:
        """Send bytes, in order, some time."""
        raise NotImplementedError

    def write_pieces(self, pieces: list[bytes]) -> None:
        """Send bytes, some of them large, as if they were joined. The list is the wire's from now on."""
        self.write(b"".join(pieces))

    def unsent(self) -> int:
        """Octets that were written and are still on this side."""
        return 0

    def close(self) -> None:
        """Send what was written, then close the socket."""
        raise NotImplementedError

    def pause_reading(self) -> None:
        """Deliver no more bytes until resume_reading."""
        raise NotImplementedError

    def resume_reading(self) -> None:
        """Deliver bytes again."""
        raise NotImplementedError


@final
class Output(Work):
    """The bytes that one connection will send at the end of the turn.

    Args:
        wire: where they go.
        turn: at whose end they go.
    """

    def __init__(self, wire: Wire, turn: Turn) -> None:
        self._wire = wire
        self._turn = turn
        self._writer = BytesWriter()
        self._slices: list[bytes] = []
        self._listed = False
        self.size: i64 = 0
        self.sent: i64 = 0  # octets ever written: a heartbeat is due when this stands still
        self.writes: i64 = 0  # in so many writes
        self.stalled = False  # the transport's own buffer is full
        self.closed = False
        self.on_room: Callable[[], None] | None = None  # told when a full output has room again

    @property
    def pending(self) -> int:
        """Octets that wait here or in the transport."""
        return int(self.size) + (0 if self.closed else self._wire.unsent())

    @property
    def full(self) -> bool:
        """True while no deliveries should be added."""
        return self.stalled or self.size >= FULL

    def write(self, data: bytes) -> None:
        """Add encoded frames."""
        if self.closed:
            return
        self._list()
        self._append(data)

    def deliver(self, head: bytes, tag: i64, redelivered: bool, route: bytes, content: bytes) -> None:
        """Add a basic.deliver with its content.

        Args:
            head: what deliver_head() gives for this consumer and the length of route.
            tag: delivery tag.
            redelivered: the flag.
            route: exchange and routing key as two shortstrs.
            content: header and body frames, already for the right channel and frame_max.
        """
        # HOT: once per delivered message
        if not self._listed:
            self._list()
        writer = self._writer
        writer.write(head)
        write_i64_be(writer, tag)
        writer.append(1 if redelivered else 0)
        writer.write(route)
        writer.append(FRAME_END)
        length: i64 = len(content)
        if length < LONG_SLICE:
            writer.write(content)
            if len(writer) >= FULL_SLICE:
                self._seal()
        else:
            self._seal()
            self._slices.append(content)
        self.size += length + 32

    def ack(self, channel: i64, tag: i64, multiple: bool) -> None:
        """Add a basic.ack to a publisher in confirm mode."""
        self._confirm(channel, BASIC_ACK, tag, 1 if multiple else 0)

    def nack(self, channel: i64, tag: i64, multiple: bool) -> None:
        """Add a basic.nack to a publisher in confirm mode. RabbitMQ always sets the requeue bit."""
        self._confirm(channel, BASIC_NACK, tag, 3 if multiple else 2)

    def run(self) -> None:
        """Give everything to the wire in one write; the turn calls this at its end."""
        self._listed = False
        was_full = self.size >= FULL
        pieces = self._take()
        if pieces and not self.closed:
            self.writes += 1
            for piece in pieces:
                self.sent += len(piece)
            if len(pieces) == 1:
                self._wire.write(pieces[0])
            else:
                self._wire.write_pieces(pieces)
        if was_full and not self.stalled:
            self.room()

    def stall(self) -> None:
        """The transport's buffer is full: deliveries stop until unstall()."""
        self.stalled = True

    def unstall(self) -> None:
        """The transport's buffer has drained."""
        self.stalled = False
        self.room()

    def room(self) -> None:
        """Tell whoever waits that deliveries may go on."""
        if self.on_room is not None and not self.closed:
            self.on_room()

    def close(self) -> None:
        """Send what is there, then close the socket; whatever is written later is dropped."""
        if not self.closed:
            self.run()
            self.closed = True
            self._wire.close()

    def abandon(self) -> None:
        """The socket is gone: drop everything."""
        self.closed = True
        self._take()

    def _take(self) -> list[bytes]:
        self._seal()
        pieces, self._slices = self._slices, []
        self.size = 0
        return pieces

    def _list(self) -> None:
        if not self._listed:
            self._listed = True
            self._turn.defer_write(self)

    def _append(self, data: bytes) -> None:
        length: i64 = len(data)
        if length < LONG_SLICE:
            self._writer.write(data)
        else:
            self._seal()
            self._slices.append(data)
        self.size += length

    def _seal(self) -> None:
        writer = self._writer
        if len(writer):
            self._slices.append(writer.getvalue())
            writer.truncate(0)

    def _confirm(self, channel: i64, method: i64, tag: i64, bits: i64) -> None:
        if self.closed:
            return
        self._list()
        writer = self._writer
        writer.append(METHOD)
        _write_short(writer, channel)
        write_i32_be(writer, 13)
        write_i32_be(writer, i32(method))
        write_i64_be(writer, tag)
        writer.append(bits)
        writer.append(FRAME_END)
        self.size += 21


def _write_short(writer: BytesWriter, value: i64) -> None:
    writer.append((value >> 8) & 0xFF)
    writer.append(value & 0xFF)


def deliver_head(channel: i64, consumer_tag: bytes, route_size: i64) -> bytes:
    """The octets of a basic.deliver frame that stand before the delivery tag.

    Args:
        consumer_tag: at most 255 octets, without its length.
        route_size: octets of exchange and routing key together, with their lengths.
    """
    size: i64 = 4 + 1 + len(consumer_tag) + 8 + 1 + route_size
    writer = BytesWriter()
    writer.append(METHOD)
    _write_short(writer, channel)
    write_i32_be(writer, i32(size))
    write_i32_be(writer, BASIC_DELIVER)
    writer.append(len(consumer_tag))
    writer.write(consumer_tag)
    return writer.getvalue()
