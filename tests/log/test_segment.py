"""Segments: names, headers, what is known of their records, and walking through their files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.log.ranges import Ranges
from amqpd.log.scan import Scan
from amqpd.log.segment import (
    HEADER,
    SPAN,
    Segment,
    base_and_generation,
    created_in,
    find,
    find_time,
    header_is_whole,
    header_of,
    name_of,
    version_in,
)
from tests.log.builders import FOLDER, append, commit, opened, ranges
from tests.log.faults import MemoryFiles

LIMIT = 1 << 62


@given(st.integers(0, 2**60), st.integers(0, 1000))
def test_a_name_tells_base_and_generation(base: int, generation: int) -> None:
    assert base_and_generation(name_of(base, generation)) == (base, generation)


@given(st.integers(0, 2**60), st.integers(0, 2**60))
def test_names_sort_as_their_bases(one: int, other: int) -> None:
    assert (name_of(one, 0) < name_of(other, 0)) == (one < other)


@pytest.mark.parametrize(
    "name", ["", "acks", "1.0", "00000000000000000001", "00000000000000000001.", "00000000000000000001.01",
             "x" * 20 + ".1",
             "0000000000000000000\u0661.1", "00000000000000000001.1.1"]
)  # fmt: skip
def test_other_names_are_none_of_a_segment(name: str) -> None:
    assert base_and_generation(name) == (-1, -1)


def test_a_header_tells_what_it_was_made_of() -> None:
    header = header_of(77, 1_700_000_000_123)
    assert len(header) == HEADER
    assert header_is_whole(header)
    assert (version_in(header), created_in(header)) == (1, 1_700_000_000_123)


def test_a_header_that_is_cut_or_changed_anywhere_is_not_whole() -> None:
    header = header_of(77, 1_700_000_000_123)
    for at in range(HEADER):
        assert not header_is_whole(header[:at])
        assert not header_is_whole(header[:at] + bytes([header[at] ^ 16]) + header[at + 1 :])


def test_the_segment_of_an_offset_is_the_last_one_that_begins_at_or_before_it() -> None:
    segments = [Segment(FOLDER, base, 0) for base in (10, 20, 40)]
    assert [find(segments, offset) for offset in (9, 10, 19, 20, 39, 40, 99)] == [-1, 0, 0, 1, 1, 2, 2]
    assert find([], 5) == -1


def segment_of(*records: tuple[int, bool]) -> Segment:
    segment = Segment(FOLDER, records[0][0], 0)
    for offset, passing in records:
        segment.add(offset, 5, 10, passing, 100, 1)
    return segment


@pytest.mark.parametrize("sealed", [False, True])
def test_a_segment_counts_what_is_there_and_what_survives(sealed: bool) -> None:
    segment = segment_of((3, False), (4, True), (5, False), (9, False))
    if sealed:
        segment.seal()
    assert segment.there() == ranges((3, 5), (9, 9))
    assert segment.present() == ranges((3, 3), (5, 5), (9, 9))
    assert (segment.records, segment.weight, segment.present_weight()) == (4, 40, 30)
    assert (segment.last, segment.size) == (9, HEADER + 400)


@pytest.mark.parametrize(
    ("gone", "live"),
    [(ranges(), 3), (ranges((0, 2)), 3), (ranges((3, 9)), 0), (ranges((0, 99)), 0), (ranges((3, 4), (9, 9)), 0),
     (ranges((5, 8)), 3), (ranges((4, 8)), 2)],
)  # fmt: skip
def test_live_is_what_is_there_and_not_gone_whether_gaps_are_gone_or_not(gone: Ranges, live: int) -> None:
    segment = segment_of((3, False), (4, True), (9, False))
    assert segment.live(gone) == live
    assert segment.mostly_dead(gone, 4) is False


def test_mostly_dead_is_at_most_a_share_but_not_none() -> None:
    segment = segment_of(*[(offset, False) for offset in range(8)])
    assert [segment.mostly_dead(ranges((0, last)), 4) for last in (4, 5, 6, 7)] == [False, True, True, False]


def test_what_a_checkpoint_restores_is_what_survives() -> None:
    segment = segment_of((3, False), (4, True), (9, False))
    again = Segment(FOLDER, 3, 0)
    again.restore(segment.checkpoint())
    assert again.there() == again.present() == ranges((3, 3), (9, 9))
    assert (again.records, again.weight, again.last, again.size) == (2, 20, 9, segment.size)
    again.unseal()
    again.add(10, 5, 10, False, 100, 1)
    assert again.present() == ranges((3, 3), (9, 10))


def test_an_index_entry_stands_for_64_kib_and_knows_the_latest_time_before() -> None:
    segment = Segment(FOLDER, 0, 0)
    for offset in range(300):
        segment.add(offset, 1000 - offset, 1, False, 1024, 1)
    assert len(segment.index) == 5
    assert segment.index.position_of(70) == HEADER + 64 * 1024
    assert segment.index.position_of_time(1001) == HEADER + 256 * 1024
    assert segment.index.position_of_time(1000) == HEADER


PAYLOADS = [b"", b"a", b"payload of some length", b"", b"\0" * 40, b"the last one"]


def stored() -> tuple[MemoryFiles, Segment]:
    files = MemoryFiles()
    log = opened(files)
    for offset, payload in enumerate(PAYLOADS):
        append(log, offset * 2, payload, passing=offset == 1)
    commit(log)
    return files, log.segments()[0]


def scan_all(files: MemoryFiles, segment: Segment, end: int, chunk: int = 16) -> tuple[list[tuple[int, bytes]], Scan]:
    scan = Scan(files, segment, 0, end, LIMIT, chunk)
    found = []
    while scan.next():
        found.append((scan.offset, scan.payload()))
    return found, scan


EXPECTED = [(offset * 2, payload) for offset, payload in enumerate(PAYLOADS)]


@pytest.mark.parametrize("chunk", [1, 30, 100, 1 << 20])
def test_a_scan_finds_all_records_whatever_it_reads_at_once(chunk: int) -> None:
    files, segment = stored()
    found, scan = scan_all(files, segment, segment.size, chunk)
    assert found == EXPECTED
    assert (scan.damages, scan.torn) == ([], -1)


def test_a_scan_that_believes_finds_the_same_weights() -> None:
    files, segment = stored()
    scan = Scan(files, segment, 0, segment.size, LIMIT, 50, checks=False)
    found = []
    while scan.next():
        found.append((scan.offset, scan.weight, scan.passing, scan.time))
    assert found == [(offset, len(payload), offset == 2, 1000) for offset, payload in EXPECTED]


def ends(segment: Segment) -> list[int]:
    """Where each record ends."""
    result = [HEADER]
    for payload in PAYLOADS:
        result.append(result[-1] + 28 + len(payload))
    assert result[-1] == segment.size
    return result


def test_a_file_cut_at_any_octet_has_the_records_before_it() -> None:
    files, segment = stored()
    places = ends(segment)
    for cut in range(HEADER, segment.size + 1):
        found, scan = scan_all(files, segment, cut)
        whole = sum(1 for place in places[1:] if place <= cut)
        assert found == EXPECTED[:whole]
        assert scan.torn == (-1 if cut in places else places[whole])


def test_an_octet_changed_anywhere_costs_one_record_and_is_reported() -> None:
    files, segment = stored()
    places = ends(segment)
    data = files.contents()[segment.path]
    for at in range(HEADER, segment.size):
        for bit in (0, 6, 7):
            files.corrupt(segment.path, at, bytes([data[at] ^ (1 << bit)]))
            found, scan = scan_all(files, segment, segment.size)
            broken = max(index for index, place in enumerate(places) if place <= at)
            assert found == EXPECTED[:broken] + EXPECTED[broken + 1 :]
            assert [(damage.path, damage.position, damage.length) for damage in scan.damages] == [
                (segment.path, places[broken], places[broken + 1] - places[broken])
            ]
        files.corrupt(segment.path, at, data[at : at + 1])


def test_a_record_within_the_payload_of_a_broken_one_is_not_mistaken_for_one() -> None:
    """A message may be a copy of a log; as long as its own length is right, nothing looks into it."""
    files = MemoryFiles()
    log = opened(files)
    append(log, 0)
    commit(log)
    inner_files = MemoryFiles()
    inner = opened(inner_files)
    append(inner, 2, b"forged")
    commit(inner)
    image = inner_files.contents()[f"{FOLDER}/{name_of(2, 0)}.log"][HEADER:]
    append(log, 1, b"<<" + image + b">>")
    append(log, 5)
    commit(log)
    segment = log.segments()[0]
    files.corrupt(segment.path, HEADER + 35 + 28, b"!")
    found, scan = scan_all(files, segment, segment.size)
    assert [offset for offset, _ in found] == [0, 5]
    assert len(scan.damages) == 1


def test_zeros_are_no_records() -> None:
    files, segment = stored()
    files.write(segment.path, segment.size, bytes(5000))
    found, scan = scan_all(files, segment, segment.size + 5000)
    assert found == EXPECTED
    assert scan.torn == segment.size


def test_offsets_that_belong_to_another_segment_are_no_records() -> None:
    files, segment = stored()
    scan = Scan(files, segment, 0, segment.size, 6)
    found = []
    while scan.next():
        found.append(scan.offset)
    assert found == [0, 2, 4]
    assert scan.torn == ends(segment)[3]


def test_offsets_far_apart_begin_a_segment_of_their_own() -> None:
    log = opened(MemoryFiles())
    for offset in (5, 5 + SPAN - 1, 5 + SPAN):
        append(log, offset)
    assert [(segment.base, segment.last) for segment in log.segments()] == [(5, 5 + SPAN - 1), (5 + SPAN, 5 + SPAN)]


def test_octets_that_look_like_huge_records_do_not_keep_a_scan_busy() -> None:
    files, segment = stored()
    huge = (300_000).to_bytes(4, "little") + b"crc." + (11).to_bytes(8, "little")
    files.write(segment.path, segment.size, huge * 25_000)
    found, scan = scan_all(files, segment, segment.size + 400_000)
    assert found == EXPECTED
    assert scan.torn == segment.size


# By time.


def segments_with(latest: list[int]) -> list[Segment]:
    """Segments in order, with these latest times."""
    made: list[Segment] = []
    for number, time in enumerate(latest):
        segment = Segment("log", number, 0)
        if made:
            segment.follow(made[-1])
        segment.latest = time
        made.append(segment)
    return made


@given(st.lists(st.integers(-1, 9), max_size=12), st.integers(0, 3), st.integers(0, 10))
def test_no_segment_before_the_one_that_is_found_has_the_time(latest: list[int], gone: int, time: int) -> None:
    """However the clock was set, and whatever segments are gone."""
    segments = segments_with(latest)[gone:]
    index = find_time(segments, time)
    assert all(segment.latest < time for segment in segments[:index])
    assert 0 <= index <= len(segments)


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(0, 10))
def test_while_time_goes_on_it_is_the_first_that_has_it(latest: list[int], time: int) -> None:
    latest.sort()
    index = find_time(segments_with(latest), time)
    assert all(found >= time for found in latest[index:])
