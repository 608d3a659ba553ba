"""Which broker the clients meet: `--broker amqpd`, `--broker rabbitmq` or both; each is started once a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interop.amqpd_server import AmqpdServer
from interop.broker import Broker
from interop.rabbitmq.server import RabbitMQServer

SERVERS: dict[str, type[AmqpdServer | RabbitMQServer]] = {"amqpd": AmqpdServer, "rabbitmq": RabbitMQServer}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--broker", action="append", choices=sorted(SERVERS), help="may be given twice; default: amqpd")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "broker" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--broker") or ["amqpd"]
        metafunc.parametrize("broker", chosen, indirect=True, scope="session")


@pytest.fixture(scope="session")
def server_class(broker: Broker) -> type[AmqpdServer | RabbitMQServer]:
    """What starts one more broker of the same kind, for tests that stop it."""
    return SERVERS[broker.name]


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A fresh broker process, shared by all tests of the run; its clean stop is checked by the server class."""
    with SERVERS[request.param]() as running:
        yield running
