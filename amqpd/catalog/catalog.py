"""The catalog: durable topology, users and parameters in one SQLite file.

The main thread gathers changes; what was gathered is taken out as one CatalogWrite, which a worker thread runs in one
transaction, so that many declares share one commit. SQLite's write-ahead log makes a commit whole or absent, whatever
happens.

Rule: what may live here is the way of rows into the file and out of it. What the rows mean, and which things go when
others go, the broker knows.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from amqpd.catalog import schema
from amqpd.catalog.directory import sync_folder
from amqpd.catalog.error import CatalogError
from amqpd.catalog.faults import refusal, translated, unusable
from amqpd.catalog.rows import (
    BindingRow,
    ExchangeRow,
    GlobalParameterRow,
    ParameterRow,
    PermissionRow,
    PolicyRow,
    QueueRow,
    TopicPermissionRow,
    Topology,
    UserRow,
    VHostRow,
)

IDS_PER_START: Final = 10**12
"""Queue ids of start n begin at n times this: what a start gave out, written or not, no later one gives out again."""

_LOCK_SECONDS: Final = 1.0  # to wait for another program that has the file open
_WAL_KEPT: Final = 16 << 20  # octets to which the write-ahead log shrinks again after a very large commit

_ADD_VHOST: Final = "INSERT OR REPLACE INTO vhosts VALUES (?, ?)"
_REMOVE_VHOST: Final = tuple(
    f"DELETE FROM {table} WHERE {column} = ?"
    for table, column in (
        ("bindings", "vhost"),
        ("queues", "vhost"),
        ("exchanges", "vhost"),
        ("policies", "vhost"),
        ("permissions", "vhost"),
        ("topic_permissions", "vhost"),
        ("parameters", "vhost"),
        ("vhosts", "name"),
    )
)
_ADD_EXCHANGE: Final = "INSERT OR REPLACE INTO exchanges VALUES (?, ?, ?, ?, ?, ?, ?)"
_REMOVE_EXCHANGE: Final = "DELETE FROM exchanges WHERE vhost = ? AND name = ?"
_ADD_QUEUE: Final = "INSERT OR REPLACE INTO queues VALUES (?, ?, ?, ?, ?, ?, ?)"
_REMOVE_QUEUE: Final = "DELETE FROM queues WHERE id = ?"
_ADD_BINDING: Final = "INSERT OR REPLACE INTO bindings VALUES (?, ?, ?, ?, ?, ?)"
_REMOVE_BINDING: Final = (
    "DELETE FROM bindings WHERE vhost = ? AND source = ? AND destination_is_queue = ? AND destination = ?"
    " AND key = ? AND arguments = ?"
)
_REMOVE_BINDINGS_TO: Final = "DELETE FROM bindings WHERE vhost = ? AND destination_is_queue = ? AND destination = ?"
_REMOVE_BINDINGS_FROM: Final = "DELETE FROM bindings WHERE vhost = ? AND source = ?"
_ADD_POLICY: Final = "INSERT OR REPLACE INTO policies VALUES (?, ?, ?, ?, ?, ?, ?)"
_REMOVE_POLICY: Final = "DELETE FROM policies WHERE vhost = ? AND name = ? AND is_operator = ?"

_ADD_USER: Final = "INSERT OR REPLACE INTO users VALUES (?, ?, ?, ?, ?)"
_REMOVE_USER: Final = tuple(
    f"DELETE FROM {table} WHERE {column} = ?"
    for table, column in (("permissions", "user"), ("topic_permissions", "user"), ("users", "name"))
)
_ADD_PERMISSION: Final = "INSERT OR REPLACE INTO permissions VALUES (?, ?, ?, ?, ?)"
_REMOVE_PERMISSION: Final = "DELETE FROM permissions WHERE user = ? AND vhost = ?"
_ADD_TOPIC_PERMISSION: Final = "INSERT OR REPLACE INTO topic_permissions VALUES (?, ?, ?, ?, ?)"
_REMOVE_TOPIC_PERMISSION: Final = "DELETE FROM topic_permissions WHERE user = ? AND vhost = ? AND exchange = ?"
_ADD_PARAMETER: Final = "INSERT OR REPLACE INTO parameters VALUES (?, ?, ?, ?)"
_REMOVE_PARAMETER: Final = "DELETE FROM parameters WHERE vhost = ? AND component = ? AND name = ?"
_ADD_GLOBAL_PARAMETER: Final = "INSERT OR REPLACE INTO global_parameters VALUES (?, ?)"
_REMOVE_GLOBAL_PARAMETER: Final = "DELETE FROM global_parameters WHERE name = ?"
_SEEDED: Final = "UPDATE counters SET value = 1 WHERE name = ?"

_Values = tuple[object, ...]
_Steps = list[tuple[str, list[_Values]]]


class CatalogWrite:
    """Gathered changes on their way into the file: a job for one worker thread at a time.

    Args:
        steps: statements, each with the rows to run it for, in the order in which the changes were made.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, steps: _Steps) -> None:
        self._connection = connection
        self._path = path
        self._steps = steps

    @property
    def changes(self) -> int:
        """How many there are."""
        return sum(len(rows) for _, rows in self._steps)

    def run(self) -> None:
        """Write everything in one transaction and commit it. Blocks.

        May be run again, after a failure as well as after success: what it leaves is the same.

        Raises:
            OSError: the disk is full, failed, or cannot be written to; nothing is changed.
            CatalogError: the file is damaged; nothing is changed.
        """
        try:
            with schema.Transaction(self._connection):
                for statement, rows in self._steps:
                    self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error


