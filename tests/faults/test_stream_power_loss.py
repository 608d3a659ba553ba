"""Power loss at any moment keeps what a stream has confirmed, and its cursors where they have been."""

from __future__ import annotations

import contextlib
import random

import pytest

from tests.faults.stream_rig import StreamRig, play
from tests.log.faults import MemoryFiles, MemoryFolder

RUNS = 9
STATES = 4_000
LIVES = 3  # of each run: it goes on with a state that a power loss left
STEPS = 50
EVERY_MOMENT = 2  # states of each moment, which is between any two calls to the disk


class PowerLost(Exception):
    """Raised in the middle of a commit."""


class WatchedFiles(MemoryFiles):
    """Files that lose power, in another world, before each change and sync; and at last in this one."""

    def __init__(self, rng: random.Random, root: MemoryFolder | None = None) -> None:
        super().__init__(root)
        self.rig: StreamRig | None = None
        self.rng = rng
        self.states = 0
        self.lost = False  # one of the next looks is the last

    def _count(self, call: str, path: str) -> bool:
        self.look()
        return super()._count(call, path)

    def look(self) -> None:
        if self.rig is not None:
            for _ in range(EVERY_MOMENT):
                self.states += 1
                self.rig.check(self.crashes(self.rng))
            if self.lost and self.rng.random() < 0.2:
                raise PowerLost


class ForgetfulFiles(WatchedFiles):
    """Files that are never synced."""

    def sync(self, path: str) -> None:
        self.look()


class ForgetfulCursors(WatchedFiles):
    """Files of cursors are never synced."""

    def sync(self, path: str) -> None:
        if "cursors" in path:
            self.look()
        else:
            super().sync(path)


def run(files: WatchedFiles) -> int:
    """Random work, with a look at every moment; returns the number of states."""
    states = 0
    rng = files.rng
    for life in range(LIVES):
        rig = StreamRig(files)
        rig.know_what_is_there()
        files.rig = rig
        for step in range(STEPS):
            play(rig, rng, (life * STEPS + step) * 10)
        files.lost = True
        with contextlib.suppress(PowerLost):
            rig.commit()
        files.lost = False
        files.look()
        states += files.states
        files = WatchedFiles(rng, files.crashes(rng).root)
    return states


def test_power_loss_at_any_moment_keeps_what_was_confirmed() -> None:
    states = sum(run(WatchedFiles(random.Random(seed))) for seed in range(RUNS))
    assert states >= STATES


def test_the_test_notices_a_disk_that_does_not_sync() -> None:
    with pytest.raises(AssertionError, match="lost from"):
        run(ForgetfulFiles(random.Random(1)))


def test_the_test_notices_cursors_that_are_not_synced() -> None:
    with pytest.raises(AssertionError, match="is at"):
        run(ForgetfulCursors(random.Random(1)))
