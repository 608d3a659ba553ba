"""Opening a log that was damaged, torn or left by a crash; and any order of things against a plain list."""

from __future__ import annotations

import random
import struct
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from amqpd.log.damage import NewerFormat
from amqpd.log.files import DiskFiles
from amqpd.log.log import Log
from amqpd.log.ranges import Ranges
from amqpd.log.segment import header_of
from amqpd.log.write import LogWrite
from tests.log.builders import FOLDER, all_of, append, commit, fill, offsets, opened, ranges, shut_down
from tests.log.faults import MemoryFiles

SMALL = 400  # segments of ten records of 35 octets


def stored(last: int, clean: bool) -> tuple[MemoryFiles, list[str]]:
    """Files of a log; clean: a checkpoint vouches for every segment, otherwise for none."""
    files = MemoryFiles()
    log = opened(files, SMALL)
    fill(log, 0, last)
    commit(log)
    paths = [segment.path for segment in log.segments()]
    if clean:
        shut_down(log)
    else:
        files.remove(log.segments()[0].index_path)
    return files, paths


@pytest.mark.parametrize("clean", [False, True])
def test_a_tail_torn_at_any_octet_is_cut_off_and_the_log_goes_on(clean: bool) -> None:
    whole = 32 + 5 * 35
    for cut in range(whole):
        files, paths = stored(14, clean)
        files.truncate(paths[1], cut)
        log = Log(files, FOLDER, SMALL)
        damages = log.open()
        left = max(cut - 32, 0) // 35
        torn = cut > 32 and (cut - 32) % 35
        assert offsets(log) == list(range(10 + left))
        assert [(d.path, d.position, d.length) for d in damages] == ([(paths[1], 32 + left * 35, torn)] if torn else [])
        assert log.next_offset == 10 + left
        fill(log, 10 + left, 19)
        commit(log)
        shut_down(log)
        assert offsets(opened(files, SMALL)) == list(range(20))


@pytest.mark.parametrize("clean", [False, True])
def test_an_octet_changed_anywhere_is_found_with_its_place_and_costs_one_record(clean: bool) -> None:
    """When a checkpoint vouches for the octets, it is found when they are read."""
    for at in range(32, 32 + 35 * 10):
        files, paths = stored(14, clean)
        files.corrupt(paths[0], at, bytes([files.contents()[paths[0]][at] ^ 0x41]))
        broken = (at - 32) // 35
        log = Log(files, FOLDER, SMALL)
        damages = log.open()
        assert offsets(log) == [offset for offset in range(15) if offset != broken]
        places = [(damage.path, damage.position, damage.length) for damage in damages + log.damages]
        assert places == [(paths[0], 32 + broken * 35, 35)]


def test_damage_is_noted_once_however_often_it_is_read() -> None:
    files, paths = stored(14, True)
    files.corrupt(paths[0], 40, b"!!")
    log = Log(files, FOLDER, SMALL)
    assert log.open() == []
    for _ in range(3):
        assert offsets(log) == list(range(1, 15))
    assert [damage.position for damage in log.damages] == [32]
    assert "broken" in log.damages[0].text


@pytest.mark.parametrize("at", range(32))
def test_a_broken_header_is_reported_and_its_records_are_read(at: int) -> None:
    files, paths = stored(14, False)
    files.corrupt(paths[0], at, b"\xee")
    log = Log(files, FOLDER, SMALL)
    assert [(damage.path, damage.position, damage.length) for damage in log.open()] == [(paths[0], 0, 32)]
    assert offsets(log) == list(range(15))


def test_a_stretch_of_garbage_in_the_middle_is_skipped() -> None:
    files, paths = stored(14, False)
    files.corrupt(paths[0], 32 + 40, random.Random(1).randbytes(100))
    log = Log(files, FOLDER, SMALL)
    assert [(damage.position, damage.length) for damage in log.open()] == [(32 + 35, 105)]
    assert offsets(log) == [0, *range(4, 15)]
    assert log.present() == ranges((0, 0), (4, 14))


def test_a_newer_format_is_refused_before_anything_is_changed() -> None:
    files, paths = stored(14, False)
    start = header_of(10, 5)[:8] + struct.pack("<I", 2) + b"something else16"
    files.corrupt(paths[1], 0, start + struct.pack("<I", zlib.crc32(start)))
    files.write(f"{FOLDER}/00000000000000000000.1.new", 0, b"x")
    before, calls = files.contents(), files.calls
    with pytest.raises(NewerFormat, match=r"00000000000000000010\.0\.log has format version 2.*newer"):
        Log(files, FOLDER, SMALL).open()
    assert (files.contents(), files.calls) == (before, calls)


def test_segments_without_records_at_the_end_were_never_begun() -> None:
    for content in (b"", b"amqpd", header_of(15, 5), header_of(15, 5) + b"\x07\0\0\0torn", bytes(100)):
        files, _ = stored(14, False)
        path = f"{FOLDER}/00000000000000000015.0.log"
        files.write(path, 0, content)
        log = Log(files, FOLDER, SMALL)
        assert [damage.path for damage in log.open()] == ([path] if len(content) > 32 else [])
        assert path not in files.contents()
        assert log.next_offset == 15
        fill(log, 15, 40)
        commit(log)
        assert offsets(opened(files, SMALL)) == list(range(41))


