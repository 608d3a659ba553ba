"""Brokers with their management APIs, started once for this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interop.amqpd_server import AmqpdServer
from interop.management.api import API
from interop.management.http import Management
from interop.rabbitmq.server import RabbitMQServer
from interop.waiting import eventually, free_port


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "management" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--broker") or ["amqpd"]
        metafunc.parametrize("management", chosen, indirect=True, scope="session")


@pytest.fixture(scope="session")
def management(request: pytest.FixtureRequest) -> Iterator[Management]:
    """A fresh broker with its API."""
    port = free_port()
    server: AmqpdServer | RabbitMQServer
    if request.param == "amqpd":
        server = AmqpdServer(management_port=port)
    else:
        server = RabbitMQServer(management_port=port, config="management.rates_mode = basic")
    with server as broker:
        node = eventually(lambda: node_name(Management(broker, port, "")), "the API answers", 20)
        yield Management(broker, port, node)


def node_name(management: Management) -> str | None:
    """What the broker calls itself, or None while it does not answer."""
    try:
        found: str = management.request("GET", "overview").json()["node"]
    except OSError:
        return None
    return found


@pytest.fixture(scope="session")
def api(server_class: type[AmqpdServer | RabbitMQServer]) -> Iterator[API]:
    """The API of a broker of its own, for programs that leave their queues and users behind."""
    port = free_port()
    with server_class(management_port=port) as broker:
        found = API(broker, port)
        found.wait()
        yield found
