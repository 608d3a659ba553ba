"""One client connection: bytes out, events in.

Rule: what may live here is what every AMQP client does whatever the program: handshake, frames, contents, and answering
close with close_ok. Nothing is awaited but the handshake; what came in lies in ``events``.
"""

from __future__ import annotations

import select
import socket
from dataclasses import dataclass, field
from typing import Any, Final

from interop.differential import codec

REPLY_SECONDS: Final = 10.0
READ_SIZE: Final = 1 << 16


class Silence(Exception):
    """A broker that does not answer, or closes a connection without a word."""


@dataclass
class Event:
    """A method that came in, with its content if it has one."""

    channel: int
    name: str
    values: dict[str, Any]
    properties: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class _Pending:
    """A content that is still coming in."""

    event: Event
    missing: int = -1  # octets of the body, -1 before the header


class Link:
    """A connection to a broker on loopback.

    Args:
        port: the broker's AMQP port.
        cancel_notify: whether the client says that it understands a basic.cancel from the broker.

    Raises:
        Silence: the broker refuses the login or does not answer.
    """

    def __init__(self, port: int, cancel_notify: bool) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=REPLY_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._output = bytearray()
        self._input = bytearray()
        self._contents: dict[int, _Pending] = {}
        self.events: list[Event] = []
        self.open = True
        self._log_in(cancel_notify)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, channel: int, name: str, **values: Any) -> None:
        """Put a method into the output."""
        self._output += codec.method_frame(channel, name, values)

    def publish(self, channel: int, values: dict[str, Any], properties: dict[str, Any], body: bytes) -> None:
        """Put a basic.publish with its content into the output."""
        self._output += codec.method_frame(channel, "basic.publish", values)
        self._output += codec.content_frames(channel, properties, body)

    def flush(self) -> None:
        """Write the output. A connection that the broker has closed already takes it and forgets it."""
        output, self._output = self._output, bytearray()
        try:
            self._socket.sendall(output)
        except OSError:  # what the broker said before is still to be read
            return

    def read(self) -> None:
        """Take what the broker has sent; call it when there is something, or it blocks."""
        try:
            data = self._socket.recv(READ_SIZE)
        except OSError:
            data = b""
        if not data:
            self.close()
            self.events.append(Event(0, "eof", {}))
            return
        self._input += data
        self._cut()
        self.flush()  # close_ok

    def close(self) -> None:
        """Close the socket without a word."""
        self.open = False
        self._socket.close()

    def expect(self, name: str) -> dict[str, Any]:
        """Wait for a method on channel 0, and return its arguments.

        Raises:
            Silence: it does not come, or something else does.
        """
        self.flush()
        while not self.events:
            readable, _, _ = select.select([self], [], [], REPLY_SECONDS)
            if not readable:
                raise Silence(f"no {name}")
            self.read()
        event = self.events.pop(0)
        if event.name != name:
            raise Silence(f"{event.name} {event.values} instead of {name}")
        return event.values

    def _log_in(self, cancel_notify: bool) -> None:
        capabilities = {
            "authentication_failure_close": True,
            "basic.nack": True,
            "consumer_cancel_notify": cancel_notify,
        }
        self._output += codec.PROTOCOL_HEADER
        self.expect("connection.start")
        response = b"\0guest\0guest"
        properties = {"capabilities": capabilities}
        self.send(
            0, "connection.start_ok", client_properties=properties, mechanism="PLAIN", response=response, locale="en_US"
        )
        self.expect("connection.tune")
        self.send(0, "connection.tune_ok", channel_max=2047, frame_max=131072, heartbeat=0)
        self.send(0, "connection.open", virtual_host="/")
        self.expect("connection.open_ok")

    def _cut(self) -> None:
        pos = 0
        while len(self._input) - pos >= 8:
            size = int.from_bytes(self._input[pos + 3 : pos + 7], "big")
            if len(self._input) - pos < size + 8:
                break
            kind, channel = self._input[pos], int.from_bytes(self._input[pos + 1 : pos + 3], "big")
            self._on_frame(kind, channel, bytes(self._input[pos + 7 : pos + 7 + size]))
            pos += size + 8
        del self._input[:pos]

    def _on_frame(self, kind: int, channel: int, payload: bytes) -> None:
        if kind == codec.METHOD:
            name, values = codec.decode_method(payload)
            self._on_method(Event(channel, name, values))
        elif kind == codec.HEADER:
            pending = self._contents[channel]
            pending.missing, pending.event.properties = codec.decode_header(payload)
            self._maybe_complete(channel, pending)
        elif kind == codec.BODY:
            pending = self._contents[channel]
            pending.event.body += payload
            pending.missing -= len(payload)
            self._maybe_complete(channel, pending)

    def _maybe_complete(self, channel: int, pending: _Pending) -> None:
        if pending.missing == 0:
            del self._contents[channel]
            self.events.append(pending.event)

    def _on_method(self, event: Event) -> None:
        if event.name in codec.WITH_CONTENT:
            self._contents[event.channel] = _Pending(event)
            return
        self.events.append(event)
        if event.name == "channel.close":
            self.send(event.channel, "channel.close_ok")
        elif event.name == "connection.close":
            self.send(0, "connection.close_ok")
