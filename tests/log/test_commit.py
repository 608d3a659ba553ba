"""Group commit: what goes to the disk together, in which order, and who is told when."""

from __future__ import annotations

import errno

from amqpd.clock import ManualClock, Timers
from amqpd.log.commit import (
    LONGEST_WAIT,
    MOST_MEMBERS,
    MOST_OCTETS,
    PATIENCE_SECONDS,
    RETRY_SECONDS,
    Commit,
    Commits,
    Job,
    Member,
    Receipt,
    Waiter,
)
from amqpd.turn import Turn


class Noted(Job):
    """A job that writes down what is done with it, and fails as long as it has errors."""

    def __init__(self, name: str, notes: list[str], errors: list[int] | None = None) -> None:
        self.name = name
        self.notes = notes
        self.errors = errors or []

    def run(self) -> None:
        if self.errors:
            raise OSError(self.errors.pop(0), "on purpose")
        self.notes.append(f"write {self.name}")

    def sync(self) -> None:
        self.notes.append(f"sync {self.name}")


class Owner(Member):
    """Adds a record and takes an acknowledgement away with each commit that it joins."""

    def __init__(self, name: str, notes: list[str], errors: list[int] | None = None) -> None:
        super().__init__()
        self.name = name
        self.notes = notes
        self.errors = errors or []

    def begin(self) -> Job | None:
        return Noted(f"{self.name} records", self.notes, self.errors)

    def begin_late(self) -> Job | None:
        return Noted(f"{self.name} acks", self.notes)

    def finished(self, job: Job) -> None:
        assert isinstance(job, Noted)
        self.notes.append(f"finished {job.name}")

    def failed(self, job: Job, error: OSError) -> None:
        assert isinstance(job, Noted)
        self.notes.append(f"failed {job.name}")


class Told(Waiter):
    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    def committed(self) -> None:
        self.notes.append("told")


class Rig:
    """Commits whose executor keeps them until the test runs them.

    Args:
        at_once: they are run in place instead.
    """

    def __init__(self, at_once: bool = False) -> None:
        self.clock = ManualClock()
        self.timers = Timers(self.clock)
        self.turn = Turn()
        self.commits = Commits(self.turn, self.timers)
        self.begun: list[Commit] = []
        self.notes: list[str] = []
        if not at_once:
            self.commits.execute = self.begun.append

    def finish(self) -> None:
        """Run what was begun, and everything that follows at once."""
        commit = self.begun.pop(0)
        commit.run()
        self.commits.finished(commit)
        self.turn.finish()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.timers.run_due()
        self.turn.finish()


def test_everything_that_adds_is_synced_before_anything_is_taken_away_and_then_all_are_told() -> None:
    rig = Rig(at_once=True)
    for name in ("a", "b"):
        rig.commits.join(Owner(name, rig.notes), 1)
    rig.commits.wait(Told(rig.notes))
    rig.turn.finish()
    assert rig.notes == [
        *("write a records", "write b records", "sync a records", "sync b records", "write a acks", "write b acks"),
        *("finished a records", "finished b records", "finished a acks", "finished b acks", "told"),
    ]


def test_while_one_commit_is_under_way_the_next_one_gathers() -> None:
    rig = Rig()
    first, second = Owner("a", rig.notes), Owner("b", rig.notes)
    rig.commits.join(first, 1)
    rig.turn.finish()
    rig.commits.join(second, 1)
    rig.commits.join(first, 1)
    rig.turn.finish()
    assert [int(commit.number) for commit in rig.begun] == [1]
    rig.finish()
    assert [int(commit.number) for commit in rig.begun] == [2]
    assert [step.member for step in rig.begun[0].steps] == [second, first]


def test_octets_count_until_their_commit_is_done() -> None:
    rig = Rig()
    rig.commits.join(Owner("a", rig.notes), 7)
    rig.turn.finish()
    rig.commits.join(Owner("b", rig.notes), 5)
    assert rig.commits.octets == 12
    rig.finish()
    assert rig.commits.octets == 5


def test_a_full_disk_is_tried_again_every_second_and_nobody_is_told_before() -> None:
    rig = Rig()
    stalls: list[OSError | None] = []
    rig.commits.on_stall = stalls.append
    rig.commits.join(Owner("a", rig.notes, [errno.ENOSPC, errno.EDQUOT]), 1)
    rig.commits.wait(Told(rig.notes))
    rig.turn.finish()
    for _ in range(2):
        rig.finish()
        assert rig.notes == []
        assert not rig.begun
        rig.advance(RETRY_SECONDS)
    rig.finish()
    assert rig.notes[-1] == "told"
    assert [error is None for error in stalls] == [False, True]


