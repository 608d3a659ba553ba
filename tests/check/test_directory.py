"""What a check finds in a data directory beside the messages: the catalog, folders of nobody, what does not belong."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from amqpd.catalog.directory import DataDirectory, DataDirectoryError
from amqpd.catalog.error import CatalogError
from amqpd.catalog.rows import BindingRow, ExchangeRow, PolicyRow, QueueRow
from amqpd.check.directory import DirectoryCheck
from tests.check.builders import Made, checked, flip, live, stored, texts, tree


def test_every_queue_has_its_sums(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.store(made.queue("a"), 30, 10)
    made.queue("empty", "quorum")
    made.store(made.queue("c"), 5)
    made.close()
    report = checked(tmp_path)
    assert [(queue.name, queue.kind, sum(store.live for store in queue.stores)) for queue in report.queues] == [
        ("a", "classic", 20),
        ("c", "classic", 5),
        ("empty", "quorum", 0),
    ]
    assert (report.corrupt, report.notes) == ([], [])


def test_the_octets_that_are_read_come_to_about_the_total(tmp_path: Path) -> None:
    stored(tmp_path, 200, 100)
    read: list[int] = []
    check = DirectoryCheck(DataDirectory.inspect(tmp_path), read.append)
    check.run()
    assert 0.8 * check.total() < sum(read) <= check.total()


def test_what_the_write_ahead_log_holds_counts_and_stays_there(tmp_path: Path) -> None:
    """The broker was killed: a queue is known to the log of the catalog only."""
    made = Made(tmp_path / "running")
    made.store(made.queue("jobs"), 5)
    write = made.catalog.begin()
    assert write is not None
    write.run()
    shutil.copytree(tmp_path / "running", tmp_path / "killed")
    made.catalog.finished(write)
    made.close()
    before = tree(tmp_path / "killed")
    assert before["catalog.sqlite-wal"]
    report = checked(tmp_path / "killed")
    assert [queue.name for queue in report.queues] == ["jobs"]
    assert tree(tmp_path / "killed") == before
    (tmp_path / "killed" / "catalog.sqlite-wal").unlink()
    lost = checked(tmp_path / "killed")
    assert [text.split(",")[0] for text in texts(lost)] == ["the catalog is older than this queue"]
    assert lost.rest.mends == []


def test_a_folder_of_a_deleted_queue_is_a_note(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.store(made.catalog.next_queue_id(), 5)
    made.queue("another")
    made.close()
    report = checked(tmp_path)
    assert report.corrupt == []
    assert [note.text.split(";")[0] for note in report.notes] == [
        "the queue or exchange of this folder is not in the catalog"
    ]


def test_what_an_exchange_holds_is_checked_like_a_queue(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.store(made.queue("jobs"), 5)
    made.store(made.delayed("later"), 7, 3)
    made.catalog.add_exchange(ExchangeRow("/", "plain", "topic", False, False, b""))
    made.close()
    report = checked(tmp_path)
    assert (report.corrupt, report.notes, report.rest.mends) == ([], [], [])
    assert [(queue.label, queue.kind) for queue in report.queues] == [
        ("queue 'jobs' in vhost '/'", "classic"),
        ("exchange 'later' in vhost '/'", "x-delayed-message"),
    ]
    assert [store.live for store in report.stores] == [5, 4]


def test_a_catalog_of_the_first_schema_is_checked_too(tmp_path: Path) -> None:
    """It has no exchanges that keep messages. The next start brings it up to date, a check does not."""
    stored(tmp_path)
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite", isolation_level=None)) as connection:
        connection.execute("ALTER TABLE exchanges DROP COLUMN id")
        connection.execute("PRAGMA user_version = 1")
    report = checked(tmp_path)
    assert report.corrupt == []
    assert (report.catalog.schema, live(report)) == (1, 40)


def test_what_is_not_amqpds_and_what_a_start_left_are_notes(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    (tmp_path / "mine").touch()
    (tmp_path / "format.new").touch()
    (folder.parent / "mine").touch()
    (tmp_path / "spill" / "1").mkdir()
    (tmp_path / "spill" / "1" / "x").write_bytes(b"spilled")
    report = checked(tmp_path)
    assert report.corrupt == []
    assert sorted(note.path for note in report.notes) == [
        "format.new",
        "mine",
        (folder.parent / "mine").relative_to(tmp_path).as_posix(),
        "spill",
    ]


@pytest.mark.parametrize("position", [0, 4096, 18432])
def test_with_a_broken_catalog_the_queues_are_read_all_the_same_and_nobody_is_an_orphan(
    tmp_path: Path, position: int
) -> None:
    stored(tmp_path)
    catalog = tmp_path / "catalog.sqlite"
    data = catalog.read_bytes()
    catalog.write_bytes(data[:position] + b"\xff" * 2048 + data[position + 2048 :])
    report = checked(tmp_path)
    assert not report.catalog.readable
    assert report.incurable == len(report.corrupt) > 0
    assert (live(report), report.rest.mends) == (40, [])


def test_a_missing_catalog_is_corrupt(tmp_path: Path) -> None:
    stored(tmp_path)
    (tmp_path / "catalog.sqlite").unlink()
    report = checked(tmp_path)
    assert texts(report) == ["the catalog is missing; restore it from a backup"]
    assert live(report) == 40


def test_rows_that_cannot_be_brought_back_are_corrupt(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.catalog.add_exchange(ExchangeRow("/", "strange", "x-strange", False, False, b""))
    made.catalog.add_exchange(ExchangeRow("/", "fine", "topic", False, False, b""))
    made.catalog.add_queue(QueueRow(made.catalog.next_queue_id(), "/", "torn", "classic", False, b"\x01"))
    made.catalog.add_queue(QueueRow(made.catalog.next_queue_id(), "gone", "q", "classic", False, b""))
    made.catalog.add_policy(PolicyRow("/", "odd", False, "(", "queues", 0, "{}"))
    made.catalog.add_binding(BindingRow("/", "fine", True, "torn", "k", b"\x02"))
    made.catalog.add_binding(BindingRow("/", "amq.topic", True, "torn", "k", b""))
    made.catalog.add_binding(BindingRow("/", "nowhere", True, "torn", "k", b""))
    made.close()
    report = checked(tmp_path)
    assert [text.partition(" cannot be")[0] for text in texts(report)] == [
        "policy 'odd' in vhost '/'",
        "exchange 'strange' in vhost '/'",
        "queue 'torn' in vhost '/'",
        "queue 'q' in vhost 'gone'",
        "binding 'torn' in vhost '/'",
    ]
    assert [note.text for note in report.notes] == [
        "a binding from 'nowhere' to 'torn' in vhost '/' has an end that is missing; a start leaves it out"
    ]


def test_the_catalog_of_another_program_or_a_newer_amqpd_is_refused(tmp_path: Path) -> None:
    stored(tmp_path)
    connection = sqlite3.connect(tmp_path / "catalog.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with pytest.raises(CatalogError, match="newer amqpd"):
        checked(tmp_path)


def test_an_octet_changed_in_the_format_is_refused(tmp_path: Path) -> None:
    stored(tmp_path)
    flip(tmp_path / "format", 0)
    with pytest.raises(DataDirectoryError):
        checked(tmp_path)
