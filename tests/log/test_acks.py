"""The acknowledgement journal: what it keeps, through restarts, power loss, failing disks and broken files."""

from __future__ import annotations

import errno
import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amqpd.log.acks import LONG_RUN, Acks
from amqpd.log.damage import Damage, NewerFormat
from amqpd.log.journal_write import JournalWrite
from amqpd.log.ranges import Ranges
from tests.log.faults import MemoryFiles

FOLDER = "queues/one"
POSITIONS = st.integers(0, 60)


def opened(files: MemoryFiles, small: int = 64 * 1024) -> Acks:
    """A journal that had nothing to complain of."""
    acks = Acks(files, FOLDER, small)
    assert acks.open() == []
    return acks


def commit(acks: Acks) -> JournalWrite:
    write = acks.begin()
    assert write is not None
    write.run()
    write.sync()
    acks.finished(write)
    return write


def settle(acks: Acks, *positions: int) -> None:
    for position in positions:
        acks.settle(position)


def journal(files: MemoryFiles) -> dict[str, bytes]:
    return {path.removeprefix(f"{FOLDER}/"): data for path, data in files.contents().items()}


def three_entries() -> tuple[MemoryFiles, list[int]]:
    """A journal of {0}, {2} and {4} as three entries, and where each of them ends."""
    files, ends = MemoryFiles(), list[int]()
    acks = opened(files)
    for position in (0, 2, 4):
        settle(acks, position)
        commit(acks)
        ends.append(files.size(f"{FOLDER}/acks.0"))
    return files, ends


def members(found: Ranges) -> set[int]:
    return {position for first, last in found.intervals() for position in range(first, last + 1)}


# What is kept.


def test_what_was_settled_is_gone_after_a_restart() -> None:
    files = MemoryFiles()
    acks = opened(files)
    settle(acks, 5, 3, 4, 9)
    acks.handed_out(12)
    commit(acks)
    again = opened(files)
    assert again.gone.intervals() == [(3, 5), (9, 9)]
    assert again.delivered == 12
    assert again.next_position == 12
    assert again.begin() is None, "nothing is new"


def test_entries_add_up() -> None:
    files, _ = three_entries()
    assert members(opened(files).gone) == {0, 2, 4}


def test_gone_is_up_to_date_after_gathering() -> None:
    acks = opened(MemoryFiles())
    settle(acks, 1)
    assert not acks.gone.covers(1)
    acks.gather()
    assert acks.gone.covers(1)


@given(st.lists(st.tuples(POSITIONS, st.integers(1, 12), st.booleans()), max_size=20))
def test_gone_is_what_was_settled_in_runs_of_whatever_length_and_order(runs: list[tuple[int, int, bool]]) -> None:
    acks, settled = opened(MemoryFiles()), set[int]()
    for first, length, gathered in runs:
        for position in range(first, first + length):
            acks.settle(position)
            settled.add(position)
        if gathered:
            acks.gather()
    acks.gather()
    assert {place for first, last in acks.gone.intervals() for place in range(first, last + 1)} == settled
    assert acks.gone.count == len(settled)


def test_what_is_known_of_a_long_run_is_forgotten_with_it() -> None:
    acks = opened(MemoryFiles())
    for position in range(40):
        acks.returned(position, 2)
        acks.mark(position, 1)
    for position in range(3, 3 + 2 * LONG_RUN):
        acks.settle(position)
    acks.gather()
    left = {0, 1, 2, *range(3 + 2 * LONG_RUN, 40)}
    assert set(acks.counts) == left == set(acks.marks)


def test_ranges_are_gone_as_one() -> None:
    files = MemoryFiles()
    acks = opened(files)
    acks.settle_through(10)
    acks.settle_range(20, 29)
    acks.settle_range(30, 29)
    assert acks.gone.intervals() == [(0, 10), (20, 29)], "without gathering"
    commit(acks)
    assert opened(files).gone == acks.gone


def test_delivered_never_falls() -> None:
    acks = opened(MemoryFiles())
    acks.handed_out(7)
    acks.handed_out(3)
    assert acks.delivered == 7


def test_what_is_new_may_be_delivered_alone() -> None:
    files = MemoryFiles()
    acks = opened(files)
    acks.handed_out(1)
    commit(acks)
    assert opened(files).delivered == 1
    assert acks.begin() is None


