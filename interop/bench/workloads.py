#!/usr/bin/env python3
"""Fixed workloads through the core, bytes in and bytes out: what instructions.py counts.

    workloads.py bytecodes | instructions | calibration | time

No socket and no loop: a server that was made and not started, and peers that hand it bytes. What a workload does never
depends on time or chance, so that counts can be compared from run to run. Prints one JSON object: messages by workload,
and bytecodes a message where those were asked for.

Rule: a workload that was changed is another one: give it another name, for what was accepted for the old one says
nothing about it.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from pamqp import base, commands, frame, header

from amqpd.clock import SystemClock
from amqpd.config import Config
from amqpd.protocol.connection import Connection
from amqpd.protocol.services import Address
from amqpd.server import GC_THRESHOLDS, Server
from amqpd.wire.output import Wire

READ = 64 * 1024  # octets that a publisher's read brings, about
CHANNEL = 1
MESSAGES = {"bytecodes": 500, "instructions": 5_000, "time": 300_000}  # a workload, about
WARM_UP = 2  # rounds that are not counted

Step = Callable[[], int]  # one round of a workload; returns how many messages it published


class PeerWire(Wire):
    """A socket whose other end counts octets and forgets them."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)

    def write_pieces(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self.written += len(piece)

    def close(self) -> None:
        raise RuntimeError("the broker closed a connection")

    def pause_reading(self) -> None:
        """Nothing: a round is fed whole."""

    def resume_reading(self) -> None:
        """Nothing, as above."""


class Core:
    """A server without an edge.

    Args:
        folder: for a data directory; None keeps nothing. Commits run in place.
    """

    def __init__(self, folder: str | None = None) -> None:
        config = Config(memory=True, no_management=True) if folder is None else Config(data_dir=Path(folder))
        self.server = Server(config, SystemClock(), logging.getLogger("workloads"))
        if self.server.storage.catalog is not None:
            self.server.restore()

    def finish(self) -> None:
        """Finish the turn, and what it set off."""
        turn = self.server.context.turn
        while not turn.idle:
            turn.finish()

    def peer(self) -> Peer:
        """A connection with an open channel."""
        return Peer(self)


class Peer:
    """The far end of one connection."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.wire = PeerWire()
        self._connection = Connection(
            core.server.listeners.services, self.wire, Address("127.0.0.1", 40000, "127.0.0.1", 5672)
        )
        self.feed(b"AMQP\x00\x00\x09\x01")
        self.send(commands.Connection.StartOk({}, "PLAIN", "\0guest\0guest", "en_US"), 0)
        self.send(commands.Connection.TuneOk(2047, 131_072, 0), 0)
        self.send(commands.Connection.Open("/"), 0)
        self.send(commands.Channel.Open())

    def feed(self, data: bytes) -> None:
        """One read, and its turn."""
        self._connection.receive(data)
        self._core.finish()

    def send(self, method: base.Frame, channel: int = CHANNEL) -> None:
        """One method."""
        self.feed(frame.marshal(method, channel))

    def declare(self, queue: str, durable: bool = False) -> None:
        """A queue."""
        self.send(commands.Queue.Declare(queue=queue, durable=durable))

    def consume(self, queue: str, prefetch: int = 0) -> None:
        """A consumer, with acknowledgements if there is a prefetch count."""
        if prefetch:
            self.send(commands.Basic.Qos(prefetch_count=prefetch))
        self.send(commands.Basic.Consume(queue=queue, no_ack=not prefetch))


def publish(key: str, body: bytes, exchange: str = "", **properties: Any) -> bytes:
    """The octets of one basic.publish."""
    method = commands.Basic.Publish(exchange=exchange, routing_key=key)
    content = header.ContentHeader(0, len(body), commands.Basic.Properties(**properties))
    pieces = [frame.marshal(method, CHANNEL), frame.marshal(content, CHANNEL)]
    return b"".join([*pieces, struct.pack(">BHI", 3, CHANNEL, len(body)), body, b"\xce"])


def ack(tag: int, multiple: bool) -> bytes:
    """The octets of one basic.ack."""
    return struct.pack(">BHIIQBB", 1, CHANNEL, 13, 0x003C0050, tag, multiple, 0xCE)


class Acknowledging:
    """A consumer that acknowledges every n-th delivery and all before it, or each one."""

    def __init__(self, peer: Peer, every: int) -> None:
        self._peer = peer
        self._every = every
        self._tag = 0

    def settle(self, deliveries: int) -> None:
        """It got so many, in one read; and when it has acknowledged them, the next ones."""
        every = self._every
        tags = range(self._tag + every, self._tag + deliveries + 1, every)
        self._peer.feed(b"".join([ack(tag, every > 1) for tag in tags]))
        self._tag += deliveries


def transient(core: Core) -> Step:
    """W1: one publisher, one consumer, 16 octets, no acknowledgements; a read holds 64 KiB."""
    core.peer().declare("q")
    core.peer().consume("q")
    message = publish("q", bytes(16))
    count = READ // len(message)
    return reads(core.peer(), message * count, count)


def single(core: Core) -> Step:
    """L2: the same with one message a read."""
    core.peer().declare("q")
    core.peer().consume("q")
    return reads(core.peer(), publish("q", bytes(16)), 1)


def reads(publisher: Peer, data: bytes, count: int) -> Step:
    """A publisher whose every read is the same."""

    def step() -> int:
        publisher.feed(data)
        return count

    return step


def acknowledged(core: Core, body: int = 16, count: int = 500) -> Step:
    """W2: prefetch 500, an acknowledgement for every 50."""
    core.peer().declare("q")
    consumer = core.peer()
    consumer.consume("q", prefetch=500)
    acknowledging = Acknowledging(consumer, 50)
    publisher = core.peer()
    data = publish("q", bytes(body)) * count

    def step() -> int:
        publisher.feed(data)
        acknowledging.settle(count)
        return count

    return step


def large(core: Core) -> Step:
    """W5: the same with 1 KiB."""
    return acknowledged(core, body=1024, count=100)


def confirmed(core: Core) -> Step:
    """W3: confirms, 100 outstanding, each message acknowledged."""
    return confirmed_and_settled(core, publish("q", bytes(16)) * 100, 100, prefetch=100, every=1)


def fanout(core: Core) -> Step:
    """W6: one exchange, ten queues with a consumer each. Counted are published messages."""
    owner = core.peer()
    owner.send(commands.Exchange.Declare(exchange="f", exchange_type="fanout"))
    for number in range(10):
        owner.declare(f"q{number}")
        owner.send(commands.Queue.Bind(queue=f"q{number}", exchange="f"))
        core.peer().consume(f"q{number}")
    return reads(core.peer(), publish("", bytes(16), "f") * 200, 200)


def durable(core: Core) -> Step:
    """W4: persistent messages with confirms. Most are settled before their commit begins, so few are written."""
    data = publish("q", bytes(16), delivery_mode=2) * 500
    return confirmed_and_settled(core, data, 500, prefetch=500, every=50, durable=True)


def confirmed_and_settled(
    core: Core, data: bytes, messages: int, prefetch: int, every: int, durable: bool = False
) -> Step:
    """One read of messages for a queue in confirm mode, then the acknowledgements of all of them."""
    core.peer().declare("q", durable=durable)
    consumer = core.peer()
    consumer.consume("q", prefetch=prefetch)
    acknowledging = Acknowledging(consumer, every)
    publisher = core.peer()
    publisher.send(commands.Confirm.Select())

    def step() -> int:
        publisher.feed(data)
        acknowledging.settle(messages)
        return messages

    return step


def topic(core: Core) -> Step:
    """A topic exchange with 100 bindings, each message under another key than the one before."""
    owner = core.peer()
    owner.send(commands.Exchange.Declare(exchange="t", exchange_type="topic"))
    owner.declare("q")
    for number in range(100):
        owner.send(commands.Queue.Bind(queue="q", exchange="t", routing_key=f"a.{number}.*.#"))
    core.peer().consume("q")
    data = b"".join([publish(f"a.{number}.b.c", bytes(16), "t") for number in range(100)])
    return reads(core.peer(), data, 100)


def headers(core: Core) -> Step:
    """A headers exchange with ten bindings."""
    owner = core.peer()
    owner.send(commands.Exchange.Declare(exchange="h", exchange_type="headers"))
    owner.declare("q")
    for number in range(10):
        arguments: dict[str, Any] = {"x-match": "all", "kind": f"k{number}", "size": 1}
        owner.send(commands.Queue.Bind(queue="q", exchange="h", arguments=arguments))
    core.peer().consume("q")
    data = b"".join([publish("", bytes(16), "h", headers={"kind": f"k{i}", "size": 1}) for i in range(10)])
    return reads(core.peer(), data, 10)


WORKLOADS: dict[str, Callable[[Core], Step]] = {
    "transient": transient,
    "single": single,
    "acknowledged": acknowledged,
    "confirmed": confirmed,
    "large": large,
    "fanout": fanout,
    "durable": durable,
    "topic": topic,
    "headers": headers,
}


def calibration() -> int:
    """Work for the interpreter and the C library alone, none of amqpd: tells one toolchain's counts from another's."""
    text = bytes(range(256)) * 64
    for _ in range(40):
        pieces = [text[place : place + 48] for place in range(0, len(text), 32)]
        b"".join(pieces)
        counts: dict[bytes, int] = {}
        for piece in pieces:
            counts[piece] = counts.get(piece, 0) + len(piece)
    return 1


class Counter:
    """What is around the counted part of a workload."""

    def begin(self) -> None:
        """What comes now counts."""

    def end(self) -> float | None:
        """No more; returns the count, unless somebody else has it."""
        return None


class Marks(Counter):
    """For callgrind, which was told to begin a new profile with every call of getppid()."""

    def begin(self) -> None:
        os.getppid()

    def end(self) -> float | None:
        os.getppid()
        return None


class Bytecodes(Counter):
    """Bytecodes that the interpreter carries out."""

    def __init__(self) -> None:
        self._count = 0

    def begin(self) -> None:
        self._count = 0
        sys.settrace(self._called)

    def end(self) -> float:
        sys.settrace(None)
        return self._count

    def _called(self, frame: FrameType, event: str, arg: object) -> Callable[..., Any] | None:
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return self._traced

    def _traced(self, frame: FrameType, event: str, arg: object) -> Callable[..., Any] | None:
        self._count += event == "opcode"
        return self._traced


class Seconds(Counter):
    """Processor time, for profiling by hand."""

    def __init__(self) -> None:
        self._begun = 0.0

    def begin(self) -> None:
        self._begun = time.process_time()

    def end(self) -> float:
        return time.process_time() - self._begun


COUNTERS: dict[str, type[Counter]] = {"bytecodes": Bytecodes, "instructions": Marks, "time": Seconds}


def run(workload: Callable[[Core], Step], messages: int, counter: Counter) -> tuple[int, float | None]:
    """Run one; returns messages and what was counted for all of them."""
    with tempfile.TemporaryDirectory() as folder:
        core = Core(folder if workload is durable else None)
        step = workload(core)
        for _ in range(WARM_UP):
            step()
        gc.collect()
        gc.freeze()
        counter.begin()
        done = 0
        while done < messages:
            done += step()
        counted = counter.end()
        core.server.storage.close()
    return done, counted


def main() -> None:
    """Run what was asked for."""
    gc.set_threshold(*GC_THRESHOLDS)
    what, *names = sys.argv[1:]
    counter = COUNTERS[what]()
    found: dict[str, tuple[int, float | None]] = {}
    if what == "instructions" and not names:
        counter.begin()
        calibration()
        counter.end()
        found["calibration"] = (1, None)
    for name in names or WORKLOADS:
        found[name] = run(WORKLOADS[name], MESSAGES[what], counter)
    json.dump(
        {"messages": {n: f[0] for n, f in found.items()}, "counts": {n: f[1] for n, f in found.items()}}, sys.stdout
    )


if __name__ == "__main__":
    main()
