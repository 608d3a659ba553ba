"""A broker of the tests behind real sockets, and clients that speak bytes to it."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
from pamqp import base, commands

from amqpd.net.driver import LoopDriver
from amqpd.net.gate import Gate
from amqpd.net.listeners import Listeners, bind
from amqpd.wire.methods import encode, make
from tests.builders import PROTOCOL_HEADER, Content, World, assemble, split_frames

DEADLINE = 10.0  # seconds that anything may take
CONTENT_METHODS = {b"\x00\x3c\x00" + bytes([method]) for method in (50, 60, 71)}  # basic.return, deliver, get_ok


class Served:
    """A World that listens on a port of 127.0.0.1."""

    def __init__(self, world: World, listeners: Listeners, port: int) -> None:
        self.world = world
        self.listeners = listeners
        self.port = port
        self.peers: list[Peer] = []

    async def connect(self, receive_buffer: int | None = None) -> Peer:
        """A client that has connected and sent nothing yet."""
        peer = Peer(await self.connected_socket(receive_buffer))
        self.peers.append(peer)
        return peer

    async def connected_socket(self, receive_buffer: int | None = None) -> socket.socket:
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        except OSError:
            sock.close()
            raise
        return sock

    def close_peers(self) -> None:
        for peer in self.peers:
            peer.close()

    async def client(self, receive_buffer: int | None = None) -> Peer:
        """A client whose channel 1 is open."""
        peer = await self.connect(receive_buffer)
        await peer.send(OPENING, method(1, commands.Channel.Open))
        await peer.receive(4)
        return peer


class Peer:
    """The client's end of a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._frames: list[tuple[int, int, bytes]] = []  # of the item that is not complete yet
        self._items: list[tuple[int, base.Frame | Content]] = []

    @property
    def port(self) -> int:
        number: int = self._sock.getsockname()[1]
        return number

    async def send(self, *data: bytes) -> None:
        with anyio.fail_after(DEADLINE):
            await self._loop.sock_sendall(self._sock, b"".join(data))

    def send_some(self, data: bytes) -> int:
        """Send what the kernel takes at once; returns how many octets that was."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0

    async def read(self) -> bytes:
        """What comes next; nothing if that is the end."""
        return await self._loop.sock_recv(self._sock, 1 << 20)

    async def receive(self, count: int) -> list[tuple[int, base.Frame | Content]]:
        """The next methods and messages, so many of them; no more may have come."""
        with anyio.fail_after(DEADLINE):
            while len(self._items) < count:
                data = await self.read()
                assert data, f"closed after {len(self._items)} of {count}"
                self._take(data)
        items, self._items = self._items, []
        assert len(items) == count
        return items

    def _take(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 8 and (end := 8 + int.from_bytes(self._buffer[3:7], "big")) <= len(self._buffer):
            self._frames += split_frames(bytes(self._buffer[:end]))
            del self._buffer[:end]
            if is_complete(self._frames):
                self._items += assemble(self._frames)
                self._frames = []

    async def receive_octets(self, count: int) -> None:
        """Take at least so many octets and forget them: for what is too much to decode."""
        with anyio.fail_after(DEADLINE):
            while count > 0:
                count -= len(await self._loop.sock_recv(self._sock, 1 << 20))

    async def receive_end(self) -> bytes:
        """Everything until the socket is closed."""
        received = b""
        with anyio.fail_after(DEADLINE), suppress(ConnectionResetError):
            while data := await self.read():
                received += data
        return received

    def close(self) -> None:
        self._sock.close()


def method(channel: int, command: type[base.Frame], **arguments: object) -> bytes:
    """The frame of a method."""
    return encode(channel, make(command, **arguments))


OPENING = b"".join(
    [
        PROTOCOL_HEADER,
        method(0, commands.Connection.StartOk, mechanism="PLAIN", response=b"\0guest\0guest", locale="en_US"),
        method(0, commands.Connection.TuneOk, channel_max=10, frame_max=131_072, heartbeat=0),
        method(0, commands.Connection.Open, virtual_host="/"),
    ]
)
"""All that a client sends until its connection is open."""


def is_complete(frames: list[tuple[int, int, bytes]]) -> bool:
    """The frames are a whole method, or a whole message."""
    if frames[0][2][:4] not in CONTENT_METHODS:
        return True
    if len(frames) == 1:
        return False
    return sum(len(payload) for _, _, payload in frames[2:]) == int.from_bytes(frames[1][2][4:12], "big")


async def eventually(condition: Callable[[], bool]) -> None:
    """Let the loop run until something holds.

    Raises:
        TimeoutError: it did not within DEADLINE.
    """
    with anyio.fail_after(DEADLINE):
        while not condition():  # noqa: ASYNC110 - what is waited for knows nothing of its being waited for
            await anyio.sleep(0.001)


@asynccontextmanager
async def served(
    world: World, tls: ssl.SSLContext | None = None, handshake_max: int = 1000, files: int = 1_000_000
) -> AsyncIterator[Served]:
    """Serve a World as the server does, but on its own clock."""
    sockets = bind(("127.0.0.1",), 0)
    driver = LoopDriver(world.context, asyncio.get_running_loop())
    logger = logging.getLogger("amqpd.tests")
    listeners = Listeners(world.services, logger, Gate(world.clock, handshake_max), files)
    port = sockets[0].getsockname()[1]
    listeners.start(sockets, tls)
    broker = Served(world, listeners, port)
    try:
        yield broker
    finally:
        broker.close_peers()
        listeners.stop()
        listeners.gate.close()
        for open_socket in list(listeners.open_sockets):
            open_socket.abort()
        await eventually(lambda: not listeners.open_sockets)
        driver.stop()
    assert world.observer.crashes == []
