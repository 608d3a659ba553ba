"""A log as its owner sees it: append, read, forget, rewrite; and opened again."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from amqpd.log.files import DiskFiles
from amqpd.log.log import Log
from amqpd.log.record import LARGEST_WEIGHT
from tests.log.builders import FOLDER, all_of, append, commit, fill, offsets, opened, ranges, shut_down
from tests.log.faults import MemoryFiles

SMALL = 400  # segments of ten records of 35 octets


def test_what_was_appended_is_read_with_all_it_has(tmp_path: Path) -> None:
    log = opened(DiskFiles(tmp_path))
    log.append(7, 1234, 99, False, b"head", b"body")
    log.append(8, 0, 0, True, b"", b"")
    log.append(2**40 + 7, 2**40, LARGEST_WEIGHT, True, b"", b"x" * 3000)
    commit(log)
    again = [(r.offset, r.time, r.weight, r.payload) for r in all_of(log)]
    assert again == [(7, 1234, 99, b"headbody"), (8, 0, 0, b""), (2**40 + 7, 2**40, LARGEST_WEIGHT, b"x" * 3000)]
    assert (log.written, log.next_offset, log.gathered) == (2**40 + 7, 2**40 + 8, 0)


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 16 * 1024, 16 * 1024 + 3, 16 * 1024 + 4, 70_000, 600_000])
@pytest.mark.parametrize("segment_size", [1000, 1 << 20])
def test_payloads_of_all_sizes_come_back(size: int, segment_size: int) -> None:
    files = MemoryFiles()
    log = opened(files, segment_size)
    payloads = [bytes([65 + offset]) * size for offset in range(4)]
    for offset, payload in enumerate(payloads):
        append(log, offset, payload)
    commit(log)
    for reader in (log, opened(files, segment_size)):
        for octets in (1, 1_000_000):
            assert [record.payload for record in all_of(reader, octets)] == payloads


def test_a_large_payload_is_not_copied() -> None:
    log = opened(MemoryFiles())
    payload = b"x" * 20_000
    log.append(0, 1, 1, False, b"head", payload)
    write = log.begin()
    assert write is not None
    assert write.stretches[0].pieces[1] is payload


def test_what_is_gathered_cannot_be_read_until_it_is_finished() -> None:
    log = opened(MemoryFiles())
    append(log, 0)
    assert log.gathered == 32 + 28 + 7
    write = log.begin()
    assert write is not None
    append(log, 1)
    write.run()
    assert (log.read(0, 1000), log.written) == ([], -1)
    log.finished(write)
    assert (offsets(log), log.written) == ([0], 0)
    commit(log)
    assert offsets(log, 1) == [1]


def test_reading_goes_on_while_a_job_is_under_way() -> None:
    log = opened(MemoryFiles(), SMALL)
    fill(log, 0, 24)
    commit(log)
    fill(log, 25, 49)
    write = log.begin()
    assert write is not None
    assert [record.offset for record in log.read(0, 35 * 5)] == [0, 1, 2, 3, 4]
    write.run()
    fill(log, 50, 59)
    assert offsets(log, 5) == list(range(5, 25))
    log.finished(write)
    assert offsets(log, 25) == list(range(25, 50))


def test_nothing_gathered_is_no_job() -> None:
    log = opened(MemoryFiles())
    assert (log.begin(), log.checkpoint(), log.begin_late(), log.rewrite(ranges())) == (None, None, None, None)
    assert (log.read(0, 1), log.written, log.next_offset, log.segments()) == ([], -1, 0, [])


@pytest.mark.parametrize(("offset", "weight"), [(4, 0), (5, -1), (5, LARGEST_WEIGHT + 1), (-1, 0)])
def test_what_is_out_of_range_is_refused(offset: int, weight: int) -> None:
    log = opened(MemoryFiles())
    append(log, 4)
    with pytest.raises(ValueError, match="out of range"):
        log.append(offset, 0, weight, False, b"", b"")
    commit(log)
    assert offsets(log) == [4]


def test_a_read_returns_about_what_was_asked_for_and_at_least_one() -> None:
    log = opened(MemoryFiles())
    fill(log, 0, 99, b"x" * 72)
    commit(log)
    assert [len(log.read(0, octets)) for octets in (1, 100, 199, 1000, 9999, 99999)] == [1, 1, 1, 10, 99, 100]


def test_reading_on_takes_one_read_of_the_file() -> None:
    files = CountingFiles()
    log = opened(files)
    fill(log, 0, 999, b"x" * 72)
    commit(log)
    files.reads.clear()
    start = 0
    for _ in range(10):
        start = log.read(start, 10_000)[-1].offset + 1
    assert start == 1000
    assert len(files.reads) == 10
    assert sum(files.reads) < 105_000


class CountingFiles(MemoryFiles):
    """Tells how many octets each read returned."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[int] = []

    def read(self, path: str, position: int, size: int) -> bytes:
        data = super().read(path, position, size)
        self.reads.append(len(data))
        return data


