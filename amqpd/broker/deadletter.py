"""The way of dead letters: from the queue in which a message died to the queues behind its dead-letter exchange.

Dead letters go onto a work list that the turn drains, so a chain of a thousand hops is a loop and not a recursion. They
are published without confirms: a missing exchange, no route or a full queue lose them silently (RabbitMQ, at-most-once).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from amqpd.broker.deaths import dead_letter
from amqpd.broker.message import Message
from amqpd.broker.queues.base import Queue
from amqpd.turn import Work

if TYPE_CHECKING:
    from amqpd.broker.vhost import VHost


@final
class DeadLetter:
    """A message that died, and where it is to go."""

    def __init__(self, queue: Queue, message: Message, reason: str, exchange: str, routing_key: str | None) -> None:
        self.queue_name = queue.name
        self.message = message
        self.reason = reason
        self.exchange = exchange
        self.routing_key = routing_key


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
        letters = self._waiting
        self._waiting = []
        for letter in letters:
            self._send(letter)

    def _send(self, letter: DeadLetter) -> None:
        vhost = self._vhost
        exchange = vhost.exchanges.get(letter.exchange)
        if exchange is None:
            return
        message, history = dead_letter(
            letter.message,
            letter.message.deaths,
            letter.queue_name,
            letter.reason,
            letter.exchange,
            letter.routing_key,
            int(vhost.context.clock.time()),
        )
        message.deaths = history
        for sink in vhost.sinks_of(exchange, list(history.routing_keys), message):
            if not history.would_cycle(sink.name):
                sink.publish(message)
