"""How much of the time a queue could hand on a message at once (RabbitMQ, consumer utilisation).

Rule: what may live here is told of changes; nothing happens per message.
"""

from __future__ import annotations

import math
from typing import Final, final

from amqpd.clock import Clock

# What was so many seconds ago counts for a third of what is now.
MEMORY: Final = 5.0


@final
class Utilisation:
    """A moving average of a state that is either able (messages leave as they come) or not.

    Args:
        clock: read when the state changes, and by share().
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.able = True
        self._share = 1.0  # at the last change
        self._changed = clock.monotonic()

    def change(self, able: bool) -> None:
        """The state is another one from now on."""
        now = self._clock.monotonic()
        self._share = self._share_at(now)
        self._changed = now
        self.able = able

    def share(self) -> float:
        """The average now, between 0 and 1."""
        return self._share_at(self._clock.monotonic())

    def _share_at(self, now: float) -> float:
        kept = math.exp((self._changed - now) / MEMORY)
        return self._share * kept + (1.0 - kept if self.able else 0.0)
