"""AMQP as somebody speaks it who need not be understood: octets for attacks, and a login to begin with."""

from __future__ import annotations

import socket
import struct
from typing import Final

from interop.differential import codec

PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
OPEN_OK: Final = b"\x00\x0a\x00\x29"
CHANNEL_OPEN_OK: Final = b"\x00\x14\x00\x0b"
CLOSE: Final = b"\x00\x0a\x00\x32"
FRAME_MAX: Final = 131_072
SECONDS: Final = 15.0


def login(password: str = "guest", heartbeat: int = 0) -> bytes:
    """Everything up to connection.open, whatever the broker answers."""
    response = b"\0guest\0" + password.encode()
    capabilities = {"capabilities": {"authentication_failure_close": True}}
    return b"".join(
        [
            PROTOCOL_HEADER,
            codec.method_frame(
                0,
                "connection.start_ok",
                {"client_properties": capabilities, "mechanism": "PLAIN", "response": response, "locale": "en_US"},
            ),
            codec.method_frame(
                0, "connection.tune_ok", {"channel_max": 2047, "frame_max": FRAME_MAX, "heartbeat": heartbeat}
            ),
            codec.method_frame(0, "connection.open", {"virtual_host": "/"}),
        ]
    )


def connect(port: int) -> socket.socket:
    """A socket that has said nothing yet."""
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def client(port: int, heartbeat: int = 0) -> socket.socket:
    """A socket whose channel 1 is open."""
    sock = connect(port)
    sock.sendall(login(heartbeat=heartbeat) + codec.method_frame(1, "channel.open", {}))
    read_until(sock, CHANNEL_OPEN_OK)
    return sock


def read_until(sock: socket.socket, mark: bytes) -> bytes:
    """Read until these octets have come.

    Raises:
        ConnectionError: the end came first.
        TimeoutError: nothing came.
    """
    received = b""
    while mark not in received:
        data = sock.recv(1 << 16)
        if not data:
            raise ConnectionError(f"closed after {received!r}")
        received += data
    return received


def read_to_end(sock: socket.socket) -> bytes:
    """Everything until the broker closes the socket.

    Raises:
        TimeoutError: it does not.
    """
    received = b""
    try:
        while data := sock.recv(1 << 16):
            received += data
    except ConnectionError:  # closed with something unread
        pass
    return received


def publish(routing_key: str, body: bytes, mandatory: bool = False) -> bytes:
    """A message to the default exchange on channel 1."""
    method = codec.method_frame(1, "basic.publish", {"routing_key": routing_key, "mandatory": mandatory})
    return method + codec.content_frames(1, {}, body)


def header_of(size: int) -> bytes:
    """A publish whose header announces a body of so many octets, which does not come."""
    method = codec.method_frame(1, "basic.publish", {"routing_key": "nowhere"})
    return method + codec.frame(codec.HEADER, 1, struct.pack(">HHQH", codec.BASIC_CLASS, 0, size, 0))


def nested(depth: int) -> bytes:
    """The inside of a field table in which so many tables stand within each other."""
    table = b""
    for _ in range(depth):
        table = b"\x01aF" + len(table).to_bytes(4, "big") + table
    return table


def declare(table: bytes, size: int | None = None) -> bytes:
    """A queue.declare whose arguments are these octets, as if they were so many."""
    length = len(table) if size is None else size
    payload = struct.pack(">HHHB", 50, 10, 0, 1) + b"q" + b"\0" + length.to_bytes(4, "big") + table
    return codec.frame(codec.METHOD, 1, payload)
