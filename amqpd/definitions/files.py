"""Definitions in files: one, or all of a directory, imported when the broker starts.

Rule: what may live here finds files and reads them, and makes of what is wrong one sentence that names the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from amqpd.definitions.faults import FileError
from amqpd.definitions.parsing import NotJSON, parse
from amqpd.definitions.reading import DefinitionsError, read
from amqpd.definitions.rows import Definitions


class DefinitionsFile(NamedTuple):
    """One file, read and checked as far as that goes without a broker.

    Args:
        digest: SHA-256 of its content.
    """

    path: Path
    definitions: Definitions
    digest: bytes


def read_files(path: Path) -> list[DefinitionsFile]:
    """Read a file, or the ``*.json`` files of a directory in the order of their names.

    Raises:
        FileError: it cannot be read, is not JSON, or holds something that cannot be.
    """
    try:
        paths = sorted(path.glob("*.json")) if path.is_dir() else [path]
    except OSError as error:
        raise FileError(f"The definitions in {path} cannot be read: {error.strerror}.") from None
    if not paths:
        raise FileError(f"The definitions directory {path} has no file whose name ends with .json.")
    return [read_file(found) for found in paths]


def read_file(path: Path) -> DefinitionsFile:
    """Read one file.

    Raises:
        FileError: as for read_files.
    """
    try:
        content = path.read_bytes()
        return DefinitionsFile(path, read(parse(content)), sha256(content).digest())
    except OSError as error:
        raise FileError(f"The definitions file {path} cannot be read: {error.strerror}.") from None
    except (NotJSON, DefinitionsError) as error:
        raise refused(path, error) from None


def refused(path: Path, error: Exception) -> FileError:
    """What to say of a file that cannot be imported."""
    return FileError(f"The definitions file {path} cannot be imported: {error}.")


def digest_of(files: Iterable[DefinitionsFile]) -> str:
    """What changes when a file does, or when there is another one, or one less."""
    return sha256(b"".join(file.digest for file in files)).hexdigest()
