"""The sparse index and checkpoints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.log.index import Checkpoint, Index

ENTRIES = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5), st.integers(1, 99)), max_size=20)


def test_an_empty_index_knows_no_place() -> None:
    index = Index()
    assert (len(index), index.position_of(5), index.position_of_time(5)) == (0, 0, 0)


@given(ENTRIES)
def test_places_are_those_that_a_search_from_the_front_finds(steps: list[tuple[int, int, int]]) -> None:
    index = Index()
    entries: list[tuple[int, int, int]] = []
    offset, time, position = 0, 0, 0
    for more_offset, more_time, more_position in steps:
        offset, time, position = offset + more_offset, time + more_time, position + more_position
        index.add(offset, time, position)
        entries.append((offset, time, position))
    assert len(index) == len(entries)
    for wanted in range(offset + 2):
        assert index.position_of(wanted) == max((p for o, _, p in entries if o <= wanted), default=0)
    for wanted in range(time + 2):
        assert index.position_of_time(wanted) == max((p for _, t, p in entries if t < wanted), default=0)


def checkpoint() -> Checkpoint:
    return Checkpoint(100, 5000, 140, 4900, 0xFFEEDDCC, 1700, 30, 2**40, b"i" * 48, b"ranges")


def numbers(known: Checkpoint) -> tuple[int, ...]:
    return (
        known.base,
        known.size,
        known.last,
        known.last_position,
        known.last_crc,
        known.latest,
        known.records,
        known.weight,
    )


def test_a_checkpoint_reads_as_it_was_written_whatever_is_behind_it() -> None:
    known = checkpoint()
    for more in (b"", b"left of a longer one"):
        again = Checkpoint.decode(known.encode() + more)
        assert again is not None
        assert numbers(again) == numbers(known)
        assert (again.index, again.present) == (known.index, known.present)


def test_a_checkpoint_cut_anywhere_is_none() -> None:
    data = checkpoint().encode()
    assert [size for size in range(len(data)) if Checkpoint.decode(data[:size]) is not None] == []


@pytest.mark.parametrize("bit", [0, 7])
def test_a_checkpoint_with_any_octet_changed_is_none(bit: int) -> None:
    data = checkpoint().encode()
    changed = [data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :] for at in range(len(data))]
    assert [at for at, octets in enumerate(changed) if Checkpoint.decode(octets) is not None] == []


@given(st.binary(max_size=200))
def test_arbitrary_octets_are_no_checkpoint(data: bytes) -> None:
    assert Checkpoint.decode(data) is None
    assert Checkpoint.decode(b"amqpdidx\x01\x00\x00\x00" + data) is None