def test_any_offset_is_found_by_the_index_and_not_by_reading_from_the_front() -> None:
    files = CountingFiles()
    log = opened(files)
    fill(log, 0, 9999, b"x" * 972)
    commit(log)
    for start in (0, 9999, 5000, 4999, 5001, 123, 124, 9000):
        files.reads.clear()
        assert [record.offset for record in log.read(start, 2000)] == [start, start + 1][: 10_000 - start]
        assert sum(files.reads) < 100_000


def test_gaps_are_skipped_wherever_reading_begins() -> None:
    log = opened(MemoryFiles(), SMALL)
    there = [offset for offset in range(200) if offset % 7 in (2, 3) or 80 < offset < 90]
    for offset in there:
        append(log, offset)
    commit(log)
    for start in range(201):
        assert offsets(log, start) == [offset for offset in there if offset >= start]
    assert log.present().intervals() == ranges(*[(offset, offset) for offset in there]).intervals()


def test_the_offset_of_a_time_is_the_first_one_not_below_it_though_clocks_go_back() -> None:
    files = MemoryFiles()
    log = opened(files, 3000)
    times = [100 + 7 * offset - (60 if offset % 9 > 5 else 0) for offset in range(100)]
    for offset, time in enumerate(times):
        append(log, offset * 2, b"x" * 100, time=time)
    commit(log)
    for reader in (log, opened(files, 3000)):
        for time in range(800):
            expected = next((offset * 2 for offset, other in enumerate(times) if other >= time), 199)
            assert reader.offset_at(time) == expected


def test_the_offset_of_a_time_that_is_not_written_yet_is_not_below_what_is() -> None:
    log = opened(MemoryFiles())
    append(log, 0, time=10)
    commit(log)
    append(log, 5, time=20)
    assert [log.offset_at(time) for time in (10, 11, 20, 21)] == [0, 1, 1, 6]


def test_a_segment_is_sealed_when_the_next_record_would_make_it_too_large() -> None:
    log = opened(MemoryFiles(), SMALL)
    fill(log, 5, 29)
    append(log, 30, b"x" * 1000)
    append(log, 31)
    commit(log)
    known = [(s.base, s.last, s.size, s.records, s.weight, s.sealed) for s in log.segments()]
    assert known == [
        (5, 14, 382, 10, 70, True),
        (15, 24, 382, 10, 70, True),
        (25, 29, 207, 5, 35, True),
        (30, 30, 1060, 1, 1000, True),
        (31, 31, 67, 1, 7, False),
    ]


def test_a_job_that_failed_is_run_again() -> None:
    """At every write and sync in turn; also when it fails twice, and a part was written."""
    for n in range(1, 20):
        files = MemoryFiles()
        log = opened(files, SMALL)
        fill(log, 0, 3)
        commit(log)
        fill(log, 4, 25)
        write = log.begin()
        assert write is not None
        files.fail_at(n, errno.ENOSPC, times=2, written=5)
        for _ in range(3):
            try:
                write.run()
                write.sync()
                break
            except OSError:
                pass
        assert write.synced
        log.finished(write)
        assert offsets(log) == list(range(26))
        assert offsets(opened(files, SMALL)) == list(range(26))


def test_the_first_job_makes_and_syncs_folders_and_files_and_a_later_one_only_the_file() -> None:
    files = MemoryFiles()
    log = opened(files)
    append(log, 0)
    commit(log)
    path = log.segments()[0].path
    written = [("make_folder", FOLDER), ("write", path)]
    assert files.log[:2] == written
    assert files.log[2:] == [("sync", path), ("sync_folder", FOLDER), ("sync_folder", "queues"), ("sync_folder", "")]
    append(log, 1)
    commit(log)
    assert files.log[6:] == [("write", path), ("sync", path)]


