"""Filters of blocks: never "certainly not" about a block with something wanted in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.queues.stream.filters import BlockFilters, Filter, mask_of

values = st.none() | st.sampled_from(["a", "b", "", "é", "\udcff"]) | st.text(max_size=8)
sizes = st.sampled_from([16, 17, 64, 255])
# Blocks in order; some are left out, as where nothing was noted.
blocks = st.dictionaries(st.integers(0, 12), st.lists(values, min_size=1, max_size=4), max_size=8)
wishes = st.builds(
    lambda chosen, unfiltered: Filter(tuple(chosen), unfiltered),
    st.lists(st.sampled_from(["a", "b", "", "é", "\udcff", "zz"]) | st.text(max_size=8), min_size=1, max_size=3),
    st.booleans(),
)


def noted(size: int, contents: dict[int, list[str | None]]) -> BlockFilters:
    filters = BlockFilters(size)
    for number in sorted(contents):
        for value in contents[number]:
            filters.add(number, value)
    return filters


def check(filters: BlockFilters, contents: dict[int, list[str | None]], wanted: Filter) -> None:
    """Nothing wanted may be denied."""
    for number, found in contents.items():
        if any(wanted.passes(value) for value in found):
            assert filters.may_match(number, wanted)
            assert filters.any_may_match(max(contents) + 1, wanted)
    last = max(contents, default=-1)
    assert filters.may_match(last + 1, wanted), "nobody knows what is there"
    assert filters.any_may_match(last + 2, wanted)


@given(sizes, blocks, wishes)
def test_a_block_with_something_wanted_is_never_skipped(
    size: int, contents: dict[int, list[str | None]], wanted: Filter
) -> None:
    check(noted(size, contents), contents, wanted)


@given(sizes, blocks, wishes)
def test_the_notes_of_a_checkpoint_say_what_was_known(
    size: int, contents: dict[int, list[str | None]], wanted: Filter
) -> None:
    filters = noted(size, contents)
    found = BlockFilters.decode(filters.encode())
    assert found is not None
    check(found, contents, wanted)
    assert found.encode() == filters.encode()
    for number in range(14):
        assert found.may_match(number, wanted) == filters.may_match(number, wanted)
        assert found.any_may_match(number, wanted) == filters.any_may_match(number, wanted)


@given(sizes, blocks, st.integers(0, 12), st.integers(0, 14), blocks, wishes)
def test_what_was_forgotten_is_never_skipped_whatever_is_added_later(
    size: int,
    contents: dict[int, list[str | None]],
    first: int,
    count: int,
    later: dict[int, list[str | None]],
    wanted: Filter,
) -> None:
    filters = noted(size, contents)
    filters.forget(first, count)
    for number in sorted(later):
        if number >= max(first, count - 1):
            for value in later[number]:
                filters.add(number, value)
    for number in range(first, 14):
        if number < count or number not in later:
            assert filters.may_match(number, wanted)
    for number, known in contents.items():
        if number < first and any(wanted.passes(value) for value in known):
            assert filters.may_match(number, wanted)
    assert filters.any_may_match(max(count, 1), wanted) or count <= first
    again = BlockFilters.decode(filters.encode())
    assert again is not None
    assert [again.may_match(number, wanted) for number in range(14)] == [
        filters.may_match(number, wanted) for number in range(14)
    ]


def test_blocks_without_anything_wanted_are_skipped() -> None:
    filters = noted(64, {0: ["a"], 1: ["b", None], 2: [None]})
    skipped = [
        [number for number in range(3) if not filters.may_match(number, wanted)]
        for wanted in (Filter(("a",), False), Filter(("b",), False), Filter(("c",), True), Filter(("c",), False))
    ]
    assert skipped == [[1, 2], [0, 2], [0], [0, 1, 2]]
    assert not filters.any_may_match(3, Filter(("c", "d"), False))
    assert filters.any_may_match(3, Filter(("c", "b"), False))


def test_an_empty_bloom_filter_matches_no_value() -> None:
    assert not noted(16, {0: [None]}).may_match(0, Filter(("",), False))


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda rest: b"\x01\x10" + rest))
def test_whatever_stands_in_the_notes_of_a_checkpoint_does_no_harm(notes: bytes) -> None:
    found = BlockFilters.decode(notes)
    assert found is None or found.encode() == notes


@given(sizes, blocks, st.data())
def test_notes_that_are_cut_are_none(size: int, contents: dict[int, list[str | None]], data: st.DataObject) -> None:
    notes = noted(size, contents).encode()
    assert BlockFilters.decode(notes[: data.draw(st.integers(0, len(notes) - 1))]) is None


def test_each_segment_is_asked_by_the_size_of_its_own_filters() -> None:
    """The size is that of when the stream was declared, or restarted; a policy may have changed it in between."""
    wanted = Filter(("value",), False)
    for size in (16, 255, 16, 100):
        assert noted(size, {0: ["value"]}).may_match(0, wanted)


def test_a_value_has_the_same_bits_in_every_process() -> None:
    """They are on the disk."""
    assert mask_of("value", 16) == 1 << 34 | 1 << 43 | 1 << 52


def test_values_that_are_not_there_are_mostly_told_apart() -> None:
    """Ten values of the same length in one block of the usual size, and a thousand others."""
    filters = noted(16, {0: [f"customer-{number}" for number in range(1000, 1010)]})
    mistaken = sum(filters.may_match(0, Filter((f"customer-{number}",), False)) for number in range(2000, 3000))
    assert mistaken < 30


def test_what_passes() -> None:
    wanted, generous = Filter(("a", "b"), False), Filter(("a",), True)
    assert [wanted.passes(value) for value in ("a", "b", "c", "", None)] == [True, True, False, False, False]
    assert [generous.passes(value) for value in ("a", "b", None)] == [True, False, True]
