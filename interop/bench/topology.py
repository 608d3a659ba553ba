#!/usr/bin/env python3
"""What many queues and bindings cost: rates of declaring and binding, memory for each, routing among more and more.

    python -m interop.bench.topology [--command .venv/bin/amqpd] [--queues 100000] [--bindings 1000000]

Declares and binds are pipelined by the thousand. Memory is resident memory of the broker (VmRSS). For the cost of
routing, messages go to topic exchanges with 10, 1,000 and 100,000 bindings, each message under another key than the one
before, so that nothing a channel remembers helps; the figure is the broker's CPU time per message. Each key matches one
binding.
"""

from __future__ import annotations

import argparse
import os
import shlex
import socket
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

from pamqp import commands, frame

from interop.bench.idle import CHANNEL, connect, next_frame, open_channel, resident_memory, row, send, started, wait_for

BATCH = 1000
ROUTED = 200_000  # messages per measurement
KEYS = 10  # distinct routing keys that take turns
SIZES = (10, 1_000, 100_000)
ROUNDS = 3


def exchange_all(sock: socket.socket, methods: Iterable[frame.FrameTypes]) -> int:
    """Send methods that are answered with one frame each, BATCH at a time, and return how many there were."""
    count = 0
    batch: list[bytes] = []
    for method in methods:
        batch.append(frame.marshal(method, CHANNEL))
        if len(batch) == BATCH:
            count += answered(sock, batch)
    return count + answered(sock, batch)


def answered(sock: socket.socket, batch: list[bytes]) -> int:
    """Send a batch, read as many frames as it has, and empty it."""
    sock.sendall(b"".join(batch))
    count = len(batch)
    batch.clear()
    for _ in range(count):
        next_frame(sock)
    return count


def measure(sock: socket.socket, pid: int, what: str, methods: Iterable[frame.FrameTypes]) -> None:
    """Print the rate at which methods are answered, and the memory that each costs."""
    before = resident_memory(pid)
    begun = time.monotonic()
    count = exchange_all(sock, methods)
    seconds = time.monotonic() - begun
    each = (resident_memory(pid) - before) * 1e6 / count
    row(f"{count:,} {what}", f"{count / seconds:,.0f}/s", f"{each:,.0f} octets each")


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def publish(key: str, exchange: str) -> bytes:
    """A transient message with an empty body."""
    method = frame.marshal(commands.Basic.Publish(exchange=exchange, routing_key=key), CHANNEL)
    return method + b"\x02" + CHANNEL.to_bytes(2, "big") + b"\0\0\0\x0e\0\x3c\0\0" + bytes(8) + b"\0\0\xce"


def routing_cost(sock: socket.socket, pid: int, exchange: str, bindings: int) -> float:
    """Microseconds of the broker's CPU per message."""
    keys = [f"r.{place * bindings // KEYS}.x" for place in range(KEYS)]
    block = b"".join(publish(key, exchange) for key in keys) * (BATCH // KEYS)
    before = cpu_seconds(pid)
    for _ in range(ROUTED // BATCH):
        sock.sendall(block)
        send(sock, CHANNEL, commands.Queue.Purge(queue="routed"))
        wait_for(sock, commands.Queue.PurgeOk)
    return (cpu_seconds(pid) - before) * 1e6 / ROUTED


def prepare_routing(sock: socket.socket, exchange: str, bindings: int) -> None:
    """A topic exchange with so many bindings of one queue."""
    declare = commands.Exchange.Declare(exchange=exchange, exchange_type="topic")
    keys = (f"r.{number}.*" for number in range(bindings))
    binds = (commands.Queue.Bind(queue="routed", exchange=exchange, routing_key=key) for key in keys)
    exchange_all(sock, [declare, commands.Queue.Declare(queue="routed")])
    exchange_all(sock, binds)


def measure_routing(sock: socket.socket, pid: int) -> None:
    """Print the cost of routing among more and more bindings."""
    for size in SIZES:
        prepare_routing(sock, f"topic-{size}", size)
    first = 0.0
    for size in SIZES:
        cost = statistics.median(routing_cost(sock, pid, f"topic-{size}", size) for _ in range(ROUNDS))
        first = first or cost
        row(f"routing among {size:,} bindings", f"{cost:.2f} µs CPU", f"{cost / first:.2f} x")


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", type=shlex.split, default=["amqpd"], help="how amqpd is started (amqpd)")
    parser.add_argument("--queues", type=int, default=100_000, help="queues (100000)")
    parser.add_argument("--bindings", type=int, default=1_000_000, help="bindings (1000000)")
    options = parser.parse_args()
    with started(options.command) as running, connect(running.port) as sock:
        open_channel(sock)
        sock.settimeout(60)
        measure_routing(sock, running.pid)
        queues = (commands.Queue.Declare(queue=f"queue-{number}") for number in range(options.queues))
        measure(sock, running.pid, "queues", queues)
        binds = (
            commands.Queue.Bind(
                queue=f"queue-{number % options.queues}",
                exchange="amq.topic",
                routing_key=f"region-{number % 1000}.device-{number}.#",
            )
            for number in range(options.bindings)
        )
        measure(sock, running.pid, "bindings", binds)


if __name__ == "__main__":
    main()
