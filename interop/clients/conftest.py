"""What the tests of several clients share: open connections that are closed whatever happens."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from interop.broker import Broker

NODE = Path(__file__).resolve().parent / "node"
Connect = Callable[..., pika.BlockingConnection]


@pytest.fixture
def connect(broker: Broker) -> Iterator[Connect]:
    """A function that opens one more pika connection; keyword arguments are attributes of `URLParameters`."""
    opened: list[pika.BlockingConnection] = []

    def open_connection(**settings: Any) -> pika.BlockingConnection:
        parameters = pika.URLParameters(broker.url)
        for name, value in settings.items():
            setattr(parameters, name, value)
        opened.append(pika.BlockingConnection(parameters))
        return opened[-1]

    yield open_connection
    for connection in opened:
        if connection.is_open:
            connection.close()


@pytest.fixture
def channel(connect: Connect) -> BlockingChannel:
    """A pika channel on a connection of its own."""
    return connect().channel()


@pytest.fixture(scope="session")
def node_modules() -> None:
    """The locked npm packages, installed unless they are already."""
    installed, lock = NODE / "node_modules/.package-lock.json", NODE / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=NODE, check=True)


@pytest.fixture
def anyio_backend() -> str:
    """The asynchronous clients need asyncio."""
    return "asyncio"
