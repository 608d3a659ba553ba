"""Files as the storage sees them: a narrow interface, and the disk behind it.

Rule: this is the only place of the log that calls the operating system. What may live here knows paths, octets and
descriptors, not what the octets mean. Tests put an interpreted subclass in the disk's place.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import final

from mypy_extensions import mypyc_attr

MODE = 0o640
MOST_OPEN = 256
MOST_PIECES = 512  # that one call takes; Linux allows 1,024


@mypyc_attr(allow_interpreted_subclasses=True)
class Files:
    """Files below one root. Every path is relative to it, with "/" between its parts; "" is the root itself.

    Every method may raise OSError. A write that raised may have written a part.
    """

    def read(self, path: str, position: int, size: int) -> bytes:
        """Return so many octets from a position on, fewer where the file ends. FileNotFoundError if it is missing."""
        raise NotImplementedError

    def write(self, path: str, position: int, data: bytes) -> None:
        """Write all of data at a position, creating the file (but not its folder) when it is missing."""
        raise NotImplementedError

    def write_pieces(self, path: str, position: int, pieces: list[bytes]) -> None:
        """Write pieces behind each other, the first at a position; as write(), which they may come to."""
        for piece in pieces:
            self.write(path, position, piece)
            position += len(piece)

    def truncate(self, path: str, size: int) -> None:
        """Cut or extend the file to so many octets. FileNotFoundError if it is missing."""
        raise NotImplementedError

    def size(self, path: str) -> int:
        """Return the octets of the file. FileNotFoundError if it is missing."""
        raise NotImplementedError

    def names(self, folder: str) -> list[str]:
        """Return the sorted names of what is in the folder; none when it is missing."""
        raise NotImplementedError

    def make_folder(self, folder: str) -> None:
        """Make the folder and the parents it lacks; one that is there is fine."""
        raise NotImplementedError

    def sync(self, path: str) -> None:
        """Return when everything that was written to the file survives power loss; not so its name.

        When it raised, what was written since the last sync must be written again before sync is called again: the
        system may have forgotten it.
        """
        raise NotImplementedError

    def sync_folder(self, folder: str) -> None:
        """Return when the names in the folder (made, renamed, removed) survive power loss."""
        raise NotImplementedError

    def rename(self, old: str, new: str) -> None:
        """Give the file another name, in place of the file that has it."""
        raise NotImplementedError

    def remove(self, path: str) -> None:
        """Remove the file; one that is missing is fine."""
        raise NotImplementedError

    def remove_folder(self, folder: str) -> None:
        """Remove the folder with its contents; one that is missing is fine."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what is kept open between calls."""


