"""The data directory: one process's at a time, of a format this amqpd knows, with a fixed place for everything.

::

    lock            held while a process uses the directory; its pid for people to read
    format          one line: "amqpd data format 1"
    catalog.sqlite  what is declared (catalog.py)
    queues/         a folder for each durable queue, and for each durable exchange that holds messages
    spill/          messages paged out of memory that need not survive; emptied at start

Rule: what may live here is whether a directory can be used, and where things are in it; not what is in them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from pathlib import Path
from typing import Final

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

FORMAT: Final = 1
"""The version of the directory's layout and of the log's files in it; the catalog has a schema version of its own."""

_FORMAT_LINE: Final = re.compile(rb"amqpd data format ([0-9]{1,9})\n?")
_PRIVATE: Final = 0o700
_LOCKED_OCTET: Final = 1 << 30  # Windows: what is locked cannot be read, so it lies behind the pid
# What may be in a directory that becomes ours: what a start leaves that was cut short, and the root of a new disk.
_NOTHING: Final = frozenset({"lock", "format.new", "lost+found"})
_TAKEN: Final = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})
_NOT_OURS_TO_WRITE: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class DataDirectoryError(Exception):
    """A directory that cannot be used. Its text is one sentence with the way out; the command ends with status 2."""


class DataDirectory:
    """A data directory that may be used. Made by open() and inspect().

    Args:
        path: the directory.
        lock: file descriptor of the lock, None if it is not held.
    """

    def __init__(self, path: Path, lock: int | None) -> None:
        self.path = path
        self.catalog_path = path / "catalog.sqlite"
        self.queues = path / "queues"
        self.spill = path / "spill"
        self._lock = lock

    @classmethod
    def open(cls, path: Path) -> DataDirectory:
        """Take a directory, and make it one of amqpd's if it is empty or missing.

        A directory that is refused is left as it was, but for a lock file that is nobody's.

        Raises:
            DataDirectoryError: another process has it, it is of a newer format, not a directory, cannot be read and
                written, holds other things, or is damaged.
        """
        try:
            _make(path)
            _is_new(path)  # refuses before anything is written
            lock = _acquire(path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise _refused(path, error) from error
        directory = cls(path, lock)
        try:
            directory._settle_in()
        except OSError as error:
            directory.close()
            raise _refused(path, error) from error
        except DataDirectoryError:
            directory.close()
            raise
        return directory

    @classmethod
    def inspect(cls, path: Path) -> DataDirectory:
        """A directory to be looked at while no broker runs. Changes nothing, and does not keep the lock.

        Raises:
            DataDirectoryError: there is none, a broker has it, it is of a newer format, not amqpd's, or cannot be read.
        """
        try:
            if _is_new(path):
                raise DataDirectoryError(f"{path} is not a data directory of amqpd; name one that a broker has used.")
            with contextlib.suppress(FileNotFoundError):
                os.close(_acquire(path, os.O_RDONLY))
        except OSError as error:
            raise _refused(path, error) from error
        return cls(path, None)

    def highest_queue(self) -> int:
        """The highest number of a queue or exchange that has a folder, 0 if there is none."""
        return max((int(folder.name) for folder in self.queues.iterdir() if folder.name.isdecimal()), default=0)

    def close(self) -> None:
        """Give the directory back. May be called again."""
        if self._lock is not None:
            # The file stays: between removing and closing it, two others could each lock a file of that name.
            os.close(self._lock)
            self._lock = None

    def _settle_in(self) -> None:
        """Make what is missing, once the lock is held."""
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.path))
        if _is_new(self.path):
            _write_format(self.path)
        self._check_catalog()
        for folder in (self.queues, self.spill):
            folder.mkdir(_PRIVATE, exist_ok=True)
        for leftover in self.spill.iterdir():
            _remove(leftover)
        sync_folder(self.path)

    def _check_catalog(self) -> None:
        """Refuse queues of which nothing is known: a new catalog would make their messages garbage."""
        has_catalog = self.catalog_path.exists() and self.catalog_path.stat().st_size > 0
        if not has_catalog and self.queues.exists() and any(self.queues.iterdir()):
            raise DataDirectoryError(
                f"The data directory {self.path} has queues, but its {self.catalog_path.name} is missing or empty;"
                f" restore it from a backup, or move {self.queues} away to start without them."
            )


def _make(path: Path) -> None:
    """Make a directory and the ones above it."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(_PRIVATE, parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def _is_new(path: Path) -> bool:
    """True if there is nothing in a directory, False if it is amqpd's, of a format that is known.

    Raises:
        DataDirectoryError: it is neither.
        OSError: it cannot be read.
    """
    names = set(os.listdir(path))
    if "format" not in names:
        foreign = sorted(names - _NOTHING)
        if foreign:
            raise DataDirectoryError(
                f"{path} is not a data directory of amqpd and not empty either: it holds {_some(foreign)};"
                " use an empty or a new directory."
            )
        return True
    version = _format_of(path / "format")
    if version > FORMAT:
        raise DataDirectoryError(
            f"The data directory {path} was written by a newer amqpd (data format {version}, this one knows {FORMAT});"
            " use that amqpd, or another directory."
        )
    return False