def test_another_error_is_the_members_own_and_the_others_go_on() -> None:
    rig = Rig(at_once=True)
    rig.commits.join(Owner("a", rig.notes, [errno.EIO]), 1)
    rig.commits.join(Owner("b", rig.notes), 1)
    rig.commits.wait(Told(rig.notes))
    rig.turn.finish()
    assert "failed a records" in rig.notes
    assert rig.notes.index("sync b records") < rig.notes.index("write b acks")
    assert rig.notes[-1] == "told"


# Patience.


class Patient(Owner):
    """It hurries, or has something old, when the test says so."""

    def __init__(self, name: str, notes: list[str]) -> None:
        super().__init__(name, notes)
        self.in_a_hurry = False
        self.old = False

    def hurries(self) -> bool:
        return self.in_a_hurry

    def aged(self) -> bool:
        return self.old


def patient_rig() -> tuple[Rig, Patient]:
    """Commits that wait, with one member that has joined."""
    rig = Rig()
    rig.commits.patience = PATIENCE_SECONDS
    member = Patient("a", rig.notes)
    rig.commits.join(member, 1)
    rig.turn.finish()
    return rig, member


def test_a_commit_that_nobody_needs_at_once_waits_and_no_longer_than_it_may() -> None:
    rig, _ = patient_rig()
    for _ in range(LONGEST_WAIT - 1):
        rig.advance(PATIENCE_SECONDS)
        assert not rig.begun
    rig.advance(PATIENCE_SECONDS)
    assert len(rig.begun) == 1


def test_it_waits_no_longer_when_what_it_would_write_has_waited() -> None:
    rig, member = patient_rig()
    member.old = True
    rig.advance(PATIENCE_SECONDS)
    assert len(rig.begun) == 1


def test_the_next_one_waits_as_long() -> None:
    rig, member = patient_rig()
    member.old = True
    rig.advance(PATIENCE_SECONDS)
    rig.commits.join(member, 1)
    rig.finish()
    assert not rig.begun
    rig.advance(PATIENCE_SECONDS)
    assert len(rig.begun) == 1


def test_a_member_that_hurries_lets_the_commit_begin_even_if_it_had_joined_before() -> None:
    rig, member = patient_rig()
    member.in_a_hurry = True
    rig.commits.join(member, 1)
    rig.turn.finish()
    assert len(rig.begun) == 1


def test_who_waits_lets_it_begin_unless_he_can_wait() -> None:
    rig, _ = patient_rig()
    rig.commits.wait(Told(rig.notes), hurry=False)
    rig.turn.finish()
    assert not rig.begun
    rig.commits.wait(Told(rig.notes))
    rig.turn.finish()
    rig.finish()
    assert rig.notes[-2:] == ["told", "told"]


def test_who_can_wait_is_told_at_last_also_when_there_is_nothing_to_do() -> None:
    rig = Rig()
    rig.commits.patience = PATIENCE_SECONDS
    rig.commits.wait(Told(rig.notes), hurry=False)
    rig.turn.finish()
    for _ in range(LONGEST_WAIT):
        assert rig.notes == []
        rig.advance(PATIENCE_SECONDS)
    assert rig.notes == ["told"]


def test_much_does_not_wait() -> None:
    rig, member = patient_rig()
    rig.commits.join(member, MOST_OCTETS)
    rig.turn.finish()
    assert len(rig.begun) == 1


def test_much_that_has_left_again_does_not_count() -> None:
    rig, member = patient_rig()
    rig.commits.join(member, MOST_OCTETS)
    rig.commits.leave(MOST_OCTETS)
    rig.turn.finish()
    assert not rig.begun
    assert rig.commits.octets == 1


def test_many_do_not_wait() -> None:
    """For all of them are asked in every turn."""
    rig, _ = patient_rig()
    for number in range(MOST_MEMBERS):
        rig.commits.join(Patient(f"{number}", rig.notes), 1)
    rig.turn.finish()
    assert len(rig.begun) == 1


def test_at_the_end_nothing_waits() -> None:
    rig, _ = patient_rig()
    rig.commits.close()
    rig.turn.finish()
    assert len(rig.begun) == 1


def test_a_receipt_is_complete_with_the_last_copy() -> None:
    completed: list[str] = []

    class Kept(Receipt):
        def complete(self) -> None:
            completed.append("complete")

    receipt = Kept()
    receipt.outstanding = 2
    receipt.settled()
    assert completed == []
    receipt.settled()
    assert completed == ["complete"]