def test_an_older_generation_that_was_removed_stays_away() -> None:
    """Else it would be back, with all that is gone, once the newer one is removed too."""
    files, old, new = MemoryFiles(), f"{FOLDER}/{0:020d}.0.log", f"{FOLDER}/{0:020d}.1.log"
    log = opened(files)
    fill(log, 0, 9)
    commit(log)
    files.write(new, 0, files.contents()[old])
    files.sync(new)
    opened(files)
    for seed in range(20):
        left = files.crashes(random.Random(seed)).contents()
        assert new in left
        assert old not in left


def test_a_checkpoint_of_something_else_is_not_believed() -> None:
    files, paths = stored(14, True)
    other, _ = stored(5, True)
    wrong = other.contents()[paths[0].replace(".log", ".idx")]
    longer = files.contents()[paths[0].replace(".log", ".idx")]
    for octets, path in ((wrong, paths[1]), (longer, paths[1]), (b"", paths[0]), (b"amqpdidx" * 20, paths[0])):
        index = path.replace(".log", ".idx")
        files.remove(index)
        files.write(index, 0, octets)
        log = opened(files, SMALL)
        assert log.present() == ranges((0, 14))
        assert offsets(log) == list(range(15))


def test_a_checkpoint_of_octets_that_were_lost_is_not_believed() -> None:
    """A file cut and grown again: the checkpoint is as long as before, but about other records."""
    files, paths = stored(8, True)
    files.truncate(paths[0], 100)
    log = Log(files, FOLDER, SMALL)
    assert len(log.open()) == 1
    for offset in range(20, 27):
        append(log, offset)
    commit(log)
    again = opened(files, SMALL)
    assert again.present() == ranges((0, 0), (20, 26))
    assert offsets(again) == [0, *range(20, 27)]


def test_what_a_killed_process_had_not_synced_is_synced_with_the_first_job() -> None:
    files = MemoryFiles()
    log = opened(files, SMALL)
    fill(log, 0, 14)
    write = log.begin()
    assert write is not None
    write.run()
    log = opened(files.killed(), SMALL)
    append(log, 15)
    commit(log)
    for seed in range(50):
        after = Log(files.crashes(random.Random(seed)), FOLDER, SMALL)
        assert after.open() == []
        assert offsets(after) == list(range(16))


