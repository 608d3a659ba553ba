"""An `amqpd` process for tests: start, wait until it is ready, stop, insist on a clean exit."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from interop.broker import Broker
from interop.waiting import eventually

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 20.0
STOP_SECONDS = 10.0


class AmqpdServer:
    """Context manager around `python -m amqpd --memory` on a free loopback port.

    The environment variable AMQPD_COMMAND replaces `python -m amqpd` (to try an installed one); the options are
    added to it. The broker's output goes to `log`, which is quoted in every error.

    Args:
        port: AMQP port, 0 for any free one.
        options: more command line options.
        management_port: of the HTTP API; None leaves it off.
        wrapper: a command that starts the broker's, such as prlimit.
    """

    def __init__(
        self,
        port: int = 0,
        options: tuple[str, ...] = (),
        management_port: int | None = None,
        wrapper: tuple[str, ...] = (),
    ) -> None:
        self._wrapper = wrapper
        self._port = port
        self._management = (
            ["--no-management"]
            if management_port is None
            else ["--management-port", str(management_port), "--metrics-port", "0"]
        )
        self._options = options
        self._home = tempfile.TemporaryDirectory(prefix="amqpd-interop-")
        self.log = Path(self._home.name, "log")
        self._ready = Path(self._home.name, "ready.json")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Broker:
        """Start the broker.

        Raises:
            RuntimeError: it ended instead of getting ready.
            TimeoutError: it was not ready in time.
        """
        try:
            return self._start()
        except BaseException:
            self._kill()
            self._home.cleanup()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Stop the broker with SIGTERM.

        Raises:
            RuntimeError: it did not end in time or its exit status was not 0.
        """
        try:
            self._stop()
        finally:
            self._kill()
            self._home.cleanup()

    def _command(self) -> list[str]:
        program = shlex.split(os.environ.get("AMQPD_COMMAND", "")) or [sys.executable, "-m", "amqpd"]
        ready = ["--ready-file", str(self._ready)]
        return [
            *self._wrapper,
            *program,
            "--port",
            str(self._port),
            *self._management,
            "--memory",
            *ready,
            *self._options,
        ]

    def _start(self) -> Broker:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(self._command(), cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        ready = eventually(self._read_ready, "amqpd is ready", START_SECONDS)
        return Broker("amqpd", "127.0.0.1", int(ready["ports"]["amqp"]), int(ready["pid"]), ports=ready["ports"])

    def _read_ready(self) -> dict[str, Any] | None:
        if self._running.poll() is not None:
            raise RuntimeError(f"amqpd ended with {self._running.returncode}:\n{self._log_text()}")
        try:
            ready: dict[str, Any] = json.loads(self._ready.read_text())
        except (FileNotFoundError, json.JSONDecodeError):  # not there yet, or half written
            return None
        return ready

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    def _stop(self) -> None:
        self._running.send_signal(signal.SIGTERM)
        try:
            status = self._running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"amqpd did not stop within {STOP_SECONDS} s:\n{self._log_text()}") from None
        if status != 0:
            raise RuntimeError(f"amqpd stopped with {status} instead of 0:\n{self._log_text()}")

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _log_text(self) -> str:
        return self.log.read_text(errors="replace")