def _format_of(file: Path) -> int:
    """The version that a format file tells."""
    with file.open("rb") as stream:
        line = stream.read(100)
    found = _FORMAT_LINE.fullmatch(line)
    if found is None:
        raise DataDirectoryError(
            f'{file} does not say "amqpd data format {FORMAT}"; restore it from a backup, or use another directory.'
        )
    return int(found[1])


def _write_format(path: Path) -> None:
    """Say what the directory is, whole or not at all."""
    new = path / "format.new"
    with new.open("wb") as stream:
        stream.write(f"amqpd data format {FORMAT}\n".encode())
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path / "format")
    sync_folder(path)


def _acquire(path: Path, flags: int) -> int:
    """Lock a directory and note the pid; returns the descriptor that holds the lock until it is closed."""
    descriptor = os.open(path / "lock", flags, 0o600)
    try:
        if not _lock(descriptor):
            raise DataDirectoryError(
                f"The data directory {path} is in use by another amqpd{_holder(descriptor)};"
                " stop that one, or use another directory."
            )
        if flags & os.O_RDWR:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lock(descriptor: int) -> bool:
    """Lock an open file for this process; False if another one has it locked."""
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _LOCKED_OCTET, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def _holder(descriptor: int) -> str:
    """Who has the lock, as far as the file tells."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    pid = os.read(descriptor, 20).strip()
    return f" (process {pid.decode()})" if pid.isdigit() else ""


def _refused(path: Path, error: OSError) -> DataDirectoryError:
    """What to say when the system does not let us."""
    if os.path.exists(path) and not os.path.isdir(path):  # unlike Path's, these never raise
        return DataDirectoryError(f"The data directory {path} is a file; use the name of a directory.")
    reason = (error.strerror or str(error)).lower()
    place = "" if error.filename is None or Path(error.filename) == path else f", {Path(error.filename)}"
    if error.errno in _NOT_OURS_TO_WRITE:
        way_out = "make it readable and writable for this user, or use another directory"
    elif error.errno == errno.ENOSPC:
        way_out = "make room on its disk, or use another directory"
    else:
        way_out = "mend that, or use another directory"
    return DataDirectoryError(f"The data directory {path} cannot be used ({reason}{place}); {way_out}.")


def _some(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _remove(leftover: Path) -> None:
    """Remove a file, or a folder with what is in it."""
    if leftover.is_dir() and not leftover.is_symlink():
        from shutil import rmtree  # half a megabyte of memory, which few starts need

        rmtree(leftover)
    else:
        leftover.unlink()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive power loss.

    Raises:
        OSError: the folder cannot be read, or the disk failed.
    """
    if sys.platform != "win32":  # there a folder cannot be opened, and NTFS keeps a journal of names
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
