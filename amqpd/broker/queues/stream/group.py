"""A group: consumers of which one reads a stream, and the others wait to take over.

The member that reads is chosen by the number of the partition that the stream is, as RabbitMQ chooses among the
consumers of a super stream: so the partitions spread over the members. When members come or go another one may have to
read: it begins when the one before has settled what it has, so that nothing is delivered twice and the order is kept.

Rule: what may live here decides who reads, and knows neither offsets nor messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from amqpd.broker.queues.stream.reader import Reader


@final
class Group:
    """The members of one group, in the order in which they came.

    Attributes:
        active: the one that reads; None while nobody may.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: list[Reader] = []
        self.active: Reader | None = None
        self._leaving: Reader | None = None  # it was active, and has deliveries to settle

    def join(self, reader: Reader) -> None:
        """A member has come."""
        self.members.append(reader)

    def leave(self, reader: Reader) -> None:
        """A member has gone; what it has is to be delivered again."""
        self.members.remove(reader)
        if self.active is reader:
            self.active = None
        if self._leaving is reader:
            self._leaving = None

    def elect(self, partition: int) -> Reader | None:
        """Decide anew; return the member that begins to read now, if one does."""
        if not self.members:
            return None
        chosen = self.members[partition % len(self.members)]
        if self.active is not None and self.active is not chosen:
            self._leaving = self.active
            self.active = None
        leaving = self._leaving
        if leaving is not None and leaving is not chosen and leaving.consumer.unsettled > 0:
            return None
        self._leaving = None
        if self.active is chosen:
            return None
        self.active = chosen
        # One that is chosen again before it has settled everything goes on where it is.
        return None if leaving is chosen else chosen