class Machine(RuleBasedStateMachine):
    """A log, and the list it stands for. What is safe must be there after any power loss."""

    def __init__(self) -> None:
        super().__init__()
        self.files = MemoryFiles()
        self.log = opened(self.files, 600)
        self.ever: dict[int, bytes] = {}  # everything appended
        self.payloads: dict[int, bytes] = {}  # what of it may be there
        self.passing: set[int] = set()
        self.safe: set[int] = set()
        self.readable: set[int] = set()
        self.gone = Ranges()
        self.write: LogWrite | None = None
        self.torn = False  # power was lost, so that holes between records may be there from then on

    def live(self, among: set[int]) -> set[int]:
        return {offset for offset in among if not self.gone.covers(offset)}

    @rule(
        gap=st.sampled_from([0, 0, 0, 1, 5]), size=st.integers(0, 90), count=st.integers(1, 12), passing=st.booleans()
    )
    def append(self, gap: int, size: int, count: int, passing: bool) -> None:
        first = max(self.log.next_offset, self.gone.last() + 1) + gap
        for offset in range(first, first + count):
            self.ever[offset] = self.payloads[offset] = bytes([len(self.ever) % 256]) * size
            append(self.log, offset, self.payloads[offset], passing)
            if passing:
                self.passing.add(offset)

    @precondition(lambda self: self.write is None)
    @rule()
    def begin(self) -> None:
        self.write = self.log.begin()

    @precondition(lambda self: self.write is not None)
    @rule(syncs=st.sampled_from([True, True, False]))
    def finish(self, syncs: bool) -> None:
        write = self.write
        assert write is not None
        self.write = None
        write.run()
        if syncs:
            write.sync()
        self.log.finished(write)
        self.readable = {offset for offset in self.payloads if offset <= self.log.written}
        if syncs:
            self.safe = self.readable - self.passing

    @precondition(lambda self: self.write is not None)
    @rule()
    def run_and_sync_without_being_told(self) -> None:
        assert self.write is not None
        self.write.run()
        self.write.sync()

    @rule(rng=st.randoms(use_true_random=False))
    def settle(self, rng: random.Random) -> None:
        for first in rng.sample(range(self.log.next_offset + 1), min(self.log.next_offset, 6)):
            self.gone.add(first, min(first + rng.randrange(8), self.log.next_offset - 1))

    @rule()
    def settle_the_older_half(self) -> None:
        self.gone.add(0, self.log.next_offset // 2 - 1)

    @rule()
    def forget(self) -> None:
        self.log.forget(self.gone)

    @precondition(lambda self: self.write is None)  # a removal runs behind the writes that were begun before it
    @rule()
    def remove(self) -> None:
        removal = self.log.begin_late()
        if removal is not None:
            removal.run()

    @rule(forgets=st.booleans(), gives_up=st.booleans())
    def rewrite(self, forgets: bool, gives_up: bool) -> None:
        rewrite = self.log.rewrite(self.gone)
        if rewrite is None:
            return
        rewrite.run()
        if forgets:
            self.log.forget(self.gone)
        if gives_up:  # what is there then is found by the next start
            self.reopen(self.files.killed())
        else:
            self.log.finished_rewrite(rewrite)

    @rule()
    def seal(self) -> None:
        self.log.seal()

    @precondition(lambda self: self.write is None)
    @rule()
    def close_and_open(self) -> None:
        shut_down(self.log)
        self.readable = set(self.payloads)
        self.safe = self.readable - self.passing
        assert self.reopen(self.files) == 0 or self.torn

    @rule()
    def killed(self) -> None:
        assert self.reopen(self.files.killed()) == 0 or self.torn

    @rule(rng=st.randoms(use_true_random=False))
    def power_loss(self, rng: random.Random) -> None:
        self.torn = True
        self.reopen(self.files.crashes(rng))

    def reopen(self, files: MemoryFiles) -> int:
        self.files = files
        self.write = None
        self.log = Log(files, FOLDER, 600)
        damages = len(self.log.open())
        found = {record.offset: record.payload for record in all_of(self.log)}
        assert self.live(self.safe) <= set(found)
        # A file that was removed may be back after power loss; nothing in it lives.
        assert self.live(set(found)) <= set(self.payloads) - self.passing
        assert all(self.ever[offset] == payload for offset, payload in found.items())
        assert self.log.present() == ranges(*[(offset, offset) for offset in sorted(found)])
        left = self.live(set(found))
        assert self.log.live(self.gone) == (len(left), sum(len(found[offset]) for offset in left))
        self.payloads, self.readable, self.passing = found, set(found), set()
        self.safe &= set(found)
        return damages

    @rule(start=st.floats(0, 1.1), octets=st.sampled_from([1, 100, 5000]))
    def read(self, start: float, octets: int) -> None:
        first = int(start * self.log.next_offset)
        found = all_of(self.log, octets, first)
        assert all(record.payload == self.payloads[record.offset] for record in found)
        assert [record.offset for record in found] == sorted({record.offset for record in found})
        there = {record.offset for record in found}
        expected = {offset for offset in self.readable if offset >= first}
        assert self.live(expected) <= there <= expected

    @rule(start=st.floats(0, 1.1))
    def read_once(self, start: float) -> None:
        """Leaves a place in the middle, where the next read may go on."""
        first = int(start * self.log.next_offset)
        lowest = min(self.live({offset for offset in self.readable if offset >= first}), default=-1)
        found = self.log.read(first, 200)
        assert (found[0].offset if found else -1) in self.readable | {-1}
        assert lowest == -1 or found[0].offset <= lowest

    @invariant()
    def segments_are_in_order(self) -> None:
        segments = self.log.segments()
        assert all(one.last < other.base for one, other in pairwise(segments))


Machine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_any_order_of_things = Machine.TestCase


WEIGHTS = {
    "append": 8, "begin": 6, "finish": 6, "settle": 3, "settle_the_older_half": 2, "forget": 2, "remove": 2,
    "rewrite": 4, "seal": 1, "killed": 1, "power_loss": 1, "read": 2, "run_and_sync_without_being_told": 2,
}  # fmt: skip


def arguments_of(name: str, rng: random.Random) -> list[Any]:
    """What a rule of Machine is called with."""
    chosen: dict[str, list[Any]] = {
        "append": [rng.choice([0, 0, 0, 1, 5]), rng.randrange(91), rng.randint(1, 12), rng.random() < 0.3],
        "finish": [rng.random() < 0.7],
        "settle": [rng],
        "rewrite": [rng.random() < 0.2, rng.random() < 0.1],
        "power_loss": [rng],
        "read": [rng.random() * 1.1, rng.choice([1, 100, 5000])],
    }
    return chosen.get(name, [])


@pytest.mark.parametrize("first", range(0, 800, 100))
def test_long_walks_with_many_rewrites_and_crashes(first: int) -> None:
    """The same machine with steps as frequent as it takes to come to rewrites. A walk is its seed."""
    for seed in range(first, first + 100):
        rng = random.Random(seed)
        machine = Machine()
        for name in rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=60):
            needs_write = name in ("finish", "run_and_sync_without_being_told")
            if (needs_write and machine.write is None) or (name in ("begin", "remove") and machine.write is not None):
                continue
            getattr(machine, name)(*arguments_of(name, rng))
            machine.segments_are_in_order()


def test_what_was_written_survives_a_kill_on_the_disk(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path, syncs=False)
    log = opened(files)
    for offset in range(20_000):
        log.append(offset, 1, 100, False, b"h" * 50, b"b" * 100)
    commit(log)
    files.close()
    again = opened(DiskFiles(tmp_path))
    assert again.live(ranges()) == (20_000, 2_000_000)
