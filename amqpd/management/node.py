"""The node: what the HTTP API serves.

Rule: what may live here is handed to every handler. Nothing of it is found out by the handlers themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio

from amqpd.broker.broker import Broker
from amqpd.clock import Clock
from amqpd.logs import ROOT
from amqpd.management.process import gauges
from amqpd.management.rates import Rates
from amqpd.management.subjects import Subjects
from amqpd.net.tls import ShownCertificate
from amqpd.protocol.registry import Connections
from amqpd.protocol.services import Services

DEFAULT_BODY_LIMIT: Final = 10_000_000  # octets, RabbitMQ's
# Threads for them, beside those of AMQP: whoever sends many wrong passwords must not take the processor from everybody.
MOST_SLOW_LOGINS: Final = 2


@dataclass(frozen=True)
class Listener:
    """One address on which the broker accepts connections.

    Args:
        protocol: RabbitMQ's name: amqp, amqp/ssl, http, https, http/prometheus, stream.
    """

    protocol: str
    address: str
    port: int
    tls: bool = False


@dataclass
class Node:
    """One running broker.

    Args:
        services: of the AMQP side: broker, users, limits, connections.
        listeners: where it accepts; the list may grow.
        started: the monotonic second at which it started.
        pid: of the process.
        data_dir: where it keeps what is durable; None keeps nothing.
        memory_limit: octets at which the memory alarm is set.
        disk_free_limit: octets at which the disk alarm is set.
        config_files: that were read.
        allowed_origins: of browsers that may use the API from pages of others; ``*`` for all.
        body_limit: the longest body of a request.
        certificates: those that the broker shows at this time.
        logger: parent of the loggers of the parts.

    Attributes:
        rates: what the counters were before.
        slow_logins: lets few passwords be checked at a time that take long.
    """

    services: Services
    listeners: list[Listener] = field(default_factory=list)
    started: float = 0.0
    pid: int = 0
    data_dir: Path | None = None
    memory_limit: int = 0
    disk_free_limit: int = 0
    config_files: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    body_limit: int = DEFAULT_BODY_LIMIT
    certificates: Callable[[], Sequence[ShownCertificate]] = tuple
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger(ROOT).getChild("management"))
    rates: Rates = field(init=False)
    slow_logins: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(MOST_SLOW_LOGINS))

    def __post_init__(self) -> None:
        subjects = Subjects(self.broker, self.connections, lambda: gauges(self.data_dir, len(self.connections)))
        self.rates = Rates(self.clock, self.broker.context.timers, subjects.kinds())

    @property
    def broker(self) -> Broker:
        """The broker."""
        return self.services.broker

    @property
    def connections(self) -> Connections:
        """The open AMQP connections."""
        return self.services.connections

    @property
    def clock(self) -> Clock:
        """The broker's."""
        return self.broker.context.clock

    @property
    def name(self) -> str:
        """The node's name, as RabbitMQ's ``rabbit@host``."""
        return self.broker.events.node