def test_a_checkpoint_is_written_once_its_segment_is_synced_and_not_before() -> None:
    files = MemoryFiles()
    log = opened(files, SMALL)
    fill(log, 0, 15)
    commit(log, syncs=False)
    first, second = log.segments()
    assert ("write", first.index_path) not in files.log
    append(log, 16)
    commit(log)
    assert files.log.index(("sync", first.path)) < files.log.index(("write", first.index_path))
    assert ("sync", second.path) in files.log
    assert ("write", second.index_path) not in files.log


def test_a_checkpoint_that_cannot_be_written_costs_nothing_but_time() -> None:
    files = MemoryFiles()
    log = opened(files, SMALL)
    fill(log, 0, 15)
    write = log.begin()
    assert write is not None
    write.run()
    files.fail_at(6, errno.ENOSPC, times=9)
    write.sync()
    assert files.log[-1] == ("write", log.segments()[0].index_path)
    log.finished(write)
    assert write.synced
    assert offsets(opened(files, SMALL)) == list(range(16))


@pytest.mark.parametrize("clean", [False, True])
def test_a_log_opened_again_goes_on_where_it_was(clean: bool) -> None:
    files = MemoryFiles()
    last = 0
    for _ in range(5):
        log = opened(files, SMALL)
        assert log.next_offset == last
        assert log.written == last - 1
        fill(log, last, last + 6)
        last += 7
        commit(log)
        if clean:
            shut_down(log)
    assert offsets(opened(files, SMALL)) == list(range(last))
    assert [segment.records for segment in opened(files, SMALL).segments()] == [10, 10, 10, 5]


def test_after_a_clean_end_opening_reads_no_records() -> None:
    """Three reads a segment (header, checkpoint, its last record), however many records it has."""
    files = CountingFiles()
    log = opened(files, 1 << 20)
    for first in range(0, 1_000_000, 100_000):
        for offset in range(first, first + 100_000):
            log.append(offset, 1, 100, False, b"", b"")
        commit(log)
    shut_down(log)
    files.reads.clear()
    again = opened(files, 1 << 20)
    count = len(again.segments())
    assert (count, again.next_offset) == (27, 1_000_000)
    assert len(files.reads) == 3 * count
    assert max(files.reads) < 1000
    assert again.live(ranges()) == (1_000_000, 100_000_000)
    assert again.live(ranges((0, 599_999))) == (400_000, 40_000_000)
    assert sum(files.reads) < 1_300_000  # the one segment of which a part is gone


def test_passing_records_can_be_read_until_the_log_is_opened_again() -> None:
    files = MemoryFiles()
    log = opened(files, SMALL)
    for offset in range(30):
        append(log, offset, passing=offset % 3 == 0)
    commit(log)
    kept = [offset for offset in range(30) if offset % 3]
    assert offsets(log) == list(range(30))
    assert log.present() == ranges(*[(offset, offset) for offset in kept])
    shut_down(log)
    again = opened(files, SMALL)
    append(again, 30, passing=True)
    commit(again)
    assert offsets(again) == [*kept, 30]
    assert again.offset_at(0) == 1
    assert again.present() == ranges(*[(offset, offset) for offset in kept])
    assert again.live(ranges((0, 3))) == (18, 18 * 7)


def test_live_is_exact_whatever_is_gone() -> None:
    files = MemoryFiles()
    log = opened(files, SMALL)
    weights = {offset: offset for offset in range(60) if offset % 5}
    for offset, weight in weights.items():
        log.append(offset, 0, weight, False, b"", b"x" * (offset % 3))
    commit(log)
    for gone in (ranges(), ranges((0, 99)), ranges((0, 30)), ranges((7, 7), (20, 29), (33, 41), (59, 59))):
        left = [weight for offset, weight in weights.items() if not gone.covers(offset)]
        assert log.live(gone) == opened(files, SMALL).live(gone) == (len(left), sum(left))


def test_segments_in_which_nothing_lives_are_forgotten_and_their_files_removed_later() -> None:
    files = MemoryFiles()
    log = opened(files, SMALL)
    fill(log, 0, 34)
    commit(log)
    gone = ranges((0, 8), (10, 19), (25, 34))
    log.forget(gone)
    assert [segment.base for segment in log.segments()] == [0, 20, 30]
    assert len(files.names(FOLDER)) == 7  # four segments, three of them with a checkpoint
    assert offsets(log, 5) == [*range(5, 10), *range(20, 35)]
    commit(log)
    assert [name for name in files.names(FOLDER) if "10." in name] == []
    gone.add(0, 34)
    log.forget(gone)
    assert [segment.base for segment in log.segments()] == [30]
    log.seal()
    log.forget(gone)
    commit(log)
    assert (files.names(FOLDER), log.segments(), log.read(0, 100)) == ([], [], [])
    append(log, 35)
    commit(log)
    assert offsets(log) == [35]


