"""What a run is to do, as plain values that go to other processes.

Rule: what may live here is decided before anything is connected.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from amqpd.bench.faults import BenchError

PORTS: Final = {"amqp": 5672, "amqps": 5671}
DEFAULT_URI: Final = "amqp://guest:guest@localhost:5672/"


@dataclass(frozen=True)
class Address:
    """Where a broker is, and who logs in there.

    Args:
        ca: file with the certificates to trust, None for the system's.
        verifies: the broker's certificate is looked at.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    vhost: str
    tls: bool = False
    ca: str | None = None
    verifies: bool = True

    @classmethod
    def of(cls, uri: str, ca: str | None = None, verifies: bool = True) -> Address:
        """Read amqp://user:password@host:port/vhost; each part may be left away.

        Raises:
            BenchError: it is none.
        """
        try:
            parts = urlsplit(uri)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in PORTS:
            raise BenchError(f"'{uri}' is no address of a broker: write it as {DEFAULT_URI} (amqps:// for TLS).")
        return cls(
            host=parts.hostname or "localhost",
            port=port or PORTS[parts.scheme],
            user=unquote(parts.username or "guest"),
            password=unquote(parts.password or "guest"),
            vhost=unquote(parts.path[1:]) or "/",
            tls=parts.scheme == "amqps",
            ca=ca,
            verifies=verifies,
        )

    @property
    def where(self) -> str:
        """For sentences."""
        return f"{self.host}:{self.port}"

    def context(self) -> ssl.SSLContext | None:
        """What TLS takes, or None for a plain connection.

        Raises:
            BenchError: the file with certificates cannot be used.
        """
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except OSError as error:  # ssl.SSLError is one
            raise BenchError(f"The certificates in '{self.ca}' cannot be used ({error}): name a PEM file.") from None
        if not self.verifies:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True)
class Plan:
    """A run.

    Args:
        run: its number, in every message.
        queues: their names.
        named: the user named them: they may be there already, and are left as they are then.
        exchange: where messages go; empty for the default exchange.
        fans_out: the exchange is the run's own fanout exchange, and every queue gets every message.
        rate: messages a second of all publishers; 0 for as fast as possible.
        window: unconfirmed messages of a publisher; 0 for no confirms.
        ack_every: 0 for auto-ack.
        offset: x-stream-offset of consumers of a stream.
        seconds, warmup: how long it is measured, and how long it runs before that.
        count: messages to publish instead of a time; 0 for none.
    """

    address: Address
    run: int
    publishers: int
    consumers: int
    queues: tuple[str, ...]
    named: bool
    keeps: bool
    exchange: str
    routing_key: str
    fans_out: bool
    queue_type: str
    durable: bool
    size: int
    persistent: bool
    rate: float
    window: int
    prefetch: int
    ack_every: int
    offset: str
    seconds: float
    warmup: float
    count: int
    processes: int

    @property
    def copies(self) -> int:
        """Deliveries that a published message leads to, if there are consumers."""
        return len(self.queues) if self.fans_out else 1

    def routing_keys(self, publisher: int) -> list[str]:
        """Where a publisher's messages go, in turn."""
        if self.exchange:
            return [self.routing_key]
        mine = self.queues[publisher :: self.publishers]
        return list(mine) or [self.queues[publisher % len(self.queues)]]

    def queue(self, consumer: int) -> str:
        """What a consumer consumes."""
        return self.queues[consumer % len(self.queues)]

    def count_of(self, publisher: int) -> int:
        """Messages that a publisher publishes; 0 for no end."""
        return self.count // self.publishers + (publisher < self.count % self.publishers) if self.count else 0


@dataclass(frozen=True)
class Share:
    """What one process does of a run: these of its publishers and consumers."""

    plan: Plan
    number: int
    publishers: range
    consumers: range


def shares(plan: Plan) -> list[Share]:
    """Publishers and consumers in processes of their own, so many for each side at most."""
    found: list[Share] = []
    for total, publishes in ((plan.publishers, True), (plan.consumers, False)):
        parts = min(plan.processes, total)
        for part in range(parts):
            mine = range(total * part // parts, total * (part + 1) // parts)
            publishers, consumers = (mine, range(0)) if publishes else (range(0), mine)
            found.append(Share(plan, len(found), publishers, consumers))
    return found
