"""A steady load on raw sockets: so many messages a second, over sockets and routing keys, and their age on arrival.

Rule: what may live here sends and receives; what there is in the broker is prepared by others.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections.abc import Iterator
from typing import Final

from pamqp import commands, frame
from pamqp.header import ContentHeader

from interop.bench.idle import CHANNEL

TICK: Final = 0.001
BODY: Final = 16
QUIET_SECONDS: Final = 20.0
RECEIVE: Final = 1 << 18
DELIVER: Final = b"\x00\x3c\x00\x3c"
ACK: Final = struct.Struct(">BHIIQBB")
BASIC_ACK: Final = 60 << 16 | 80
BODY_FRAME: Final = 3
FRAME_END: Final = 0xCE


def published(
    exchange: str,
    key: str,
    headers: dict[str, frame.base.FieldValue] | None = None,  # type: ignore[name-defined]  # pamqp's, untyped
    persistent: bool = False,
) -> bytes:
    """The frames of a message up to the body's octets, which are BODY."""
    properties = commands.Basic.Properties(headers=headers, delivery_mode=2 if persistent else None)
    publish = frame.marshal(commands.Basic.Publish(exchange=exchange, routing_key=key), CHANNEL)
    header = frame.marshal(ContentHeader(0, BODY, properties), CHANNEL)
    return publish + header + b"\x03" + CHANNEL.to_bytes(2, "big") + BODY.to_bytes(4, "big")


class Receiver:
    """One consuming connection.

    Args:
        acks: every delivery is acknowledged at once.
        paced: acknowledges as many messages as were published, and no more; then what waits in the queue stays.
    """

    def __init__(self, sock: socket.socket, acks: bool = False, paced: bool = False) -> None:
        self.sock = sock
        self.received = 0
        self.ages: list[float] = []
        self._acks = acks
        self._paced = paced
        self._half = b""
        self._last = 0  # delivery tag
        self._acknowledged = 0

    def ready(self) -> None:
        """Take what is there."""
        data = self._half + self.sock.recv(RECEIVE)
        if not data:
            raise RuntimeError("the broker closed the connection")
        now = time.monotonic()
        acks: list[bytes] = []
        position = 0
        for kind, channel, start, end in frames(data):
            position = end + 1
            if kind == BODY_FRAME:
                self.received += 1
                self.ages.append(now - struct.unpack_from(">d", data, start)[0])
                if self._acks:
                    acks.append(ack(channel, self._last, False))
            elif data[start : start + 4] == DELIVER:
                self._last = int.from_bytes(data[start + 5 + data[start + 4] :][:8], "big")
        self._half = data[position:]
        if acks:
            self.sock.sendall(b"".join(acks))

    def pace(self, messages: int) -> None:
        """So many messages were published."""
        if self._paced and messages:
            self._acknowledged = min(self._acknowledged + messages, self._last)
            if self._acknowledged:
                self.sock.sendall(ack(CHANNEL, self._acknowledged, True))


def frames(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """The whole frames: type, channel, where the payload begins and ends."""
    position = 0
    while len(data) - position >= 8:
        kind, channel, size = struct.unpack_from(">BHI", data, position)
        end = position + 7 + size
        if end >= len(data):
            return
        if data[end] != FRAME_END:
            raise RuntimeError(f"no frame: {data[position : position + 40]!r}")
        yield kind, channel, position + 7, end
        position = end + 1


def ack(channel: int, tag: int, multiple: bool) -> bytes:
    """A basic.ack."""
    return ACK.pack(1, channel, 13, BASIC_ACK, tag, multiple, FRAME_END)


class Load:
    """A load that can be repeated.

    Args:
        senders: the sockets that messages go to, in turn.
        messages: what ``published`` gave, in turn.
        receivers: where they arrive.
        keeps: what arrives is not what was sent: its age means nothing, and it need not all come.
    """

    def __init__(
        self, senders: list[socket.socket], messages: list[bytes], receivers: list[Receiver], keeps: bool = False
    ) -> None:
        self._senders = senders
        self._messages = messages
        self._receivers = receivers
        self._keeps = keeps
        self._next = 0

    def run(self, rate: int, seconds: float) -> tuple[int, list[float]]:
        """Publish for some seconds, and wait until everything has arrived.

        Returns:
            How many messages, and their ages in seconds.

        Raises:
            RuntimeError, TimeoutError: the broker closed the connection, or nothing comes any more.
        """
        before = sum(receiver.received for receiver in self._receivers)
        with selectors.DefaultSelector() as selector:
            for receiver in self._receivers:
                receiver.ages.clear()
                selector.register(receiver.sock, selectors.EVENT_READ, receiver)
            sent = self._publish(selector, rate, seconds)
            quiet_at = time.monotonic() + QUIET_SECONDS
            while not self._keeps and sum(one.received for one in self._receivers) - before < sent:
                if not self._receive(selector, 0.5) and time.monotonic() > quiet_at:
                    raise TimeoutError("messages have not arrived")
        return sent, [] if self._keeps else [age for receiver in self._receivers for age in receiver.ages]

    def _publish(self, selector: selectors.BaseSelector, rate: int, seconds: float) -> int:
        begun = time.monotonic()
        sent = ticks = 0
        while (due := int(ticks * TICK * rate)) < rate * seconds:
            fresh = due - sent
            self._send(fresh, begun + ticks * TICK)
            sent = due
            for receiver in self._receivers:
                receiver.pace(fresh)
            ticks += 1
            while (left := begun + ticks * TICK - time.monotonic()) > 0:
                self._receive(selector, left)
            self._receive(selector, 0)
        return sent

    def _send(self, count: int, moment: float) -> None:
        body = struct.pack(">d8x", moment) + bytes((FRAME_END,))
        if len(self._senders) == 1:
            chosen = [self._messages[(self._next + place) % len(self._messages)] + body for place in range(count)]
            self._senders[0].sendall(b"".join(chosen))
        else:
            for place in range(self._next, self._next + count):
                message = self._messages[place % len(self._messages)]
                self._senders[place % len(self._senders)].sendall(message + body)
        self._next += count

    def _receive(self, selector: selectors.BaseSelector, timeout: float) -> bool:
        ready = selector.select(timeout)
        for key, _ in ready:
            key.data.ready()
        return bool(ready)
