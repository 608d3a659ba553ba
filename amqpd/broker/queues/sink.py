"""Where a routed message ends: what a queue and a direct reply-to address have in common for a publisher."""

from __future__ import annotations

from typing import ClassVar, Final

from mypy_extensions import i64

from amqpd.broker.binding import Destination
from amqpd.broker.message import Message
from amqpd.broker.publisher import Publisher

# What publish() answers beside the number of the commit that makes the message safe.
REFUSED: Final = -1


class MessageSink(Destination):
    """Something that messages can be published to."""

    kind_word: ClassVar[str] = "queue"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.deleted = False
        self.broken = False  # the disk failed: what was published to it last may be lost
        self.crowded = False  # it grows faster than it drains: publishers ought to be held

    def publish(self, message: Message) -> i64:
        """Take a message in.

        Returns:
            The number of the commit with which the message is safe (the publisher's confirm waits for it), SAFE if it
            is already, REFUSED if it was not taken (then a confirming publisher gets a basic.nack).
        """
        raise NotImplementedError

    def hold(self, publisher: Publisher) -> None:
        """Slow a publisher down; called while crowded."""


def as_sinks(destinations: list[Destination]) -> list[MessageSink]:
    """What routing ended at, typed as what it is."""
    sinks: list[MessageSink] = []
    for destination in destinations:
        assert isinstance(destination, MessageSink)
        sinks.append(destination)
    return sinks
