"""Where a routed message ends: what a queue and a direct reply-to address have in common for a publisher."""

from __future__ import annotations

from typing import ClassVar

from amqpd.broker.binding import Destination
from amqpd.broker.flow import Publisher
from amqpd.broker.message import Message


class MessageSink(Destination):
    """Something that messages can be published to."""

    kind_word: ClassVar[str] = "queue"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.deleted = False
        self.crowded = False  # it grows faster than it drains: publishers ought to be held

    def publish(self, message: Message) -> bool:
        """Take a message in. False when it is refused (then a confirming publisher gets a basic.nack)."""
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
