"""HTTP and HTTPS over real sockets: who is served, who is refused, and what outlives new certificates."""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest

from amqpd.management.app import make_app
from amqpd.management.node import Node
from amqpd.management.patience import SECONDS
from amqpd.management.serving import TLS_SECONDS, HTTPServer
from amqpd.net.driver import LoopDriver
from amqpd.net.gate import PATIENCE
from amqpd.net.listeners import bind
from tests.builders import World
from tests.net.certificates import Authority
from tests.net.conftest import anyio_backend  # noqa: F401 - a fixture: both event loops
from tests.net.peers import DEADLINE

GUEST = base64.b64encode(b"guest:guest").decode()
HALF = b"GET /api/whoami HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
PUT = f"PUT /api/vhosts/v HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {GUEST}\r\nContent-Length: 2\r\n\r\n".encode()
LARGE = f"GET /api/global-parameters/large HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {GUEST}\r\n\r\n".encode()
SIZE = 32_000_000  # octets: more than the system keeps for a client that does not read
WHO = f"GET /api/whoami HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {GUEST}\r\n\r\n".encode()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Client:
    """A client's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def ask(self, request: bytes = WHO) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self.send(request)
        return await self.answer()

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        with anyio.fail_after(DEADLINE):
            head = await self._reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            (length,) = [int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length")]
            return int(lines[0].split()[1]), await self._reader.readexactly(length)

    async def read(self, least: int) -> int:
        """Take at least so many octets of what has come; returns how many they were."""
        taken = 0
        with anyio.fail_after(DEADLINE):
            while taken < least:
                data = await self._reader.read(1 << 16)
                assert data, f"closed after {taken} of {least}"
                taken += len(data)
        return taken

    async def end(self) -> bytes:
        """What comes until the connection is closed."""
        with anyio.fail_after(DEADLINE):
            try:
                return await self._reader.read()
            except (ConnectionError, ssl.SSLError):
                return b""

    @property
    def certificate(self) -> bytes | None:
        """The one that the broker shows."""
        tls: ssl.SSLObject = self._writer.get_extra_info("ssl_object")
        return tls.getpeercert(binary_form=True)

    async def close(self) -> None:
        self._writer.transport.abort()


class Serving:
    """The HTTP API of a World on two ports."""

    def __init__(self, world: World, plain: int, secure: int, clients: AsyncExitStack) -> None:
        self._world = world
        self.plain = plain
        self.secure = secure
        self._clients = clients

    async def connect(self, tls: ssl.SSLContext | None = None, port: int | None = None) -> Client:
        """A client that has connected, over TLS if it has a context for it.

        Args:
            port: another one than what is spoken should be spoken on.
        """
        port = port or (self.plain if tls is None else self.secure)
        host = None if tls is None else "localhost"
        with anyio.fail_after(DEADLINE):
            client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=host))
        self._clients.push_async_callback(client.close)
        return client

    def pass_time(self, seconds: float) -> None:
        self._world.clock.advance(seconds)
        self._world.timers.run_due()


@asynccontextmanager
async def serving(world: World, tls: ssl.SSLContext | None = None) -> AsyncIterator[Serving]:
    """Serve the HTTP API as the server does, but on the World's own clock."""
    logger = logging.getLogger("amqpd.tests")
    plain, secure = bind(("127.0.0.1",), 0), bind(("127.0.0.1",), 0)
    ports = [sockets[0].getsockname()[1] for sockets in (plain, secure)]
    driver = LoopDriver(world.context, asyncio.get_running_loop())
    files = 1_000_000
    make = partial(make_app, Node(world.services), logger)
    server = HTTPServer("amqpd.management.app", make, files, world.context, logger)
    server.start(plain, secure, tls)
    await server.ready()
    async with AsyncExitStack() as clients:
        yield Serving(world, *ports, clients)
    server.stop()
    await server.finish()
    driver.stop()


@pytest.mark.anyio
async def test_requests_are_answered_with_tls_and_without(authority: Authority) -> None:
    async with serving(World(), authority.certificates().context) as broker:
        for tls in (None, authority.client()):
            client = await broker.connect(tls)
            for _ in range(2):
                status, body = await client.ask()
                assert (status, b'"name":"guest"' in body) == (200, True)


@pytest.mark.anyio
async def test_http_on_the_port_of_https_is_closed_and_learns_nothing(authority: Authority) -> None:
    async with serving(World(), authority.certificates().context) as broker:
        client = await broker.connect(port=broker.secure)
        client.send(WHO)
        assert b"guest" not in await client.end()
        assert (await (await broker.connect(authority.client())).ask())[0] == 200


@pytest.mark.anyio
async def test_a_client_that_has_to_show_a_certificate_is_served_with_it_only(authority: Authority) -> None:
    certificates = authority.certificates(tls_ca=authority.path, tls_verify="peer", tls_fail_if_no_peer_cert=True)
    mine = authority.issue("client", "client.example")
    async with serving(World(), certificates.context) as broker:
        assert (await (await broker.connect(authority.client(mine))).ask())[0] == 200
        without = authority.client()
        without.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 tells the client after its handshake
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await broker.connect(without)
        later = await broker.connect(authority.client())
        later.send(WHO)
        assert await later.end() == b""