class Catalog:
    """The durable topology of one data directory. Made by open().

    Adding what is there already replaces it, removing what is not there does nothing. Removing an exchange or a queue
    leaves its bindings: whoever removes it says remove_bindings_to() and remove_bindings_from() too, each one statement
    by index however many they are. Only remove_vhost() takes everything in it along.

    All calls but CatalogWrite.run() belong to the main thread; load(), check() and close() only while no write runs.
    Texts must be such as UTF-8 can write: with another one, add and remove raise UnicodeEncodeError and gather nothing.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, created: bool, start: int) -> None:
        self.path = path
        self.created = created
        """There was no catalog before."""
        self._connection = connection
        self._last_id = start * IDS_PER_START
        self._steps: _Steps = []
        self._writing: CatalogWrite | None = None

    @classmethod
    def open(cls, path: Path, syncs: bool, highest_id: int = 0) -> Catalog:
        """Open the catalog, or make one.

        Args:
            path: the file; SQLite keeps its write-ahead log beside it while it is open.
            syncs: a commit survives power loss. Without, it survives the end of the process only.
            highest_id: of the queues that have messages on the disk. A catalog that cannot have given it out has lost
                what came later, and is refused: its broker would take those queues for deleted ones.

        Raises:
            CatalogError: it is damaged, of a newer schema, another program's, or cannot be read and written.
        """
        if os.path.exists(path) and not os.access(path, os.R_OK | os.W_OK):
            raise unusable(path, errno.EACCES, "permission denied")  # SQLite would say: disk I/O error
        try:
            connection = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise refusal(error, path) from error
        try:
            created = _prepare(connection, path)
            if highest_id // IDS_PER_START > schema.starts(connection):
                raise CatalogError(
                    f"The catalog {path} is older than the queues beside it (its file {path.name}-wal may be missing);"
                    f" restore it, or move {path.parent / 'queues'} away to start without them."
                )
            start = schema.count_start(connection)
            # Only now: that the start is counted holds for the ids of queues, and so for files that are not in here.
            connection.execute(f"PRAGMA synchronous = {'FULL' if syncs else 'OFF'}")
        except sqlite3.Error as error:
            connection.close()
            raise refusal(error, path) from error
        except OSError as error:
            connection.close()
            raise unusable(path, error.errno or 0, error.strerror or str(error)) from error
        except CatalogError:
            connection.close()
            raise
        return cls(connection, path, created, start)

    def next_queue_id(self) -> int:
        """An id that no queue or exchange of this catalog ever had, or was to have when the broker was killed."""
        self._last_id += 1
        return self._last_id

    def add_vhost(self, row: VHostRow) -> None:
        """A virtual host was made, or its metadata changed."""
        self._gather(_ADD_VHOST, row)

    def remove_vhost(self, name: str) -> None:
        """A virtual host is gone, and with it all that is in it, permissions and parameters among them."""
        for statement in _REMOVE_VHOST:
            self._gather(statement, (name,))

    def add_exchange(self, row: ExchangeRow) -> None:
        """A durable exchange was declared."""
        self._gather(_ADD_EXCHANGE, row)

    def remove_exchange(self, vhost: str, name: str) -> None:
        """A durable exchange is gone; its bindings stay."""
        self._gather(_REMOVE_EXCHANGE, (vhost, name))

    def add_queue(self, row: QueueRow) -> None:
        """A durable queue was declared. Another one of the same name is replaced; its bindings stay."""
        self._gather(_ADD_QUEUE, row)

    def remove_queue(self, queue_id: int) -> None:
        """A durable queue is gone; its bindings stay."""
        self._gather(_REMOVE_QUEUE, (queue_id,))

    def add_binding(self, row: BindingRow) -> None:
        """A binding between durable things was made."""
        self._gather(_ADD_BINDING, row)

    def remove_binding(self, row: BindingRow) -> None:
        """A binding is gone. Arguments are compared by their octets: they must be those it was added with."""
        self._gather(_REMOVE_BINDING, row)

    def remove_bindings_to(self, vhost: str, destination_is_queue: bool, destination: str) -> None:
        """All bindings that lead to a queue or exchange are gone."""
        self._gather(_REMOVE_BINDINGS_TO, (vhost, destination_is_queue, destination))

    def remove_bindings_from(self, vhost: str, source: str) -> None:
        """All bindings of an exchange are gone."""
        self._gather(_REMOVE_BINDINGS_FROM, (vhost, source))

    def add_policy(self, row: PolicyRow) -> None:
        """A policy was set."""
        self._gather(_ADD_POLICY, row)

    def remove_policy(self, vhost: str, name: str, is_operator: bool) -> None:
        """A policy was cleared."""
        self._gather(_REMOVE_POLICY, (vhost, name, is_operator))

    def add_user(self, row: UserRow) -> None:
        """A user was made or changed."""
        self._gather(_ADD_USER, row)

    def remove_user(self, name: str) -> None:
        """A user is gone, and its permissions with it."""
        for statement in _REMOVE_USER:
            self._gather(statement, (name,))

    def add_permission(self, row: PermissionRow) -> None:
        """A permission was given or changed."""
        self._gather(_ADD_PERMISSION, row)

    def remove_permission(self, user: str, vhost: str) -> None:
        """A permission was taken away."""
        self._gather(_REMOVE_PERMISSION, (user, vhost))

    def add_topic_permission(self, row: TopicPermissionRow) -> None:
        """A topic permission was given or changed."""
        self._gather(_ADD_TOPIC_PERMISSION, row)

    def remove_topic_permission(self, user: str, vhost: str, exchange: str) -> None:
        """A topic permission was taken away."""
        self._gather(_REMOVE_TOPIC_PERMISSION, (user, vhost, exchange))

    def add_parameter(self, row: ParameterRow) -> None:
        """A runtime parameter was set."""
        self._gather(_ADD_PARAMETER, row)

    def remove_parameter(self, vhost: str, component: str, name: str) -> None:
        """A runtime parameter was cleared."""
        self._gather(_REMOVE_PARAMETER, (vhost, component, name))

    def add_global_parameter(self, row: GlobalParameterRow) -> None:
        """A global parameter was set."""
        self._gather(_ADD_GLOBAL_PARAMETER, row)

    def remove_global_parameter(self, name: str) -> None:
        """A global parameter was cleared."""
        self._gather(_REMOVE_GLOBAL_PARAMETER, (name,))

    def mark_seeded(self) -> None:
        """The first user and virtual host were made, in the same transaction as this."""
        self._gather(_SEEDED, ("seeded",))

    @property
    def dirty(self) -> bool:
        """Changes were gathered that no write has taken."""
        return bool(self._steps)

    def begin(self) -> CatalogWrite | None:
        """Take what was gathered as one write. One at a time: the next may begin when finished() was told of this one.

        Returns:
            None if nothing was gathered.

        Raises:
            RuntimeError: a write is under way.
        """
        if self._writing is not None:
            raise RuntimeError("a write of the catalog is under way")
        if self._steps:
            self._writing = CatalogWrite(self._connection, self.path, self._steps)
            self._steps = []
        return self._writing

    def finished(self, write: CatalogWrite) -> None:
        """A write has run; or it failed and is given up, and then its changes are lost."""
        if self._writing is not write:
            raise RuntimeError("this write of the catalog is not under way")
        self._writing = None

    def load(self) -> Topology:
        """All that is committed. Blocks: 2 to 3 s for a million bindings.

        Raises:
            OSError: the disk failed.
            CatalogError: the file is damaged.
        """
        try:
            return _load(self._connection)
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def check(self) -> list[str]:
        """What SQLite finds wrong with the file, in its own words; empty if nothing. Blocks, and reads everything."""
        try:
            found = [str(text) for (text,) in self._connection.execute("PRAGMA integrity_check")]
        except sqlite3.Error as error:
            return [str(error)]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Close the file, in any case. What the write-ahead log holds is moved into it; changes not taken are lost.

        Raises:
            OSError: the disk is full or failed. Nothing is lost: the next open() reads the write-ahead log.
        """
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise translated(error, self.path) from error
        finally:
            self._connection.close()

    def _gather(self, statement: str, values: Sequence[object]) -> None:
        for value in values:
            if isinstance(value, str):
                value.encode()  # one that SQLite cannot take would fail its whole batch, again and again
        steps = self._steps
        if not steps or steps[-1][0] is not statement:
            steps.append((statement, []))
        steps[-1][1].append(tuple(values))


