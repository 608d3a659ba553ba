"""Publisher confirms: which publishes of a channel are answered, and with what (RabbitMQ, confirms).

Answers are gathered during the turn as runs of consecutive numbers with the same outcome and leave at its end, one
basic.ack or basic.nack with multiple=true per run. A run is sent in the order of its numbers, so ``multiple`` never
covers a number with another outcome.
"""

from __future__ import annotations

from typing import final

from mypy_extensions import i64

from amqpd.turn import Turn, Work
from amqpd.wire.output import Output


@final
class Confirms(Work):
    """The confirms of one channel in confirm mode. Numbers start at 1 with the first publish after confirm.select."""

    def __init__(self, channel: i64, output: Output, turn: Turn) -> None:
        self._channel: i64 = channel
        self._output = output
        self._turn = turn
        self._deferred = False
        self._closed = False
        self._answered: i64 = 0  # the last number that was sent
        self._runs: list[tuple[i64, bool]] = []  # (last number, accepted) of each finished run
        self._last: i64 = 0  # the last number of the run that is being gathered
        self._accepted = True

    def answer(self, accepted: bool) -> None:
        """The next publish in line was taken by all its queues, or refused by one."""
        # HOT: once per published message
        if accepted is not self._accepted:
            if self._deferred:
                self._runs.append((self._last, self._accepted))
            self._accepted = accepted
        self._last += 1
        if not self._deferred:
            self._deferred = True
            self._turn.defer(self)

    def run(self) -> None:
        """Send what was gathered; the turn calls this."""
        self._deferred = False
        if self._closed:
            return
        for last, accepted in self._runs:
            self._send(last, accepted)
        self._runs.clear()
        self._send(self._last, self._accepted)

    def close(self) -> None:
        """The channel ends. What the queues have decided is still told, the rest never will be."""
        if self._deferred:
            self.run()
        self._closed = True

    def _send(self, last: i64, accepted: bool) -> None:
        several = last > self._answered + 1
        self._answered = last
        if accepted:
            self._output.ack(self._channel, last, several)
        else:
            # A refusal covers every lower number, for all those are answered: RabbitMQ then sets multiple.
            self._output.nack(self._channel, last, True)
