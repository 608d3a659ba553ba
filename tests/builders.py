"""What tests are built from: a broker on a manual clock, and clients that speak bytes to it, without a socket.

client = World().client()        # handshake done, connection running
channel = client.open()          # channel number 1
client.send(1, commands.Queue.Declare, queue="q")
assert client.receive_one(1, commands.Queue.DeclareOk).queue == "q"
"""

from __future__ import annotations

import itertools
from typing import TypeVar

from pamqp import base, commands

from amqpd.auth.login import Login, LoginPolicy
from amqpd.auth.recovery import restore_accounts
from amqpd.auth.seed import seed
from amqpd.auth.users import UserStore
from amqpd.broker.broker import Broker
from amqpd.broker.context import Context
from amqpd.broker.message import Message, make_message
from amqpd.broker.recovery import Recovery
from amqpd.broker.vhost import VHost
from amqpd.catalog.rows import Topology
from amqpd.clock import ManualClock, Timers
from amqpd.errors import AMQPError
from amqpd.log.commit import Commit
from amqpd.protocol.connection import Connection
from amqpd.protocol.limits import Limits
from amqpd.protocol.registry import Connections
from amqpd.protocol.services import Address, Observer, Services
from amqpd.protocol.session import Session
from amqpd.protocol.workers import Workers
from amqpd.turn import Turn
from amqpd.wire.frames import BODY, HEADER, METHOD, frame
from amqpd.wire.methods import decode, encode, make
from amqpd.wire.output import Wire
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from tests.stores import KeptProgress, Store

M = TypeVar("M", bound=base.Frame)

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
ALL_CAPABILITIES = {
    "publisher_confirms": True,
    "consumer_cancel_notify": True,
    "basic.nack": True,
    "connection.blocked": True,
    "authentication_failure_close": True,
}


class FakeWire(Wire):
    """A socket that keeps what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.reading = True

    def write(self, data: bytes) -> None:
        assert not self.closed, "written after close"
        self.written += data

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Recorder(Observer):
    """An observer that keeps what it was told, as (event, detail)."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, str]] = []
        self.crashes: list[Exception] = []

    def authenticated(self, connection: Connection, user: str) -> None:
        self.events.append(("authenticated", user))

    def opened(self, connection: Connection, session: Session) -> None:
        self.events.append(("opened", session.vhost.name))

    def refused(self, connection: Connection, reason: str) -> None:
        self.events.append(("refused", reason))

    def channel_failed(self, connection: Connection, channel: int, error: AMQPError) -> None:
        self.events.append(("channel_failed", error.reply_text))

    def failed(self, connection: Connection, error: AMQPError) -> None:
        self.events.append(("failed", error.reply_text))

    def closed(self, connection: Connection, reason: str) -> None:
        self.events.append(("closed", reason))

    def crashed(self, connection: Connection, error: Exception) -> None:
        self.crashes.append(error)


class Content:
    """A message as a client receives it: the method that announced it, properties and body."""

    def __init__(self, method: base.Frame, properties: Properties, body: bytes) -> None:
        self.method = method
        self.properties = properties
        self.body = body


