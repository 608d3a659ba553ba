"""What SQLite says is wrong, in the words of this house.

Rule: sqlite3's exceptions end here. A fault of the disk becomes the OSError that the log raises for the same fault, so
that whoever commits treats both alike; everything about the content becomes a CatalogError.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

from amqpd.catalog.error import CatalogError

_PRIMARY: Final = 0xFF  # SQLite's extended codes carry the plain one in their low octet
_ERRNO: Final = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_BUSY: errno.EBUSY,
    sqlite3.SQLITE_LOCKED: errno.EBUSY,
    sqlite3.SQLITE_NOMEM: errno.ENOMEM,
}

_WAYS_OUT: Final = {
    errno.ENOSPC: "make room on its disk",
    errno.EIO: "see the system's log for what its disk reports",
    errno.EBUSY: "close it in the other program that has it open",
    errno.ENOMEM: "give amqpd more memory",
}


def translated(error: sqlite3.Error, path: Path) -> OSError | CatalogError | sqlite3.Error:
    """The exception to raise in place of one of sqlite3's.

    Returns:
        An OSError for a fault of the disk (ENOSPC, EIO, EROFS, EACCES, EBUSY, ENOMEM), a CatalogError if the file's
        content is broken, and the error itself where SQLite was used wrongly: that is a fault of amqpd's own.
    """
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return error
    number = _errno(error)
    return damaged(path, str(error)) if number is None else OSError(number, os.strerror(number), str(path))


def refusal(error: sqlite3.Error, path: Path) -> CatalogError | sqlite3.Error:
    """The exception to raise in place of one of sqlite3's when the file is being opened: always one with a way out."""
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return error
    number = _errno(error)
    return damaged(path, str(error)) if number is None else unusable(path, number, str(error))


def damaged(path: Path, finding: str) -> CatalogError:
    """What to say of a catalog with broken content."""
    return CatalogError(
        f"The catalog {path} is damaged ({finding}); restore it from a backup, or let amqpd check-data look at it."
    )


def unusable(path: Path, number: int, finding: str) -> CatalogError:
    """What to say of a catalog that the machine does not let us open.

    Args:
        number: the errno of what is wrong.
    """
    way_out = _WAYS_OUT.get(number, "make the file and its directory readable and writable for this user")
    return CatalogError(f"The catalog {path} cannot be opened ({finding}); {way_out}.")


def _errno(error: sqlite3.Error) -> int | None:
    """The errno for a fault of the disk, None if it is the content."""
    # Without a code it was Python that could not read a value: text that is no UTF-8.
    return _ERRNO.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & _PRIMARY)
