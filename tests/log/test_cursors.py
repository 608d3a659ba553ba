"""Named cursors: where they stand, through restarts, power loss, failing disks and broken files."""

from __future__ import annotations

import errno
import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amqpd.log.cursors import Cursors
from amqpd.log.cursors_file import CHANGES, decode, entry
from amqpd.log.damage import NewerFormat
from amqpd.log.journal_write import JournalWrite
from tests.log.faults import MemoryFiles

FOLDER = "queues/one"
NONE = -1
NAMES = st.sampled_from(["billing", "audit", "größer", ""])


def opened(files: MemoryFiles, small: int = 64 * 1024) -> Cursors:
    """Cursors whose files had nothing to complain of."""
    cursors = Cursors(files, FOLDER, small)
    assert cursors.open() == []
    return cursors


def read(files: MemoryFiles) -> dict[str, int]:
    """What a start would find, damaged or not."""
    cursors = Cursors(files, FOLDER)
    cursors.open()
    return cursors.all()


def commit(cursors: Cursors) -> JournalWrite:
    write = cursors.begin()
    assert write is not None
    write.run()
    write.sync()
    cursors.finished(write)
    return write


def names_of(files: MemoryFiles) -> list[str]:
    return [path.removeprefix(f"{FOLDER}/") for path in files.contents()]


def three_entries() -> tuple[MemoryFiles, list[int], list[dict[str, int]]]:
    """A file of three entries, where each of them ends, and what holds then. The second moves a cursor back."""
    files, ends, places = MemoryFiles(), list[int](), list[dict[str, int]]()
    cursors = opened(files)
    for name, offset in (("a", 7), ("a", 3), ("b", 9)):
        cursors.move(name, offset)
        commit(cursors)
        ends.append(files.size(f"{FOLDER}/cursors.0"))
        places.append(cursors.all())
    return files, ends, places


# What is kept.


def test_cursors_stand_where_they_stood_after_a_restart() -> None:
    files = MemoryFiles()
    cursors = opened(files)
    cursors.move("billing", 5)
    cursors.move("audit", 1 << 62)
    commit(cursors)
    cursors.move("billing", 17)
    commit(cursors)
    again = opened(files)
    assert again.all() == {"billing": 17, "audit": 1 << 62}
    assert again.place("billing") == 17
    assert again.begin() is None, "nothing is new"


def test_there_is_no_place_of_a_cursor_that_nobody_made() -> None:
    cursors = opened(MemoryFiles())
    assert cursors.place("billing") == NONE
    assert cursors.all() == {}


def test_a_cursor_may_be_moved_back() -> None:
    files = MemoryFiles()
    cursors = opened(files)
    for offset in (100, 0):
        cursors.move("a", offset)
        commit(cursors)
    assert opened(files).all() == {"a": 0}


def test_a_removed_cursor_does_not_come_back() -> None:
    files = MemoryFiles()
    cursors = opened(files)
    cursors.move("a", 1)
    cursors.move("b", 2)
    commit(cursors)
    assert cursors.remove("a")
    assert not cursors.remove("a"), "it is gone"
    commit(cursors)
    again = opened(files)
    assert again.all() == {"b": 2}
    assert not again.remove("a")


def test_a_cursor_that_does_not_move_costs_nothing() -> None:
    cursors = opened(MemoryFiles())
    cursors.move("a", 1)
    commit(cursors)
    cursors.move("a", 1)
    assert cursors.begin() is None


def test_what_is_told_of_all_is_not_what_the_cursors_are_kept_in() -> None:
    cursors = opened(MemoryFiles())
    cursors.all()["a"] = 1
    assert cursors.place("a") == NONE


@given(st.dictionaries(st.text(st.characters(exclude_categories=())), st.integers(0, (1 << 63) - 1)))
def test_any_name_and_any_offset_come_back(places: dict[str, int]) -> None:
    """AMQP's strings may be no UTF-8: what is not comes as lone surrogates."""
    files = MemoryFiles()
    cursors = opened(files)
    for name, offset in places.items():
        cursors.move(name, offset)
    cursors.move("one", 1)
    commit(cursors)
    assert opened(files).all() == {**places, "one": 1}


