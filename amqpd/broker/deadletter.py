"""The way of dead letters: from the queue in which a message died to the queues behind its dead-letter exchange.

Dead letters go onto a work list that the turn drains, so a chain of a thousand hops is a loop and not a recursion.
They are published without confirms: a missing exchange, no route or a full queue lose them silently (RabbitMQ, at-
most-once).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from amqpd.broker.deaths import dead_letter
from amqpd.broker.message import Message
from amqpd.turn import Work

if TYPE_CHECKING:
    from amqpd.broker.queues.base import Queue
    from amqpd.broker.vhost import VHost


@final
class DeadLetter:
    """A message that died, now. Where it goes is the queue's settings to say, whenever it is sent.

    Args:
        queue: where it died.
        reason: of what.
    """

    def __init__(self, queue: Queue, message: Message, reason: str) -> None:
        self.queue = queue
        self.message = message
        self.reason = reason
        self.time = int(queue.context.clock.time())  # seconds since the epoch
        self.reached: dict[str, None] = {}  # the names of the queues that have it


@final
class DeadLetters(Work):
    """The dead letters of one virtual host that are on their way."""

    def __init__(self, vhost: VHost) -> None:
        self._vhost = vhost
        self._waiting: list[DeadLetter] = []

    def add(self, letter: DeadLetter) -> None:
        """Send a dead letter in this turn."""
        if not self._waiting:
            self._vhost.context.turn.defer(self)
        self._waiting.append(letter)

    def run(self) -> None:
        """Send what is waiting; the turn calls this."""
        letters = self._waiting
        self._waiting = []
        for letter in letters:
            self.send(letter)

    def send(self, letter: DeadLetter) -> bool:
        """Publish a dead letter to the queues that it has not reached yet.

        Returns:
            True when it has now reached every queue behind the dead-letter exchange, and there is one.
        """
        vhost = self._vhost
        settings = letter.queue.settings
        exchange = None if settings.dead_letter_exchange is None else vhost.exchanges.get(settings.dead_letter_exchange)
        if exchange is None:
            return False
        message, history = dead_letter(
            letter.message,
            letter.message.deaths,
            letter.queue.name,
            letter.reason,
            exchange.name,
            settings.dead_letter_routing_key,
            letter.time,
        )
        message.deaths = history
        refused = False
        for sink in vhost.sinks_of(exchange, [*history.routing_keys, *message.blind_keys], message):
            if sink.name in letter.reached or history.would_cycle(sink.name):
                continue
            if sink.publish(message):
                letter.reached[sink.name] = None
            else:
                refused = True
        return not refused and len(letter.reached) > 0
