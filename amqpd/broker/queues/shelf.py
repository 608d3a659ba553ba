"""The shelf of a quorum queue: dead letters that stay until every target queue has taken them (at-least-once,
RabbitMQ).

A letter without a route, or one that a target refuses, is tried again from time to time, with the targets that do not
have it yet; nothing is ever lost here, and what lies here counts against the limits of its queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from mypy_extensions import i64

from amqpd.broker.counters import AT_LEAST_ONCE, CONFIRMED
from amqpd.broker.deadletter import DeadLetter
from amqpd.broker.message import Message
from amqpd.clock import Timer
from amqpd.turn import Work

if TYPE_CHECKING:
    from amqpd.broker.queues.quorum import QuorumQueue

RETRY_SECONDS: Final = 5.0


@final
class Shelf(Work):
    """Dead letters of one queue, oldest first."""

    def __init__(self, queue: QuorumQueue) -> None:
        self._queue = queue
        self._letters: list[DeadLetter] = []
        self._deferred = False
        self._timer: Timer | None = None
        self.count: i64 = 0
        self.octets: i64 = 0

    def put(self, message: Message, reason: str, position: i64) -> None:
        """A message died; it is sent in this turn, and kept until it has arrived.

        Args:
            position: its place in the queue, which it keeps until then.
        """
        self._letters.append(DeadLetter(self._queue, message, reason, position))
        self.count += 1
        self.octets += message.body_size
        self._defer()

    def run(self) -> None:
        """Try to send every letter; the turn calls this."""
        self._deferred = False
        queue, before = self._queue, self.count
        letters = self._letters
        self._letters = []
        for letter in letters:
            if queue.host.dead_letter_safely(letter):
                self.count -= 1
                self.octets -= letter.message.body_size
                queue.arrived(letter.position)
                queue.context.counters.deaths.add(queue.kind, AT_LEAST_ONCE, CONFIRMED)
            else:
                self._letters.append(letter)
        if self.count < before:
            queue.defer_pump()  # there may be room for publishes again
        if self._letters and self._timer is None:
            self._timer = queue.context.timers.call_later(RETRY_SECONDS, self._retry)

    def clear(self) -> None:
        """The queue is gone, or no longer has to keep its dead letters."""
        for letter in self._letters:
            self._queue.arrived(letter.position)
        self._letters = []
        self.count = 0
        self.octets = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _retry(self) -> None:
        self._timer = None
        self._defer()

    def _defer(self) -> None:
        if not self._deferred:
            self._deferred = True
            self._queue.context.turn.defer(self)
