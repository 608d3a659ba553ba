"""The tables of the catalog, and how a file comes to have them.

Rule: what may live here is the shape of the file. A new table is a new entry at the end of MIGRATIONS; an entry that
was released is never changed, for there are files that have been through it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from amqpd.catalog.error import CatalogError

APPLICATION_ID: Final = 0x616D7170  # "amqp": tells SQLite files of ours from those of other programs

_FIRST: Final = (
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO counters VALUES ('starts', 0)",
    "CREATE TABLE vhosts (name TEXT PRIMARY KEY, metadata TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE exchanges (
        vhost TEXT, name TEXT, kind TEXT NOT NULL, auto_delete INTEGER NOT NULL, internal INTEGER NOT NULL,
        arguments BLOB NOT NULL,
        PRIMARY KEY (vhost, name)) WITHOUT ROWID""",
    """CREATE TABLE queues (
        id INTEGER PRIMARY KEY, vhost TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
        auto_delete INTEGER NOT NULL, arguments BLOB NOT NULL,
        UNIQUE (vhost, name))""",
    # The key is the whole row, destination in front: what leads to a queue or exchange goes with it.
    """CREATE TABLE bindings (
        vhost TEXT, source TEXT, destination_is_queue INTEGER, destination TEXT, key TEXT, arguments BLOB,
        PRIMARY KEY (vhost, destination_is_queue, destination, source, key, arguments)) WITHOUT ROWID""",
    "CREATE INDEX bindings_by_source ON bindings (vhost, source)",
    """CREATE TABLE policies (
        vhost TEXT, name TEXT, is_operator INTEGER, pattern TEXT NOT NULL, apply_to TEXT NOT NULL,
        priority INTEGER NOT NULL, definition TEXT NOT NULL,
        PRIMARY KEY (vhost, name, is_operator)) WITHOUT ROWID""",
)

# Exchanges that keep messages have ids, from the same numbers as queues. One that is there already gets an id that no
# start gives to a queue: each counts from its own number times 10**12, and none ever comes this far.
_EXCHANGE_IDS: Final = (
    "ALTER TABLE exchanges ADD COLUMN id INTEGER NOT NULL DEFAULT 0",
    """UPDATE exchanges SET id = (SELECT value * 1000000000000 + 900000000000 FROM counters WHERE name = 'starts')
        + (SELECT count(*) FROM exchanges e WHERE (e.vhost, e.name) < (exchanges.vhost, exchanges.name))
        WHERE kind = 'x-delayed-message'""",
)

# The default virtual host was not kept before: it was there in every file that had a start. The counter "seeded" is not
# set, so the next start makes the first user, as every start did before.
_ACCOUNTS: Final = (
    "INSERT OR IGNORE INTO vhosts SELECT '/', '{}' FROM counters WHERE name = 'starts' AND value > 0",
    "INSERT INTO counters VALUES ('seeded', 0)",
    """CREATE TABLE users (
        name TEXT PRIMARY KEY, password_hash TEXT NOT NULL, algorithm TEXT NOT NULL, tags TEXT NOT NULL,
        limits TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE permissions (
        user TEXT, vhost TEXT, configure TEXT NOT NULL, write TEXT NOT NULL, read TEXT NOT NULL,
        PRIMARY KEY (user, vhost)) WITHOUT ROWID""",
    """CREATE TABLE topic_permissions (
        user TEXT, vhost TEXT, exchange TEXT, write TEXT NOT NULL, read TEXT NOT NULL,
        PRIMARY KEY (user, vhost, exchange)) WITHOUT ROWID""",
    """CREATE TABLE parameters (
        vhost TEXT, component TEXT, name TEXT, value TEXT NOT NULL,
        PRIMARY KEY (vhost, component, name)) WITHOUT ROWID""",
    "CREATE TABLE global_parameters (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)

_DECLARERS: Final = ("ALTER TABLE queues ADD COLUMN declared_by TEXT NOT NULL DEFAULT ''",)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_FIRST, _EXCHANGE_IDS, _ACCOUNTS, _DECLARERS)
"""Entry n turns a file of user_version n into one of n + 1."""

VERSION: Final = len(MIGRATIONS)


def check(connection: sqlite3.Connection, path: Path) -> bool:
    """See whether the file is a catalog that this amqpd knows. Changes nothing.

    Returns:
        True if there is nothing in it yet.

    Raises:
        CatalogError: it is another program's, or of a newer schema.
    """
    version = _number(connection, "PRAGMA user_version")
    if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
        if version or _number(connection, "SELECT count(*) FROM sqlite_master"):
            raise CatalogError(f"{path} is a database of another program, not a catalog of amqpd; move it away.")
        return True
    if version > VERSION:
        raise CatalogError(
            f"The catalog {path} was written by a newer amqpd (schema {version}, this one knows {VERSION});"
            " use that amqpd, or another data directory."
        )
    return version == 0


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a checked file to VERSION, each step in a transaction of its own.

    Raises:
        sqlite3.Error: the file is then as the last whole step left it.
    """
    for version in range(_number(connection, "PRAGMA user_version"), VERSION):
        with Transaction(connection):
            for statement in MIGRATIONS[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {version + 1}")


def starts(connection: sqlite3.Connection) -> int:
    """How many starts of this catalog were counted."""
    return _number(connection, "SELECT value FROM counters WHERE name = 'starts'")


def count_start(connection: sqlite3.Connection) -> int:
    """Count one more start of this catalog, durably; returns which one it is, from 1."""
    with Transaction(connection):
        connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'starts'")
        return _number(connection, "SELECT value FROM counters WHERE name = 'starts'")


class Transaction:
    """``with Transaction(connection):`` commits, or undoes everything if something is raised, commit included."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            # Also after a commit that failed: SQLite may leave the transaction open, and the next could not begin.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _number(connection: sqlite3.Connection, sql: str) -> int:
    """The one number that a query gives."""
    return int(connection.execute(sql).fetchone()[0])
