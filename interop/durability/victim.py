"""The broker that is killed: one data directory, one process after the other."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from interop.amqpd_server import ROOT

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.005  # restarts are measured


class Victim:
    """A broker on a data directory.

    Args:
        home: for data directory, ready file and log.
        command: the program and its first arguments; empty for AMQPD_COMMAND, or the one of this checkout.

    Attributes:
        seconds: from the last start to readiness.
        longest: the longest of them.
    """

    def __init__(self, home: Path, command: str) -> None:
        self.log = home / "log"
        self.data = home / "data"
        self.seconds = self.longest = 0.0
        self.port = 0
        self._ready = home / "ready.json"
        self._program = shlex.split(command or os.environ.get("AMQPD_COMMAND", "")) or [sys.executable, "-m", "amqpd"]
        options = ["--data-dir", str(self.data), "--port", "0", "--no-management"]
        self._command = [*self._program, *options, "--ready-file", str(self._ready)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def version(self) -> str:
        """What it says of itself: its version and form."""
        return subprocess.run(
            [*self._program, "--version"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.strip()

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        return self._running.pid

    def begin(self) -> None:
        """Start the process; it is not ready yet."""
        self._ready.unlink(missing_ok=True)
        self._begun = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def wait_until_ready(self) -> None:
        """Return when clients can connect.

        Raises:
            RuntimeError: it ended instead, or needs more than START_SECONDS.
        """
        while not self._ready.exists():
            if self._running.poll() is not None:
                raise RuntimeError(f"the broker ended with {self._running.returncode}:\n{self._log_end()}")
            if time.monotonic() > self._begun + START_SECONDS:
                raise RuntimeError(f"the broker is not ready after {START_SECONDS} s:\n{self._log_end()}")
            time.sleep(POLL_SECONDS)
        self.seconds = time.monotonic() - self._begun
        self.longest = max(self.longest, self.seconds)
        self.port = int(json.loads(self._ready.read_text())["ports"]["amqp"])

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """SIGTERM.

        Raises:
            RuntimeError: the exit status is not 0.
            subprocess.TimeoutExpired: it does not end.
        """
        self._running.terminate()
        status = self._running.wait(STOP_SECONDS)
        if status != 0:
            raise RuntimeError(f"the broker stopped with {status}:\n{self._log_end()}")
        self._process = None

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    def _log_end(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])
