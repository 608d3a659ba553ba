"""Segments in which little lives are rewritten."""

from __future__ import annotations

import errno
import random

import pytest

from amqpd.log.log import Log
from amqpd.log.ranges import Ranges
from tests.log.builders import FOLDER, append, commit, fill, offsets, opened, ranges, shut_down
from tests.log.faults import MemoryFiles

SMALL = 400  # segments of ten records of 35 octets
DEAD = ranges((0, 3), (5, 8))
NEW = "00000000000000000000.1.log"


def two_segments(passing: bool = False) -> tuple[MemoryFiles, Log]:
    files = MemoryFiles()
    log = opened(files, SMALL)
    for offset in range(15):
        append(log, offset, passing=passing and offset == 4)
    commit(log)
    return files, log


def test_survivors_move_to_the_next_generation_and_the_old_file_goes_with_a_later_job() -> None:
    files, log = two_segments()
    rewrite = log.rewrite(DEAD)
    assert rewrite is not None
    rewrite.run()
    assert offsets(log) == list(range(15))
    log.finished_rewrite(rewrite)
    assert offsets(log) == [4, *range(9, 15)]
    assert rewrite.octets == log.segments()[0].size == 32 + 70
    assert log.live(DEAD) == (7, 49)
    assert log.rewrite(DEAD) is None
    commit(log)
    assert [name for name in files.names(FOLDER) if name.startswith("00000000000000000000.")] == [
        "00000000000000000000.1.idx",
        NEW,
    ]
    assert offsets(opened(files, SMALL)) == [4, *range(9, 15)]


@pytest.mark.parametrize(
    "gone", [ranges(), ranges((0, 6)), ranges((0, 9)), ranges((0, 14)), ranges((20, 900))], ids=repr
)
def test_segments_that_live_or_are_dead_altogether_are_not_rewritten(gone: Ranges) -> None:
    _, log = two_segments()
    assert log.rewrite(gone) is None


def test_segments_that_are_small_or_not_sealed_or_not_written_are_not_rewritten() -> None:
    log = opened(MemoryFiles(), SMALL)
    fill(log, 0, 14)
    assert log.rewrite(DEAD) is None
    commit(log)
    assert log.rewrite(ranges((10, 13))) is None
    large = opened(MemoryFiles(), 16 * 400)
    fill(large, 0, 9)
    large.seal()
    commit(large)
    assert large.rewrite(DEAD) is None


def test_a_passing_record_moves_too_and_is_still_passing() -> None:
    files, log = two_segments(passing=True)
    rewrite = log.rewrite(DEAD)
    assert rewrite is not None
    rewrite.run()
    log.finished_rewrite(rewrite)
    assert offsets(log) == [4, *range(9, 15)]
    commit(log)
    assert offsets(opened(files, SMALL)) == list(range(9, 15))


def test_a_rewrite_that_is_given_up_changes_nothing() -> None:
    for n in range(1, 6):
        files, log = two_segments()
        rewrite = log.rewrite(DEAD)
        assert rewrite is not None
        files.fail_at(n, errno.ENOSPC)
        with pytest.raises(OSError, match="No space"):
            rewrite.run()
        assert offsets(log) == list(range(15))
        after = opened(files.killed(), SMALL)
        assert set(range(15)) >= set(offsets(after)) >= {4, *range(9, 15)}


def test_a_rewrite_that_failed_is_run_again() -> None:
    for n in range(1, 6):
        files, log = two_segments()
        rewrite = log.rewrite(DEAD)
        assert rewrite is not None
        files.fail_at(n, errno.ENOSPC, written=40)
        with pytest.raises(OSError, match="No space"):
            rewrite.run()
        rewrite.run()
        log.finished_rewrite(rewrite)
        assert offsets(log) == offsets(opened(files, SMALL)) == [4, *range(9, 15)]


def test_power_loss_at_any_step_leaves_the_survivors() -> None:
    for n in range(1, 10):
        for seed in range(20):
            files, log = two_segments()
            rewrite = log.rewrite(DEAD)
            assert rewrite is not None
            files.fail_at(n, errno.EIO)
            try:
                rewrite.run()
                log.finished_rewrite(rewrite)
                commit(log)
            except OSError:
                pass
            after = Log(files.crashes(random.Random(seed)), FOLDER, SMALL)
            assert after.open() == []
            assert {4, *range(9, 15)} <= set(offsets(after)) <= set(range(15))


def test_a_segment_forgotten_while_it_is_rewritten_leaves_no_file() -> None:
    files, log = two_segments()
    rewrite = log.rewrite(DEAD)
    assert rewrite is not None
    rewrite.run()
    log.forget(ranges((0, 9)))
    log.finished_rewrite(rewrite)
    commit(log)
    assert files.names(FOLDER) == ["00000000000000000010.0.log"]
    assert offsets(log) == list(range(10, 15))


def test_what_is_broken_is_reported_and_left_behind() -> None:
    files, log = two_segments()
    first = log.segments()[0]
    files.corrupt(first.path, 32 + 35 * 4 + 30, b"?")
    rewrite = log.rewrite(DEAD)
    assert rewrite is not None
    rewrite.run()
    log.finished_rewrite(rewrite)
    assert [(damage.path, damage.position, damage.length) for damage in log.damages] == [(first.path, 32 + 140, 35)]
    assert offsets(log) == list(range(9, 15))


def test_what_a_crash_left_over_is_removed_when_the_log_is_opened() -> None:
    files, log = two_segments()
    old = files.contents()
    rewrite = log.rewrite(DEAD)
    assert rewrite is not None
    rewrite.run()
    log.finished_rewrite(rewrite)
    shut_down(log)
    kept = "acks.1", "notes.txt", "12.0.log"
    for name in (*kept, "00000000000000000000.2.new", "00000000000000000099.0.idx", "00000000000000000010.1.idx"):
        files.write(f"{FOLDER}/{name}", 0, b"something")
    assert f"{FOLDER}/{NEW}" not in old
    assert offsets(opened(files, SMALL)) == [4, *range(9, 15)]
    assert files.names(FOLDER) == [
        "00000000000000000000.1.idx",
        NEW,
        "00000000000000000010.0.idx",
        "00000000000000000010.0.log",
        "12.0.log",
        "acks.1",
        "notes.txt",
    ]
