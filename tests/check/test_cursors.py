"""Streams in a data directory: their messages, and the cursors beside them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from amqpd.check.findings import Report
from amqpd.cli.check_text import as_dict, lines
from amqpd.log.cursors import Cursors
from amqpd.log.damage import NewerFormat
from amqpd.log.files import DiskFiles
from amqpd.log.journal_write import header_of
from tests.check.builders import Made, checked, flip, live, segments, texts, tree
from tests.check.test_repair import kept, repaired

MOVES = (("a", 7), ("a", 3), ("b", 9))


def stored(path: Path, *moves: tuple[str, int]) -> Path:
    """A directory with one stream, "jobs"; its folder."""
    made = Made(path)
    folder = made.stream("jobs", 50, *(moves or MOVES))
    made.close()
    return folder


def places(folder: Path) -> dict[str, int]:
    """Where the cursors stand after a start that has nothing to complain of."""
    files = DiskFiles(folder.parent.parent)
    cursors = Cursors(files, f"queues/{folder.name}")
    assert cursors.open() == []
    files.close()
    return cursors.all()


def notes(report: Report) -> list[str]:
    return [f"{note.path.rpartition('/')[2]}: {note.text}" for note in report.notes]


def test_a_sound_stream_is_counted_with_its_cursors(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    before = tree(tmp_path)
    report = checked(tmp_path)
    assert (texts(report), notes(report), live(report)) == ([], [], 50)
    assert report.queues[0].cursors.cursors == 2
    assert tree(tmp_path) == before
    (told,) = as_dict(report)["queues"]  # type: ignore[misc] # it is a list
    assert (told["type"], told["live"], told["cursors"]) == ("stream", 50, 2)
    row = next(line for line in lines(report, False) if "jobs" in line)
    assert row.endswith(" -"), "nothing of a stream is acknowledged"
    assert places(folder) == {"a": 3, "b": 9}


def test_a_stream_without_cursors_is_sound(tmp_path: Path) -> None:
    made = Made(tmp_path)
    number = made.queue("jobs", "stream")
    made.store(number, 10)
    made.close()
    report = checked(tmp_path)
    assert (texts(report), notes(report), live(report)) == ([], [], 10)


def test_cursors_beside_another_queue_are_not_amqpds(tmp_path: Path) -> None:
    made = Made(tmp_path)
    number = made.queue("jobs", "classic")
    made.store(number, 10)
    made.close()
    (tmp_path / f"queues/{number}/cursors.0").write_bytes(b"something")
    assert notes(checked(tmp_path)) == ["cursors.0: not amqpd's; it is left alone"]


def test_a_broken_place_in_the_middle_is_corrupt_and_mended(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    path = folder / "cursors.0"
    whole = path.read_bytes()
    flip(path, whole.index(b"\x03\0\0\0\0\0\0\0"))
    broken = tree(tmp_path)
    report = checked(tmp_path)
    assert texts(report) == ["places of cursors are unreadable; their consumers may continue at an earlier one"]
    (line,) = [line for line in lines(report, False) if "places of cursors" in line]
    assert line.startswith(f"  queues/{folder.name}/cursors.0, octets ")
    assert "(queue 'jobs' in vhost '/')" in line
    report = repaired(tmp_path)
    assert (texts(report), notes(report)) == ([], [])
    assert report.mended == [f"queues/{folder.name}: cursors.1 says what could be read of the cursors before"]
    assert kept(tmp_path) == {f"queues/{folder.name}/cursors.0": broken[f"queues/{folder.name}/cursors.0"]}
    assert places(folder) == {"a": 7, "b": 9}
    assert list(lines(checked(tmp_path), False))[-1] == "Sound: 50 messages in 1 queue."


def test_the_tail_may_be_torn_at_any_octet(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    path = folder / "cursors.0"
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        report = checked(tmp_path)
        assert texts(report) == []
        assert len(notes(report)) <= 1
        assert report.queues[0].cursors.octets == size


def test_torn_cursors_are_a_note_and_mended(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    path = folder / "cursors.0"
    path.write_bytes(path.read_bytes()[:-1])
    (note,) = notes(checked(tmp_path))
    assert note == (
        "cursors.0: torn places of cursors at the end, as a crash leaves them; their consumers continue at earlier ones"
    )
    assert notes(repaired(tmp_path)) == []
    assert places(folder) == {"a": 3}


def test_a_file_that_a_newer_one_replaces_is_a_note(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    other = stored(tmp_path / "other", ("old", 1)) / "cursors.0"
    (folder / "cursors.0").rename(folder / "cursors.1")
    other.rename(folder / "cursors.0")
    report = checked(tmp_path)
    assert "cursors.0: cursors that a newer file replaces; the next start removes it" in notes(report)
    assert report.queues[0].cursors.cursors == 2


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    (folder / "cursors.0").write_bytes(header_of(b"amqpdcur", 2))
    with pytest.raises(NewerFormat, match=r"cursors\.0 has format version 2"):
        checked(tmp_path)


def test_without_the_catalog_cursors_are_checked_too(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    whole = (folder / "cursors.0").read_bytes()
    flip(folder / "cursors.0", whole.index(b"\x03\0\0\0\0\0\0\0"))
    (tmp_path / "catalog.sqlite").write_bytes(b"broken" * 1000)
    assert any("places of cursors are unreadable" in text for text in texts(checked(tmp_path)))


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_broken_a_repair_leaves_what_a_start_can_use(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    folder = stored(tmp_path)
    path = folder / "cursors.0"
    data = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    path.write_bytes(bytes(data[: rng.randint(1, len(data))]))
    report = repaired(tmp_path)
    assert (texts(report), notes(report)) == ([], [])
    assert set(places(folder).items()) <= {("a", 7), ("a", 3), ("b", 9)}


# Segments of streams.


def test_a_gap_between_the_segments_of_a_stream_is_worth_a_note(tmp_path: Path) -> None:
    folder = stored(tmp_path) / "0"
    missing = segments(folder)[1]
    missing.unlink()
    missing.with_suffix(".idx").unlink()
    (note,) = notes(checked(tmp_path))
    assert "positions before this segment are neither stored nor acknowledged: is a segment missing?" in note


def test_a_checkpoint_that_retention_left_behind_is_a_note_and_one_in_the_middle_is_not(tmp_path: Path) -> None:
    folder = stored(tmp_path) / "0"
    first, second = segments(folder)[:2]
    first.unlink()
    report = checked(tmp_path)
    assert texts(report) == []
    assert notes(report) == [f"{first.stem}.idx: left over; the next start removes it"]
    segments(folder)[1].unlink()
    assert second.exists()
    (text,) = texts(checked(tmp_path))
    assert text.startswith("the segment of this checkpoint is missing")


def test_what_a_killed_broker_leaves_for_commands_is_no_finding(tmp_path: Path) -> None:
    stored(tmp_path)
    (tmp_path / "control.sock").touch()
    assert notes(checked(tmp_path)) == []
