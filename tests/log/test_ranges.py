"""Ranges against a plain set of numbers."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.log.ranges import LIMIT, Ranges, ranges_of

POSITIONS = st.integers(0, 120)
INTERVALS = st.tuples(POSITIONS, st.integers(0, 30)).map(lambda pair: (pair[0], pair[0] + pair[1]))
SETS = st.one_of(st.sets(POSITIONS), st.sets(st.integers(0, 30).map(lambda number: number * 4)))


def ranges(positions: set[int]) -> Ranges:
    return ranges_of(sorted(positions))


def members(found: Ranges) -> set[int]:
    """What is in, after a look at the rules of the form."""
    intervals = found.intervals()
    for first, last in intervals:
        assert 0 <= first <= last
    for before, after in itertools.pairwise(intervals):
        assert before[1] + 1 < after[0], "neighbours are one interval"
    positions = {position for first, last in intervals for position in range(first, last + 1)}
    assert found.count == len(positions)
    assert len(found) == len(intervals)
    assert bool(found) == bool(positions)
    assert found.last() == max(positions, default=-1)
    return positions


@given(st.lists(INTERVALS, max_size=30))
def test_intervals_may_be_added_in_any_order(intervals: list[tuple[int, int]]) -> None:
    found, model = Ranges(), set[int]()
    for first, last in intervals:
        found.add(first, last)
        model |= set(range(first, last + 1))
        assert members(found) == model


@given(st.lists(SETS, max_size=6))
def test_sorted_positions_may_be_added_to_what_is_there(batches: list[set[int]]) -> None:
    found, model = Ranges(), set[int]()
    for batch in batches:
        found.add_sorted(sorted(batch))
        model |= batch
        assert members(found) == model


@given(SETS, st.lists(INTERVALS, min_size=9, max_size=40))
def test_a_union_holds_what_either_holds(left: set[int], intervals: list[tuple[int, int]]) -> None:
    found, other, right = ranges(left), Ranges(), set[int]()
    for first, last in intervals:
        other.add(first, last)
        right |= set(range(first, last + 1))
    found.update(other)
    assert members(found) == left | right
    assert members(other) == right, "the other set is as before"


@given(SETS, SETS)
def test_a_difference_holds_what_only_the_first_holds(left: set[int], right: set[int]) -> None:
    assert members(ranges(left).without(ranges(right))) == left - right


@given(SETS, INTERVALS)
def test_questions_are_answered_as_a_set_would(positions: set[int], interval: tuple[int, int]) -> None:
    found, (first, last) = ranges(positions), interval
    assert found.covers(first) == (first in positions)
    assert found.covered(first, last) == len(positions & set(range(first, last + 1)))
    assert found.first_missing(first) == next(number for number in range(first, 1000) if number not in positions)
    assert found.first_present(first) == min((number for number in positions if number >= first), default=-1)


@given(SETS, SETS)
def test_equality_is_that_of_the_positions(left: set[int], right: set[int]) -> None:
    assert (ranges(left) == ranges(right)) == (left == right)


@given(SETS, st.integers(0, LIMIT - 200))
def test_octets_give_the_same_set_back(positions: set[int], start: int) -> None:
    found = ranges({start + position for position in positions})
    assert Ranges.decode(found.encode()) == found


@given(st.binary(max_size=60))
def test_any_octets_are_a_set_or_a_value_error(data: bytes) -> None:
    try:
        found = Ranges.decode(data)
    except ValueError:
        return
    assert Ranges.decode(found.encode()) == found
    assert found.count >= 0
    assert found.last() < LIMIT


@pytest.mark.parametrize(
    "data",
    [b"\x80", b"\x05", b"\x05\x80", b"\xff" * 9 + b"\x01\x00", b"\xff" * 8 + b"\x7f\x00"],
    ids=["no end", "no length", "length without end", "ten octets", "out of range"],
)
def test_broken_octets_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"number|position"):
        Ranges.decode(data)


def test_an_interval_that_ends_before_it_begins_is_empty() -> None:
    found = Ranges()
    found.add(5, 4)
    assert members(found) == set()
    assert found.encode() == b""


def test_a_copy_is_a_set_of_its_own() -> None:
    found = ranges({1, 2, 9})
    copy = found.copy()
    copy.add(4, 4)
    found.clear()
    assert members(found) == set()
    assert members(copy) == {1, 2, 4, 9}


def test_in_order_it_stays_one_interval_of_a_few_octets() -> None:
    found = Ranges()
    for position in range(0, 100_000, 100):
        found.add_sorted(list(range(position, position + 100)))
    assert found.intervals() == [(0, 99_999)]
    assert len(found.encode()) <= 4


def test_sets_differ_from_what_is_no_set() -> None:
    assert Ranges() != set()
    assert repr(ranges({3})) == "Ranges([(3, 3)])"