@pytest.mark.anyio
async def test_a_certificate_of_a_stranger_is_refused(authority: Authority, tmp_path: Path) -> None:
    certificates = authority.certificates(tls_ca=authority.path, tls_verify="peer")
    (tmp_path / "other").mkdir()
    theirs = Authority(tmp_path / "other").issue("client", "client.example")
    async with serving(World(), certificates.context) as broker:
        client = await broker.connect(authority.client(theirs))
        client.send(WHO)
        assert await client.end() == b""
        assert (await (await broker.connect(authority.client())).ask())[0] == 200  # none need be shown


@pytest.mark.anyio
async def test_open_connections_outlive_new_certificates(authority: Authority) -> None:
    certificates = authority.certificates()
    async with serving(World(), certificates.context) as broker:
        before = await broker.connect(authority.client())
        assert (await before.ask())[0] == 200
        authority.issue("server", "localhost", "new.example")
        certificates.reload()
        assert (await before.ask())[0] == 200
        after = await broker.connect(authority.client())
        assert (await after.ask())[0] == 200
        assert before.certificate != after.certificate


@pytest.fixture
def room_for_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three clients may be there without a request."""
    monkeypatch.setattr("amqpd.management.serving.MOST_CONNECTIONS", 6)


@pytest.mark.anyio
@pytest.mark.usefixtures("room_for_three")
@pytest.mark.parametrize("said", [b"", HALF, WHO])
async def test_clients_without_a_request_make_room_for_one_that_comes(said: bytes) -> None:
    async with serving(World()) as broker:
        idle = [await broker.connect() for _ in range(3)]
        for client in idle:
            client.send(said)
            if said == WHO:
                await client.answer()
        newcomer = await broker.connect()
        newcomer.send(WHO)
        broker.pass_time(PATIENCE)
        assert (await newcomer.answer())[0] == 200
        assert await idle[0].end() == b""


@pytest.mark.anyio
@pytest.mark.usefixtures("room_for_three")
async def test_a_client_with_a_request_under_way_does_not_have_to_go() -> None:
    async with serving(World()) as broker:
        busy = await broker.connect()
        busy.send(PUT + b"{")
        for _ in range(5):
            newcomer = await broker.connect()
            newcomer.send(WHO)
            broker.pass_time(PATIENCE)
            assert (await newcomer.answer())[0] == 200
        assert await busy.ask(b"}") == (201, b"")


@pytest.mark.anyio
@pytest.mark.usefixtures("room_for_three")
async def test_who_has_asked_last_has_to_go_last() -> None:
    async with serving(World()) as broker:
        clients = [await broker.connect() for _ in range(3)]
        for client in (clients[1], clients[2], clients[0]):
            assert (await client.ask())[0] == 200
            broker.pass_time(PATIENCE)
        assert (await (await broker.connect()).ask())[0] == 200
        assert await clients[1].end() == b""
        assert (await clients[0].ask())[0] == 200


@pytest.mark.anyio
@pytest.mark.parametrize("said", [b"", HALF, WHO + HALF])
async def test_a_client_that_does_not_send_a_whole_request_is_cut_off(said: bytes) -> None:
    async with serving(World()) as broker:
        client = await broker.connect()
        if said.startswith(WHO):
            await client.ask()
        client.send(said.removeprefix(WHO))
        assert (await (await broker.connect()).ask())[0] == 200  # what came before has been read
        broker.pass_time(SECONDS)
        assert await client.end() == b""


@pytest.mark.anyio
async def test_a_client_that_begins_no_tls_is_cut_off(authority: Authority) -> None:
    async with serving(World(), authority.certificates().context) as broker:
        client = await broker.connect(port=broker.secure)
        assert (await (await broker.connect(authority.client())).ask())[0] == 200
        broker.pass_time(TLS_SECONDS)
        assert await client.end() == b""


@pytest.mark.anyio
async def test_a_client_is_cut_off_that_takes_nothing_of_an_answer_but_not_one_that_takes_its_time() -> None:
    world = World()
    world.broker.globals.set("large", "x" * SIZE, "guest")
    async with serving(world) as broker:
        slow, deaf = await broker.connect(), await broker.connect()
        for client in (slow, deaf):
            client.send(LARGE)
        taken = await slow.read(1)
        await deaf.read(1)
        for _ in range(4):
            taken += await slow.read(SIZE // 8)
            broker.pass_time(SECONDS)
        await slow.read(SIZE - taken)
        assert len(await deaf.end()) < SIZE // 2


@pytest.mark.anyio
async def test_requests_that_come_at_once_are_answered_one_after_the_other() -> None:
    async with serving(World()) as broker:
        client = await broker.connect()
        client.send(WHO * 3)
        assert [(await client.answer())[0] for _ in range(3)] == [200] * 3
        broker.pass_time(SECONDS)
        assert (await client.ask())[0] == 200
