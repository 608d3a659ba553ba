"""What a check finds in the folder of a queue: damage with its place, what a crash explains, what is lost."""

from __future__ import annotations

import struct
from pathlib import Path
from zlib import crc32

import pytest

from amqpd.log.damage import NewerFormat
from amqpd.log.index import Checkpoint
from amqpd.log.segment import header_of
from tests.check.builders import BODY, Made, checked, flip, live, segments, stored, texts, tree


@pytest.mark.parametrize("checkpoint", [False, True])
def test_what_a_broker_has_stored_is_sound_and_counted_and_left_as_it_is(tmp_path: Path, checkpoint: bool) -> None:
    folder = stored(tmp_path, 50, 10, checkpoint=checkpoint)
    before = tree(tmp_path)
    report = checked(tmp_path)
    assert (report.corrupt, report.notes) == ([], [])
    (store,) = report.stores
    assert (store.records, store.stored, store.live, store.bodies) == (50, 50, 40, 40 * len(BODY))
    assert store.segments == len(segments(folder)) > 1
    assert store.octets == sum(file.stat().st_size for file in folder.iterdir())
    assert tree(tmp_path) == before


def test_an_octet_changed_in_any_record_is_found_though_a_checkpoint_vouches_for_it(tmp_path: Path) -> None:
    path = segments(stored(tmp_path))[1]
    whole = path.read_bytes()
    for position in range(32, len(whole), 37):
        flip(path, position)
        report = checked(tmp_path)
        (finding, *_) = report.corrupt
        assert finding.path.endswith(path.name)
        assert finding.position <= position < finding.position + finding.length
        assert (live(report), report.lost) == (39, 1)
        path.write_bytes(whole)


def test_a_broken_header_costs_no_message(tmp_path: Path) -> None:
    flip(segments(stored(tmp_path))[0], 9)
    report = checked(tmp_path)
    assert texts(report) == ["the header is broken; the records can be read all the same"]
    assert (live(report), report.lost) == (40, 0)


def test_a_tail_that_no_checkpoint_vouches_for_may_be_torn_at_any_octet(tmp_path: Path) -> None:
    path = segments(stored(tmp_path, checkpoint=False))[-1]
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        report = checked(tmp_path)
        assert report.corrupt == []
        assert live(report) <= 40
    path.write_bytes(whole[:40])
    (note,) = checked(tmp_path).notes
    assert note.text == "a segment without a record, as a crash leaves it; the next start removes it"
    path.write_bytes(whole[:-1])
    (note,) = checked(tmp_path).notes
    assert note.text == "a torn record at the end, as a crash leaves it; the next start cuts it off"
    assert note.position + note.length == len(whole) - 1


def test_behind_an_unfinished_segment_the_tail_before_it_may_be_torn_too(tmp_path: Path) -> None:
    *_, before, last = segments(stored(tmp_path, checkpoint=False))
    last.write_bytes(last.read_bytes()[:32])
    before.with_suffix(".idx").unlink(missing_ok=True)
    before.write_bytes(before.read_bytes()[:-1])
    assert checked(tmp_path).corrupt == []


def test_a_file_that_is_shorter_than_its_checkpoint_says_has_lost_messages(tmp_path: Path) -> None:
    path = segments(stored(tmp_path))[-1]
    missing = 150
    path.write_bytes(path.read_bytes()[:-missing])
    report = checked(tmp_path)
    assert f"the file is {missing} octets shorter than its checkpoint says: its end is missing" in texts(report)
    assert (live(report), report.lost) == (39, 1)


def test_a_torn_tail_in_the_middle_of_the_log_is_corrupt(tmp_path: Path) -> None:
    path = segments(stored(tmp_path, checkpoint=False))[0]
    path.write_bytes(path.read_bytes()[:-1])
    assert "no whole record up to the end of the file" in texts(checked(tmp_path))