def test_what_happens_while_a_job_is_under_way_is_in_the_next_one() -> None:
    files = MemoryFiles()
    cursors = opened(files)
    cursors.move("a", 1)
    write = cursors.begin()
    assert write is not None
    cursors.move("a", 2)
    write.run()
    cursors.finished(write)
    assert opened(files).all() == {"a": 1}
    commit(cursors)
    assert opened(files).all() == {"a": 2}


def test_nothing_is_written_before_there_is_something_to_say() -> None:
    files = MemoryFiles()
    assert opened(files).begin() is None
    assert files.calls == 0


# Files that replace one another.


def test_a_file_whose_snapshot_is_large_is_left_alone() -> None:
    """Else many cursors would be written anew with every commit."""
    files = MemoryFiles()
    cursors = opened(files, small=10)
    for number in range(100):
        cursors.move(f"cursor {number}", number)
    for offset in range(100, 110):
        commit(cursors)
        cursors.move("cursor 7", offset)
    commit(cursors)
    assert names_of(files) == ["cursors.0"]


def test_a_leftover_file_is_removed_with_the_next_job() -> None:
    files, _, places = three_entries()
    files.write(f"{FOLDER}/cursors.1", 0, b"torn")
    cursors = opened(files)
    assert cursors.all() == places[-1]
    commit(cursors)
    assert names_of(files) == ["cursors.2"]
    assert opened(files).all() == places[-1]


def test_a_replaced_file_that_is_back_says_nothing() -> None:
    """Power was lost before its removal was on the disk: it knows cursors that have moved or are gone."""
    files = MemoryFiles()
    cursors = opened(files, small=100)
    cursors.move("removed", 4)
    commit(cursors)
    old = files.read(f"{FOLDER}/cursors.0", 0, 1000)
    cursors.remove("removed")
    while "cursors.1" not in names_of(files):
        cursors.move("a", cursors.place("a") + 1)
        commit(cursors)
    files.write(f"{FOLDER}/cursors.0", 0, old)
    again = opened(files)
    assert again.all() == cursors.all()
    commit(again)
    assert names_of(files) == ["cursors.2"]


def test_first_files_that_were_never_whole_are_no_damage() -> None:
    """Power was lost in the first write, and again in the one that was to replace it."""
    files = MemoryFiles()
    files.make_folder(FOLDER)
    files.write(f"{FOLDER}/cursors.0", 0, b"amqpd")
    files.write(f"{FOLDER}/cursors.1", 0, b"")
    commit(opened(files))
    assert names_of(files) == ["cursors.2"]


def test_other_files_of_the_folder_are_left_alone() -> None:
    files, _, places = three_entries()
    for name in ("cursors.", "cursors.01", "cursors.x", "cursors", "acks.0", "0/00000000000000000000.0.log"):
        files.make_folder(f"{FOLDER}/0")
        files.write(f"{FOLDER}/{name}", 0, b"something")
    cursors = opened(files)
    assert cursors.all() == places[-1]
    cursors.move("a", 70)
    commit(cursors)
    assert len(names_of(files)) == 7


# Syncs and errors.


def test_a_job_for_which_the_disk_had_no_room_may_be_run_again() -> None:
    files, _, _ = three_entries()
    cursors = opened(files)
    cursors.move("a", 8)
    write = cursors.begin()
    assert write is not None
    files.fail_at(1, errno.ENOSPC, written=20)
    with pytest.raises(OSError, match="No space left"):
        write.run()
    assert read(files.killed()) == {"a": 3, "b": 9}, "a part of an entry says nothing"
    write.run()
    write.sync()
    cursors.finished(write)
    assert opened(files).all() == {"a": 8, "b": 9}


# Broken files.


def test_wherever_the_tail_is_torn_the_entries_before_it_are_used() -> None:
    files, ends, places = three_entries()
    whole = files.read(f"{FOLDER}/cursors.0", 0, 10_000)
    for size in range(len(whole)):
        torn = MemoryFiles()
        torn.make_folder(FOLDER)
        torn.write(f"{FOLDER}/cursors.0", 0, whole[:size])
        cursors = opened(torn)
        expected = [{}, *places][sum(end <= size for end in ends)]
        assert cursors.all() == expected
        cursors.move("new", 1)
        commit(cursors)
        assert opened(torn).all() == {**expected, "new": 1}


