"""A full disk holds the commits of streams up until there is room; a broken one costs the stream that met it."""

from __future__ import annotations

import errno
import random

import pytest

from amqpd.log.commit import RETRY_SECONDS
from tests.faults.stream_rig import STREAMS, StreamRig, play
from tests.log.faults import MemoryFiles

STEPS = 100
SEED = 5  # with which segments are removed, and files of cursors replaced
MOST_COMMITS = 20


def worked(files: MemoryFiles) -> StreamRig:
    """The same random work every time."""
    rig = StreamRig(files)
    rng = random.Random(SEED)
    for step in range(STEPS):
        play(rig, rng, step * 10)
    return rig


def finish(rig: StreamRig) -> None:
    """Commit until nothing is left to do, waiting where the disk is full."""
    for _ in range(MOST_COMMITS):
        if rig.idle and rig.turn.idle:
            return
        rig.commit()
        rig.clock.advance(RETRY_SECONDS)
        rig.timers.run_due()
    raise AssertionError("there is no end")


def calls() -> list[tuple[str, str]]:
    """What the work calls the disk for."""
    files = MemoryFiles()
    finish(worked(files))
    return files.log


CALLS = calls()


def is_hint(call: str, path: str) -> bool:
    """A checkpoint: the next start does without."""
    return call == "write" and path.endswith(".idx")


def test_the_work_calls_the_disk_for_everything() -> None:
    kinds = {(call, "cursors" if "cursors" in path else path[-4:]) for call, path in CALLS}
    assert kinds >= {
        ("write", ".log"), ("write", ".idx"), ("write", "cursors"), ("sync", ".log"), ("sync", "cursors"),
        ("remove", ".log"), ("remove", ".idx"), ("remove", "cursors"), ("make_folder", "es/0"), ("sync_folder", "es/0"),
    }  # fmt: skip


@pytest.mark.parametrize("n", range(1, len(CALLS) + 1))
def test_a_full_disk_confirms_nothing_until_there_is_room_and_then_loses_nothing(n: int) -> None:
    files = MemoryFiles()
    stalls: list[bool] = []
    files.fail_at(n, errno.ENOSPC, times=2, written=3)
    rig = StreamRig(files)
    rig.commits.on_stall = lambda error: stalls.append(error is not None)
    rng = random.Random(SEED)
    for step in range(STEPS):
        play(rig, rng, step * 10)
    rig.check(files.crashes(rng))
    finish(rig)
    assert rig.failures == {}
    assert stalls == [True, False] or (stalls == [] and is_hint(*CALLS[n - 1]))
    for number, store in enumerate(rig.streams):
        assert store.end == store.next_offset
        assert [offset for offset, _ in rig.content(number)] == list(range(int(store.first), int(store.end)))
    for _ in range(3):
        rig.check(files.crashes(rng))


@pytest.mark.parametrize("n", range(1, len(CALLS) + 1))
def test_a_broken_disk_costs_the_stream_that_met_it_and_no_other(n: int) -> None:
    """And nothing of it that was confirmed, nor an offset that was given."""
    files = MemoryFiles()
    files.fail_at(n, errno.EIO)
    rig = worked(files)
    call, path = CALLS[n - 1]
    finish(rig)
    if is_hint(call, path):
        assert rig.failures == {}
    else:
        (failed,) = rig.failures
        assert path in ("", "queues") or path.startswith(f"queues/{failed}")
    assert len(rig.failures) < STREAMS
    rng = random.Random(n)
    for _ in range(5):
        rig.check(files.crashes(rng))
