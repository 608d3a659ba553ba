"""Group commit: what was gathered for the disk goes there together, and whoever waits for it is told together.

While one commit is under way the next one gathers; so a slow disk makes commits larger, not more numerous. Records and
topology are written and synced first, everything that takes something away (acknowledgements, deleted queues) after
that: what is gone from one place on the disk has always arrived at the other.

While nobody is in a hurry a commit waits a few milliseconds (patience): what is settled meanwhile need not be written.
It waits as a whole, so what its number promises stays true: once it is done, all that joined it is safe.

A commit that finds the disk full is tried again until there is room. Before each try, files are removed that need not
wait for it (relief): else a disk that is full of messages would stay so, whoever consumes or deletes them.

Rule: what may live here knows when something goes to the disk, not what. The one thread that owns the broker calls
everything but Commit.run(), which may run in another one.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64, mypyc_attr

from amqpd.clock import Timer, Timers
from amqpd.turn import Turn, Work

SAFE: Final = 0  # the number of a commit that is done already, or that nobody has to wait for
RETRY_SECONDS: Final = 1.0
# Acknowledgements are synced at most so often. Losing some means redelivery, which at-least-once allows.
SYNC_SECONDS: Final = 1.0
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

# How patient a commit is, if it is.
PATIENCE_SECONDS: Final = 0.003  # what it would write waits no longer than twice as long
LONGEST_WAIT: Final = 4  # so many times as long for what only takes away
MOST_OCTETS: Final = 12 * 1024 * 1024  # so much gathered is written at once
MOST_MEMBERS: Final = 64  # they are asked every turn


@mypyc_attr(allow_interpreted_subclasses=True)
class Job:
    """Work for the disk. It touches nothing but files and what it holds itself, and may be run again after an error."""

    def run(self) -> None:
        """Write.

        Raises:
            OSError: it did not succeed; what was written of it will be overwritten.
        """
        raise NotImplementedError

    def sync(self) -> None:
        """Wait until the disk has what run() wrote.

        Raises:
            OSError: the disk may not have it.
        """


@mypyc_attr(allow_interpreted_subclasses=True)
class Member:
    """Something whose changes commits bring to the disk."""

    def __init__(self) -> None:
        self.joined = False  # owned by Commits
        self.ended = False  # nobody needs what it adds any more
        # Its jobs are tried until they succeed, whatever the error is; and they may take something away, too.
        self.patient = False

    def hurries(self) -> bool:
        """Somebody waits for what this member has, and no waiting will make it unnecessary."""
        return True

    def aged(self) -> bool:
        """It has something to write that was there when this was asked before; asked once in PATIENCE_SECONDS."""
        return True

    def begin(self) -> Job | None:
        """Take what was gathered since the last time and adds something; None if there is nothing."""
        return None

    def begin_late(self) -> Job | None:
        """The same for what takes something away. It runs after all that adds something was synced."""
        return None

    def relieve(self) -> Job | None:
        """Take what can be removed at once to make room, while a commit waits for that; None if there is nothing.

        It may run before anything that was gathered or is in that commit was written, and begin_late() may have
        returned it already.
        """
        return None

    def finished(self, job: Job) -> None:
        """A job of this member is done."""

    def failed(self, job: Job, error: OSError) -> None:
        """A job of this member could not be done, and will not be."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Waiter:
    """Somebody who wants to know when a commit is done."""

    def committed(self) -> None:
        """It is."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Receipt:
    """What a publisher gets for some messages: it waits until all of their copies are safe or settled for good.

    Whoever hands the messages to queues counts the copies that are not safe yet; whoever keeps them counts down.
    """

    def __init__(self) -> None:
        self.outstanding: i64 = 0  # copies that are not settled

    def settled(self) -> None:
        """One of the copies is gone for good, so it need not be safe any more."""
        # HOT: once per stored message that is confirmed
        self.outstanding -= 1
        if self.outstanding == 0:
            self.complete()

    def complete(self) -> None:
        """None of the copies is left."""
        raise NotImplementedError


@final
class Step:
    """One job of one member within a commit."""

    def __init__(self, member: Member, job: Job) -> None:
        self.member = member
        self.job = job
        self.written = False
        self.done = False
        self.abandoned = False  # it failed, and not because the disk is full
        self.error: OSError | None = None

    def write(self) -> None:
        """Run the job, unless it was; an error is kept."""
        if not self.written:
            try:
                self.job.run()
                self.written = True
            except OSError as error:
                self.error = error

    def sync(self) -> None:
        """Sync it, if it could be written; after an error it must be written again."""
        if self.error is None and not self.done:
            try:
                self.job.sync()
                self.done = True
            except OSError as error:
                self.written = False
                self.error = error


@final
class Commit:
    """What goes to the disk together.

    Args:
        number: commits are numbered from 1.
        syncs_late: what takes something away is synced too.
    """

    def __init__(self, number: i64, syncs_late: bool) -> None:
        self.number: i64 = number
        self.steps: list[Step] = []
        self.late: list[Step] = []
        self.relief: list[Step] = []  # what makes room for the others
        self.waiters: list[Waiter] = []
        self.octets: i64 = 0
        self._syncs_late = syncs_late

    @property
    def empty(self) -> bool:
        """There is nothing to run."""
        return not self.steps and not self.late and not self.relief

    def run(self) -> None:
        """Do it, in whatever thread. Errors stay with their steps; run again, it does what is not done yet."""
        for step in self.relief:
            step.write()
            step.done = step.error is None  # it needs no sync: what is back after power loss was not needed
        # Topology behind records: a queue that is deleted in it may be where a message has just died that is a record
        # elsewhere now.
        if not self._add(False) or not self._add(True):
            return
        for step in self.late:
            step.write()
            if self._syncs_late:
                step.sync()
            elif step.error is None:
                step.done = True

    def _add(self, patient: bool) -> bool:
        """Write and sync what adds something, of all members of a sort; True if all of it is safe."""
        steps = [step for step in self.steps if step.member.patient is patient]
        for step in steps:
            step.write()
        for step in steps:
            step.sync()
        return all(step.done for step in steps)

    def failures(self) -> list[Step]:
        """Steps with an error, which is taken from them."""
        return [step for step in self.relief + self.steps + self.late if step.error is not None]


@final
class Commits(Work):
    """All commits of one broker, one at a time.

    Args:
        turn: a commit begins at the end of a turn, so that what is settled in the same turn need not be written.
        timers: for trying again when the disk is full.
    """

    def __init__(self, turn: Turn, timers: Timers) -> None:
        self.turn = turn
        self.timers = timers
        self.number: i64 = 1  # of the commit that is being gathered
        self.done: i64 = 0  # the last one that is complete
        self.octets: i64 = 0  # gathered and under way
        # Runs a commit, and has finished() called in this thread then; None: it is run at once, here.
        self.execute: Callable[[Commit], None] | None = None
        # The disk is full, or a patient member's job failed; None: that is over.
        self.on_stall: Callable[[OSError | None], None] | None = None
        # Members that may have something to remove when the disk is full, beside those that have joined.
        self.resting: Callable[[], list[Member]] | None = None
        # What is settled now has gone elsewhere, with the commit that is being gathered: it must not be removed before.
        self.moving = False
        # For what is published right now; None: nobody waits for its copies one by one.
        self.receipt: Receipt | None = None
        self.patience = 0.0  # seconds; 0: no commit waits
        self._hurry = False  # somebody waits for the commit that is being gathered
        self._waited: i64 = 0  # so many times for PATIENCE_SECONDS
        self._timer: Timer | None = None
        self._members: list[Member] = []
        self._waiters: list[Waiter] = []
        self._gathered: i64 = 0
        self._underway: Commit | None = None
        self._deferred = False
        self._stalled = False
        self._closing = False
        self._synced_late = timers.clock.monotonic()

    @property
    def idle(self) -> bool:
        """Nothing is under way or gathered."""
        return self._underway is None and not self._members and not self._waiters

    def join(self, member: Member, octets: i64) -> None:
        """A member has something for the commit that is being gathered.

        Args:
            octets: of memory that it holds until then.
        """
        # HOT: once per stored message
        self._gathered += octets
        self.octets += octets
        if not member.joined:
            member.joined = True
            self._members.append(member)
            self._defer()
        elif octets > 0 and not self._deferred:
            self._defer()  # it may hurry now

    def leave(self, octets: i64) -> None:
        """Something that join() was told of is not for the commit any more that is being gathered."""
        # HOT: once per message that is settled before it is written
        self._gathered -= octets
        self.octets -= octets

    def wait(self, waiter: Waiter, hurry: bool = True) -> None:
        """Tell somebody when the commit that is being gathered is done. Nobody is told twice of one commit.

        Args:
            hurry: nothing else can end the wait.
        """
        self._waiters.append(waiter)
        if hurry:
            self._hurry = True
        self._defer()

    def run(self) -> None:
        """Begin a commit, unless one is under way; the turn calls this."""
        self._deferred = False
        while self._underway is None and (self._members or self._waiters):
            if self._may_wait():
                if self._timer is None:
                    self._timer = self.timers.call_later(self.patience, self._look)
                return
            commit = self._begin()
            self._underway = commit
            if commit.empty:
                self._complete(commit)
            elif self.execute is None:
                commit.run()
                self.finished(commit)
            else:
                self.execute(commit)

    def _may_wait(self) -> bool:
        """Nobody needs the commit at once."""
        if self.patience == 0.0 or self._hurry or self._closing or self._gathered > MOST_OCTETS:
            return False
        if len(self._members) > MOST_MEMBERS:
            return False
        for member in self._members:  # noqa: SIM110  # mypyc makes a generator of any()
            if member.hurries():
                return False
        return True

    def _look(self) -> None:
        """Decide whether the commit that is being gathered has waited long enough."""
        self._timer = None
        if self._underway is not None:
            return  # and it begins, or waits anew, when that is done
        self._waited += 1
        enough = self._waited >= LONGEST_WAIT
        for member in self._members:
            if member.aged():  # all are asked, for they count
                enough = True
        self._hurry = self._hurry or enough
        if self._members or self._waiters:
            self._defer()

    def finished(self, commit: Commit) -> None:
        """A commit was run: the executor calls this, in the thread that owns the broker."""
        full: OSError | None = None
        for step in commit.failures():
            error = step.error
            assert error is not None  # that is what failures() are
            step.error = None
            if error.errno in FULL or step.member.patient:
                full = error
            else:
                step.abandoned = True
                step.member.failed(step.job, error)
        commit.relief = self._unfinished(commit.relief)
        commit.steps = self._unfinished(commit.steps)
        commit.late = self._unfinished(commit.late)
        if full is not None:
            self._stall(full)
        elif commit.empty:
            self._complete(commit)
        else:
            self._execute(commit)  # what takes away was waiting for a step that was given up

    def _unfinished(self, steps: list[Step]) -> list[Step]:
        for step in steps:
            if step.done:
                step.member.finished(step.job)
        return [step for step in steps if not step.done and not step.abandoned]

    def _begin(self) -> Commit:
        now = self.timers.clock.monotonic()
        syncs_late = self._closing or now >= self._synced_late + SYNC_SECONDS
        if syncs_late:
            self._synced_late = now
        commit = Commit(self.number, syncs_late)
        self.number += 1
        self._hurry = False
        self._waited = 0
        members, self._members = self._members, []
        for member in members:
            member.joined = False
            job = member.begin()
            if job is not None:
                commit.steps.append(Step(member, job))
            late = member.begin_late()
            if late is not None:
                commit.late.append(Step(member, late))
        commit.waiters, self._waiters = self._waiters, []
        commit.octets, self._gathered = self._gathered, 0
        return commit

    def _complete(self, commit: Commit) -> None:
        self.done = commit.number
        self.octets -= commit.octets
        self._underway = None
        if self._stalled:
            self._stalled = False
            if self.on_stall is not None:
                self.on_stall(None)
        for waiter in commit.waiters:
            waiter.committed()
        if self._members or self._waiters:
            self._defer()

    def _execute(self, commit: Commit) -> None:
        if self.execute is None:
            commit.run()
            self.finished(commit)
        else:
            self.execute(commit)

    def _stall(self, error: OSError) -> None:
        if not self._stalled:
            self._stalled = True
            if self.on_stall is not None:
                self.on_stall(error)
        self.timers.call_later(RETRY_SECONDS, self._retry)

    def _retry(self) -> None:
        commit = self._underway
        if commit is not None:
            commit.steps = [step for step in commit.steps if not step.member.ended]
            self._relieve(commit)
            self._execute(commit)

    def _relieve(self, commit: Commit) -> None:
        """Let members make room for a commit that no thread is running now."""
        members: dict[Member, None] = dict.fromkeys(step.member for step in commit.late)
        members.update(dict.fromkeys(self._members))
        if self.resting is not None:
            members.update(dict.fromkeys(self.resting()))
        for member in members:
            job = member.relieve()
            if job is not None:
                commit.relief.append(Step(member, job))

    def close(self) -> None:
        """From now on everything is synced: the end is near."""
        self._closing = True
        if self._members or self._waiters:
            self._defer()

    def _defer(self) -> None:
        if not self._deferred and self._underway is None:
            self._deferred = True
            self.turn.defer_write(self)
