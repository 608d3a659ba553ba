"""Blocks: together they are the whole log, they do not overlap, and reading one gives what is in it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amqpd.log.block import Block
from amqpd.log.index import EVERY
from amqpd.log.log import Log
from amqpd.log.scan import BODY_FRONT
from tests.log.builders import FOLDER, append, commit, opened, shut_down
from tests.log.faults import MemoryFiles

SEGMENT = 3 * EVERY
sizes = st.lists(st.sampled_from([1, 100, 20_000, EVERY // 2, EVERY + 1, 2 * EVERY]), min_size=1, max_size=25)


def blocks_of(log: Log) -> list[Block]:
    """All of them, from the first record on."""
    found: list[Block] = []
    block = log.block_at(0)
    while block is not None:
        found.append(block)
        if not block.whole:
            break
        block = log.block_at(block.next)
    return found


def filled(log: Log, lengths: list[int], commits: list[bool]) -> int:
    """Records without gaps, of which some are committed; returns how many can be read."""
    written = log.next_offset
    for length, commits_now in zip(lengths, commits, strict=True):
        append(log, log.next_offset, b"%d" % log.next_offset + bytes(length))
        if commits_now:
            commit(log)
            written = log.next_offset
    return int(written)


def check(log: Log, written: int) -> None:
    blocks = blocks_of(log)
    assert [offset for block in blocks for offset in numbers(log, block)] == list(range(written))
    for block, behind in pairwise(blocks):
        assert block.whole
        assert block.next == numbers(log, behind)[0]
        assert (block.segment is behind.segment) == (block.end == behind.position)
    for block in blocks:
        there = numbers(log, block)
        assert there[-1] + 1 == block.next or not block.whole
        assert block.end - block.position <= max(2 * EVERY, 3 * EVERY + 100)
        for offset in (there[0], there[-1]):
            found = log.block_at(offset)
            assert found is not None
            assert (found.segment, found.number, found.position) == (block.segment, block.number, block.position)
    assert log.block_at(written) is None or numbers(log, blocks[-1])[-1] < written


def numbers(log: Log, block: Block) -> list[int]:
    scan = log.scan_block(block)
    found = []
    while scan.next():
        assert scan.body[BODY_FRONT:].startswith(b"%d" % scan.offset)
        found.append(int(scan.offset))
    log.scanned(scan)
    return found


@settings(max_examples=60)
@given(st.lists(st.tuples(sizes, st.booleans()), min_size=1, max_size=3), st.data())
def test_blocks_are_the_whole_of_what_is_written(lives: list[tuple[list[int], bool]], data: st.DataObject) -> None:
    """Written in some lives of the log, of which each ended well or not."""
    files = MemoryFiles()
    for lengths, ends_well in lives:
        log = opened(files, SEGMENT)
        check(log, int(log.next_offset))
        commits = data.draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
        written = filled(log, lengths, commits)
        check(log, written)
        if ends_well:
            shut_down(log)
    log = opened(files, SEGMENT)
    check(log, int(log.next_offset))


def test_the_end_of_a_block_that_grows_moves() -> None:
    log = opened(MemoryFiles(), SEGMENT)
    ends = []
    for _ in range(3):
        append(log, log.next_offset, b"%d" % log.next_offset)
        assert [block.end for block in blocks_of(log)] == ends[-1:]
        commit(log)
        (block,) = blocks_of(log)
        assert not block.whole
        ends.append(block.end)
    assert ends == sorted(set(ends))
    assert numbers(log, block) == [0, 1, 2]


def test_there_is_no_block_where_nothing_is_written() -> None:
    log = opened(MemoryFiles(), SEGMENT)
    assert log.block_at(0) is None
    append(log, 0, b"0")
    assert log.block_at(0) is None


def test_a_hole_belongs_to_the_block_before_it_or_else_leads_to_the_next_one() -> None:
    log = opened(MemoryFiles(), SEGMENT)
    for offset in (0, 10, 20):
        append(log, offset, b"%d" % offset + bytes(SEGMENT))  # one segment each
    commit(log)
    found = [log.block_at(offset) for offset in (0, 1, 9, 10, 11, 20, 21)]
    assert [None if block is None else numbers(log, block) for block in found] == [
        [0],
        [10],
        [10],
        [10],
        [20],
        [20],
        None,
    ]


def test_a_block_of_a_segment_that_was_forgotten_is_empty() -> None:
    log = opened(MemoryFiles(), SEGMENT)
    filled(log, [SEGMENT] * 3, [True] * 3)
    block = log.block_at(0)
    assert block is not None
    gone = block.segment.there().copy()
    log.forget(gone)
    commit(log)
    assert numbers(log, block) == []
    first = log.block_at(0)
    assert first is not None
    assert numbers(log, first) == [1]


def test_a_broken_record_costs_itself_and_is_told_once() -> None:
    files = MemoryFiles()
    log = opened(files, SEGMENT)
    filled(log, [1000] * 5, [True] * 5)
    (block,) = blocks_of(log)
    files.corrupt(block.segment.path, int(block.position) + 1100, b"!")
    assert numbers(log, block) == [0, 2, 3, 4]
    assert numbers(log, block) == [0, 2, 3, 4]
    assert [damage.path.rpartition("/")[0] for damage in log.damages] == [FOLDER]


@pytest.mark.parametrize("number", [0, 1])
def test_a_wholly_broken_block_leads_to_the_next(number: int) -> None:
    files = MemoryFiles()
    log = opened(files, 10 * EVERY)
    filled(log, [EVERY] * 3, [True] * 3)
    block = blocks_of(log)[number]
    files.corrupt(block.segment.path, int(block.position), bytes(int(block.end - block.position)))
    assert numbers(log, block) == []
    behind = log.block_at(block.next)
    assert behind is not None
    assert numbers(log, behind) == [number + 1]
