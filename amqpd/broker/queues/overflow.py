"""Length limits of a queue, and what happens beyond them (RabbitMQ, x-max-length, x-overflow).

Only ready messages count, and of their octets only the bodies.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

REJECT_PUBLISH: Final = "reject-publish"
REJECT_PUBLISH_DLX: Final = "reject-publish-dlx"
NONE: Final = -1


@final
class Limit:
    """The limits that settings set; all queues with the same settings share them.

    Args:
        max_length: messages.
        max_length_bytes: octets of their bodies.
        overflow: drop-head, reject-publish or reject-publish-dlx.
    """

    def __init__(self, max_length: int | None, max_length_bytes: int | None, overflow: str) -> None:
        self._messages: i64 = NONE if max_length is None else max_length
        self._octets: i64 = NONE if max_length_bytes is None else max_length_bytes
        self.any = self._messages != NONE or self._octets != NONE
        self.buries = overflow == REJECT_PUBLISH_DLX  # what is rejected is dead-lettered
        self.rejects = self.any and (self.buries or overflow == REJECT_PUBLISH)
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
