"""A repair leaves a directory that is sound, keeps all that could be read, and a copy of all that it took away."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from amqpd.catalog.directory import DataDirectory
from amqpd.check.findings import Report
from amqpd.check.repair import LostAndFound, Repair
from amqpd.log.acks import Acks
from amqpd.log.files import DiskFiles
from amqpd.log.log import Log
from tests.check.builders import checked, flip, live, segments, stored, texts, tree

NAME = "2026-11-23T10-15-00Z"


def repaired(path: Path) -> Report:
    """Check and mend; the report of that."""
    report = checked(path)
    directory = DataDirectory.open(path)
    try:
        Repair(directory, report, NAME).run()
    finally:
        directory.close()
    return report


def kept(path: Path) -> dict[str, bytes]:
    return tree(path / "lost-and-found" / NAME)


def recovered(path: Path, folder: Path) -> int:
    """How many messages a broker that starts finds in a store, to which nothing is wrong."""
    name = folder.relative_to(path).as_posix()
    files = DiskFiles(path)
    acks, log = Acks(files, name), Log(files, name)
    assert (acks.open(), log.open()) == ([], [])
    found = 0
    start = 0
    while records := log.read(start, 1 << 20):
        found += sum(not acks.gone.covers(record.offset) for record in records)
        start = records[-1].offset + 1
    assert log.damages == []
    files.close()
    return found


def test_what_is_sound_is_not_touched(tmp_path: Path) -> None:
    stored(tmp_path)
    before = tree(tmp_path)
    report = repaired(tmp_path)
    assert (report.mended, report.kept_in) == ([], None)
    assert {path: data for path, data in tree(tmp_path).items() if path != "lock"} == {
        path: data for path, data in before.items() if path != "lock"
    }


def test_a_broken_place_is_taken_out_and_the_old_segment_kept(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    path = segments(folder)[1]
    flip(path, 300)
    broken = path.read_bytes()
    others = [other.read_bytes() for other in segments(folder) if other != path]
    report = repaired(tmp_path)
    assert (report.corrupt, live(report), report.lost) == ([], 39, 1)
    assert kept(tmp_path)[path.relative_to(tmp_path).as_posix()] == broken
    assert [other.read_bytes() for other in segments(folder) if ".0.log" in other.name] == others
    again = checked(tmp_path)
    assert (again.corrupt, again.notes) == ([], [])
    assert recovered(tmp_path, folder) == 39


def test_a_torn_tail_is_cut_and_kept(tmp_path: Path) -> None:
    folder = stored(tmp_path, checkpoint=False)
    path = segments(folder)[-1]
    whole = path.read_bytes()
    path.write_bytes(whole + b"torn")
    report = repaired(tmp_path)
    assert (path.read_bytes(), report.notes) == (whole, [])
    assert [data for name, data in kept(tmp_path).items() if name.endswith(f".from-{len(whole)}")] == [b"torn"]


def test_a_segment_without_a_whole_record_is_taken_out(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    path = segments(folder)[1]
    path.write_bytes(bytes(path.stat().st_size))
    repaired(tmp_path)
    assert not path.exists()
    assert checked(tmp_path).corrupt == []
    assert live(checked(tmp_path)) == recovered(tmp_path, folder) < 40


def test_a_wrong_checkpoint_is_removed(tmp_path: Path) -> None:
    first, second, *_ = (path.with_suffix(".idx") for path in segments(stored(tmp_path)))
    first.write_bytes(second.read_bytes())
    assert repaired(tmp_path).corrupt == []
    assert not first.exists()
    assert second.exists()
    assert live(checked(tmp_path)) == 40


def test_marks_are_sound_and_kept(tmp_path: Path) -> None:
    """Those of dead letters that have not arrived."""
    folder = stored(tmp_path)
    name = folder.relative_to(tmp_path).as_posix()
    for mark in (1, 2):
        acks = Acks(DiskFiles(tmp_path), name)
        acks.open()
        acks.mark(20 + mark, mark)
        job = acks.begin()
        assert job is not None
        job.run()
        assert texts(checked(tmp_path)) == []
    (journal,) = folder.glob("acks.*")
    flip(journal, journal.stat().st_size - 1)  # of the second mark
    repaired(tmp_path)
    acks = Acks(DiskFiles(tmp_path), name)
    assert acks.open() == []
    assert acks.marks == {21: 1}


def test_a_broken_journal_is_replaced_by_what_can_be_read(tmp_path: Path) -> None:
    folder = stored(tmp_path, 50, 20)
    (journal,) = folder.glob("acks.*")
    flip(journal, 40)
    before = live(checked(tmp_path))
    broken = journal.read_bytes()
    report = repaired(tmp_path)
    assert (texts(report), live(report)) == ([], before)
    assert kept(tmp_path)[journal.relative_to(tmp_path).as_posix()] == broken
    assert (checked(tmp_path).notes, recovered(tmp_path, folder)) == ([], before)


def test_an_orphan_folder_and_leftovers_move_to_lost_and_found(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    orphan = tmp_path / "queues" / "17" / "0"
    orphan.mkdir(parents=True)
    (orphan / "x").write_bytes(b"of a deleted queue")
    (folder / (segments(folder)[0].name[:-6] + ".1.new")).write_bytes(b"half")
    flip(segments(folder)[0], 300)  # the rewrite makes a file of the same name as the leftover
    report = repaired(tmp_path)
    assert (report.corrupt, report.notes) == ([], [])
    assert not orphan.parent.exists()
    found = kept(tmp_path)
    assert found["queues/17/0/x"] == b"of a deleted queue"
    assert b"half" in found.values()


def test_a_file_that_is_not_amqpds_stays(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    (folder / "mine").write_bytes(b"mine")
    flip(segments(folder)[0], 300)
    repaired(tmp_path)
    assert (folder / "mine").read_bytes() == b"mine"


def test_a_second_repair_in_the_same_second_has_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    for _ in range(2):
        assert LostAndFound(tmp_path, NAME).keep("a")
    assert tree(tmp_path / "lost-and-found") == {
        f"{NAME}/a": b"1",
        f"{NAME}-2/a": b"1",
    }


@pytest.mark.parametrize("seed", range(60))
def test_whatever_was_damaged_a_repair_makes_it_sound_and_loses_no_record_that_was_whole(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    folder = stored(tmp_path, 60, 15, rng.choice(["classic", "quorum"]), rng.random() < 0.6)
    for _ in range(rng.randint(1, 6)):
        damage(rng, folder)
    before = checked(tmp_path)
    report = repaired(tmp_path)
    after = checked(tmp_path)
    assert texts(report) == texts(after) == []
    assert live(before) == live(report) == live(after) == recovered(tmp_path, folder)
    assert [note for note in after.notes if "is a segment missing?" not in note.text] == []


def damage(rng: random.Random, folder: Path) -> None:
    """Do something bad to a file."""
    path = rng.choice(sorted(folder.iterdir()))
    data = path.read_bytes()
    what = rng.randrange(6)
    if what == 0 and len(list(folder.iterdir())) > 3:
        path.unlink()
    elif what == 1:
        path.write_bytes(data[: rng.randint(0, len(data))])
    elif what == 2:
        start = rng.randint(0, len(data))
        path.write_bytes(data[:start] + bytes(min(200, len(data) - start)) + data[start + 200 :])
    elif what == 3:
        path.write_bytes(data + rng.randbytes(50))
    elif data:
        flip(path, rng.randrange(len(data)))
