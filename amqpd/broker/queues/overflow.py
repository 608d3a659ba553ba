"""Length limits of a queue, and what happens beyond them (RabbitMQ, x-max-length, x-overflow).

Only ready messages count, and of their octets only the bodies.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

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

    def exceeded(self, messages: i64, octets: i64) -> bool:
        """This is more than allowed."""
        return (self._messages != NONE and messages > self._messages) or (
            self._octets != NONE and octets > self._octets
        )

    def eased(self, messages: i64, octets: i64) -> bool:
        """There is room again: this is at most four fifths of what is allowed."""
        return (self._messages == NONE or messages <= self._messages * 4 // 5) and (
            self._octets == NONE or octets <= self._octets * 4 // 5
        )