def test_a_missing_segment_is_told_by_the_checkpoint_that_stays_and_only_for_what_is_not_acknowledged(
    tmp_path: Path,
) -> None:
    first, second, *_ = segments(stored(tmp_path, 60, 25))
    records = [int(path.name[:20]) for path in (first, second)]
    first.unlink()
    assert checked(tmp_path).corrupt == []  # all of it was acknowledged: a crash while it was being removed
    second.unlink()
    report = checked(tmp_path)
    assert len(report.corrupt) == 1
    assert report.lost == 60 - 25 - live(report) > 0
    assert records[1] < 25


def test_in_a_quorum_queue_a_gap_between_segments_is_worth_a_note(tmp_path: Path) -> None:
    path = segments(stored(tmp_path, 60, 0, "quorum"))[1]
    path.unlink()
    path.with_suffix(".idx").unlink()
    report = checked(tmp_path)
    assert ["is a segment missing?" in note.text for note in report.notes] == [True]


def test_a_checkpoint_that_is_wrong_is_corrupt_and_one_that_is_torn_is_not(tmp_path: Path) -> None:
    first, second, *_ = segments(stored(tmp_path))
    right, other = (path.with_suffix(".idx").read_bytes() for path in (first, second))
    first.with_suffix(".idx").write_bytes(other)
    assert texts(checked(tmp_path)) == ["the checkpoint is another segment's"]
    for size in range(0, len(right), 5):
        first.with_suffix(".idx").write_bytes(right[:size])
        report = checked(tmp_path)
        assert (report.corrupt, len(report.notes)) == ([], 1)


def test_a_checkpoint_of_other_records_of_the_same_segment_is_wrong(tmp_path: Path) -> None:
    ours = segments(stored(tmp_path / "a"))[0]
    made = Made(tmp_path / "b")
    made.queue("before")
    theirs = segments(made.store(made.queue("jobs"), 30, 0))[0]
    made.close()
    flipped = theirs.with_suffix(".idx").read_bytes()
    ours.with_suffix(".idx").write_bytes(flipped)
    assert checked(tmp_path / "a").corrupt == []  # the same records make the same checkpoint
    log = ours.read_bytes()
    known = Checkpoint.decode(flipped)
    assert known is not None
    known.weight += 1
    ours.with_suffix(".idx").write_bytes(known.encode())
    assert texts(checked(tmp_path / "a")) == ["the checkpoint does not say what is in its segment"]
    assert ours.read_bytes() == log


def test_acknowledgements_broken_in_the_middle_are_corrupt_and_torn_ones_are_not(tmp_path: Path) -> None:
    (path,) = stored(tmp_path).glob("acks.*")
    whole = path.read_bytes()
    flip(path, 30)
    report = checked(tmp_path)
    assert texts(report) == ["acknowledgements are unreadable; the messages they were for may come again"]
    path.write_bytes(whole[:-1])
    report = checked(tmp_path)
    assert report.corrupt == []
    assert [note.text for note in report.notes] == [
        "torn acknowledgements at the end, as a crash leaves them; their messages come again"
    ]
    assert live(report) > 40


def test_what_is_left_over_or_foreign_is_a_note(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    path = segments(folder)[0]
    (folder / (path.name[:-4] + ".new")).write_bytes(b"half")
    (folder / (path.name[:-6] + ".7.idx")).write_bytes(b"half")
    (folder / "mine").touch()
    report = checked(tmp_path)
    assert report.corrupt == []
    assert sorted(note.text for note in report.notes) == [
        "left over; the next start removes it",
        "left over; the next start removes it",
        "not a file of amqpd's; it is left alone",
    ]


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = segments(stored(tmp_path))[0]
    data = path.read_bytes()
    header = bytearray(header_of(0, 1000)[:28])
    struct.pack_into("<I", header, 8, 99)
    path.write_bytes(bytes(header) + struct.pack("<I", crc32(header)) + data[32:])
    with pytest.raises(NewerFormat, match="version 99"):
        checked(tmp_path)