def test_a_broken_entry_in_the_middle_is_told_and_the_rest_used() -> None:
    files, ends, _ = three_entries()
    files.corrupt(f"{FOLDER}/cursors.0", ends[0] + 10, b"\xff")
    cursors = Cursors(files, FOLDER)
    (damage,) = cursors.open()
    assert (damage.path, damage.position, damage.length) == (f"{FOLDER}/cursors.0", ends[0], ends[1] - ends[0])
    assert cursors.all() == {"a": 7, "b": 9}
    commit(cursors)
    assert opened(files).all() == {"a": 7, "b": 9}, "told once"


def test_of_a_broken_snapshot_that_replaced_others_the_rest_is_used_and_it_is_told() -> None:
    files = MemoryFiles()
    cursors = opened(files, small=100)
    while "cursors.1" not in names_of(files):
        cursors.move("a", cursors.place("a") + 1)
        commit(cursors)
    files.corrupt(f"{FOLDER}/cursors.1", 30, b"\xff")
    assert len(Cursors(files, FOLDER).open()) == 1
    cursors.move("b", 5)
    commit(cursors)
    assert read(files) == {"b": 5}


def test_a_broken_header_is_told_when_power_loss_cannot_be_why() -> None:
    files, _, places = three_entries()
    files.corrupt(f"{FOLDER}/cursors.0", 3, b"\xff")
    cursors = Cursors(files, FOLDER)
    assert len(cursors.open()) == 1
    assert cursors.all() == places[-1]


def test_an_entry_at_another_position_is_none() -> None:
    """Else a name that a client chose could be one, when the entry around it is broken."""
    files, ends, places = three_entries()
    forged = entry(CHANGES, {"forged": 1}, ends[-1])
    files.write(f"{FOLDER}/cursors.0", ends[-1], b"broken" + forged + b"broken")
    assert opened(files).all() == places[-1]
    files.write(f"{FOLDER}/cursors.0", ends[-1], forged)
    assert read(files) == {**places[-1], "forged": 1}, "at its own it is"


def test_a_newer_format_is_refused_and_left_alone() -> None:
    files, _, _ = three_entries()
    start = b"amqpdcur" + struct.pack("<I", 2)
    files.write(f"{FOLDER}/cursors.0", 0, start + struct.pack("<I", zlib.crc32(start)))
    before = files.contents()
    with pytest.raises(NewerFormat, match=r"cursors\.0 has format version 2, but this amqpd reads versions up to 1"):
        Cursors(files, FOLDER).open()
    assert files.contents() == before


def test_opening_changes_nothing_on_the_disk() -> None:
    files, ends, _ = three_entries()
    files.corrupt(f"{FOLDER}/cursors.0", ends[0] + 10, b"\xff")
    calls = files.calls
    Cursors(files, FOLDER).open()
    assert files.calls == calls