def test_counts_are_kept_until_their_position_is_gone() -> None:
    files = MemoryFiles()
    acks = opened(files)
    for position in range(6):
        acks.returned(position, position + 2)
    commit(acks)
    acks.settle_through(1)
    settle(acks, 3)
    acks.returned(5, 9)
    commit(acks)
    assert acks.counts == {2: 4, 4: 6, 5: 9}
    assert acks.begin() is None
    assert opened(files).counts == acks.counts


def test_marks_are_kept_until_their_position_is_gone() -> None:
    files = MemoryFiles()
    acks = opened(files)
    for position in range(6):
        acks.mark(position, position + 250)
    commit(acks)
    acks.settle_through(1)
    settle(acks, 3)
    commit(acks)
    assert acks.marks == opened(files).marks == {2: 252, 4: 254, 5: 255}
    acks.mark(9, 1)
    settle(acks, 9)
    commit(acks)
    assert acks.next_position == 10
    assert opened(files).marks == {2: 252, 4: 254, 5: 255}


def test_a_new_message_gets_a_position_that_nothing_was_said_about() -> None:
    acks = opened(MemoryFiles())
    assert acks.next_position == 0
    acks.settle_through(3)
    assert acks.next_position == 4
    acks.handed_out(6)
    assert acks.next_position == 6
    acks.returned(8, 1)
    assert acks.next_position == 9
    acks.mark(9, 0)
    assert acks.next_position == 10


def test_what_happens_while_a_job_is_under_way_is_in_the_next_one() -> None:
    files = MemoryFiles()
    acks = opened(files)
    settle(acks, 1)
    write = acks.begin()
    assert write is not None
    settle(acks, 2)
    write.run()
    acks.finished(write)
    assert members(opened(files).gone) == {1}
    commit(acks)
    assert members(opened(files).gone) == {1, 2}


def test_nothing_is_written_before_there_is_something_to_say() -> None:
    files = MemoryFiles()
    assert opened(files).begin() is None
    assert files.calls == 0


# Files that replace one another.


def test_a_journal_whose_snapshot_is_large_is_left_alone() -> None:
    """Else a queue with many gaps would be written anew with every commit."""
    files = MemoryFiles()
    acks = opened(files, small=10)
    settle(acks, *range(0, 1000, 2))
    commit(acks)
    for position in range(1, 21, 2):
        settle(acks, position)
        commit(acks)
    assert list(journal(files)) == ["acks.0"]


def test_a_leftover_file_is_removed_with_the_next_job() -> None:
    files, _ = three_entries()
    files.write(f"{FOLDER}/acks.1", 0, b"torn")
    acks = opened(files)
    assert members(acks.gone) == {0, 2, 4}
    commit(acks)
    assert list(journal(files)) == ["acks.2"]
    assert members(opened(files).gone) == {0, 2, 4}


def test_a_replaced_file_that_is_back_changes_nothing_and_is_removed_with_the_next_job() -> None:
    files = MemoryFiles()
    acks = opened(files, small=200)
    acks.returned(7, 1)
    commit(acks)
    old = files.read(f"{FOLDER}/acks.0", 0, 1000)
    acks.returned(7, 2)
    while "acks.1" not in journal(files):
        settle(acks, 2 * acks.next_position)
        commit(acks)
    files.write(f"{FOLDER}/acks.0", 0, old)
    again = opened(files)
    assert again.gone == acks.gone
    assert again.counts == {7: 2}
    commit(again)
    assert list(journal(files)) == ["acks.2"]


def test_first_files_that_were_never_whole_are_no_damage() -> None:
    """Power was lost in the first write, and again in the one that was to replace it."""
    files = MemoryFiles()
    files.make_folder(FOLDER)
    files.write(f"{FOLDER}/acks.0", 0, b"amqpd")
    files.write(f"{FOLDER}/acks.1", 0, b"")
    acks = opened(files)
    commit(acks)
    assert list(journal(files)) == ["acks.2"]


def test_other_files_of_the_folder_are_left_alone() -> None:
    files, _ = three_entries()
    for name in ("acks.", "acks.01", "acks.x", "acks.1.new", "00000000000000000000.0.log"):
        files.write(f"{FOLDER}/{name}", 0, b"something")
    acks = opened(files)
    settle(acks, 1)
    commit(acks)
    assert len(journal(files)) == 6


# Syncs.


# Broken files.


