"""Brokers to be measured: started anew, gone afterwards."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from interop.broker import Broker
from interop.durability.victim import Victim
from interop.rabbitmq.server import RabbitMQServer

LOOPBACK: Final = "127.0.0.1"


@contextlib.contextmanager
def amqpd(command: str) -> Iterator[Broker]:
    """amqpd with its defaults, on a data directory of its own. It is killed: what it kept is of no interest.

    Args:
        command: the program and its first arguments; empty for AMQPD_COMMAND, or the one of this checkout.

    Raises:
        RuntimeError: it did not start.
    """
    with tempfile.TemporaryDirectory(prefix="amqpd-bench-") as home:
        victim = Victim(Path(home), command)
        victim.begin()
        try:
            victim.wait_until_ready()
            yield Broker(victim.version, LOOPBACK, victim.port, victim.pid)
        finally:
            victim.kill()


@contextlib.contextmanager
def rabbitmq(config: str = "") -> Iterator[Broker]:
    """RabbitMQ with its defaults, but for this.

    Raises:
        FileNotFoundError, RuntimeError, TimeoutError: it is not installed, or did not start.
    """
    with RabbitMQServer(config=config) as broker:
        yield broker
