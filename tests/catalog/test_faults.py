"""Which exception takes the place of which of sqlite3's."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from amqpd.catalog.error import CatalogError
from amqpd.catalog.faults import refusal, translated

PATH = Path("data/catalog.sqlite")


def error(code: int, text: str = "what SQLite says") -> sqlite3.Error:
    """An error as SQLite gives it."""
    made = sqlite3.OperationalError(text)
    made.sqlite_errorcode = code
    return made


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (sqlite3.SQLITE_FULL, errno.ENOSPC),
        (sqlite3.SQLITE_IOERR, errno.EIO),
        (sqlite3.SQLITE_IOERR_FSYNC, errno.EIO),
        (sqlite3.SQLITE_READONLY, errno.EROFS),
        (sqlite3.SQLITE_READONLY_DIRECTORY, errno.EROFS),
        (sqlite3.SQLITE_CANTOPEN, errno.EACCES),
        (sqlite3.SQLITE_PERM, errno.EACCES),
        (sqlite3.SQLITE_BUSY, errno.EBUSY),
        (sqlite3.SQLITE_NOMEM, errno.ENOMEM),
    ],
)
def test_a_fault_of_the_disk_is_an_oserror_with_its_number_and_file(code: int, number: int) -> None:
    fault = translated(error(code), PATH)
    assert isinstance(fault, OSError)
    assert (fault.errno, fault.filename) == (number, str(PATH))


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR])
def test_everything_else_is_damage_both_when_opening_and_later(code: int) -> None:
    for fault in (translated(error(code), PATH), refusal(error(code), PATH)):
        assert isinstance(fault, CatalogError)
        assert str(fault) == (
            f"The catalog {PATH} is damaged (what SQLite says); restore it from a backup,"
            " or let amqpd check-data look at it."
        )


@pytest.mark.parametrize(
    ("code", "way_out"),
    [
        (sqlite3.SQLITE_FULL, "make room on its disk"),
        (sqlite3.SQLITE_IOERR, "see the system's log for what its disk reports"),
        (sqlite3.SQLITE_BUSY, "close it in the other program that has it open"),
        (sqlite3.SQLITE_NOMEM, "give amqpd more memory"),
        (sqlite3.SQLITE_READONLY, "make the file and its directory readable and writable for this user"),
    ],
)
def test_when_opening_a_fault_of_the_disk_is_a_sentence_with_a_way_out(code: int, way_out: str) -> None:
    fault = refusal(error(code), PATH)
    assert isinstance(fault, CatalogError)
    assert str(fault) == f"The catalog {PATH} cannot be opened (what SQLite says); {way_out}."


def test_a_wrong_use_of_sqlite_stays_what_it_is() -> None:
    mistake = sqlite3.ProgrammingError("Cannot operate on a closed database.")
    assert translated(mistake, PATH) is mistake
    assert refusal(mistake, PATH) is mistake
