"""Whether the catalog is whole, and what it says.

Rule: what may live here reads the catalog without changing it, row by row: a catalog may hold a million bindings.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from amqpd.auth.permissions import Permission
from amqpd.auth.recovery import user_of
from amqpd.auth.topics import TopicPermission
from amqpd.broker.exchanges import EXCHANGE_TYPES
from amqpd.broker.policy import Policy, PolicyError
from amqpd.broker.queues.types import QUEUE_TYPES
from amqpd.catalog import schema
from amqpd.catalog.rows import ExchangeRow, QueueRow, UserRow
from amqpd.check.findings import CatalogReport, Finding
from amqpd.wire.table import Table, TableError

TABLES: Final = ("vhosts", "exchanges", "queues", "bindings", "policies")
ACCOUNTS: Final = ("users", "permissions", "topic_permissions", "parameters", "global_parameters")
_ACCOUNTS_ARE_KEPT: Final = 3  # from this schema on
_MOST_TOLD: Final = 20  # rows of one sort; a broken file may have a million
_EXCHANGES_HAVE_IDS: Final = 2  # from this schema on
_DEFAULT_VHOST: Final = "/"
_DANGLING: Final = """
    SELECT b.vhost, b.source, b.destination FROM bindings b WHERE
    (b.source NOT LIKE 'amq.%' AND NOT EXISTS (
        SELECT 1 FROM exchanges e WHERE e.vhost = b.vhost AND e.name = b.source))
    OR (b.destination_is_queue = 1 AND NOT EXISTS (
        SELECT 1 FROM queues q WHERE q.vhost = b.vhost AND q.name = b.destination))
    OR (b.destination_is_queue = 0 AND b.destination NOT LIKE 'amq.%' AND NOT EXISTS (
        SELECT 1 FROM exchanges e WHERE e.vhost = b.vhost AND e.name = b.destination))"""

_NOBODYS: Final = " WHERE user NOT IN (SELECT name FROM users)"

_Row = tuple[object, ...]


class CatalogCheck:
    """The check of the catalog.

    Args:
        path: of the file. SQLite keeps a write-ahead log beside it when the broker was killed, and would write to read
            that; so a copy is looked at then.
    """

    def __init__(self, path: Path) -> None:
        self.report = CatalogReport()
        self.queues: list[QueueRow] = []
        self.holding: list[ExchangeRow] = []
        """Exchanges that keep messages."""
        self._path = path
        self._vhosts: set[object] = {_DEFAULT_VHOST}

    def run(self) -> CatalogReport:
        """Read everything. Blocks.

        Raises:
            CatalogError: it is of a newer schema, or another program's.
            OSError: it may not be read.
        """
        if not self._path.exists() or self._path.stat().st_size == 0:
            self._corrupt("the catalog is missing; restore it from a backup")
            self.report.readable = False
            return self.report
        wal = self._path.with_name(self._path.name + "-wal")
        self.report.octets = self._path.stat().st_size
        if not wal.exists() or wal.stat().st_size == 0:
            with self._path.open("rb"):  # SQLite does not tell why it cannot open a file
                self._examine(f"{self._path.resolve().as_uri()}?immutable=1")
            return self.report
        self.report.octets += wal.stat().st_size
        with TemporaryDirectory(prefix="amqpd-check-") as folder:
            for source in (self._path, wal):
                shutil.copyfile(source, Path(folder, source.name))
            self._examine(Path(folder, self._path.name).as_uri())
        return self.report

    def _examine(self, uri: str) -> None:
        try:
            with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
                if schema.check(connection, self._path):
                    return  # nothing was ever declared
                self._read(connection)
        except sqlite3.Error as error:
            self._corrupt(f"SQLite cannot read it ({error})")
            self.report.readable = False

    def _read(self, connection: sqlite3.Connection) -> None:
        self.report.schema = int(connection.execute("PRAGMA user_version").fetchone()[0])
        for (text,) in connection.execute(f"PRAGMA integrity_check({_MOST_TOLD})"):
            if text != "ok":
                self._corrupt(f"SQLite finds: {' '.join(str(text).split())}")
        self.report.readable = not self.report.corrupt
        accounts = self.report.schema >= _ACCOUNTS_ARE_KEPT
        for table in (*TABLES, *ACCOUNTS) if accounts else TABLES:
            self.report.counts[table] = int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        rows = connection.execute
        self.report.starts = int(rows("SELECT value FROM counters WHERE name = 'starts'").fetchone()[0])
        self._vhosts.update(name for (name,) in rows("SELECT name FROM vhosts"))
        if accounts and rows("SELECT value FROM counters WHERE name = 'seeded'").fetchone() == (1,):
            self._vhosts.intersection_update([name for (name,) in rows("SELECT name FROM vhosts")])
        self.report.counts["vhosts"] = len(self._vhosts)
        self._each(
            rows("SELECT vhost, name, is_operator, pattern, apply_to, priority, definition FROM policies"), policy
        )
        self._each(rows("SELECT vhost, name, kind, arguments FROM exchanges"), exchange)
        self._each(rows("SELECT vhost, name, kind, arguments FROM queues"), queue)
        self._each(rows("SELECT vhost, destination, arguments FROM bindings WHERE arguments != x''"), binding)
        if accounts:
            self._read_accounts(connection)
        for vhost, source, destination in rows(f"{_DANGLING} LIMIT {_MOST_TOLD}"):
            text = f"a binding from '{source}' to '{destination}' in vhost '{vhost}' has an end that is missing"
            self.report.notes.append(self._finding(f"{text}; a start leaves it out"))
        self.queues = [
            QueueRow(number, vhost, name, kind, auto_delete == 1, b"")
            for number, vhost, name, kind, auto_delete in rows(
                "SELECT id, vhost, name, kind, auto_delete FROM queues ORDER BY vhost, name"
            )
        ]
        if self.report.schema >= _EXCHANGES_HAVE_IDS:
            self.holding = [
                ExchangeRow(vhost, name, kind, auto_delete == 1, internal == 1, b"", number)
                for vhost, name, kind, auto_delete, internal, number in rows(
                    "SELECT vhost, name, kind, auto_delete, internal, id FROM exchanges WHERE id > 0"
                    " ORDER BY vhost, name"
                )
            ]

    def _read_accounts(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute
        self._each(rows("SELECT vhost, user, configure, write, read FROM permissions"), permission)
        self._each(rows("SELECT vhost, user, exchange, write, read FROM topic_permissions"), topic_permission)
        self._each(rows("SELECT vhost, name, value FROM parameters"), parameter)
        # These belong to no virtual host.
        self._each(rows("SELECT '', name, password_hash, algorithm, tags, limits FROM users"), user, False)
        self._each(rows("SELECT '', name, value FROM global_parameters"), parameter, False)
        for vhost, name in rows(f"SELECT vhost, user FROM permissions{_NOBODYS} LIMIT {_MOST_TOLD}"):
            text = f"a permission in vhost '{vhost}' is for user '{name}', who does not exist"
            self.report.notes.append(self._finding(f"{text}; it counts if such a user is made"))

    def _each(self, rows: sqlite3.Cursor, judge: Callable[[_Row], None], has_vhost: bool = True) -> None:
        """Judge every row of a table: what cannot be brought back is corrupt."""
        told = 0
        for row in rows:
            text = "" if not has_vhost or row[0] in self._vhosts else "its virtual host is missing"
            if not text:
                try:
                    judge(row)
                except (PolicyError, TableError, ValueError, TypeError) as error:
                    text = str(error)
            if text and told < _MOST_TOLD:
                told += 1
                where = f" in vhost '{row[0]}'" if has_vhost else ""
                what = f"{judge.__name__.replace('_', ' ')} '{row[1]}'{where} cannot be brought back"
                self._corrupt(f"{what}: {' '.join(text.split())}")

    def _corrupt(self, text: str) -> None:
        self.report.corrupt.append(self._finding(text))
        self.report.incurable += 1

    def _finding(self, text: str) -> Finding:
        return Finding(self._path.name, 0, 0, text)


# What a row has to be like. The functions are named as what they judge.


def policy(row: _Row) -> None:
    """Make the policy; what is wrong with it is raised."""
    _, name, is_operator, pattern, apply_to, priority, definition = row
    Policy(str(name), str(pattern), json.loads(str(definition)), number(priority), str(apply_to), is_operator == 1)


def exchange(row: _Row) -> None:
    """Read type and arguments."""
    if row[2] not in EXCHANGE_TYPES:
        raise ValueError(f"there is no exchange type '{row[2]}'")
    arguments(row)


def queue(row: _Row) -> None:
    """Read type and arguments."""
    if row[2] not in QUEUE_TYPES:
        raise ValueError(f"there is no queue type '{row[2]}'")
    arguments(row)


def binding(row: _Row) -> None:
    """Read the arguments."""
    arguments(row)


def permission(row: _Row) -> None:
    """Read the patterns."""
    Permission(*[str(value) for value in row[2:]])


def topic_permission(row: _Row) -> None:
    """Read the patterns."""
    TopicPermission(*[str(value) for value in row[3:]])


def parameter(row: _Row) -> None:
    """Read the value."""
    json.loads(str(row[2]))


def user(row: _Row) -> None:
    """Make the user."""
    user_of(UserRow(*[str(value) for value in row[1:]]))


def arguments(row: _Row) -> None:
    """Read the last column, which is a table."""
    raw = row[-1]
    if not isinstance(raw, bytes):
        raise TableError("its arguments are no octets")
    Table(raw)


def number(value: object) -> int:
    """A column that is a whole number."""
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is no whole number")
    return value
