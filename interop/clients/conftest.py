"""What the tests of several clients share: open connections that are closed whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from interop.broker import Broker

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


@pytest.fixture
def anyio_backend() -> str:
    """The asynchronous clients need asyncio."""
    return "asyncio"
