"""Power loss at any moment keeps what was confirmed: states of the disk by the thousand."""

from __future__ import annotations

import random

import pytest

from amqpd.log.commit import PATIENCE_SECONDS
from tests.faults.rig import Rig, play
from tests.log.faults import MemoryFiles, MemoryFolder

RUNS = 60
STATES = 10_000
LIVES = 3  # of each run: it goes on with a state that a power loss left
STEPS = 40
EVERY_MOMENT = 2  # states of each moment, which is between any two calls to the disk


class WatchedFiles(MemoryFiles):
    """Files that lose power, in another world, before each change and sync."""

    def __init__(self, rng: random.Random, root: MemoryFolder | None = None) -> None:
        super().__init__(root)
        self.rig: Rig | None = None
        self.rng = rng
        self.states = 0

    def _count(self, call: str, path: str) -> bool:
        self.look()
        return super()._count(call, path)

    def look(self) -> None:
        if self.rig is not None:
            for _ in range(EVERY_MOMENT):
                self.states += 1
                self.rig.check(self.crashes(self.rng))


class ForgetfulFiles(WatchedFiles):
    """Files that are never synced."""

    def sync(self, path: str) -> None:
        self.look()


def run(files: WatchedFiles, patience: float = 0.0) -> tuple[int, int]:
    """Random work, with a look at every moment; returns the number of states, and of messages that needed no disk."""
    states = spared = 0
    rng = files.rng
    for life in range(LIVES):
        rig = Rig(files, patience)
        rig.know_what_is_there()
        files.rig = rig
        for step in range(STEPS):
            play(rig, rng, (life * STEPS + step) * 10)
        files.look()
        states += files.states
        spared += len(rig.spared)
        files = WatchedFiles(rng, files.crashes(rng).root)
    return states, spared


def test_power_loss_at_any_moment_keeps_what_was_confirmed() -> None:
    results = [run(WatchedFiles(random.Random(seed)), PATIENCE_SECONDS * (seed % 2)) for seed in range(RUNS)]
    assert sum(states for states, _ in results) >= STATES
    assert sum(spared for _, spared in results) > RUNS // 10, "some are confirmed without having been written"


def test_the_test_notices_a_disk_that_does_not_sync() -> None:
    with pytest.raises(AssertionError, match="lost"):
        run(ForgetfulFiles(random.Random(1)))