def test_wherever_the_tail_is_torn_the_entries_before_it_are_used() -> None:
    files, ends = three_entries()
    whole = files.read(f"{FOLDER}/acks.0", 0, 10_000)
    for size in range(len(whole)):
        torn = MemoryFiles()
        torn.make_folder(FOLDER)
        torn.write(f"{FOLDER}/acks.0", 0, whole[:size])
        acks = opened(torn)
        expected = {position for position, end in zip((0, 2, 4), ends, strict=True) if end <= size}
        assert members(acks.gone) == expected
        settle(acks, 6)
        commit(acks)
        assert members(opened(torn).gone) == expected | {6}


def test_a_broken_entry_in_the_middle_is_told_and_the_rest_used() -> None:
    files, ends = three_entries()
    files.corrupt(f"{FOLDER}/acks.0", ends[0] + 10, b"\xff")
    acks = Acks(files, FOLDER)
    (damage,) = acks.open()
    assert (damage.path, damage.position, damage.length) == (f"{FOLDER}/acks.0", ends[0], ends[1] - ends[0])
    assert members(acks.gone) == {0, 4}
    commit(acks)
    assert members(opened(files).gone) == {0, 4}, "told once"


def test_a_broken_snapshot_that_replaced_others_is_told() -> None:
    files = MemoryFiles()
    acks = opened(files, small=0)
    while "acks.1" not in journal(files):
        settle(acks, 2 * acks.next_position)
        commit(acks)
    files.corrupt(f"{FOLDER}/acks.1", 30, b"\xff")
    (damage,) = Acks(files, FOLDER).open()
    assert damage.position == 0


def test_a_broken_header_is_told_when_power_loss_cannot_be_why() -> None:
    files, _ = three_entries()
    files.corrupt(f"{FOLDER}/acks.0", 3, b"\xff")
    acks = Acks(files, FOLDER)
    assert len(acks.open()) == 1
    assert members(acks.gone) == {0, 2, 4}


def test_a_newer_format_is_refused_and_left_alone() -> None:
    files, _ = three_entries()
    start = b"amqpdack" + struct.pack("<I", 3)
    files.write(f"{FOLDER}/acks.0", 0, start + struct.pack("<I", zlib.crc32(start)))
    before = files.contents()
    with pytest.raises(NewerFormat, match=r"acks\.0 has format version 3, but this amqpd reads versions up to 2"):
        Acks(files, FOLDER).open()
    assert files.contents() == before


def entry_1(kind: int, gone: Ranges, counts: dict[int, int]) -> bytes:
    """An entry as version 1 had them, with delivered 7."""
    payload = struct.pack("<BqI", kind, 7, len(counts))
    payload += b"".join(struct.pack("<qI", position, count) for position, count in counts.items()) + gone.encode()
    return struct.pack("<II", len(payload), zlib.crc32(payload)) + payload


@pytest.mark.parametrize("header_broken", [False, True])
def test_a_journal_of_version_1_is_read_and_replaced_with_the_next_job(header_broken: bool) -> None:
    files = MemoryFiles()
    start = b"amqpdack" + struct.pack("<I", 1)
    gone, more = Ranges(), Ranges()
    gone.add(0, 2)
    more.add(4, 4)
    data = start + struct.pack("<I", zlib.crc32(start)) + entry_1(2, gone, {3: 5}) + entry_1(1, more, {})
    files.make_folder(FOLDER)
    files.write(f"{FOLDER}/acks.0", 0, data)
    if header_broken:
        files.corrupt(f"{FOLDER}/acks.0", 3, b"\xff")
    acks = Acks(files, FOLDER)
    assert len(acks.open()) == header_broken
    assert (members(acks.gone), acks.counts, acks.marks, acks.delivered) == ({0, 1, 2, 4}, {3: 5}, {}, 7)
    acks.mark(5, 1)
    commit(acks)
    assert list(journal(files)) == ["acks.1"]
    again = opened(files)
    assert (members(again.gone), again.counts, again.marks) == ({0, 1, 2, 4}, {3: 5}, {5: 1})


def test_opening_changes_nothing_on_the_disk() -> None:
    files, ends = three_entries()
    files.corrupt(f"{FOLDER}/acks.0", ends[0] + 10, b"\xff")
    calls = files.calls
    Acks(files, FOLDER).open()
    assert files.calls == calls