@given(st.lists(st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
def test_whatever_octets_change_cursors_stand_where_they_once_stood(changes: list[tuple[int, bytes]]) -> None:
    files, ends, _ = three_entries()
    for position, data in changes:
        files.corrupt(f"{FOLDER}/cursors.0", min(position, ends[-1]), data)
    cursors = Cursors(files, FOLDER)
    cursors.open()
    assert cursors.place("a") in (NONE, 7, 3)
    assert cursors.place("b") in (NONE, 9)
    assert set(cursors.all()) <= {"a", "b"}
    cursors.move("c", 8)
    commit(cursors)
    assert opened(files).all() == cursors.all()


@given(st.binary(max_size=300), st.booleans())
def test_a_file_of_any_content_opens(data: bytes, after_header: bool) -> None:
    files, _, _ = three_entries()
    files.corrupt(f"{FOLDER}/cursors.0", 16 if after_header else 0, data)
    files.write(f"{FOLDER}/cursors.1", 0, data)
    Cursors(files, FOLDER).open()


@given(st.binary(min_size=1, max_size=60))
def test_an_entry_of_any_payload_opens_though_its_crc_is_right(rest: bytes) -> None:
    files, ends, places = three_entries()
    end = ends[-1]
    payload = bytes([CHANGES]) + rest
    crc = zlib.crc32(payload, end)
    files.write(f"{FOLDER}/cursors.0", end, struct.pack("<II", len(payload), crc) + payload)
    changes = (decode(payload) if len(payload) >= 5 else None) or {}
    expected = {name: offset for name, offset in {**places[-1], **changes}.items() if offset >= 0}
    assert read(files) == expected


# Everything together, against a model.


class Moving(RuleBasedStateMachine):
    """Moves, jobs that fail anywhere, restarts and power loss, against the places where a cursor may stand.

    now: the truth in memory. taken: what the job under way was given. written: what finished jobs wrote; a killed
    process keeps it. may: by name, every place that power loss may leave: the one of the last sync and all since.
    """

    @initialize(small=st.sampled_from([0, 60, 300]))
    def begin(self, small: int) -> None:
        self.small = small
        self.files = MemoryFiles()
        self.now: dict[str, int] = {}
        self.taken: dict[str, int] = {}
        self.written: dict[str, int] = {}
        self.may: dict[str, set[int]] = {}
        self.job: JournalWrite | None = None
        self.ran = False
        self.damaged = False
        self.doubt = False  # a sync failed: what the file holds may not be on the disk, whatever later syncs say
        self.cursors = Cursors(self.files, FOLDER, self.small)
        assert self.cursors.open() == []

    @rule(name=NAMES, offset=st.integers(0, 9))
    def move(self, name: str, offset: int) -> None:
        self.cursors.move(name, offset)
        self.now[name] = offset

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        assert self.cursors.remove(name) == (name in self.now)
        self.now.pop(name, None)

    @precondition(lambda self: self.job is None)
    @rule()
    def take(self) -> None:
        self.job = self.cursors.begin()
        self.ran = False
        self.taken = dict(self.now)
        self.can_be(self.taken)

    @precondition(lambda self: self.job is None)
    @rule(name=NAMES, offsets=st.lists(st.integers(0, 9), min_size=4, max_size=10), syncs=st.booleans())
    def work(self, name: str, offsets: list[int], syncs: bool) -> None:
        """Many commits without a fault, so that files grow and are replaced."""
        for offset in offsets:
            self.move(name, offset)
            self.take()
            if self.job is not None:
                self.run(0, 0)
                if syncs:
                    self.sync(False)
                self.finish()

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
            self.is_safe()
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
            self.is_safe()

    @precondition(lambda self: self.job is not None and self.ran)
    @rule()
    def finish(self) -> None:
        assert self.job is not None
        self.cursors.finished(self.job)
        self.doubt = self.doubt or (self.job.doubted and self.job.position > 0)
        self.job = None
        self.written = self.taken

    @rule()
    def kill(self) -> None:
        """The process dies. What finished jobs wrote is there, of one under way everything or nothing."""
        damaged = self.damaged
        self.doubt = self.doubt or (self.job is not None and self.job.doubted)
        finished, other = self.written, self.written if self.job is None else self.taken
        self.reopen(self.files.killed())
        assert self.now in (finished, other)
        assert damaged or not self.damaged

    @rule(rng=st.randoms(use_true_random=False))
    def lose_power(self, rng: random.Random) -> None:
        self.reopen(self.files.crashes(rng))
        self.may = {}  # what is read from this disk is on it
        self.can_be(self.now)
        self.doubt = False

    @rule(seeds=st.lists(st.integers(0, 1 << 30), min_size=1, max_size=8))
    def might_lose_power(self, seeds: list[int]) -> None:
        """Any state that power loss may leave can be read, without going on from it."""
        for seed in seeds:
            self.check(read(self.files.crashes(random.Random(seed))))

    @invariant()
    def memory_is_true(self) -> None:
        assert self.cursors.all() == self.now

    def reopen(self, files: MemoryFiles) -> None:
        self.files = files
        self.cursors = Cursors(files, FOLDER, self.small)
        self.damaged = self.cursors.open() != []
        self.check(self.cursors.all())
        self.now = self.cursors.all()
        self.written = dict(self.now)
        self.job = None

    def check(self, places: dict[str, int]) -> None:
        for name in self.may.keys() | places.keys():
            assert places.get(name, NONE) in self.may.get(name, {NONE}), name

    def can_be(self, places: dict[str, int]) -> None:
        for name in self.may.keys() | places.keys():
            self.may.setdefault(name, {NONE}).add(places.get(name, NONE))

    def is_safe(self) -> None:
        self.may = {name: {offset} for name, offset in self.taken.items()}


TestMoving = Moving.TestCase
TestMoving.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
