"""The catalog: what was gathered and written is there again, and whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.catalog import schema
from amqpd.catalog.catalog import IDS_PER_START, Catalog
from amqpd.catalog.error import CatalogError
from amqpd.catalog.rows import BindingRow, QueueRow, Topology
from tests.catalog.rows import BINDING, EXCHANGE, POLICY, QUEUE, VHOST, binding, commit, loaded, opened, queue

Change = Callable[[Catalog], None]
EVERYTHING = Topology([VHOST], [EXCHANGE], [QUEUE], [BINDING], [POLICY])


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """A new catalog in tmp_path."""
    made = opened(tmp_path)
    yield made
    made.close()


def add_everything(catalog: Catalog) -> None:
    """One row of each table."""
    catalog.add_vhost(VHOST)
    catalog.add_exchange(EXCHANGE)
    catalog.add_queue(QUEUE)
    catalog.add_binding(BINDING)
    catalog.add_policy(POLICY)


@pytest.mark.parametrize("syncs", [True, False])
def test_what_was_written_is_there_again_after_a_restart(tmp_path: Path, syncs: bool) -> None:
    catalog = opened(tmp_path, syncs)
    assert catalog.created
    assert catalog.load() == Topology()
    add_everything(catalog)
    commit(catalog)
    assert catalog.load() == EVERYTHING
    catalog.close()
    again = opened(tmp_path, syncs)
    assert not again.created
    assert again.load() == EVERYTHING
    again.close()


def test_with_syncs_a_commit_waits_for_the_disk_and_without_it_does_not(tmp_path: Path) -> None:
    """As SQLite tells it: 2 is FULL, which syncs the write-ahead log with every commit; 0 is OFF."""
    for syncs, level in ((True, 2), (False, 0)):
        catalog = opened(tmp_path, syncs)
        assert catalog._connection.execute("PRAGMA synchronous").fetchone() == (level,)
        assert catalog._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        catalog.close()


def test_rows_come_back_with_the_types_they_had(tmp_path: Path, catalog: Catalog) -> None:
    """SQLite has no booleans, and 1 == True would hide it."""
    add_everything(catalog)
    commit(catalog)
    there = catalog.load()
    rows = [*there.vhosts, *there.exchanges, *there.queues, *there.bindings, *there.policies]
    expected = [VHOST, EXCHANGE, QUEUE, BINDING, POLICY]
    assert [type(row) for row in rows] == [type(row) for row in expected]
    assert [[type(value) for value in row] for row in rows] == [[type(value) for value in row] for row in expected]


def test_nothing_is_in_the_file_before_it_is_written_nor_after_if_it_never_was(tmp_path: Path) -> None:
    catalog = opened(tmp_path)
    add_everything(catalog)
    assert catalog.dirty
    assert catalog.load() == Topology()
    catalog.close()
    assert loaded(tmp_path) == Topology()


def test_after_closing_there_is_one_file(tmp_path: Path) -> None:
    catalog = opened(tmp_path)
    add_everything(catalog)
    commit(catalog)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog.sqlite", "catalog.sqlite-wal"]
    catalog.close()
    assert [path.name for path in tmp_path.iterdir()] == ["catalog.sqlite"]


REMOVALS: dict[str, tuple[Change, Topology]] = {
    "vhost, and everything in it": (lambda c: c.remove_vhost("/"), Topology()),
    "exchange, not its bindings": (
        lambda c: c.remove_exchange("/", "orders"),
        Topology([VHOST], [], [QUEUE], [BINDING], [POLICY]),
    ),
    "queue, not its bindings": (
        lambda c: c.remove_queue(7),
        Topology([VHOST], [EXCHANGE], [], [BINDING], [POLICY]),
    ),
    "binding": (lambda c: c.remove_binding(BINDING), Topology([VHOST], [EXCHANGE], [QUEUE], [], [POLICY])),
    "bindings to": (
        lambda c: c.remove_bindings_to("/", True, "jobs"),
        Topology([VHOST], [EXCHANGE], [QUEUE], [], [POLICY]),
    ),
    "bindings from": (
        lambda c: c.remove_bindings_from("/", "orders"),
        Topology([VHOST], [EXCHANGE], [QUEUE], [], [POLICY]),
    ),
    "policy": (
        lambda c: c.remove_policy("/", "ttl", False),
        Topology([VHOST], [EXCHANGE], [QUEUE], [BINDING], []),
    ),
}
NOTHING: dict[str, Change] = {
    "vhost": lambda c: c.remove_vhost("other"),
    "exchange of another vhost": lambda c: c.remove_exchange("other", "orders"),
    "exchange of another name": lambda c: c.remove_exchange("/", "Orders"),
    "queue": lambda c: c.remove_queue(8),
    "binding with another key": lambda c: c.remove_binding(BINDING._replace(key="order.*")),
    "binding with other arguments": lambda c: c.remove_binding(BINDING._replace(arguments=b"")),
    "binding of an exchange": lambda c: c.remove_binding(BINDING._replace(destination_is_queue=False)),
    "bindings to an exchange": lambda c: c.remove_bindings_to("/", False, "jobs"),
    "bindings to in another vhost": lambda c: c.remove_bindings_to("other", True, "jobs"),
    "bindings from in another vhost": lambda c: c.remove_bindings_from("other", "orders"),
    "bindings from the default exchange": lambda c: c.remove_bindings_from("/", ""),
    "operator policy": lambda c: c.remove_policy("/", "ttl", True),
}


@pytest.mark.parametrize(("change", "left"), REMOVALS.values(), ids=REMOVALS)
@pytest.mark.parametrize("together", [True, False], ids=["in one write", "in two writes"])
def test_what_is_removed_is_gone_also_when_it_was_added_in_the_same_write(
    catalog: Catalog, change: Change, left: Topology, together: bool
) -> None:
    add_everything(catalog)
    if not together:
        commit(catalog)
    change(catalog)
    commit(catalog)
    assert catalog.load() == left


@pytest.mark.parametrize("change", NOTHING.values(), ids=NOTHING)
def test_removing_what_is_not_there_changes_nothing(catalog: Catalog, change: Change) -> None:
    add_everything(catalog)
    change(catalog)
    commit(catalog)
    assert catalog.load() == EVERYTHING


def test_what_is_removed_and_added_again_in_one_write_is_there(catalog: Catalog) -> None:
    add_everything(catalog)
    commit(catalog)
    catalog.remove_vhost("/")
    add_everything(catalog)
    commit(catalog)
    assert catalog.load() == EVERYTHING


def test_adding_again_replaces_what_is_there(catalog: Catalog) -> None:
    add_everything(catalog)
    commit(catalog)
    changed = Topology(
        [VHOST._replace(metadata="{}")],
        [EXCHANGE._replace(kind="fanout", internal=False)],
        [QUEUE._replace(arguments=b"\x01xV")],
        [BINDING],
        [POLICY._replace(priority=4, pattern=".*")],
    )
    catalog.add_vhost(changed.vhosts[0])
    catalog.add_exchange(changed.exchanges[0])
    catalog.add_queue(changed.queues[0])
    catalog.add_binding(BINDING)
    catalog.add_policy(changed.policies[0])
    commit(catalog)
    assert catalog.load() == changed


def test_a_queue_declared_again_under_its_old_name_is_another_one(catalog: Catalog) -> None:
    first, second, third = queue(1, "jobs"), queue(2, "jobs"), queue(3, "jobs")
    catalog.add_queue(first)
    catalog.remove_queue(1)
    catalog.add_queue(second)
    commit(catalog)
    assert catalog.load().queues == [second]
    catalog.add_queue(third)
    commit(catalog)
    assert catalog.load().queues == [third]


def test_policies_of_users_and_of_operators_may_have_the_same_name(catalog: Catalog) -> None:
    for row in (POLICY, POLICY._replace(is_operator=True, pattern="x")):
        catalog.add_policy(row)
    commit(catalog)
    assert catalog.load().policies == [POLICY, POLICY._replace(is_operator=True, pattern="x")]


@pytest.mark.parametrize("name", ["", "a'; DROP TABLE queues --", "é\u0000ü", "名前", "x" * 255, "\U0001f407"])
def test_any_name_that_utf8_can_write_comes_back_as_it_was(catalog: Catalog, name: str) -> None:
    catalog.add_queue(queue(1, name, vhost=name))
    catalog.add_binding(BindingRow(name, name, True, name, name, name.encode()))
    commit(catalog)
    there = catalog.load()
    assert there.queues == [queue(1, name, vhost=name)]
    assert there.bindings == [BindingRow(name, name, True, name, name, name.encode())]


def test_a_text_that_utf8_cannot_write_is_refused_at_once_and_spoils_nothing(catalog: Catalog) -> None:
    catalog.add_queue(QUEUE)
    with pytest.raises(UnicodeEncodeError):
        catalog.add_binding(binding("\udcff"))
    commit(catalog)
    assert catalog.load() == Topology(queues=[QUEUE])


def test_a_queue_with_many_bindings_is_deleted_in_two_statements_by_index(catalog: Catalog) -> None:
    for number in range(10_000):
        catalog.add_binding(binding(f"key.{number}"))
    catalog.add_binding(binding("key", destination="other"))
    assert commit(catalog).changes == 10_001
    catalog.remove_bindings_to("/", True, "jobs")
    catalog.remove_queue(QUEUE.id)
    assert commit(catalog).changes == 2
    assert catalog.load().bindings == [binding("key", destination="other")]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM bindings WHERE vhost = ? AND destination_is_queue = ? AND destination = ?",
        "DELETE FROM bindings WHERE vhost = ? AND source = ?",
        "DELETE FROM bindings WHERE vhost = ?",
        "DELETE FROM queues WHERE id = ?",
        "DELETE FROM queues WHERE vhost = ?",
        "DELETE FROM exchanges WHERE vhost = ?",
        "DELETE FROM policies WHERE vhost = ?",
    ],
)
def test_no_removal_looks_through_a_whole_table(catalog: Catalog, statement: str) -> None:
    plan = catalog._connection.execute(f"EXPLAIN QUERY PLAN {statement}", ("x",) * statement.count("?")).fetchall()
    assert [str(row[3])[:6] for row in plan] == ["SEARCH"]


def test_one_write_holds_all_that_was_gathered_and_the_next_one_what_came_later(catalog: Catalog) -> None:
    assert catalog.begin() is None
    for number in range(1, 301):
        catalog.add_queue(queue(number))
        catalog.add_binding(binding("k", destination=f"queue-{number}"))
    write = catalog.begin()
    assert write is not None
    assert write.changes == 600
    assert not catalog.dirty
    catalog.add_queue(queue(301))
    write.run()
    catalog.finished(write)
    assert len(catalog.load().queues) == 300
    assert commit(catalog).changes == 1
    there = catalog.load()
    assert [row.id for row in there.queues] == list(range(1, 302))
    assert len(there.bindings) == 300
    assert catalog.begin() is None


def test_a_write_may_run_in_another_thread(catalog: Catalog) -> None:
    add_everything(catalog)
    write = catalog.begin()
    assert write is not None
    worker = Thread(target=write.run)
    worker.start()
    worker.join()
    catalog.finished(write)
    assert catalog.load() == EVERYTHING


def test_only_one_write_is_under_way(catalog: Catalog) -> None:
    catalog.add_queue(QUEUE)
    write = catalog.begin()
    assert write is not None
    with pytest.raises(RuntimeError):
        catalog.begin()
    catalog.finished(write)
    with pytest.raises(RuntimeError):
        catalog.finished(write)


CHANGES = st.lists(
    st.one_of(
        st.builds(lambda n, i: ("add", queue(i, n)), st.sampled_from("ab"), st.integers(1, 4)),
        st.builds(lambda i: ("remove", i), st.integers(1, 4)),
        st.builds(lambda d, k: ("bind", binding(k, d)), st.sampled_from("ab"), st.sampled_from("kl")),
        st.builds(lambda d, k: ("unbind", binding(k, d)), st.sampled_from("ab"), st.sampled_from("kl")),
        st.builds(lambda d: ("unbind all", d), st.sampled_from("ab")),
        st.just(("remove vhost", "/")),
    )
)


def gather(catalog: Catalog, change: tuple[str, object]) -> None:
    """Tell the catalog of a drawn change."""
    match change:
        case "add", QueueRow() as row:
            catalog.add_queue(row)
        case "remove", int(number):
            catalog.remove_queue(number)
        case "bind", BindingRow() as row:
            catalog.add_binding(row)
        case "unbind", BindingRow() as row:
            catalog.remove_binding(row)
        case "unbind all", str(destination):
            catalog.remove_bindings_to("/", True, destination)
        case "remove vhost", str(name):
            catalog.remove_vhost(name)
        case _:
            raise AssertionError(change)


def expected(changes: list[tuple[str, object]]) -> tuple[set[QueueRow], set[BindingRow]]:
    """What is left after changes, one after the other."""
    queues: dict[int, QueueRow] = {}
    bindings: set[BindingRow] = set()
    for change in changes:
        match change:
            case "add", QueueRow() as row:
                queues = {number: other for number, other in queues.items() if other.name != row.name}
                queues[row.id] = row
            case "remove", int(number):
                queues.pop(number, None)
            case "bind", BindingRow() as row:
                bindings.add(row)
            case "unbind", BindingRow() as row:
                bindings.discard(row)
            case "unbind all", destination:
                bindings = {row for row in bindings if row.destination != destination}
            case _:
                queues, bindings = {}, set()
    return set(queues.values()), bindings


@given(before=CHANGES, changes=CHANGES)
def test_a_write_leaves_what_its_changes_leave_one_by_one_however_often_it_runs(
    before: list[tuple[str, object]], changes: list[tuple[str, object]]
) -> None:
    with TemporaryDirectory() as folder:
        catalog = opened(Path(folder))
        for batch in (before, changes):
            for change in batch:
                gather(catalog, change)
            write = catalog.begin()
            if write is not None:
                for _ in range(3):
                    write.run()
                catalog.finished(write)
        there = catalog.load()
        catalog.close()
    assert (set(there.queues), set(there.bindings)) == expected(before + changes)
    assert [row.id for row in there.queues] == sorted(row.id for row in there.queues)


def test_no_id_of_a_queue_is_given_out_twice_also_after_restarts_and_for_what_was_never_written(
    tmp_path: Path,
) -> None:
    given_out: list[int] = []
    for restart in range(3):
        catalog = opened(tmp_path)
        given_out.extend(catalog.next_queue_id() for _ in range(5))
        if restart:
            catalog.add_queue(queue(given_out[-1]))
            commit(catalog)
            catalog.remove_queue(given_out[-1])
            commit(catalog)
        catalog.close()
    assert given_out == [start * IDS_PER_START + number for start in (1, 2, 3) for number in (1, 2, 3, 4, 5)]


def test_no_id_is_given_out_twice_after_the_broker_was_killed(tmp_path: Path) -> None:
    """What a killed broker leaves: the files as they were, at any moment."""
    (tmp_path / "killed").mkdir()
    catalog = opened(tmp_path)
    given_out = {catalog.next_queue_id() for _ in range(5)}
    for file in list(tmp_path.glob("catalog.sqlite*")):
        shutil.copy(file, tmp_path / "killed")
    catalog.close()
    again = opened(tmp_path / "killed")
    assert given_out.isdisjoint({again.next_queue_id() for _ in range(5)})
    again.close()


def test_a_full_disk_is_enospc_and_the_write_can_run_again(tmp_path: Path, catalog: Catalog) -> None:
    add_everything(catalog)
    commit(catalog)
    (pages,) = catalog._connection.execute("PRAGMA page_count").fetchone()
    catalog._connection.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(1000, 2000):
        catalog.add_queue(queue(number))
    write = catalog.begin()
    assert write is not None
    for _ in range(2):
        with pytest.raises(OSError, match="No space left on device") as caught:
            write.run()
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "catalog.sqlite"))
        assert catalog.load() == EVERYTHING
    catalog._connection.execute("PRAGMA max_page_count = 1000000")
    write.run()
    catalog.finished(write)
    assert len(catalog.load().queues) == 1001


def test_a_write_that_the_disk_refuses_is_eio_and_the_write_can_run_again(catalog: Catalog) -> None:
    """Files that may not grow, which is the failing write that can be had without a failing disk."""
    resource = pytest.importorskip("resource")
    add_everything(catalog)
    commit(catalog)
    size = catalog.path.with_name("catalog.sqlite-wal").stat().st_size
    for number in range(1000, 2000):
        catalog.add_queue(queue(number))
    write = catalog.begin()
    assert write is not None
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5000, before[1]))
    try:
        with pytest.raises(OSError, match="Input/output error") as caught:
            write.run()
        assert caught.value.errno == errno.EIO
        assert catalog.load() == EVERYTHING
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    write.run()
    catalog.finished(write)
    assert len(catalog.load().queues) == 1001


def test_what_cannot_be_moved_out_of_the_log_when_closing_stays_in_it(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    catalog = opened(tmp_path)
    for number in range(1000):
        catalog.add_queue(queue(number))
    commit(catalog)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match="Input/output error"):
            catalog.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(loaded(tmp_path).queues) == 1000


def test_a_write_that_does_not_run_to_its_end_for_another_reason_changes_nothing_either(catalog: Catalog) -> None:
    catalog.add_queue(QUEUE)
    catalog.add_binding(("/", "source", True, "a binding without its key"))  # type: ignore[arg-type]  # a fault of ours
    write = catalog.begin()
    assert write is not None
    with pytest.raises(sqlite3.ProgrammingError):
        write.run()
    catalog.finished(write)
    assert catalog.load() == Topology()


def refusal(path: Path) -> str:
    """What open() says of a file that it refuses."""
    before = path.read_bytes()
    with pytest.raises(CatalogError) as caught:
        Catalog.open(path, syncs=True)
    assert path.read_bytes() == before
    return str(caught.value)


def test_a_newer_schema_is_refused_and_the_file_is_left_as_it_is(tmp_path: Path) -> None:
    opened(tmp_path).close()
    path = tmp_path / "catalog.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    assert refusal(path) == (
        f"The catalog {path} was written by a newer amqpd (schema {schema.VERSION + 1}, this one knows"
        f" {schema.VERSION}); use that amqpd, or another data directory."
    )


@pytest.mark.parametrize("statement", ["CREATE TABLE t (x)", "PRAGMA user_version = 3"])
def test_a_database_of_another_program_is_refused(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "catalog.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
    assert refusal(path) == f"{path} is a database of another program, not a catalog of amqpd; move it away."


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(b"x" * 5000)
    assert refusal(path) == (
        f"The catalog {path} is damaged (file is not a database); restore it from a backup,"
        " or let amqpd check-data look at it."
    )


def test_a_catalog_that_another_program_has_open_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amqpd.catalog.catalog._LOCK_SECONDS", 0.0)
    catalog = opened(tmp_path)
    path = tmp_path / "catalog.sqlite"
    with pytest.raises(CatalogError) as caught:
        Catalog.open(path, syncs=True)
    assert str(caught.value) == (
        f"The catalog {path} cannot be opened (database is locked); close it in the other program that has it open."
    )
    catalog.close()


def test_a_catalog_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    path.mkdir()
    with pytest.raises(CatalogError) as caught:
        Catalog.open(path, syncs=True)
    assert str(caught.value) == (
        f"The catalog {path} cannot be opened (unable to open database file);"
        " make the file and its directory readable and writable for this user."
    )


def test_a_catalog_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the system is asked in its place."""
    opened(tmp_path).close()
    path = tmp_path / "catalog.sqlite"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert refusal(path) == (
        f"The catalog {path} cannot be opened (permission denied);"
        " make the file and its directory readable and writable for this user."
    )


