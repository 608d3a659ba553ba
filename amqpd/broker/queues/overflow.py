"""Length limits of a queue, and what happens beyond them (RabbitMQ, x-max-length, x-overflow).

Only ready messages count, and of their octets only the bodies.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.queues.ready import Ready
from amqpd.broker.settings import REJECT_PUBLISH, REJECT_PUBLISH_DLX, QueueSettings

NONE: Final = -1


@final
class Limit:
    """The limits that settings set."""

    def __init__(self, settings: QueueSettings) -> None:
        self._messages: i64 = NONE if settings.max_length is None else settings.max_length
        self._octets: i64 = NONE if settings.max_length_bytes is None else settings.max_length_bytes
        self.any = self._messages != NONE or self._octets != NONE
        self.buries = settings.overflow == REJECT_PUBLISH_DLX  # what is rejected is dead-lettered
        self.rejects = self.any and (self.buries or settings.overflow == REJECT_PUBLISH)
        self.drops = self.any and not self.rejects

    def exceeded(self, ready: Ready) -> bool:
        """There is more than allowed."""
        return (self._messages != NONE and ready.count > self._messages) or (
            self._octets != NONE and ready.octets > self._octets
        )

    def reached(self, ready: Ready) -> bool:
        """There is as much as allowed."""
        return (self._messages != NONE and ready.count >= self._messages) or (
            self._octets != NONE and ready.octets >= self._octets
        )

    def eased(self, ready: Ready) -> bool:
        """There is room again: at most four fifths of what is allowed."""
        return (self._messages == NONE or ready.count <= self._messages * 4 // 5) and (
            self._octets == NONE or ready.octets <= self._octets * 4 // 5
        )
