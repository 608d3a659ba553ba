"""The way of dead letters: from the queue in which a message died to the queues behind its dead-letter exchange.

Dead letters go onto a work list that the turn drains, so a chain of a thousand hops is a loop and not a recursion.
They are published without confirms: a missing exchange, no route or a full queue lose them silently (RabbitMQ, at-
most-once).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from mypy_extensions import i64

from amqpd.broker.counters import AT_MOST_ONCE, DISABLED
from amqpd.broker.deaths import dead_letter
from amqpd.broker.message import Message
from amqpd.broker.queues.sink import REFUSED
from amqpd.turn import Work

if TYPE_CHECKING:
    from amqpd.broker.exchanges.base import Exchange
    from amqpd.broker.queues.base import Queue
    from amqpd.broker.vhost import VHost


@final
class DeadLetter:
    """A message that died, now. Where it goes is the queue's settings to say, whenever it is sent.

    Args:
        queue: where it died.
        reason: of what.
        position: its place there, as far as it still has one.
    """

    def __init__(self, queue: Queue, message: Message, reason: str, position: i64 = -1) -> None:
        self.queue = queue
        self.message = message
        self.reason = reason
        self.position: i64 = position
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
            queue = letter.queue
            strategy = DISABLED if self._exchange_of(letter) is None else AT_MOST_ONCE
            queue.context.counters.deaths.add(queue.kind, strategy, letter.reason)
            self.send(letter)

    def send(self, letter: DeadLetter) -> bool:
        """Publish a dead letter to the queues that it has not reached yet.

        Returns:
            True when it has now reached every queue behind the dead-letter exchange, and there is one.
        """
        vhost = self._vhost
        settings = letter.queue.settings
        exchange = self._exchange_of(letter)
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
            if sink.publish(message) == REFUSED:
                refused = True
            else:
                letter.reached[sink.name] = None
        return not refused and len(letter.reached) > 0

    def _exchange_of(self, letter: DeadLetter) -> Exchange | None:
        name = letter.queue.settings.dead_letter_exchange
        return None if name is None else self._vhost.exchanges.get(name)
