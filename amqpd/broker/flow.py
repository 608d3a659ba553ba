"""Publishers are slowed, not consumers starved.

A publisher can put 4,000 messages into one read while a consumer with prefetch 500 gets one turn; unchecked the queue
grows and latency goes to seconds. So when a queue with live consumers outgrows a threshold, its publishers are not
read from until it has drained, for a bounded time: a consumer that is simply slow must not stop them. When that time
is over, publishers go on, but each rests after a read for some times as long as the broker needed for it: whatever
the consumers can take, the broker has the time to give them.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.context import Context
from amqpd.broker.publisher import Publisher
from amqpd.clock import Timer

HOLD_ABOVE: Final = 4000  # ready messages
RELEASE_BELOW: Final = 2000
HOLD_SECONDS: Final = 0.5


@final
class Congestion:
    """Whether one queue grows faster than its consumers drain it, and whom it holds back for that."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._held: dict[Publisher, None] | None = None  # made when there is somebody: most queues never hold anybody
        self._crowded = False
        self._exempt = False  # holding did not help: the consumers are slow, not starved
        self._timer: Timer | None = None

    def check(self, ready: i64, has_consumers: bool) -> bool:
        """Decide anew whether publishers are to be held; publishers held so far may be released by it.

        Args:
            ready: messages still ready after a pump.
            has_consumers: somebody could take them.
        """
        # HOT: once per pump
        if ready < RELEASE_BELOW or not has_consumers:
            self._exempt = False
            if self._crowded:
                self._calm()
        elif ready > HOLD_ABOVE and not self._exempt:
            self._crowded = True
        return self._crowded or self._exempt

    def hold(self, publisher: Publisher) -> None:
        """Hold a publisher back until the queue has drained or HOLD_SECONDS are over; after that let it rest."""
        if self._exempt:
            publisher.rest()
            return
        if not self._crowded:
            return
        if self._held is None:
            self._held = {}
        if publisher in self._held or not publisher.hold():
            return
        self._held[publisher] = None
        if self._timer is None:
            self._timer = self._context.timers.call_later(HOLD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._exempt = True
        self._calm()

    def _calm(self) -> None:
        self._crowded = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, None
        if held is not None:
            for publisher in held:
                publisher.release()
