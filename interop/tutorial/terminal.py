"""What the tutorial shows of its terminals, and terminals in which the same commands are run.

Rule: what may live here reads docs/tutorial.md and runs its programs; what ought to happen is the tests' affair.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Final

from interop.broker import Broker

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
LINE_SECONDS: Final = 10.0
END_SECONDS: Final = 10.0
_BLOCK: Final = re.compile(r"```console\n(.*?)```", re.DOTALL)


def shown(command: str) -> list[list[str]]:
    """The lines that the tutorial shows below a command, each time that it shows it.

    Raises:
        KeyError: the tutorial does not show the command.
    """
    found = []
    for block in _BLOCK.findall((DOCS / "tutorial.md").read_text("utf-8")):
        for entry in block.split("$ ")[1:]:
            first, *lines = entry.splitlines()
            if first == command:
                found.append(lines)
    if not found:
        raise KeyError(command)
    return found


def restore_interrupt() -> None:
    """Ctrl-C does what it does to a program that a person started."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A command of the tutorial, running; Ctrl-C is pressed at the end if it still does.

    Args:
        broker: for AMQP_URL.
        folder: the one in docs/tutorial that the command is given in.
        command: as the tutorial has it.
    """

    def __init__(self, broker: Broker, folder: str, command: str) -> None:
        python = re.sub(r"\bpython\b", f"exec {sys.executable}", command)
        self._command = command
        self._process = subprocess.Popen(
            ["sh", "-c", python],
            cwd=DOCS / "tutorial" / folder,
            env=os.environ | {"AMQP_URL": broker.url, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Whoever runs the tests in the background may have them ignore it, and programs would do the same.
            preexec_fn=restore_interrupt,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()

    def lines(self, count: int) -> list[str]:
        """The next lines.

        Raises:
            TimeoutError: they do not come.
        """
        found: list[str] = []
        while len(found) < count:
            try:
                found.append(self._lines.get(timeout=LINE_SECONDS))
            except queue.Empty:
                raise TimeoutError(f"{self._command}: only {found}") from None
        return found

    def ended(self) -> tuple[int, list[str]]:
        """Wait for its end; returns its exit status and the lines that were not read yet.

        Raises:
            subprocess.TimeoutExpired: it does not end.
        """
        status = self._process.wait(END_SECONDS)
        self._reader.join()
        return status, [self._lines.get() for _ in range(self._lines.qsize())]

    def stop(self) -> list[str]:
        """Press Ctrl-C; returns the lines that were not read yet."""
        self._process.send_signal(signal.SIGINT)
        status, lines = self.ended()
        assert status == 0, f"{self._command}: {status}, {lines}"
        return lines

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self.ended()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._lines.put(line.rstrip("\n"))