def _prepare(connection: sqlite3.Connection, path: Path) -> bool:
    """Check the file, set SQLite up and bring the tables to this version; returns True if the file is new."""
    # No shared-memory file beside the catalog, and no other program in it: the process that has the directory has it.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA synchronous = FULL")
    created = schema.check(connection, path)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise unusable(path, 0, f"its file system does not carry a write-ahead log, the journal mode stays {mode}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT}")
    schema.migrate(connection)
    if created:
        sync_folder(path.parent)
    return created


def _load(connection: sqlite3.Connection) -> Topology:
    ask = connection.execute
    names: dict[str, str] = {}  # one string for each name, not one for each of a million bindings
    same = names.setdefault
    return Topology(
        [VHostRow(*row) for row in ask("SELECT * FROM vhosts ORDER BY name")],
        [
            ExchangeRow(vhost, name, kind, auto_delete == 1, internal == 1, arguments, number)
            for vhost, name, kind, auto_delete, internal, arguments, number in ask(
                "SELECT * FROM exchanges ORDER BY vhost, name"
            )
        ],
        [
            QueueRow(number, vhost, name, kind, auto_delete == 1, arguments, same(declarer, declarer))
            for number, vhost, name, kind, auto_delete, arguments, declarer in ask("SELECT * FROM queues ORDER BY id")
        ],
        [
            BindingRow(same(vhost, vhost), same(source, source), is_queue == 1, same(to, to), key, arguments)
            for vhost, source, is_queue, to, key, arguments in ask(
                "SELECT * FROM bindings ORDER BY vhost, destination_is_queue, destination, source, key, arguments"
            )
        ],
        [
            PolicyRow(vhost, name, is_operator == 1, pattern, apply_to, priority, definition)
            for vhost, name, is_operator, pattern, apply_to, priority, definition in ask(
                "SELECT * FROM policies ORDER BY vhost, name, is_operator"
            )
        ],
        [UserRow(*row) for row in ask("SELECT * FROM users ORDER BY name")],
        [PermissionRow(*row) for row in ask("SELECT * FROM permissions ORDER BY user, vhost")],
        [TopicPermissionRow(*row) for row in ask("SELECT * FROM topic_permissions ORDER BY user, vhost, exchange")],
        [ParameterRow(*row) for row in ask("SELECT * FROM parameters ORDER BY vhost, component, name")],
        [GlobalParameterRow(*row) for row in ask("SELECT * FROM global_parameters ORDER BY name")],
        ask("SELECT value FROM counters WHERE name = 'seeded'").fetchone() == (1,),
    )
