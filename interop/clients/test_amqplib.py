"""amqplib, the client of Node.js: one program of node's own test runner a file in node/."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from interop.broker import Broker

NODE = Path(__file__).resolve().parent / "node"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
@pytest.mark.usefixtures("node_modules")
@pytest.mark.timeout(90)  # the first run installs the packages
@pytest.mark.parametrize("program", sorted(path.name for path in NODE.glob("*.test.js")))
def test_amqplib(broker: Broker, program: str) -> None:
    """Every test of the program passes."""
    command = ["node", "--test", "--test-timeout=15000", program]
    environment = os.environ | {"AMQP_URL": broker.url}
    done = subprocess.run(command, cwd=NODE, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
