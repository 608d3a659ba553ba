"""TLS over sockets: handshakes that succeed, fail, never begin and never end."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from pamqp import commands

from amqpd.net.amqp import RECORD
from amqpd.net.gate import PATIENCE
from amqpd.net.tls_arrivals import LOOKS_PER_PASS
from tests.builders import PROTOCOL_HEADER, Content, World, publish_bytes
from tests.net.certificates import Authority
from tests.net.peers import DEADLINE, OPENING, Peer, Served, eventually, method, served


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class TLSPeer(Peer):
    """A client's end that encrypts."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(sock)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    async def shake_hands(self) -> None:
        with anyio.fail_after(DEADLINE):
            await self._until_done(self._tls.do_handshake)
            await super().send(self._outgoing.read())

    async def send(self, *data: bytes) -> None:
        self._tls.write(b"".join(data))
        await super().send(self._outgoing.read())

    async def read(self) -> bytes:
        try:
            return bytes(await self._until_done(lambda: self._tls.read(1 << 20)))  # type: ignore[arg-type] # octets
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def _until_done(self, step: Callable[[], object]) -> object:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await super().send(self._outgoing.read())
                data = await super().read()
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()


async def tls_peer(broker: Served, context: ssl.SSLContext) -> TLSPeer:
    """A client that has connected and sent nothing yet."""
    peer = TLSPeer(await broker.connected_socket(), context)
    broker.peers.append(peer)
    return peer


async def tls_client(broker: Served, context: ssl.SSLContext) -> TLSPeer:
    """A client whose channel 1 is open."""
    peer = await tls_peer(broker, context)
    await peer.shake_hands()
    await peer.send(OPENING, method(1, commands.Channel.Open))
    await peer.receive(4)
    return peer


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Why connections were refused, as the log has it."""
    fields = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "connection.refused"]
    return [field["reason"] for field in fields]


@pytest.mark.anyio
async def test_messages_of_all_sizes_go_through(authority: Authority) -> None:
    async with served(World(), authority.certificates().context) as broker:
        peer = await tls_client(broker, authority.client())
        await peer.send(
            method(1, commands.Queue.Declare, queue="q"), method(1, commands.Basic.Consume, queue="q", no_ack=True)
        )
        await peer.receive(2)
        bodies = [b"", b"x", b"y" * RECORD, b"z" * 300_000, b"w" * 5000] * 3
        await peer.send(*(publish_bytes(1, "", "q", body) for body in bodies))
        received = await peer.receive(len(bodies))
        assert [content.body for _, content in received if isinstance(content, Content)] == bodies


@pytest.mark.anyio
async def test_a_connection_knows_what_tls_has_agreed_on(authority: Authority) -> None:
    certificates = authority.certificates(tls_ca=authority.path, tls_verify="peer")
    mine = authority.issue("client", "client.example", common_name="billing")
    async with served(World(), certificates.context) as broker:
        await tls_client(broker, authority.client(mine))
        (open_socket,) = broker.listeners.open_sockets
        assert open_socket.connection is not None
        tls = open_socket.connection.address.tls
        assert tls is not None
        assert tls.protocol == "tlsv1.3"
        assert tls.certificate is not None
        assert tls.certificate.common_name == "billing"


@pytest.mark.anyio
async def test_open_connections_outlive_new_certificates(authority: Authority) -> None:
    certificates = authority.certificates()
    async with served(World(), certificates.context) as broker:
        peer = await tls_client(broker, authority.client())
        authority.issue("server", "localhost", "new.example")
        certificates.reload()
        await peer.send(method(1, commands.Queue.Declare, queue="q"))
        assert isinstance((await peer.receive(1))[0][1], commands.Queue.DeclareOk)
        await tls_client(broker, authority.client())


@pytest.mark.anyio
async def test_who_speaks_no_tls_is_told_from_who_does(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with served(World(), authority.certificates().context) as broker:
        for first in (PROTOCOL_HEADER, b"GET / HTTP/1.1\r\n\r\n"):
            peer = await broker.connect()
            await peer.send(first)
            assert await peer.receive_end() == b""
        peer = await broker.connect()
        peer.close()  # a health check or a port scan: nothing to tell
        await eventually(lambda: len(broker.listeners.gate) == 0)
    assert refusals(caplog) == ["AMQP without TLS on the TLS port", "no TLS on the TLS port: b'GET / HT'"]


@pytest.mark.anyio
async def test_when_many_hang_up_at_once_others_have_their_turn_in_between(authority: Authority) -> None:
    async with served(World(), authority.certificates().context) as broker:
        gate = broker.listeners.gate
        peers = [await broker.connect() for _ in range(LOOKS_PER_PASS + 10)]
        await eventually(lambda: len(gate) == len(peers))
        for peer in peers:
            peer.close()
        left = [len(gate)]
        while left[-1]:
            await asyncio.sleep(0)
            left.append(len(gate))
        assert max(before - after for before, after in pairwise(left)) <= LOOKS_PER_PASS


@pytest.mark.anyio
async def test_a_handshake_that_fails_is_told_and_forgotten(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    certificates = authority.certificates(tls_ca=authority.path, tls_verify="peer", tls_fail_if_no_peer_cert=True)
    async with served(World(), certificates.context) as broker:
        client = authority.client()
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await (await tls_peer(broker, client)).shake_hands()
        peer = await broker.connect()
        await peer.send(b"\x16\x03\x01\x00\x05hello")
        await peer.receive_end()
        await eventually(lambda: len(broker.listeners.gate) == 0)
    assert len(refusals(caplog)) == 2
    assert refusals(caplog)[0] == "TLS handshake: peer did not return a certificate"


@pytest.mark.anyio
async def test_a_client_that_says_nothing_is_cut_off_when_its_time_is_up(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = World()
    async with served(world, authority.certificates().context) as broker:
        peer = await broker.connect()
        await eventually(lambda: len(broker.listeners.gate) == 1)
        world.clock.advance(world.services.limits.handshake_timeout)
        world.timers.run_due()
        assert await peer.receive_end() == b""
        assert len(broker.listeners.gate) == 0
    assert refusals(caplog) == ["handshake timeout"]


@pytest.mark.anyio
async def test_the_time_for_tls_counts_for_the_handshake_of_amqp(authority: Authority) -> None:
    world = World()
    timeout = world.services.limits.handshake_timeout
    async with served(world, authority.certificates().context) as broker:
        peer = await tls_peer(broker, authority.client())
        await eventually(lambda: len(broker.listeners.gate) == 1)
        world.clock.advance(timeout - 1)
        world.timers.run_due()
        await peer.shake_hands()
        await eventually(lambda: len(broker.listeners.open_sockets) == 1)
        world.clock.advance(1)
        world.timers.run_due()
        assert await peer.read() == b""


@pytest.mark.anyio
@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"])
async def test_clients_in_handshakes_make_room_for_one_that_comes(authority: Authority, said: bytes) -> None:
    world = World()
    async with served(world, authority.certificates().context, handshake_max=3) as broker:
        idle = [await broker.connect() for _ in range(3)]
        for peer in idle:
            await peer.send(said)
        await eventually(lambda: len(broker.listeners.gate) == 3)
        world.clock.advance(PATIENCE)
        world.timers.run_due()
        peer = await tls_client(broker, authority.client())
        assert await idle[0].receive_end() == b""
        assert len(broker.listeners.gate) == 2
