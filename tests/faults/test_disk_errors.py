"""A full disk holds commits up until there is room; a broken one costs one lane, whichever call it fails in."""

from __future__ import annotations

import errno
import random

import pytest

from amqpd.log.commit import RETRY_SECONDS
from tests.faults.rig import LANES, Rig, play
from tests.log.faults import MemoryFiles

STEPS = 60
MOST_COMMITS = 20


def worked(files: MemoryFiles) -> Rig:
    """The same random work every time."""
    rig = Rig(files)
    rng = random.Random(7)
    for step in range(STEPS):
        play(rig, rng, step * 10)
    return rig


def finish(rig: Rig) -> None:
    """Commit until nothing is left to do, waiting where the disk is full."""
    for _ in range(MOST_COMMITS):
        if rig.idle and rig.turn.idle:
            return
        rig.commit()
        rig.clock.advance(RETRY_SECONDS)
        rig.timers.run_due()
    raise AssertionError("there is no end")


def calls() -> int:
    """How often the work calls the disk."""
    files = MemoryFiles()
    finish(worked(files))
    return files.calls


CALLS = calls()


@pytest.mark.parametrize("n", range(1, CALLS + 1))
def test_a_full_disk_confirms_nothing_until_there_is_room_and_then_loses_nothing(n: int) -> None:
    files = MemoryFiles()
    stalls: list[tuple[bool, int]] = []  # whether it is full, and the last commit that was done by then
    files.fail_at(n, errno.ENOSPC, times=2, written=3)
    rig = Rig(files)
    rig.commits.on_stall = lambda error: stalls.append((error is not None, int(rig.commits.done)))
    rng = random.Random(7)
    for step in range(STEPS):
        play(rig, rng, step * 10)
        rig.check(files.crashes(rng))
    finish(rig)
    assert rig.failures == []
    assert [full for full, _ in stalls] == [True, False]
    assert stalls[1][1] == stalls[0][1] + 1  # the commit that met it was done when there was room again, not before
    assert rig.safe() == set(rig.tickets) - rig.settled
    for _ in range(3):
        rig.check(files.crashes(rng))


@pytest.mark.parametrize("n", range(1, CALLS + 1))
def test_a_broken_disk_costs_the_lane_that_met_it_and_no_other(n: int) -> None:
    files = MemoryFiles()
    files.fail_at(n, errno.EIO)
    rig = worked(files)
    finish(rig)
    path = files.log[n - 1][1]
    assert len(rig.failures) == 1
    assert path in ("", "queues") or path.startswith(f"queues/{rig.failures[0]}")
    rng = random.Random(n)
    for _ in range(3):
        rig.check(files.crashes(rng), frozenset(rig.failures))


def test_a_lane_whose_write_fails_is_told() -> None:
    files = MemoryFiles()
    rig = Rig(files)
    for number in range(LANES):
        rig.append(number, number)
    rig.turn.finish()
    files.fail_at(2, errno.EIO)  # the first lane's folder is made, its write fails
    finish(rig)
    assert rig.failures == [0]
    rig.check(files.crashes(random.Random(1)), frozenset({0}))
