"""The acknowledgement timeout: a channel whose oldest delivery waits too long is closed (RabbitMQ, consumer_timeout).

Nothing is noted per delivery. From time to time a mark is set: "tags below this one existed by now". The oldest
unsettled delivery is older than the first mark above it, which is all the precision that half an hour needs.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.arguments import NEVER
from amqpd.broker.queues.delivery import Delivery
from amqpd.errors import PreconditionFailed
from amqpd.protocol.ledger import Ledger

LOOK_EVERY: Final = 10.0  # seconds


@final
class Patience:
    """How long one channel's deliveries have waited.

    Args:
        default: milliseconds allowed where the queue says nothing; None is forever.
    """

    def __init__(self, default: int | None) -> None:
        self._default = default
        self._marks: list[tuple[i64, float]] = []  # (next tag, monotonic second), oldest first

    def check(self, channel: int, ledger: Ledger, now: float) -> None:
        """Look at the oldest delivery.

        Raises:
            PreconditionFailed: it has waited longer than its queue, or else the broker, allows.
        """
        oldest = ledger.oldest()
        allowed = None if oldest is None else self._allowed(oldest)
        if oldest is None or allowed is None:
            self._marks = []
            return
        self._marks = [mark for mark in self._marks if mark[0] > oldest.tag]
        self._marks.append((ledger.next_tag, now))
        if (now - self._marks[0][1]) * 1000 > allowed:
            raise PreconditionFailed(
                f"delivery acknowledgement on channel {channel} timed out. Timeout value used: {allowed} ms. "
                "This timeout value can be configured, see consumers doc guide to learn more",
                about_method=False,
            )

    def _allowed(self, delivery: Delivery) -> int | None:
        """Milliseconds that a delivery may wait; None for ever."""
        allowed = delivery.queue.settings.consumer_timeout
        if allowed is None:
            return self._default
        return None if allowed == NEVER else allowed