@given(st.lists(st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
def test_whatever_octets_change_nothing_live_is_gone(changes: list[tuple[int, bytes]]) -> None:
    files, ends = three_entries()
    for position, data in changes:
        files.corrupt(f"{FOLDER}/acks.0", min(position, ends[-1]), data)
    acks = Acks(files, FOLDER)
    acks.open()
    assert members(acks.gone) <= {0, 2, 4}
    settle(acks, 8)
    commit(acks)
    assert members(opened(files).gone) == members(acks.gone)


@given(st.binary(max_size=300), st.booleans())
def test_a_file_of_any_content_opens(data: bytes, after_header: bool) -> None:
    files, _ = three_entries()
    files.corrupt(f"{FOLDER}/acks.0", 16 if after_header else 0, data)
    files.write(f"{FOLDER}/acks.1", 0, data)
    Acks(files, FOLDER).open()


@given(st.binary(min_size=12, max_size=60))
def test_an_entry_of_any_payload_opens_be_its_crc_right_or_not(rest: bytes) -> None:
    files, ends = three_entries()
    payload = b"\x01" + rest
    data = struct.pack("<II", len(payload), zlib.crc32(payload)) + payload
    files.write(f"{FOLDER}/acks.0", ends[-1], data)
    acks = Acks(files, FOLDER)
    acks.open()
    assert all(acks.gone.covers(position) for position in (0, 2, 4))


def test_a_damage_is_a_sentence_with_a_place() -> None:
    assert str(Damage("q/acks.0", 16, 4, "it is broken")) == "q/acks.0, octets 16 to 19: it is broken"
    assert str(Damage("q/acks.0", 16, 0, "it is broken")) == "q/acks.0, octet 16: it is broken"
    assert repr(Damage("a", 1, 2, "b")) == "Damage('a', 1, 2, 'b')"


# Anything in any order.


class Knowledge:
    """A state of a journal: what is gone, delivered, counted."""

    def __init__(self) -> None:
        self.gone: set[int] = set()
        self.delivered = 0
        self.counts: dict[int, int] = {}
        self.marks: set[int] = set()  # each has a mark that is its position

    def copy(self) -> Knowledge:
        result = Knowledge()
        result.gone, result.delivered, result.counts = set(self.gone), self.delivered, dict(self.counts)
        result.marks = set(self.marks)
        return result

    def live_counts(self) -> dict[int, int]:
        return {position: count for position, count in self.counts.items() if position not in self.gone}


class Journaling(RuleBasedStateMachine):
    """Settling, jobs that fail anywhere, restarts and power loss, against what must and what may be there.

    now: what is true in memory. taken: what jobs were given. written: what finished jobs wrote; a killed process keeps
    it. safe: what was synced. Between safe and ever lies whatever power loss may leave.
    """

    @initialize(small=st.sampled_from([0, 60, 300]))
    def begin(self, small: int) -> None:
        self.small = small
        self.files = MemoryFiles()
        self.now, self.written, self.safe = Knowledge(), Knowledge(), Knowledge()
        self.taken = Knowledge()
        self.job: JournalWrite | None = None
        self.ran = False
        self.damaged = False
        self.doubt = False  # a sync failed: what the file holds may not be on the disk, whatever later syncs say
        self.told: dict[int, int] = {}  # counts, of whatever became of their positions
        self.marked: set[int] = set()  # ever
        self.acks = Acks(self.files, FOLDER, self.small)
        assert self.acks.open() == []

    @rule(positions=st.lists(POSITIONS, max_size=12))
    def settle(self, positions: list[int]) -> None:
        settle(self.acks, *positions)
        self.now.gone |= set(positions)

    @rule(first=POSITIONS, length=st.integers(0, 5))
    def settle_range(self, first: int, length: int) -> None:
        self.acks.settle_range(first, first + length - 1)
        self.now.gone |= set(range(first, first + length))

    @rule(through=st.integers(0, 20))
    def settle_through(self, through: int) -> None:
        self.acks.settle_through(through)
        self.now.gone |= set(range(through + 1))

    @rule(below=POSITIONS)
    def handed_out(self, below: int) -> None:
        self.acks.handed_out(below)
        self.now.delivered = max(self.now.delivered, below)

    @rule(position=POSITIONS)
    def returned(self, position: int) -> None:
        if position not in self.now.gone:
            self.now.counts[position] = self.now.counts.get(position, 0) + 1
            self.told[position] = max(self.now.counts[position], self.told.get(position, 0))
            self.acks.returned(position, self.now.counts[position])

    @rule(position=POSITIONS)
    def mark(self, position: int) -> None:
        if position not in self.now.gone:
            self.now.marks.add(position)
            self.marked.add(position)
            self.acks.mark(position, position)

    @rule()
    def gather(self) -> None:
        self.acks.gather()
        assert members(self.acks.gone) == self.now.gone
        assert self.acks.counts == self.now.live_counts()
        assert set(self.acks.marks) == self.now.marks - self.now.gone

    @precondition(lambda self: self.job is None)
    @rule()
    def take(self) -> None:
        self.job = self.acks.begin()
        self.taken = self.now.copy()
        self.ran = False

    @precondition(lambda self: self.job is not None and not self.ran)
    @rule(fails=st.integers(0, 8), written=st.integers(0, 40))
    def run(self, fails: int, written: int) -> None:
        assert self.job is not None
        if fails:
            self.files.fail_at(fails, errno.ENOSPC, written=written)
        try:
            self.job.run()
        except OSError:
            return
        finally:
            self.files.fail_at(0, 0, times=0)
        self.ran = True
        if self.job.obsolete:
            self.safe = self.taken.copy()
            self.damaged = self.doubt = False

    @precondition(lambda self: self.job is not None and self.ran)
    @rule(fails=st.booleans())
    def sync(self, fails: bool) -> None:
        assert self.job is not None
        if fails:
            self.files.fail_at(1, errno.EIO)
        try:
            self.job.sync()
        except OSError:
            self.ran = False
            return
        finally:
            self.files.fail_at(0, 0, times=0)
        if not self.doubt and (self.job.position == 0 or not self.job.doubted):
            self.safe = self.taken.copy()

    @precondition(lambda self: self.job is not None and self.ran)
    @rule()
    def finish(self) -> None:
        assert self.job is not None
        self.acks.finished(self.job)
        self.doubt = self.doubt or (self.job.doubted and self.job.position > 0)
        self.job = None
        self.written = self.taken.copy()

    @rule()
    def kill(self) -> None:
        """The process dies. Everything that was written is there, and nothing is wrong that was not before."""
        damaged = self.damaged
        self.doubt = self.doubt or (self.job is not None and self.job.doubted)
        self.reopen(self.files.killed(), self.written)
        assert damaged or not self.damaged

    @rule(rng=st.randoms(use_true_random=False))
    def lose_power(self, rng: random.Random) -> None:
        self.reopen(self.files.crashes(rng), self.safe)
        self.safe = self.written.copy()  # what is read from this disk is on it
        self.doubt = False

    @rule(seeds=st.lists(st.integers(0, 1 << 30), min_size=1, max_size=8))
    def might_lose_power(self, seeds: list[int]) -> None:
        """Any state that power loss may leave can be read, without going on from it."""
        for seed in seeds:
            acks = Acks(self.files.crashes(random.Random(seed)), FOLDER, self.small)
            acks.open()
            self.check(acks, self.safe)

    def reopen(self, files: MemoryFiles, least: Knowledge) -> None:
        self.files = files
        self.acks = Acks(files, FOLDER, self.small)
        self.damaged = bool(self.acks.open())
        self.check(self.acks, least)
        self.job, self.ran = None, False
        self.written.gone, self.written.delivered = members(self.acks.gone), self.acks.delivered
        self.written.counts = dict(self.acks.counts)
        self.written.marks = set(self.acks.marks)
        self.now = self.written.copy()

    def check(self, acks: Acks, least: Knowledge) -> None:
        gone = members(acks.gone)
        assert least.gone <= gone, "what was safe is there"
        assert gone <= self.now.gone, "nothing that was never settled is gone"
        assert least.delivered <= acks.delivered <= self.now.delivered
        assert not gone & set(acks.counts), "counts of positions that are gone are forgotten"
        for position, count in acks.counts.items():
            assert count <= self.told[position]
        for position, count in least.counts.items():
            assert position in gone or acks.counts[position] >= count
        assert all(mark == position for position, mark in acks.marks.items())
        assert not gone & set(acks.marks)
        assert least.marks - gone <= set(acks.marks) <= self.marked

    @invariant()
    def memory_says_nothing_untrue(self) -> None:
        assert members(self.acks.gone) <= self.now.gone
        assert self.acks.delivered == self.now.delivered


TestJournaling = Journaling.TestCase
TestJournaling.settings = settings(max_examples=150, stateful_step_count=40)