@final
class DiskFiles(Files):
    """Files on the disk; descriptors are kept open between calls.

    Every method blocks. Reads and writes may come from two threads, and files may be removed meanwhile.

    Args:
        root: the folder of everything; made when something is first put into it.
        syncs: False makes sync and sync_folder do nothing: what was written survives the process, not power loss.
        most_open: descriptors kept for reading, and as many for writing.
    """

    def __init__(self, root: Path, syncs: bool = True, most_open: int = MOST_OPEN) -> None:
        self._root = str(root)
        self._syncs = syncs
        # Two sets, so that a drain of many queues and writes to many others do not close each other's files.
        self._readers = Descriptors(self._root, os.O_RDONLY, most_open)
        self._writers = Descriptors(self._root, os.O_RDWR, most_open)

    def read(self, path: str, position: int, size: int) -> bytes:
        held = self._readers.take(path, False)
        try:
            return _pread(held.number, position, size)
        finally:
            self._readers.give_back(held)

    def write(self, path: str, position: int, data: bytes) -> None:
        held = self._writers.take(path, True)
        try:
            _pwrite(held.number, position, data)
        finally:
            self._writers.give_back(held)

    def write_pieces(self, path: str, position: int, pieces: list[bytes]) -> None:
        # One call of the system for many: after each the thread waits until the other one lets the interpreter go.
        held = self._writers.take(path, True)
        try:
            for first in range(0, len(pieces), MOST_PIECES):
                some = pieces[first : first + MOST_PIECES]
                _pwritev(held.number, position, some)
                position += sum(map(len, some))
        finally:
            self._writers.give_back(held)

    def truncate(self, path: str, size: int) -> None:
        held = self._writers.take(path, False)
        try:
            os.ftruncate(held.number, size)
        finally:
            self._writers.give_back(held)

    def size(self, path: str) -> int:
        return os.stat(self._full(path)).st_size

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(self._full(folder)))
        except FileNotFoundError:
            return []

    def make_folder(self, folder: str) -> None:
        os.makedirs(self._full(folder), exist_ok=True)

    def sync(self, path: str) -> None:
        if not self._syncs:
            return
        held = self._writers.take(path, False)
        try:
            os.fdatasync(held.number)
        finally:
            self._writers.give_back(held)

    def sync_folder(self, folder: str) -> None:
        if not self._syncs:
            return
        number = os.open(self._full(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(number)
        finally:
            os.close(number)

    def rename(self, old: str, new: str) -> None:
        os.replace(self._full(old), self._full(new))
        # Afterwards: a file opened again in between would be the one that lost its name.
        self._forget(old)
        self._forget(new)

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # what is asked for is that it is gone
            os.unlink(self._full(path))
        self._forget(path)

    def remove_folder(self, folder: str) -> None:
        from shutil import rmtree  # half a megabyte of memory, which a broker does not need before

        try:
            rmtree(self._full(folder))
        except FileNotFoundError:
            pass  # what is asked for is that it is gone
        finally:
            self._readers.forget_under(folder)
            self._writers.forget_under(folder)

    def close(self) -> None:
        """Close every descriptor. A later call opens its file again."""
        self._readers.forget_under("")
        self._writers.forget_under("")

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _forget(self, path: str) -> None:
        self._readers.forget(path)
        self._writers.forget(path)


@final
class Held:
    """An open descriptor. It is closed when it was forgotten and nobody uses it any more."""

    def __init__(self, path: str, number: int) -> None:
        self.path = path
        self.number = number
        self.users = 0
        self.forgotten = False


@final
class Descriptors:
    """At most so many open descriptors, those used last.

    Two threads may call it. The race that users prevents: one thread closes the descriptor of a removed file while the
    other one reads from it, and by then the number may belong to another file.
    """

    def __init__(self, root: str, flags: int, most: int) -> None:
        self._root = root
        self._flags = flags | os.O_CLOEXEC
        self._most = most
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, path: str, create: bool) -> Held:
        """Return the descriptor of a file, which stays open until it is given back."""
        with self._lock:
            held = self._held.get(path)
            if held is None:
                held = self._open(path, create)
            else:
                self._held.move_to_end(path)
            held.users += 1
            return held

    def give_back(self, held: Held) -> None:
        """What take() returned is no longer used."""
        with self._lock:
            held.users -= 1
            if held.users > 0 or not held.forgotten:
                return
        os.close(held.number)

    def forget(self, path: str) -> None:
        """Close the file, or have it closed once nobody uses it."""
        with self._lock:
            held = self._held.pop(path, None)
            if held is None or not self._may_close(held):
                return
        os.close(held.number)  # not under the lock: for a removed file the system frees its space here

    def forget_under(self, folder: str) -> None:
        """Forget every file in a folder and below it."""
        start = f"{folder}/" if folder else ""
        with self._lock:
            paths = [path for path in self._held if path.startswith(start)]
        for path in paths:
            self.forget(path)

    def _open(self, path: str, create: bool) -> Held:
        while len(self._held) >= self._most:
            oldest = self._held.popitem(last=False)[1]
            if self._may_close(oldest):
                os.close(oldest.number)
        flags = self._flags | os.O_CREAT if create else self._flags
        held = Held(path, os.open(f"{self._root}/{path}", flags, MODE))
        self._held[path] = held
        return held

    def _may_close(self, held: Held) -> bool:
        held.forgotten = True
        return held.users == 0


def _pread(number: int, position: int, size: int) -> bytes:
    data = os.pread(number, size, position)
    if len(data) == size or not data:
        return data
    pieces = [data]
    got = len(data)
    while got < size:  # the system may return less than there is
        data = os.pread(number, size - got, position + got)
        if not data:
            break
        pieces.append(data)
        got += len(data)
    return b"".join(pieces)


def _pwrite(number: int, position: int, data: bytes) -> None:
    done = os.pwrite(number, data, position)
    if done == len(data):
        return
    view = memoryview(data)
    while done < len(data):  # a full disk takes a part first, and tells the error the next time
        done += os.pwrite(number, view[done:], position + done)


def _pwritev(number: int, position: int, pieces: list[bytes]) -> None:
    done = os.pwritev(number, pieces, position)
    if done < sum(map(len, pieces)):
        _pwrite(number, position + done, b"".join(pieces)[done:])
