"""AMQP sockets: bytes go through, and full buffers stop whoever fills them."""

from __future__ import annotations

import asyncio
import socket

import anyio.lowlevel
import pytest
from pamqp import commands

from amqpd.net.amqp import (
    FAIR_SHARE,
    HIGH_WATER,
    LARGE_READ,
    REST_FACTOR,
    AMQPSocket,
    Rests,
    SocketWire,
    address_of,
    set_no_delay,
)
from amqpd.protocol.services import Address
from amqpd.protocol.throttle import ANSWERS_UNREAD
from amqpd.turn import LONELY_PASSES, Work
from amqpd.wire.frames import HEARTBEAT, frame
from amqpd.wire.output import FULL
from tests.builders import PROTOCOL_HEADER, Content, World, publish_bytes
from tests.net.peers import OPENING, Served, eventually, method, served

SMALL_BUFFER = 16 * 1024
LARGE = frame(HEARTBEAT, 0, b"") * (LARGE_READ // 8)  # a large read, in which nothing happens


class FakeTransport(asyncio.Transport):
    """A transport that remembers what it was told."""

    def __init__(self, **extra: object) -> None:
        super().__init__(extra)
        self.told: list[str] = []
        self.written = b""
        self.closing = False
        self.unsent = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.told.append("close")
        self.closing = True

    def abort(self) -> None:
        self.told.append("abort")
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.told.append("limits")


def accepted(world: World, rests: Rests | None = None) -> tuple[AMQPSocket, FakeTransport]:
    """A socket without a real one underneath; it needs a running loop."""
    transport = FakeTransport(peername=("127.0.0.1", 40000), sockname=("127.0.0.1", 5672))
    accepted = AMQPSocket(world.services, rests or Rests(), set())
    accepted.connection_made(transport)
    return accepted, transport


def opened(world: World, rests: Rests | None = None) -> tuple[AMQPSocket, FakeTransport]:
    """The same, with the handshake done."""
    open_socket, transport = accepted(world, rests)
    open_socket.data_received(OPENING)
    world.finish()
    return open_socket, transport


def reading(transport: FakeTransport) -> list[str]:
    """How often the transport was told to stop and go on reading."""
    return [what for what in transport.told if what in ("pause", "resume")]


def connection_count(served: Served) -> int:
    return len(served.listeners.open_sockets)


@pytest.mark.anyio
async def test_a_client_that_sends_its_whole_handshake_at_once_gets_a_channel() -> None:
    async with served(World()) as broker:
        peer = await broker.client()
        await peer.send(method(1, commands.Queue.Declare, queue="q"))
        ((_, answer),) = await peer.receive(1)
        assert isinstance(answer, commands.Queue.DeclareOk)


@pytest.mark.anyio
async def test_a_connection_knows_both_ends_of_its_socket() -> None:
    async with served(World()) as broker:
        peer = await broker.client()
        (open_socket,) = broker.listeners.open_sockets
        assert open_socket.connection is not None
        assert open_socket.connection.address == Address("127.0.0.1", peer.port, "127.0.0.1", broker.port)


@pytest.mark.anyio
async def test_for_a_client_that_says_nothing_no_connection_is_made_before_its_time_is_up() -> None:
    world = World()
    async with served(world) as broker:
        peer = await broker.connect()
        await eventually(lambda: connection_count(broker) == 1)
        (open_socket,) = broker.listeners.open_sockets
        world.clock.advance(world.services.limits.handshake_timeout / 2)
        world.timers.run_due()
        assert open_socket.connection is None
        world.clock.advance(world.services.limits.handshake_timeout / 2)
        world.timers.run_due()
        assert await peer.receive_end() == b""
    assert world.observer.events == [("refused", "handshake timeout")]


@pytest.mark.anyio
async def test_the_time_of_silence_counts_for_the_handshake() -> None:
    world = World()
    async with served(world) as broker:
        peer = await broker.connect()
        await eventually(lambda: connection_count(broker) == 1)
        world.clock.advance(world.services.limits.handshake_timeout - 1)
        world.timers.run_due()
        await peer.send(PROTOCOL_HEADER)
        await peer.receive(1)
        world.clock.advance(1)
        world.timers.run_due()
        assert await peer.receive_end() == b""


@pytest.mark.anyio
async def test_a_client_that_goes_without_a_word_leaves_nothing() -> None:
    world = World()
    async with served(world) as broker:
        peer = await broker.connect()
        await eventually(lambda: connection_count(broker) == 1)
        peer.close()
        await eventually(lambda: connection_count(broker) == len(broker.listeners.gate) == 0)
        world.clock.advance(world.services.limits.handshake_timeout)
        world.timers.run_due()
    assert world.observer.events == []


@pytest.mark.anyio
async def test_a_client_that_goes_is_forgotten_with_its_exclusive_queues() -> None:
    async with served(World()) as broker:
        peer = await broker.client()
        await peer.send(method(1, commands.Queue.Declare, queue="q", exclusive=True))
        await peer.receive(1)
        peer.close()
        await eventually(lambda: connection_count(broker) == 0)
        assert broker.world.vhost.queues == {}
        assert ("closed", "closed by peer") in broker.world.observer.events


@pytest.mark.anyio
async def test_what_a_client_is_told_last_arrives_before_its_socket_is_closed() -> None:
    async with served(World()) as broker:
        peer = await broker.connect()
        await peer.send(b"GET / HTTP/1.1\r\n\r\n")
        assert await peer.receive_end() == PROTOCOL_HEADER


@pytest.mark.anyio
async def test_an_aborted_socket_is_gone_though_its_client_reads_nothing() -> None:
    async with served(World()) as broker:
        await broker.client()
        (open_socket,) = broker.listeners.open_sockets
        open_socket.abort()
        await eventually(lambda: connection_count(broker) == 0)


@pytest.mark.anyio
async def test_a_slow_reader_costs_bounded_memory_and_the_queue_keeps_the_rest() -> None:
    async with served(World()) as broker:
        reader, publisher = await broker.client(SMALL_BUFFER), await broker.client()
        consume = method(1, commands.Basic.Consume, queue="q", no_ack=True, nowait=True)
        await reader.send(method(1, commands.Queue.Declare, queue="q", nowait=True), consume)
        queues = broker.world.vhost.queues
        await eventually(lambda: "q" in queues and len(queues["q"].consumers) == 1)
        total, body = 400, bytes(64 * 1024)
        for _ in range(total):
            await publisher.send(publish_bytes(1, "", "q", body))
        left = queues["q"]
        await eventually(lambda: any(stalled(each) for each in broker.listeners.open_sockets))
        assert max(unsent(each) for each in broker.listeners.open_sockets) <= HIGH_WATER + FULL + 2 * len(body)
        await publisher.send(method(1, commands.Queue.Declare, queue="q", passive=True))
        await publisher.receive(1)
        assert left.message_count > total / 2
        received = await reader.receive(total)
        assert all(isinstance(item, Content) and item.body == body for _, item in received)


@pytest.mark.anyio
async def test_a_client_that_does_not_read_its_answers_is_not_read_any_more_until_it_does() -> None:
    """Also if the requests came in one read: 5 KiB of basic.get ask for 64 MiB here."""
    async with served(World()) as broker:
        peer = await broker.client(SMALL_BUFFER)
        body = bytes(256 * 1024)
        await peer.send(method(1, commands.Queue.Declare, queue="q", nowait=True))
        gets = 4 * ANSWERS_UNREAD // len(body)
        for _ in range(gets):
            await peer.send(publish_bytes(1, "", "q", body))
        vhost = broker.world.vhost
        await eventually(lambda: "q" in vhost.queues and vhost.queue("q").message_count == gets)
        get = method(1, commands.Basic.Get, queue="q", no_ack=True)
        await peer.send(get * gets, method(1, commands.Queue.Declare, queue="late", nowait=True))
        (open_socket,) = broker.listeners.open_sockets
        await eventually(lambda: stalled(open_socket))
        assert unsent(open_socket) < 2 * ANSWERS_UNREAD
        assert "late" not in vhost.queues
        await peer.receive_octets(gets * len(body))
        await eventually(lambda: "late" in vhost.queues)


def stalled(open_socket: AMQPSocket) -> bool:
    assert open_socket.connection is not None
    return open_socket.connection.output.stalled


def unsent(open_socket: AMQPSocket) -> int:
    assert open_socket._wire is not None
    return open_socket._wire.unsent()


@pytest.mark.anyio
async def test_a_large_read_is_a_turn_of_its_own() -> None:
    """Its messages reach their consumers before the event loop reads on."""
    world = World()
    large, transport = accepted(world)
    large.data_received(PROTOCOL_HEADER + bytes(8))
    assert transport.written == b""
    large, transport = accepted(world)
    large.data_received(PROTOCOL_HEADER + bytes(LARGE_READ))
    assert transport.written != b""


@pytest.mark.anyio
async def test_small_reads_wait_for_the_end_of_their_pass_unless_they_come_alone_all_the_time() -> None:
    async with served(World()) as broker:
        peer = await broker.client()
        (open_socket,) = broker.listeners.open_sockets
        assert open_socket.connection is not None  # its client has sent something
        output, declare = open_socket.connection.output, method(1, commands.Queue.Declare, queue="q")
        waited = []
        for _ in range(LONELY_PASSES + 1):
            open_socket.data_received(declare)
            waited.append(output.size > 0)
            await eventually(lambda: output.size == 0)
            await peer.receive(1)
        lonely = waited.index(False)  # its handshake has counted, too
        assert 0 < lonely <= LONELY_PASSES
        assert waited == [True] * lonely + [False] * (len(waited) - lonely)


class Delay(Work):
    """Work that takes some time of the world's clock."""

    def __init__(self, world: World, seconds: float) -> None:
        super().__init__()
        self._world = world
        self._seconds = seconds

    def run(self) -> None:
        self._world.clock.advance(self._seconds)


def slow_read(open_socket: AMQPSocket, world: World, seconds: float, data: bytes = LARGE) -> None:
    """A read for which the broker needs this long."""
    world.turn.defer(Delay(world, seconds))
    open_socket.data_received(data)


def tiring_read(open_socket: AMQPSocket, world: World, seconds: float) -> None:
    """A large read for a queue that its consumers cannot keep short; the broker needs this long for it."""
    assert open_socket.connection is not None
    open_socket.connection.throttle.rest()
    slow_read(open_socket, world, seconds)


@pytest.mark.anyio
async def test_when_large_reads_have_taken_their_share_of_a_pass_others_are_read_first() -> None:
    world = World()
    open_socket, transport = opened(world)
    for _ in range(2):
        slow_read(open_socket, world, 0.4 * FAIR_SHARE)
    assert reading(transport) == []
    slow_read(open_socket, world, 0.4 * FAIR_SHARE)
    assert reading(transport) == ["pause"]
    await anyio.lowlevel.checkpoint()
    assert reading(transport) == ["pause", "resume"]


@pytest.mark.anyio
async def test_what_reads_took_counts_in_their_pass_only() -> None:
    world = World()
    open_socket, transport = opened(world)
    for _ in range(5):
        slow_read(open_socket, world, 0.9 * FAIR_SHARE)
        await anyio.lowlevel.checkpoint()
    assert reading(transport) == []


@pytest.mark.anyio
async def test_small_reads_do_not_count_however_long_they_take() -> None:
    world = World()
    open_socket, transport = opened(world)
    for _ in range(3):
        slow_read(open_socket, world, FAIR_SHARE, LARGE[8:])
    assert reading(transport) == []


@pytest.mark.anyio
async def test_a_tired_publisher_rests_some_times_as_long_as_its_read_took() -> None:
    world = World()
    open_socket, transport = opened(world)
    tiring_read(open_socket, world, 2.0)
    await anyio.lowlevel.checkpoint()
    world.advance(2.0 * REST_FACTOR - 0.1)
    assert reading(transport) == ["pause"]
    world.advance(0.2)
    assert reading(transport) == ["pause", "resume"]


@pytest.mark.anyio
async def test_one_rest_does_not_lead_to_another() -> None:
    world = World()
    open_socket, transport = opened(world)
    tiring_read(open_socket, world, 2.0)
    world.advance(2.0 * REST_FACTOR)
    slow_read(open_socket, world, 0.9 * FAIR_SHARE)
    assert reading(transport) == ["pause", "resume"]


@pytest.mark.anyio
async def test_a_rest_does_not_end_with_the_pass_in_which_other_large_reads_came_before_it() -> None:
    world = World()
    open_socket, transport = opened(world)
    slow_read(open_socket, world, 0.1 * FAIR_SHARE)
    tiring_read(open_socket, world, 2.0)
    await anyio.lowlevel.checkpoint()
    assert reading(transport) == ["pause"]
    world.advance(2.0 * REST_FACTOR)
    assert reading(transport) == ["pause", "resume"]


@pytest.mark.anyio
async def test_tired_publishers_rest_one_after_the_other() -> None:
    """However many they are, all together get one part of the broker's time."""
    world, rests = World(), Rests()
    transports = []
    for _ in range(3):
        open_socket, transport = opened(world, rests)
        tiring_read(open_socket, world, 1.0)
        transports.append(transport)
    ends = []
    for _ in range(30):
        world.advance(0.5)
        ends += [world.clock.monotonic() for transport in transports if reading(transport)[1:] == ["resume"]]
        transports = [transport for transport in transports if reading(transport) == ["pause"]]
    # The first read was over after 1 s; each of the three adds what it took, REST_FACTOR times.
    assert ends == [1 + REST_FACTOR, 1 + 2 * REST_FACTOR, 1 + 3 * REST_FACTOR]


def test_a_rest_begins_when_the_one_before_it_is_over_or_at_once() -> None:
    rests = Rests()
    assert rests.take(0.0, 1.0) == REST_FACTOR
    assert rests.take(1.0, 2.0) == 2 * REST_FACTOR - 1
    assert rests.take(100.0, 100.5) == REST_FACTOR / 2


@pytest.mark.anyio
async def test_deliveries_pause_while_the_transport_is_full() -> None:
    open_socket, _ = accepted(World())
    assert not stalled(open_socket)
    open_socket.pause_writing()
    assert stalled(open_socket)
    open_socket.resume_writing()
    assert not stalled(open_socket)


def test_a_socket_that_closes_is_not_resumed() -> None:
    """A transport would refuse that, and the hold that ends here would break the queue's turn."""
    transport = FakeTransport()
    wire = SocketWire(transport, World().timers)
    wire.resume_reading()
    wire.close()
    wire.resume_reading()
    assert transport.told == ["resume", "close"]


@pytest.mark.anyio
async def test_the_end_of_the_clients_stream_is_the_end() -> None:
    open_socket, _ = accepted(World())
    assert not open_socket.eof_received()


def test_tcp_waits_for_no_more_octets() -> None:
    with socket.socket() as sock:
        set_no_delay(FakeTransport(socket=sock))
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_sockets_that_are_not_tcp_are_left_alone() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        set_no_delay(FakeTransport(socket=ours))
    set_no_delay(FakeTransport())


def test_a_socket_that_is_gone_already_has_empty_addresses() -> None:
    assert address_of(FakeTransport()) == Address("", 0, "", 0)
