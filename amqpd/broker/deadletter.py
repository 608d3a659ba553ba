"""The way of dead letters: from the queue in which a message died to the queues behind its dead-letter exchange.

Dead letters go onto a work list that the turn drains, so a chain of a thousand hops is a loop and not a recursion.
They are published without confirms: a missing exchange, no route or a full queue lose them silently (RabbitMQ, at-
most-once).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from amqpd.broker.deaths import dead_letter
from amqpd.broker.message import Message
from amqpd.broker.queues.base import Queue
from amqpd.broker.queues.sink import REFUSED
from amqpd.turn import Work

if TYPE_CHECKING:
    from amqpd.broker.vhost import VHost


@final
class DeadLetter:
    """A message that died, and where it is to go."""

    def __init__(self, queue: Queue, message: Message, reason: str) -> None:
        self.queue_name = queue.name
        self.message = message
        self.reason = reason
        self.exchange = queue.settings.dead_letter_exchange
        self.routing_key = queue.settings.dead_letter_routing_key


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
        """Publish a dead letter. True when at least one queue has taken it, and none has refused it."""
        vhost = self._vhost
        exchange = None if letter.exchange is None else vhost.exchanges.get(letter.exchange)
        if exchange is None:
            return False
        message, history = dead_letter(
            letter.message,
            letter.message.deaths,
            letter.queue_name,
            letter.reason,
            exchange.name,
            letter.routing_key,
            int(vhost.context.clock.time()),
        )
        message.deaths = history
        taken = refused = 0
        for sink in vhost.sinks_of(exchange, [*history.routing_keys, *message.blind_keys], message):
            if history.would_cycle(sink.name):
                continue
            if sink.publish(message) == REFUSED:
                refused += 1
            else:
                taken += 1
        return taken > 0 and refused == 0
