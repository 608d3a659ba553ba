"""Power loss at any moment leaves a broker with everything it confirmed: topology, messages, their places and order."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path

import pytest

from tests.faults.worlds import CrashStore, Known, Life, PowerLost, Watch

RUNS = int(os.environ.get("AMQPD_CRASH_RUNS", "8"))
LIVES = 4  # of each run: it goes on with what was left
STEPS = 60
STATES = 10_000


def run(folder: Path, seed: int) -> Watch:
    """A few lives of random work."""
    watch = Watch(random.Random(seed))
    life = Life(CrashStore(folder, watch), Known())
    life.set_up()
    for number in range(LIVES):
        live(life)
        life = life.end(folder / f"life-{number}")
    life.close()
    return watch


def live(life: Life) -> None:
    """Random work, the last of which may be a commit that power loss cuts short."""
    for _ in range(STEPS):
        life.step()
    life.watch.lose_in = life.watch.rng.randrange(40)
    with contextlib.suppress(PowerLost):
        life.commit()
    life.watch.lose_in = 0


def test_power_loss_at_any_moment_keeps_what_was_confirmed(tmp_path_factory: pytest.TempPathFactory) -> None:
    watches = [run(tmp_path_factory.mktemp(f"run-{seed}"), seed) for seed in range(RUNS)]
    assert sum(watch.states for watch in watches) >= STATES
    assert sum(watch.torn for watch in watches) >= STATES // 100, "commits of the catalog are cut as well"
