"""A well-behaved client in a process of its own: what an attack on the broker means for it.

    python -m interop.security.neighbour PORT

It publishes a message, waits until it gets it back, rests 5 ms, and so on until its standard input ends. Then it prints
a JSON list of the milliseconds that each message took.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from types import TracebackType
from typing import Final

from interop.amqpd_server import ROOT
from interop.differential import codec
from interop.security.speech import client, publish, read_until

REST: Final = 0.005
CONSUME_OK: Final = b"\x00\x3c\x00\x15"
BODY: Final = b"a message of the neighbour's"


class Neighbour:
    """The process, as the attacker sees it: it runs within the context."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.milliseconds: list[float] = []

    def __enter__(self) -> Neighbour:
        command = [sys.executable, "-m", "interop.security.neighbour", str(self._port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "the neighbour could not connect"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        output, _ = self._process.communicate(timeout=60)
        self.milliseconds = sorted(json.loads(output)) if output else []

    def at(self, part: float) -> float:
        """The milliseconds that this part of the messages did not exceed."""
        return self.milliseconds[min(int(part * len(self.milliseconds)), len(self.milliseconds) - 1)]


def prepare(port: int) -> socket.socket:
    """A connection with a queue of its own and a consumer on it."""
    sock = client(port)
    sock.settimeout(60)
    sock.sendall(
        codec.method_frame(1, "queue.declare", {"queue": "neighbour", "exclusive": True})
        + codec.method_frame(1, "basic.consume", {"queue": "neighbour", "no_ack": True})
    )
    read_until(sock, CONSUME_OK)
    return sock


def main() -> None:
    """Measure until standard input ends, once at least: some attacks are over before the first look."""
    sock = prepare(int(sys.argv[1]))
    message, taken = publish("neighbour", BODY), []
    print("ready", flush=True)
    over = False
    while not over:
        begun = time.monotonic()
        sock.sendall(message)
        read_until(sock, BODY)
        taken.append(round((time.monotonic() - begun) * 1000, 3))
        over = bool(select.select([sys.stdin], [], [], REST)[0])
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