def test_a_segment_forgotten_during_a_job_that_was_not_synced_is_not_synced_later() -> None:
    """Its file is gone by then."""
    files = MemoryFiles()
    log = opened(files, SMALL)
    fill(log, 0, 14)
    commit(log, syncs=False)
    fill(log, 15, 17)
    write = log.begin()
    assert write is not None
    write.run()
    log.forget(ranges((0, 9)))
    log.finished(write)
    commit(log)
    assert files.names(FOLDER) == ["00000000000000000010.0.log"]
    append(log, 18)
    commit(log)
    assert offsets(opened(files, SMALL)) == list(range(10, 19))


def test_a_sealed_segment_is_not_appended_to() -> None:
    log = opened(MemoryFiles())
    append(log, 0)
    log.seal()
    log.seal()
    append(log, 1)
    commit(log)
    assert [(segment.base, segment.sealed) for segment in log.segments()] == [(0, True), (1, False)]
    assert offsets(log) == [0, 1]


def test_a_log_on_the_disk_survives_being_closed(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    log = opened(files, 10_000)
    fill(log, 0, 999, b"x" * 100)
    commit(log)
    shut_down(log)
    files.close()
    again = opened(DiskFiles(tmp_path), 10_000)
    assert offsets(again) == list(range(1000))
    assert len(again.segments()) == 13
    again.close()
    assert (again.segments(), Log(DiskFiles(tmp_path), "queues/none").open()) == ([], [])


def test_relief_takes_dead_segments_and_the_one_that_is_appended_to_if_all_of_it_is_written() -> None:
    files = MemoryFiles()
    log = opened(files, SMALL)
    fill(log, 0, 24)
    commit(log)
    log.relieve(ranges((0, 23)))
    commit(log)
    assert [segment.base for segment in log.segments()] == [20]
    append(log, 25)
    log.relieve(ranges((0, 25)))
    assert [segment.base for segment in log.segments()] == [20], "a record of it is not written yet"
    commit(log)
    log.relieve(ranges((0, 25)))
    commit(log)
    assert files.names(FOLDER) == []
    fill(log, 26, 30)
    commit(log)
    assert offsets(opened(files, SMALL)) == [26, 27, 28, 29, 30]


def test_a_write_that_waits_for_room_does_without_what_relief_has_taken() -> None:
    """After a start it was to sync what the process before had left."""
    files = MemoryFiles()
    before = opened(files, SMALL)
    fill(before, 0, 15)
    write = before.begin()
    assert write is not None
    write.run()  # and is killed
    log = opened(files.killed(), SMALL)
    append(log, 16)
    waiting = log.begin()
    assert waiting is not None
    log.relieve(ranges((0, 9)))
    removal = log.begin_late()
    assert removal is not None
    removal.run()
    waiting.run()
    waiting.sync()
    log.finished(waiting)
    assert offsets(log) == list(range(10, 17))


def test_a_rewrite_whose_segment_was_forgotten_is_given_up_with_its_file() -> None:
    files = MemoryFiles()
    log = opened(files, SMALL)
    fill(log, 0, 14)
    commit(log)
    rewrite = log.rewrite(ranges((0, 8)))
    assert rewrite is not None
    assert not log.give_up_rewrite(rewrite)
    rewrite.run()
    log.relieve(ranges((0, 9)))
    assert log.give_up_rewrite(rewrite)
    commit(log)
    assert offsets(opened(files, SMALL)) == [10, 11, 12, 13, 14]


def test_a_checkpoint_of_next_to_nothing_is_spared() -> None:
    """A stop of thousands of small logs would sync each of them."""
    files = MemoryFiles()
    log = opened(files)
    fill(log, 0, 9)
    commit(log)
    again = opened(files)  # as after a kill: nothing vouches for what is there
    assert again.checkpoint(1_000_000) is None
    job = again.checkpoint(100)
    assert job is not None
    job.run()
    job.sync()
    again.finished(job)
    assert again.checkpoint() is None