def test_a_folder_that_cannot_be_synced_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(folder: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("amqpd.catalog.catalog.sync_folder", failing)
    with pytest.raises(CatalogError, match="see the system's log for what its disk reports"):
        opened(tmp_path)


def damage(path: Path, text: bytes, instead: bytes) -> None:
    """Change octets of a file at rest wherever they are found."""
    content = path.read_bytes()
    assert text in content
    path.write_bytes(content.replace(text, instead))


def test_damage_inside_is_told_when_loading_and_found_by_a_check(tmp_path: Path) -> None:
    catalog = opened(tmp_path)
    for number in range(1000):
        catalog.add_binding(binding(f"key.{number}"))
    commit(catalog)
    assert catalog.check() == []
    catalog.close()
    path = tmp_path / "catalog.sqlite"
    with path.open("r+b") as file:
        file.seek(-8192, 2)
        file.write(b"\xff" * 8192)
    catalog = opened(tmp_path)
    with pytest.raises(CatalogError) as caught:
        catalog.load()
    assert str(caught.value).startswith(f"The catalog {path} is damaged (database disk image is malformed); restore")
    assert catalog.check() != []
    catalog.close()


def test_a_check_that_cannot_be_finished_says_why(catalog: Catalog) -> None:
    catalog._connection.set_progress_handler(lambda: 1, 1)
    assert catalog.check() == ["interrupted"]
    catalog._connection.set_progress_handler(None, 1)
    assert catalog.check() == []


def test_text_that_is_no_utf8_is_damage(tmp_path: Path) -> None:
    catalog = opened(tmp_path)
    catalog.add_queue(queue(1, "a queue like no other"))
    commit(catalog)
    catalog.close()
    damage(tmp_path / "catalog.sqlite", b"like no other", b"\xff\xfeke no other")
    catalog = opened(tmp_path)
    with pytest.raises(CatalogError, match=r"is damaged \(Could not decode to UTF-8"):
        catalog.load()
    catalog.close()


def test_a_damaged_page_fails_the_write_that_meets_it(tmp_path: Path) -> None:
    catalog = opened(tmp_path)
    for number in range(1000):
        catalog.add_binding(binding(f"key.{number}"))
    commit(catalog)
    catalog.close()
    path = tmp_path / "catalog.sqlite"
    with path.open("r+b") as file:
        file.seek(-8192, 2)
        file.write(b"\xff" * 8192)
    catalog = opened(tmp_path)
    catalog.remove_vhost("/")
    write = catalog.begin()
    assert write is not None
    with pytest.raises(CatalogError, match="is damaged"):
        write.run()
    catalog.finished(write)
    catalog.close()


def test_a_place_that_carries_no_write_ahead_log_is_refused() -> None:
    with pytest.raises(CatalogError, match=r"its file system does not carry a write-ahead log.* stays memory"):
        Catalog.open(Path(":memory:"), syncs=True)


def test_an_empty_file_is_a_new_catalog(tmp_path: Path) -> None:
    """What a first start may leave that lost power."""
    (tmp_path / "catalog.sqlite").write_bytes(b"")
    catalog = opened(tmp_path)
    assert catalog.created
    catalog.close()


def test_a_catalog_that_is_older_than_the_queues_is_refused_however_often(tmp_path: Path) -> None:
    """Killed, a broker leaves all of its changes in the -wal file; without it the catalog knows nothing of them."""
    path = tmp_path / "catalog.sqlite"
    Catalog.open(path, False).close()
    later = Catalog.open(path, False)
    highest = later.next_queue_id()
    later.close()
    for _ in range(3):
        with pytest.raises(CatalogError, match=r"older than the queues beside it .* move .*queues away"):
            Catalog.open(path, False, highest + IDS_PER_START)
    assert Catalog.open(path, False, highest).next_queue_id() > highest
