"""Filters of segments: a reader is never sent past something that it wants, through restarts and removals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.queues.stream.filters import Filter
from amqpd.broker.queues.stream.segment_filters import SegmentFilters
from amqpd.log.log import Log
from tests.log.builders import FOLDER, commit, shut_down
from tests.log.faults import MemoryFiles

SEGMENT = 400_000  # some blocks of 64 KiB
PAYLOAD = b"x" * 30_000

values = st.lists(st.sampled_from(["a", "b", None]), min_size=1, max_size=60)


def written(files: MemoryFiles, contents: list[str | None]) -> tuple[Log, SegmentFilters]:
    """A log with a record for each value."""
    log = Log(files, FOLDER, SEGMENT)
    assert log.open() == []
    filters = SegmentFilters(log, 16)
    for offset, value in enumerate(contents):
        log.append(offset, 1, 1, False, b"", PAYLOAD)
        filters.note(value)
    commit(log)
    return log, filters


def visited(filters: SegmentFilters, wanted: Filter, end: int) -> set[int]:
    """The offsets at which a reader looks that reads on block by block, about."""
    seen: set[int] = set()
    offset = 0
    while offset < end:
        offset = max(offset, int(filters.next_match(offset, wanted)))
        seen.add(offset)
        offset += 1
    return seen


@given(values, st.booleans())
def test_nothing_that_is_wanted_is_passed_over(contents: list[str | None], unfiltered: bool) -> None:
    files = MemoryFiles()
    log, filters = written(files, contents)
    wanted = Filter(("a",), unfiltered)
    expected = {offset for offset, value in enumerate(contents) if wanted.passes(value)}
    assert expected <= visited(filters, wanted, len(contents))
    shut_down(log)
    again = Log(files, FOLDER, SEGMENT)
    assert again.open() == []
    recovered = SegmentFilters(again, 16)
    for segment in again.segments():
        recovered.recover(segment)
    assert expected <= visited(recovered, wanted, len(contents))


def test_segments_and_blocks_without_anything_wanted_are_passed_over() -> None:
    _, filters = written(MemoryFiles(), ["a"] * 30 + ["b"] * 30)
    assert filters.next_match(0, Filter(("b",), False)) >= 26
    assert len(visited(filters, Filter(("c",), False), 60)) < 20


def test_what_is_not_known_of_a_segment_that_was_forgotten_is_read() -> None:
    _, filters = written(MemoryFiles(), ["a"] * 30)
    filters.forget_below(1_000)
    assert filters.next_match(3, Filter(("b",), False)) == 3
