"""From one version of the tables to the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from amqpd.catalog import schema
from amqpd.catalog.catalog import IDS_PER_START
from tests.catalog.rows import QUEUE, commit, loaded, opened

NEXT = ("CREATE TABLE later (x)", "INSERT INTO later SELECT id FROM queues")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """An empty database."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        yield made


def migrate_to(connection: sqlite3.Connection, version: int) -> None:
    """Bring a file to an older version than that of today."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "VERSION", version)
        schema.migrate(connection)


def test_a_file_of_an_older_version_is_brought_to_this_one_and_keeps_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = opened(tmp_path)
    catalog.add_queue(QUEUE)
    commit(catalog)
    catalog.close()
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, NEXT))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    for _ in range(2):
        assert loaded(tmp_path).queues == [QUEUE]
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        assert connection.execute("SELECT x FROM later").fetchall() == [(QUEUE.id,)]


def test_delayed_exchanges_of_the_first_schema_get_ids_that_nobody_has(connection: sqlite3.Connection) -> None:
    migrate_to(connection, 1)
    for name, kind in (("a", "x-delayed-message"), ("b", "topic"), ("c", "x-delayed-message")):
        connection.execute("INSERT INTO exchanges VALUES ('/', ?, ?, 0, 0, x'')", (name, kind))
    starts = schema.count_start(connection)
    schema.migrate(connection)
    ids = dict(connection.execute("SELECT name, id FROM exchanges").fetchall())
    assert ids["b"] == 0
    assert ids["a"] != ids["c"]
    for name in ("a", "c"):
        assert starts * IDS_PER_START < ids[name] < (starts + 1) * IDS_PER_START
        assert ids[name] % IDS_PER_START >= 9 * 10**11


def test_a_step_that_fails_leaves_the_version_before_it(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = schema.VERSION
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE later (x)", "NONSENSE")))
    monkeypatch.setattr(schema, "VERSION", version + 1)
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection)
    assert connection.execute("PRAGMA user_version").fetchone() == (version,)
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'later'").fetchone() == (0,)
    assert not schema.check(connection, Path("x"))


def test_only_a_file_without_tables_is_new(connection: sqlite3.Connection) -> None:
    assert schema.check(connection, Path("x"))
    schema.migrate(connection)
    assert not schema.check(connection, Path("x"))


def test_starts_are_counted(connection: sqlite3.Connection) -> None:
    schema.migrate(connection)
    assert [schema.count_start(connection) for _ in range(3)] == [1, 2, 3]


def test_a_transaction_in_which_something_is_raised_is_undone(connection: sqlite3.Connection) -> None:
    schema.migrate(connection)

    def interrupted() -> None:
        with schema.Transaction(connection):
            connection.execute("UPDATE counters SET value = 7")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not connection.in_transaction
    assert schema.count_start(connection) == 1


def test_a_file_from_before_accounts_has_the_default_virtual_host_and_no_user_yet(
    connection: sqlite3.Connection,
) -> None:
    migrate_to(connection, 2)
    schema.count_start(connection)
    schema.migrate(connection)
    assert connection.execute("SELECT * FROM vhosts").fetchall() == [("/", "{}")]
    assert connection.execute("SELECT value FROM counters WHERE name = 'seeded'").fetchall() == [(0,)]
    assert connection.execute("SELECT * FROM users").fetchall() == []


def test_a_new_file_has_no_virtual_host(connection: sqlite3.Connection) -> None:
    schema.migrate(connection)
    assert connection.execute("SELECT * FROM vhosts").fetchall() == []


def test_nobody_knows_who_declared_the_queues_of_the_first_schemas(connection: sqlite3.Connection) -> None:
    migrate_to(connection, 3)
    connection.execute("INSERT INTO queues VALUES (1, '/', 'q', 'classic', 0, x'')")
    schema.migrate(connection)
    assert connection.execute("SELECT name, declared_by FROM queues").fetchall() == [("q", "")]
