"""The broker that is attacked: where it listens, and how much memory it has taken."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from interop.amqpd_server import ROOT, AmqpdServer
from interop.broker import Broker
from interop.security.speech import client, connect, read_to_end

KIB: Final = 1024
OPTIONS: Final = ("--log-level", "warning", "--tls-port", "0", "--management-tls-port", "0", "--metrics-port", "0")


def program() -> list[str]:
    """The command that is amqpd."""
    return shlex.split(os.environ.get("AMQPD_COMMAND", "")) or [sys.executable, "-m", "amqpd"]


def make_certificates(folder: Path) -> tuple[str, ...]:
    """Certificates in a folder, and the options that make a broker use them."""
    command = [*program(), "tls", "dev-cert", "--dir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return ("--tls-certificate", str(folder / "server.pem"), "--tls-key", str(folder / "server.key"))


class Target:
    """A broker of its own for one attack, within the context.

    Args:
        options: of amqpd, beside those that it needs to be a target.
        wrapper: as of AmqpdServer.
    """

    def __init__(self, options: tuple[str, ...], wrapper: tuple[str, ...] = ()) -> None:
        self.server = AmqpdServer(options=(*OPTIONS, *options), management_port=0, wrapper=wrapper)

    def __enter__(self) -> Target:
        self.broker: Broker = self.server.__enter__()
        self.port = self.broker.port
        self.newcomer()  # what is imported late is there
        with connect(self.broker.ports["management"]) as sock:  # HTTP, too, which comes after AMQP
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            read_to_end(sock)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.server.__exit__(kind, error, tb)

    def memory(self) -> tuple[int, int]:
        """Octets of resident memory now, and the most since forget_peak()."""
        status = Path(f"/proc/{self.broker.pid}/status").read_text()
        values = dict(line.split(":", 1) for line in status.splitlines())
        return int(values["VmRSS"].split()[0]) * KIB, int(values["VmHWM"].split()[0]) * KIB

    def forget_peak(self) -> None:
        """From now on another peak counts."""
        Path(f"/proc/{self.broker.pid}/clear_refs").write_text("5")

    def files(self) -> int:
        """How many files the broker has open."""
        return len(os.listdir(f"/proc/{self.broker.pid}/fd"))

    def newcomer(self) -> float:
        """Seconds that a new client needs until its channel is open."""
        begun = time.monotonic()
        client(self.port).close()
        return time.monotonic() - begun

    def http_newcomer(self) -> float:
        """Seconds that a new client needs until its first request over HTTP is answered."""
        begun = time.monotonic()
        with connect(self.broker.ports["management"]) as sock:
            sock.sendall(b"GET /api/whoami HTTP/1.0\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n")
            answer = read_to_end(sock)
        assert answer.startswith(b"HTTP/1.1 200"), f"a new HTTP client was told {answer[:40]!r}"
        return time.monotonic() - begun
