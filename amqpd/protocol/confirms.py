"""Publisher confirms: which publishes of a channel are answered, and with what (RabbitMQ, confirms).

Answers are gathered as runs of consecutive numbers with the same outcome, and leave at the end of a turn, one basic.ack
or basic.nack with multiple=true per run. A run with messages that are still on their way to the disk waits: for their
commit, or until every copy of them is settled for good, whatever comes first. Everything behind it waits too: runs are
sent in the order of their numbers, so ``multiple`` never covers a number with another outcome.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.queues.sink import REFUSED, MessageSink
from amqpd.log.commit import SAFE, Commits, Receipt, Waiter
from amqpd.turn import Turn, Work
from amqpd.wire.output import Output

# A run that waits ends with so many publishes: those that consumers have settled are not to wait for the others.
LONGEST_WAITING_RUN: Final = 64


@final
class Run(Receipt):
    """Consecutive publishes with the same outcome, and the receipt for those of them that are to be written.

    A receipt may count more copies than those of its run: such as one queue has taken and another one refused. Then
    the commit has to come.
    """

    def __init__(self, confirms: Confirms, accepted: bool) -> None:
        super().__init__()
        self.last: i64 = 0  # the number of the last one
        self.accepted = accepted
        self.commit: i64 = SAFE  # makes all of them safe
        self.sinks: list[list[MessageSink]] = []  # where those went that wait for it
        self._confirms: Confirms | None = confirms

    def decided(self, done: i64) -> bool:
        """Whether the answer may be sent, now that this commit is done."""
        return self.commit <= done or self.outstanding == 0

    def complete(self) -> None:
        if self._confirms is not None:
            self._confirms.committed()

    def forget(self) -> None:
        """Nobody is answered any more. The two would be a cycle otherwise, which waits for the garbage collector."""
        self._confirms = None


@final
class Confirms(Work):
    """The confirms of one channel in confirm mode. Numbers start at 1 with the first publish after confirm.select."""

    def __init__(self, channel: i64, output: Output, turn: Turn, commits: Commits) -> None:
        self._channel: i64 = channel
        self._output = output
        self._turn = turn
        self._commits = commits
        self._waits_for: i64 = SAFE  # the commit that was asked to tell
        self._deferred = False
        self._closed = False
        self._answered: i64 = 0  # the last number that was sent
        self.refused: i64 = 0  # how many of those were refused
        self._runs: list[Run] = []  # finished, in the order of their numbers
        self._needed: i64 = SAFE  # the commit that makes all of those safe
        self._run = Run(self, True)  # that is being gathered
        self._begun: i64 = 1  # its first number
        self._last: i64 = 0  # its last number
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

    def expect(self) -> None:
        """The next publish in line is handed to its queues now: the receipt for it is this channel's."""
        # HOT: once per published message
        if self._run.commit != SAFE and self._last + 1 - self._begun >= LONGEST_WAITING_RUN:
            self._end_run()
        self._commits.receipt = self._run

    def answer(self, outcome: i64, sinks: list[MessageSink], outstanding: i64) -> None:
        """It was taken by all its queues, or refused by one.

        Args:
            outcome: REFUSED, or the number of the commit that makes it safe in all of them.
            sinks: its queues.
            outstanding: how many of them have taken it and said that it is not safe yet.
        """
        # HOT: once per published message
        self._commits.receipt = None
        if outcome != SAFE or not self._run.accepted:
            self._weigh(outcome, sinks, outstanding)
        self._last += 1
        if not self._deferred:
            self._defer()

    def run(self) -> None:
        """Send what is decided; the turn calls this."""
        self._deferred = False
        if self._closed:
            return
        run = self._run
        if self._runs or run.commit != SAFE or run.outstanding != 0:
            self._end_run()
            self._answer_runs()
        elif self._last >= self._begun:
            self._begun = self._last + 1
            self._send(self._last, run.accepted)

    def committed(self) -> None:
        """A commit is done, or nobody needs it any more."""
        if not self._deferred:
            self._defer()

    def close(self) -> None:
        """The channel ends. What the queues have decided is still told, the rest never will be."""
        if self._deferred:
            self.run()
        self._closed = True
        self._run.forget()
        for run in self._runs:
            run.forget()

    def _weigh(self, outcome: i64, sinks: list[MessageSink], outstanding: i64) -> None:
        """Take note of a publish that is not simply safe, as the one before; the run's receipt counts its copies."""
        run = self._run
        run.outstanding += outstanding
        if outcome == REFUSED:
            if run.accepted:
                self._end_run()
                self._run.accepted = False
            return
        if self._last >= self._begun and run.commit == SAFE and (outcome != SAFE or not run.accepted):
            self._add_run(Run(self, run.accepted))  # what came before waits for nothing, and needs no receipt
        run.accepted = True
        if outcome != SAFE:
            run.commit = max(run.commit, outcome)
            if sinks is not self._last_sinks:
                self._last_sinks = sinks
                run.sinks.append(sinks)

    def _end_run(self) -> None:
        """What comes from now on is another run, with a receipt of its own."""
        if self._last >= self._begun:
            self._add_run(self._run)
        self._run = Run(self, True)
        self._last_sinks = None

    def _add_run(self, run: Run) -> None:
        """The numbers that were gathered make up a run."""
        run.last = self._last
        self._needed = max(self._needed, run.commit)
        self._runs.append(run)
        self._begun = self._last + 1

    def _answer_runs(self) -> None:
        """Send what is decided of the runs, with one answer for those with equal outcomes; wait for the others."""
        done = self._commits.done
        sent = 0
        last: i64 = 0
        accepted = True
        for run in self._runs:
            if not run.decided(done):
                break
            good = run.accepted and not any_broken(run.sinks)
            if sent and good is not accepted:
                self._send(last, accepted)
            last = run.last
            accepted = good
            sent += 1
        if sent:
            self._send(last, accepted)
            del self._runs[:sent]
        if self._runs and self._needed > self._waits_for:  # else one that is late enough is going to be told
            self._waits_for = self._commits.number
            self._commits.wait(ConfirmsWaiter(self), hurry=False)

    def _defer(self) -> None:
        self._deferred = True
        self._turn.defer(self)

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
