"""A broker with its HTTP API, shared by all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interop.amqpd_server import AmqpdServer
from interop.management.api import API
from interop.rabbitmq.server import RabbitMQServer
from interop.waiting import free_port


@pytest.fixture(scope="session")
def api(server_class: type[AmqpdServer | RabbitMQServer]) -> Iterator[API]:
    """The API of a fresh broker; what it listens on is in there."""
    port = free_port()
    with server_class(management_port=port) as broker:
        found = API(broker, port)
        found.wait()
        yield found
