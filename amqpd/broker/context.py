"""What every part of the broker is handed instead of globals: time, timers, the turn, randomness."""

from __future__ import annotations

import base64
from collections.abc import Callable

from mypy_extensions import i64

from amqpd.broker.counters import NodeCounters
from amqpd.broker.storage import Storage
from amqpd.clock import Clock, Timers
from amqpd.log.commit import Commits
from amqpd.turn import Turn


class Context:
    """The broker's surroundings.

    Args:
        clock: the one clock.
        timers: the one heap of timers, on that clock.
        turn: where work for the end of the turn goes.
        random_bytes: n random octets; os.urandom, or something repeatable in tests.
        storage: what is kept when the broker ends; None keeps nothing.
    """

    def __init__(
        self,
        clock: Clock,
        timers: Timers,
        turn: Turn,
        random_bytes: Callable[[int], bytes],
        storage: Storage | None = None,
    ) -> None:
        self.clock = clock
        self.timers = timers
        self.turn = turn
        self.random_bytes = random_bytes
        self.storage = storage or Storage(Commits(turn, timers))
        self.counters = NodeCounters()

    def now(self) -> i64:
        """Milliseconds since the epoch: what deadlines of messages are measured in, for they outlive the process."""
        return int(self.clock.time() * 1000)

    def unique_name(self, prefix: str) -> str:
        """A name nobody can guess: ``prefix-`` and 22 characters of URL-safe base64 (128 bits), like RabbitMQ's."""
        return prefix + "-" + base64.urlsafe_b64encode(self.random_bytes(16)).decode("ascii").rstrip("=")