class World:
    """A broker with its surroundings. ``crashes`` must stay empty: a test that meets one has found a bug.

    Args:
        store: what it keeps there is recovered; see tests/stores.py. None keeps nothing.
        login: how clients may log in.
        workers: check passwords that take long; at once, if not given.
        clock: goes on in a World that takes another one's place.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        store: Store | None = None,
        clock: ManualClock | None = None,
        login: LoginPolicy | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.clock = clock or ManualClock()
        self.timers = Timers(self.clock)
        self.turn = Turn()
        self.store = store
        storage = None if store is None else store.open(self.turn, self.timers)
        numbers = itertools.count(1)
        self.context = Context(
            self.clock, self.timers, self.turn, lambda size: next(numbers).to_bytes(size, "big"), storage
        )
        self.storage = self.context.storage
        self.held_commits: list[Commit] = []
        kept = self.storage.catalog is not None
        self.broker = Broker(self.context, "amqpd@test", recovers=kept)
        self.recovered = KeptProgress()
        self.users = UserStore(self.broker)
        topology = Topology() if self.storage.catalog is None else self.storage.catalog.load()
        if kept:
            Recovery(self.broker, topology, self.recovered).run()
            restore_accounts(self.users, topology, self.recovered)
        if not topology.seeded:
            seed(self.broker, self.users)
        self.observer = Recorder()
        connections = Connections(self.context)
        connections.watch(self.broker, self.users)
        self.workers = workers or Workers()
        self.services = Services(
            self.broker,
            self.users,
            limits or Limits(),
            self.observer,
            "0.0",
            connections,
            Login(self.users, login),
            self.workers,
        )

    @property
    def vhost(self) -> VHost:
        return self.broker.vhosts["/"]

    def finish(self) -> None:
        """Finish turns until there is nothing left to do."""
        while not self.turn.idle:
            self.turn.finish()

    def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.clock.monotonic() + seconds
        while (deadline := self.timers.next_deadline()) is not None and deadline <= end:
            self.clock.advance_to(deadline)  # exactly: a sum of differences may fall short of it
            self.timers.run_due()
            self.finish()
        self.clock.advance_to(end)

    def hold_commits(self) -> None:
        """From now on a commit that has begun waits for run_commit()."""
        self.storage.commits.execute = self.held_commits.append

    def run_commit(self) -> None:
        """Let the disk do what it was told to: the commit that has begun."""
        commit = self.held_commits.pop()
        commit.run()
        self.storage.commits.finished(commit)
        self.finish()

    def killed(self) -> World:
        """The World after SIGKILL and another start. What is deferred in this one never happens."""
        assert self.store is not None
        self.store.abandon(self.storage)
        return World(store=self.store, clock=self.clock)

    def restarted(self) -> World:
        """The World after the server has stopped and started again."""
        assert self.store is not None
        for connection in self.services.connections.all():
            connection.force_close("restart")
        self.storage.commits.execute = None
        self.storage.commits.close()
        while self.held_commits:
            self.run_commit()
        self.finish()
        assert self.storage.commits.idle
        self.store.close(self.storage)
        return World(store=self.store, clock=self.clock)

    def raw_client(self, peer: str = "127.0.0.1") -> Client:
        """A client that has connected and sent nothing yet."""
        return Client(self, peer)

    def client(self, heartbeat: int = 0, frame_max: int = 131_072, channel_max: int = 2047) -> Client:
        """A client whose connection is open."""
        client = self.raw_client()
        client.handshake(heartbeat=heartbeat, frame_max=frame_max, channel_max=channel_max)
        return client


class Client:
    """The client's end of one connection."""

    def __init__(self, world: World, peer: str = "127.0.0.1", wire: FakeWire | None = None) -> None:
        self.world = world
        self.wire = wire or FakeWire()
        self.connection = Connection(world.services, self.wire, Address(peer, 40000, "127.0.0.1", 5672))
        self.frame_max = 131_072
        self._taken = 0

    # Sending.

    def feed(self, data: bytes) -> None:
        """Send bytes and let the broker finish its turn."""
        self.connection.receive(data)
        self.world.finish()

    def send(self, channel: int, command: type[base.Frame], **arguments: object) -> None:
        """Send a method."""
        self.feed(encode(channel, make(command, **arguments)))

    def publish(
        self,
        channel: int,
        exchange: str,
        routing_key: str,
        body: bytes = b"",
        properties: Properties = EMPTY_PROPERTIES,
        mandatory: bool = False,
    ) -> None:
        """Send a basic.publish with its content in one piece."""
        self.feed(publish_bytes(channel, exchange, routing_key, body, properties, mandatory, self.frame_max))

    def handshake(
        self,
        heartbeat: int = 0,
        frame_max: int = 131_072,
        channel_max: int = 2047,
        user: str = "guest",
        vhost: str = "/",
    ) -> None:
        """Log in as a user whose name is its password, and open a virtual host."""
        self.log_in(user, heartbeat, frame_max, channel_max)
        self.send(0, commands.Connection.Open, virtual_host=vhost)
        self.receive_one(0, commands.Connection.OpenOk)

    def log_in(
        self, user: str = "guest", heartbeat: int = 0, frame_max: int = 131_072, channel_max: int = 2047
    ) -> None:
        """The same up to tune_ok."""
        self.feed(PROTOCOL_HEADER)
        self.receive_one(0, commands.Connection.Start)
        self.start_ok(response=f"\0{user}\0{user}".encode())
        self.receive_one(0, commands.Connection.Tune)
        self.send(0, commands.Connection.TuneOk, channel_max=channel_max, frame_max=frame_max, heartbeat=heartbeat)
        self.frame_max = frame_max

    def start_ok(
        self,
        mechanism: str = "PLAIN",
        response: bytes = b"\0guest\0guest",
        capabilities: dict[str, bool] | None = None,
    ) -> None:
        """Send connection.start_ok."""
        properties = {"capabilities": ALL_CAPABILITIES if capabilities is None else capabilities}
        self.send(
            0,
            commands.Connection.StartOk,
            client_properties=properties,
            mechanism=mechanism,
            response=response,
            locale="en_US",
        )

    def open(self, channel: int = 1) -> int:
        """Open a channel."""
        self.send(channel, commands.Channel.Open)
        self.receive_one(channel, commands.Channel.OpenOk)
        return channel

    def declare(self, queue: str, channel: int = 1, **arguments: object) -> commands.Queue.DeclareOk:
        """Declare a queue."""
        return self.call(channel, commands.Queue.Declare, commands.Queue.DeclareOk, queue=queue, **arguments)

    def call(self, channel: int, command: type[base.Frame], answer: type[M], **arguments: object) -> M:
        """Send a method and take its answer, which must be the only thing that comes."""
        self.send(channel, command, **arguments)
        return self.receive_one(channel, answer)

    def lose(self) -> None:
        """Drop the socket."""
        self.connection.lost("dropped by the test")
        self.world.finish()

    # Receiving.

    def take(self) -> bytes:
        """The bytes that came since the last call."""
        fresh = self.wire.written[self._taken :]
        self._taken = len(self.wire.written)
        return fresh

    def frames(self) -> list[tuple[int, int, bytes]]:
        """The frames that came since the last call: (kind, channel, payload)."""
        return split_frames(self.take())

    def received(self) -> list[tuple[int, base.Frame | Content]]:
        """What came since the last call, messages assembled: (channel, method or Content)."""
        return assemble(self.frames())

    def receive_one(self, channel: int, command: type[M]) -> M:
        """The one method that came since the last call."""
        received = self.received()
        assert len(received) == 1, f"expected one {command.name}, got {describe(received)}"
        number, method = received[0]
        assert number == channel, f"expected {command.name} on channel {channel}, got {describe(received)}"
        assert isinstance(method, command), f"expected {command.name}, got {describe(received)}"
        return method

    def messages(self) -> list[Content]:
        """The messages that came since the last call; nothing else may have come."""
        messages = [item for _, item in self.received()]
        assert all(isinstance(item, Content) for item in messages), describe([(0, item) for item in messages])
        return [item for item in messages if isinstance(item, Content)]

    def bodies(self) -> list[bytes]:
        """The bodies of messages()."""
        return [message.body for message in self.messages()]

    def channel_closed(self, channel: int = 1) -> tuple[int, str]:
        """Reply code and text of the channel.close that came."""
        close = self.receive_one(channel, commands.Channel.Close)
        return close.reply_code or 0, close.reply_text

    def connection_closed(self) -> tuple[int, str]:
        """Reply code and text of the connection.close that came."""
        close = self.receive_one(0, commands.Connection.Close)
        return close.reply_code or 0, close.reply_text


