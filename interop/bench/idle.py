#!/usr/bin/env python3
"""What amqpd costs before it does anything: the time to the ready line, and memory with and without idle connections.

    idle.py [--command .venv/bin/amqpd] [--starts 9] [--connections 1000]

Memory is resident memory (VmRSS) in MB of 1,000,000 bytes. Linux only: it is read from /proc.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import shlex
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pamqp import base, commands, frame

READY = "Server startup complete"
OPTIONS = ("--port", "0", "--memory", "--log-level", "warning")
WITHOUT_HTTP = ("--no-management",)
SETTLE_SECONDS = 1.0  # from the last event until memory is read
READ_SECONDS = 10.0
CHANNEL = 1

Method = TypeVar("Method", bound=base.Frame)


@dataclass(frozen=True)
class Running:
    """An amqpd that said it is ready.

    Args:
        seconds: from its start to its ready line.
    """

    pid: int
    port: int
    seconds: float


@contextlib.contextmanager
def started(command: list[str], options: tuple[str, ...] = WITHOUT_HTTP) -> Iterator[Running]:
    """Start amqpd on a free port, and stop it at the end.

    Args:
        options: more of amqpd's.

    Raises:
        RuntimeError: it ended instead of getting ready.
    """
    with tempfile.TemporaryDirectory() as folder:
        ready_file = Path(folder, "ready.json")
        begun = time.monotonic()
        with subprocess.Popen(
            [*command, *OPTIONS, *options, "--ready-file", str(ready_file)], stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                wait_until_ready(process)
                seconds = time.monotonic() - begun
                yield Running(process.pid, json.loads(ready_file.read_text())["ports"]["amqp"], seconds)
            finally:
                process.terminate()


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    """Read the process's output up to its ready line.

    Raises:
        RuntimeError: there was none.
    """
    assert process.stdout is not None  # it is a pipe
    for said in process.stdout:
        if said.startswith(READY):
            return
    raise RuntimeError(f"amqpd ended with {process.wait()} instead of getting ready")


def start_seconds(command: list[str]) -> float:
    """How long one start takes, from the shell to the ready line."""
    with started(command) as running:
        return running.seconds


def resident_memory(pid: int) -> float:
    """MB of memory that a process has resident, when it has had time to settle."""
    time.sleep(SETTLE_SECONDS)
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(row for row in status.splitlines() if row.startswith("VmRSS:")).split()[1]
    return int(kib) * 1024 / 1e6


def connect(port: int) -> socket.socket:
    """An open AMQP connection that sends and expects no heartbeats."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=READ_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(b"AMQP\x00\x00\x09\x01")
    wait_for(sock, commands.Connection.Start)
    send(sock, 0, commands.Connection.StartOk({}, "PLAIN", "\0guest\0guest", "en_US"))
    wait_for(sock, commands.Connection.Tune)
    send(sock, 0, commands.Connection.TuneOk(2047, 131_072, 0))
    send(sock, 0, commands.Connection.Open("/"))
    wait_for(sock, commands.Connection.OpenOk)
    return sock


def open_channel(sock: socket.socket) -> None:
    """Open a channel on a connection."""
    send(sock, CHANNEL, commands.Channel.Open())
    wait_for(sock, commands.Channel.OpenOk)


def send(sock: socket.socket, channel: int, method: frame.FrameTypes) -> None:
    """Send one method."""
    sock.sendall(frame.marshal(method, channel))


def wait_for(sock: socket.socket, method: type[Method]) -> Method:
    """Read one frame, which is this method.

    Raises:
        RuntimeError: it is not this method.
    """
    answer = frame.unmarshal(next_frame(sock))[2]
    if not isinstance(answer, method):
        raise RuntimeError(f"{answer!r} instead of {method.__name__}")
    return answer


def next_frame(sock: socket.socket) -> bytes:
    """Read one frame."""
    head = received(sock, 7)
    return head + received(sock, int.from_bytes(head[3:7], "big") + 1)


def received(sock: socket.socket, octets: int) -> bytes:
    """Read so many octets. MSG_WAITALL would not: a socket with a timeout does not block.

    Raises:
        RuntimeError: the broker has closed the connection.
    """
    data = bytearray()
    while len(data) < octets:
        more = sock.recv(octets - len(data))
        if not more:
            raise RuntimeError(f"the connection ended after {len(data)} of {octets} octets")
        data += more
    return bytes(data)


def allow_many_files() -> None:
    """Raise the limit of open files as far as allowed; the broker inherits it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def measure_starts(command: list[str], starts: int) -> None:
    """Print how long starting takes."""
    seconds = sorted(start_seconds(command) for _ in range(starts))
    spread = f"median of {starts}: {seconds[0]:.2f} to {seconds[-1]:.2f}"
    row("from the shell to the ready line", f"{statistics.median(seconds):.2f} s", spread)


def measure_memory(command: list[str], connections: int) -> None:
    """Print how much memory it takes."""
    with started(command) as running, contextlib.ExitStack() as stack:
        idle = resident_memory(running.pid)
        row("resident memory, idle", f"{idle:.1f} MB")
        sockets = [stack.enter_context(connect(running.port)) for _ in range(connections)]
        connected = resident_memory(running.pid)
        row(f"{connections:,} idle connections", f"+ {connected - idle:.1f} MB", f"{connected:.1f} MB in all")
        for sock in sockets:
            open_channel(sock)
        opened = resident_memory(running.pid)
        row("a channel open on each", f"+ {opened - connected:.1f} MB", f"{opened:.1f} MB in all")


def row(what: str, figure: str, note: str = "") -> None:
    """Print one row of the table."""
    print(f"{what:<36}{figure:>12}  {note}".rstrip(), flush=True)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", type=shlex.split, default=["amqpd"], help="how amqpd is started (amqpd)")
    parser.add_argument("--starts", type=int, default=9, help="how often it is started for the time (9)")
    parser.add_argument("--connections", type=int, default=1000, help="idle connections (1000)")
    options = parser.parse_args()
    allow_many_files()
    print(subprocess.run([*options.command, "--version"], check=True, capture_output=True, text=True).stdout.strip())
    measure_starts(options.command, options.starts)
    measure_memory(options.command, options.connections)


if __name__ == "__main__":
    main()
