"""A broker in a process of its own, on a free port."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

READY = "Server startup complete"


@pytest.fixture(scope="session")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker."""
    ready: Path = tmp_path_factory.mktemp("broker") / "ready.json"
    options = ["--memory", "--no-management", "--port", "0", "--log-level", "error", "--ready-file", str(ready)]
    command = [sys.executable, "-m", "amqpd", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # it is a pipe
        try:
            assert any(line.startswith(READY) for line in process.stdout)
            yield f"amqp://127.0.0.1:{json.loads(ready.read_text())['ports']['amqp']}"
        finally:
            process.terminate()