def message(
    properties: Properties = EMPTY_PROPERTIES, body: bytes = b"", exchange: str = "x", key: str = "k"
) -> Message:
    """A message as exchanges and queues get it."""
    return make_message(exchange, key, properties, body)


def publish_bytes(
    channel: int,
    exchange: str,
    routing_key: str,
    body: bytes = b"",
    properties: Properties = EMPTY_PROPERTIES,
    mandatory: bool = False,
    frame_max: int = 131_072,
) -> bytes:
    """A basic.publish with its content, the body cut for frame_max."""
    method = make(commands.Basic.Publish, exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    pieces = [encode(channel, method), header_bytes(channel, len(body), properties)]
    step = frame_max - 8
    pieces += [frame(BODY, channel, body[start : start + step]) for start in range(0, len(body), step)]
    return b"".join(pieces)


def header_bytes(channel: int, body_size: int, properties: Properties = EMPTY_PROPERTIES) -> bytes:
    """A content header frame."""
    return frame(HEADER, channel, b"\x00\x3c\x00\x00" + body_size.to_bytes(8, "big") + properties.raw)


def split_frames(data: bytes) -> list[tuple[int, int, bytes]]:
    """Cut whole frames: (kind, channel, payload)."""
    frames = []
    while data:
        size = int.from_bytes(data[3:7], "big")
        assert data[7 + size] == 0xCE, "bad frame end"
        frames.append((data[0], int.from_bytes(data[1:3], "big"), data[7 : 7 + size]))
        data = data[8 + size :]
    return frames


def assemble(frames: list[tuple[int, int, bytes]]) -> list[tuple[int, base.Frame | Content]]:
    """Decode methods and put messages together; heartbeats are left out."""
    received: list[tuple[int, base.Frame | Content]] = []
    frames = [item for item in frames if item[0] != 8]
    while frames:
        kind, channel, payload = frames.pop(0)
        assert kind == METHOD, f"frame type {kind} out of place"
        method = decode(payload)
        if not isinstance(method, (commands.Basic.Deliver, commands.Basic.GetOk, commands.Basic.Return)):
            received.append((channel, method))
            continue
        _, _, header = frames.pop(0)
        size, body = int.from_bytes(header[4:12], "big"), b""
        while len(body) < size:
            body += frames.pop(0)[2]
        received.append((channel, Content(method, Properties(header[12:]), body)))
    return received


def is_read(client: Client) -> bool:
    """The broker reads what this client sends. A function, for type checkers believe that attributes do not change."""
    return client.wire.reading


def describe(received: list[tuple[int, base.Frame | Content]]) -> str:
    """For failure messages."""
    shown = []
    for channel, item in received:
        method = item.method if isinstance(item, Content) else item
        shown.append(f"{channel}: {method.name} {dict(method)}")
    return "; ".join(shown) or "nothing"
