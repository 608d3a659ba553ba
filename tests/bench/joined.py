"""A client of amqpd bench joined to a broker, by octets and on the broker's manual clock."""

from __future__ import annotations

from collections.abc import Callable

from amqpd.bench.client.consumer import Consumer
from amqpd.bench.client.histogram import Histogram
from amqpd.bench.client.publisher import Publisher
from amqpd.bench.client.session import Role, Session
from tests.builders import Client, FakeWire, World

RUN = 0x0123456789ABCDEF
QUEUE = "q"


class Joined:
    """A session and the broker's end of its connection.

    Args:
        cut: the broker's octets reach the session in pieces of this size; 0 for as they come.
    """

    def __init__(
        self, world: World, role: Role, user: str = "guest", password: str = "guest", vhost: str = "/", cut: int = 0
    ) -> None:
        self.world = world
        self.wire = FakeWire()
        self.session = Session(role, user, password, vhost, "here:1", "test")
        self.broker: Client = world.raw_client()
        self._cut = cut
        self._taken = 0
        self.session.begin(self.wire)
        self.run()

    def run(self) -> None:
        """Let both talk until they have nothing more to say."""
        while self._client_speaks() or self._broker_speaks():
            pass

    def _client_speaks(self) -> bool:
        fresh = self.wire.written[self._taken :]
        self._taken = len(self.wire.written)
        if fresh:
            self.broker.feed(fresh)
        return bool(fresh)

    def _broker_speaks(self) -> bool:
        fresh = self.broker.take()
        step = self._cut or len(fresh) or 1
        for start in range(0, len(fresh), step):
            if not self.session.ended:
                self.session.receive(fresh[start : start + step])
        if self.broker.wire.closed and not self.session.ended:
            self.session.lost("closed by the broker")
        return bool(fresh)


def clock_of(world: World) -> Callable[[], int]:
    """The world's clock in nanoseconds."""
    return lambda: int(world.clock.monotonic() * 1e9)


def publisher_in(world: World, histogram: Histogram | None = None, **settings: object) -> Publisher:
    """A publisher to QUEUE, with these settings instead of the ordinary ones."""
    given: dict[str, object] = {
        "exchange": "",
        "routing_keys": [QUEUE],
        "run": RUN,
        "size": 20,
        "persistent": False,
        "mandatory": False,
        "window": 0,
        "rate": 0.0,
        "count": 0,
        "now": clock_of(world),
        "confirm_latencies": histogram or Histogram(),
    }
    return Publisher(**{**given, **settings})  # type: ignore[arg-type]  # tests name what they change


def consumer_in(world: World, histogram: Histogram | None = None, **settings: object) -> Consumer:
    """A consumer of QUEUE, with these settings instead of the ordinary ones."""
    given: dict[str, object] = {
        "queue": QUEUE,
        "run": RUN,
        "prefetch": 0,
        "ack_every": 0,
        "arguments": {},
        "now": clock_of(world),
        "latencies": histogram or Histogram(),
    }
    return Consumer(**{**given, **settings})  # type: ignore[arg-type]  # tests name what they change


def world_with_queue() -> World:
    """A world in which QUEUE is declared."""
    world = World()
    client = world.client()
    client.open()
    client.declare(QUEUE)
    return world
