"""Publisher confirms: which publishes of a channel are answered, and with what (RabbitMQ, confirms).

Answers are gathered as runs of consecutive numbers with the same outcome, and leave at the end of a turn, one basic.ack
or basic.nack with multiple=true per run. A run with messages that are still on their way to the disk waits for their
commit, and everything behind it waits too: runs are sent in the order of their numbers, so ``multiple`` never covers a
number with another outcome.
"""

from __future__ import annotations

from typing import final

from mypy_extensions import i64

from amqpd.broker.queues.sink import REFUSED, MessageSink
from amqpd.log.commit import SAFE, Commits, Waiter
from amqpd.turn import Turn, Work
from amqpd.wire.output import Output


@final
class Run:
    """Consecutive publishes with the same outcome.

    Args:
        last: the number of the last one.
        commit: which makes all of them safe.
        sinks: where those went that wait for it.
    """

    def __init__(self, last: i64, accepted: bool, commit: i64, sinks: list[list[MessageSink]]) -> None:
        self.last: i64 = last
        self.commit: i64 = commit
        self._accepted = accepted
        self._sinks = sinks

    @property
    def accepted(self) -> bool:
        """They were taken, and no disk failed on the way."""
        return self._accepted and not any_broken(self._sinks)


@final
class Confirms(Work):
    """The confirms of one channel in confirm mode. Numbers start at 1 with the first publish after confirm.select."""

    def __init__(self, channel: i64, output: Output, turn: Turn, commits: Commits) -> None:
        self._channel: i64 = channel
        self._output = output
        self._turn = turn
        self._commits = commits
        self._waiter = ConfirmsWaiter(self)
        self._waits_for: i64 = SAFE  # the commit that was asked to tell
        self._deferred = False
        self._closed = False
        self._answered: i64 = 0  # the last number that was sent
        self.refused: i64 = 0  # how many of those were refused
        self._runs: list[Run] = []  # finished, in the order of their numbers
        self._begun: i64 = 1  # the first number of the run that is being gathered
        self._last: i64 = 0  # its last number
        self._accepted = True
        self._commit: i64 = SAFE
        self._sinks: list[list[MessageSink]] = []
        self._last_sinks: list[MessageSink] | None = None

    @property
    def received(self) -> i64:
        """How many publishes there were in confirm mode."""
        return self._last

    @property
    def unconfirmed(self) -> i64:
        """How many of them are not answered yet."""
        return self._last - self._answered

    @property
    def confirmed(self) -> i64:
        """How many of them were confirmed."""
        return self._answered - self.refused

    def answer(self, outcome: i64, sinks: list[MessageSink]) -> None:
        """The next publish in line was taken by all its queues, or refused by one.

        Args:
            outcome: REFUSED, or the number of the commit that makes it safe in all of them.
            sinks: its queues.
        """
        # HOT: once per published message
        accepted = outcome != REFUSED
        if accepted is not self._accepted or outcome > self._commit:
            self._next_run(accepted, outcome)
        self._last += 1
        if outcome > SAFE and sinks is not self._last_sinks:
            self._last_sinks = sinks
            self._sinks.append(sinks)
        if not self._deferred:
            self._defer()

    def run(self) -> None:
        """Send what is decided; the turn calls this."""
        self._deferred = False
        if self._closed:
            return
        done = self._commits.done
        sent = 0
        for run in self._runs:
            if run.commit > done:
                break
            self._send(run.last, run.accepted)
            sent += 1
        if sent:
            del self._runs[:sent]
        if not self._runs and self._commit <= done:
            if self._last >= self._begun:
                self._send(self._last, self._accepted and not any_broken(self._sinks))
            self._next_run(self._accepted, SAFE)
        else:
            self._wait()

    def committed(self) -> None:
        """A commit is done."""
        if not self._deferred:
            self._defer()

    def close(self) -> None:
        """The channel ends. What the queues have decided is still told, the rest never will be."""
        if self._deferred:
            self.run()
        self._closed = True

    def _wait(self) -> None:
        """Have a commit told, unless one that is late enough is going to be."""
        needed = self._commit
        for run in self._runs:
            needed = max(needed, run.commit)
        if needed > self._waits_for:
            self._waits_for = self._commits.number
            self._commits.wait(self._waiter)

    def _defer(self) -> None:
        self._deferred = True
        self._turn.defer(self)

    def _next_run(self, accepted: bool, outcome: i64) -> None:
        """What is gathered from now on has another outcome, or is safe later."""
        if self._last >= self._begun and self._last > self._answered:
            self._runs.append(Run(self._last, self._accepted, self._commit, self._sinks))
        self._begun = self._last + 1
        self._accepted = accepted
        self._commit = max(outcome, SAFE)
        if self._sinks:
            self._sinks = []
            self._last_sinks = None

    def _send(self, last: i64, accepted: bool) -> None:
        several = last > self._answered + 1
        if not accepted:
            self.refused += last - self._answered
        self._answered = last
        if accepted:
            self._output.ack(self._channel, last, several)
        else:
            # A refusal covers every lower number, for all those are answered: RabbitMQ then sets multiple.
            self._output.nack(self._channel, last, True)


@final
class ConfirmsWaiter(Waiter):
    """Tells the confirms of a channel that a commit is done."""

    def __init__(self, confirms: Confirms) -> None:
        self._confirms = confirms

    def committed(self) -> None:
        self._confirms.committed()


def any_broken(routes: list[list[MessageSink]]) -> bool:
    """The disk failed for one of the queues."""
    for sinks in routes:
        for sink in sinks:
            if sink.broken:
                return True
    return False
