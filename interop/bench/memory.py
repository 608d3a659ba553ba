#!/usr/bin/env python3
"""What each thing in the broker costs in memory, idle broker first.

    python -m interop.bench.memory [--command .venv/bin/amqpd] [--scale 1.0] [--json FILE] [-- AMQPD-OPTIONS]

Makes many of one kind, one kind after the other, and divides by their number what the broker's resident memory (VmRSS,
octets) has grown. Connections and channels are bare; a queue has a name of eleven characters and no binding but the
default one; messages have a body of 100 octets. Options behind ``--`` replace ``--no-management``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from pamqp import commands, frame

from interop.bench.idle import (
    CHANNEL,
    allow_many_files,
    connect,
    next_frame,
    open_channel,
    resident_memory,
    row,
    send,
    started,
    wait_for,
)
from interop.bench.topology import exchange_all

BODY = 100
BATCH = 500
# How many of each are made.
COUNTS = {
    "connection": 1000,
    "channel": 10_000,
    "queue": 20_000,
    "consumer": 10_000,
    "binding": 50_000,
    "ready message": 200_000,
    "unacknowledged message": 200_000,
}


class Measurement:
    """One broker, and what was found of it.

    Args:
        scale: of COUNTS.
    """

    def __init__(self, pid: int, port: int, scale: float, stack: contextlib.ExitStack) -> None:
        self._pid = pid
        self._port = port
        self._stack = stack
        self._counts = {kind: int(count * scale) for kind, count in COUNTS.items()}
        self._sockets: list[socket.socket] = []
        self.found: dict[str, float] = {"idle": resident_memory(pid) * 1e6}
        row("idle", f"{self.found['idle'] / 1e6:.1f} MB")

    def run(self) -> None:
        """Make everything, kind by kind."""
        self._measure("connection", self._connect)
        for sock in self._sockets:
            open_channel(sock)
        self._measure("channel", self._open_channels)
        self._measure("queue", self._declare)
        self._measure("consumer", self._consume)
        self._measure("binding", self._bind)
        self._measure("ready message", lambda count: self._publish("ready", count))
        send(self._sockets[1], CHANNEL, commands.Basic.Consume(queue="away"))
        wait_for(self._sockets[1], commands.Basic.ConsumeOk)
        self._measure("unacknowledged message", self._deliver)

    def _measure(self, kind: str, make: Callable[[int], None]) -> None:
        """Make so many, and print what one takes."""
        count = self._counts[kind]
        before = resident_memory(self._pid)
        make(count)
        self.found[kind] = (resident_memory(self._pid) - before) * 1e6 / count
        row(f"a {kind}", f"{self.found[kind]:,.0f}", f"octets, of {count:,}")

    def _new_socket(self) -> socket.socket:
        sock = self._stack.enter_context(connect(self._port))
        sock.settimeout(120)
        self._sockets.append(sock)
        return sock

    def _connect(self, count: int) -> None:
        for _ in range(count):
            self._new_socket()

    def _open_channels(self, count: int) -> None:
        """Beside the one that each connection has already."""
        each = count // len(self._sockets)
        for sock in self._sockets:
            sock.sendall(b"".join([frame.marshal(commands.Channel.Open(), CHANNEL + 1 + n) for n in range(each)]))
            for _ in range(each):
                wait_for(sock, commands.Channel.OpenOk)

    def _declare(self, count: int) -> None:
        exchange_all(self._sockets[0], (commands.Queue.Declare(queue=f"queue-{n:05}") for n in range(count)))
        for name in ("ready", "away"):
            exchange_all(self._sockets[0], [commands.Queue.Declare(queue=name)])

    def _consume(self, count: int) -> None:
        """One each on as many queues."""
        exchange_all(self._sockets[0], (commands.Basic.Consume(queue=f"queue-{n:05}") for n in range(count)))

    def _bind(self, count: int) -> None:
        """Under keys of their own."""
        queues = self._counts["queue"]
        exchange_all(
            self._sockets[0],
            (
                commands.Queue.Bind(queue=f"queue-{n % queues:05}", exchange="amq.topic", routing_key=f"a.{n}.*")
                for n in range(count)
            ),
        )

    def _publish(self, queue: str, count: int) -> None:
        """Publish, and wait until the broker has all of it."""
        sock = self._sockets[0]
        method = frame.marshal(commands.Basic.Publish(routing_key=queue), CHANNEL)
        channel = CHANNEL.to_bytes(2, "big")
        content = b"\x02" + channel + b"\0\0\0\x0e\0\x3c\0\0" + BODY.to_bytes(8, "big") + b"\0\0\xce"
        body = b"\x03" + channel + BODY.to_bytes(4, "big") + bytes(BODY) + b"\xce"
        for _ in range(count // BATCH):
            sock.sendall((method + content + body) * BATCH)
        exchange_all(sock, [commands.Queue.Declare(queue=queue, passive=True)])

    def _deliver(self, count: int) -> None:
        """Publish to a consumer that never acknowledges, and read all of it."""
        consumer = self._sockets[1]
        for _ in range(count // BATCH):
            self._publish("away", BATCH)
            for _ in range(BATCH * 3):  # frames
                next_frame(consumer)


def measure(command: list[str], options: list[str], scale: float) -> dict[str, float]:
    """Octets by kind; prints them as they are found."""
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(started(command, tuple(options)))
        measurement = Measurement(running.pid, running.port, scale, stack)
        measurement.run()
        return measurement.found


def main() -> None:
    """Measure, and print the table."""
    own, broker = sys.argv[1:], ["--no-management"]
    if "--" in own:
        place = own.index("--")
        own, broker = own[:place], own[place + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", type=shlex.split, default=["amqpd"], help="how amqpd is started (amqpd)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="how many are made, as a part of the usual numbers (1)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the octets there too")
    options = parser.parse_args(own)
    allow_many_files()
    found = measure(options.command, broker, options.scale)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
