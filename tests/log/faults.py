"""Files in memory that fail on demand and lose power: what a disk may do to the log, without one.

files = MemoryFiles()
...                                # write, sync
files.fail_at(3, errno.ENOSPC)     # the third change from now raises
after = files.crashes(random.Random(1))    # one of the states that a power loss may leave; hypothesis: st.randoms()
"""

from __future__ import annotations

import errno
import os
import random
from typing import NoReturn

from amqpd.log.files import Files

UNSYNCED, DOUBTFUL, SYNCED = "unsynced", "doubtful", "synced"


class Change:
    """One write (data) or truncation (no data), and how safe it is.

    DOUBTFUL is one whose sync failed: Linux may then forget it, and a later sync that succeeds says nothing about it.
    """

    def __init__(self, position: int, data: bytes | None) -> None:
        self.position = position
        self.data = data
        self.state = UNSYNCED

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            resize(content, self.position)
        else:
            put(content, self.position, self.data)

    def apply_after_crash(self, content: bytearray, rng: random.Random) -> None:
        """Whole, not at all, or torn at any octet; where it is torn the file may have its length or not."""
        fate = rng.randrange(5) if self.state != SYNCED else 0
        if fate == 0 or (fate > 1 and not self.data):
            self.apply(content)
        elif fate > 1:
            assert self.data is not None
            cut = rng.randint(0, len(self.data))
            if fate == 2:
                put(content, self.position, self.data[:cut])
            elif fate == 3:
                put(content, self.position + cut, self.data[cut:])
            else:
                put(content, self.position, self.data[:cut])
                resize(content, max(len(content), self.position + len(self.data)))


class MemoryFile:
    """A file: what a sync made safe, and everything that was done to it since."""

    def __init__(self, content: bytes = b"") -> None:
        self.safe = content
        self.content = bytearray(content)
        self.changes: list[Change] = []

    def change(self, change: Change) -> None:
        self.changes.append(change)
        change.apply(self.content)

    def sync(self) -> None:
        for change in self.changes:
            if change.state == UNSYNCED:
                change.state = SYNCED
        if all(change.state == SYNCED for change in self.changes):
            self.safe = bytes(self.content)
            self.changes = []

    def fail_sync(self) -> None:
        for change in self.changes:
            if change.state == UNSYNCED:
                change.state = DOUBTFUL

    def after_crash(self, rng: random.Random) -> MemoryFile:
        content = bytearray(self.safe)
        for change in self.changes:
            change.apply_after_crash(content, rng)
        return MemoryFile(bytes(content))


class MemoryFolder:
    """A folder: the names that a sync made safe, and what was done to names since."""

    def __init__(self) -> None:
        self.safe: dict[str, MemoryFile | MemoryFolder] = {}
        self.entries: dict[str, MemoryFile | MemoryFolder] = {}
        self.changes: list[dict[str, MemoryFile | MemoryFolder | None]] = []

    def change(self, names: dict[str, MemoryFile | MemoryFolder | None]) -> None:
        """Names that change together: a rename is there or not, but never half."""
        self.changes.append(names)
        rename(self.entries, names)

    def sync(self) -> None:
        self.safe = dict(self.entries)
        self.changes = []

    def after_crash(self, rng: random.Random) -> MemoryFolder:
        entries = dict(self.safe)
        for names in self.changes:
            if rng.randrange(2):
                rename(entries, names)
        result = MemoryFolder()
        result.entries = {name: node.after_crash(rng) for name, node in sorted(entries.items())}
        result.sync()
        return result


class MemoryFiles(Files):
    """Files in memory.

    Attributes:
        calls: how many changes and syncs there were; those that failed count.
        log: their names and paths, for tests of the order of things.
        most: octets that the disk holds; None: there is no end.
        refused: paths of writes for which there was no room.
    """

    def __init__(self, root: MemoryFolder | None = None) -> None:
        super().__init__()
        self.root = root or MemoryFolder()
        self.calls = 0
        self.log: list[tuple[str, str]] = []
        self.most: int | None = None
        self.refused: list[str] = []
        self._fail_at = 0
        self._fail_until = 0
        self._error = 0
        self._written_before_failing = 0

    def fail_at(self, n: int, error: int, times: int = 1, written: int = 0) -> None:
        """Raise OSError(error) at the n-th change or sync from now (1 is the next), and so many times in a row.

        Args:
            written: octets of a write that are in the file all the same.
        """
        self._fail_at = self.calls + n
        self._fail_until = self._fail_at + times
        self._error = error
        self._written_before_failing = written

    def crashes(self, rng: random.Random) -> MemoryFiles:
        """Return what may be left after power loss now: what was synced, and any part of what was not."""
        return MemoryFiles(self.root.after_crash(rng))

    @property
    def octets(self) -> int:
        """Of all files."""
        return sum(len(content) for content in self.contents().values())

    def killed(self) -> MemoryFiles:
        """Return what is left when only the process dies: everything, but what was not synced is still not safe."""
        return MemoryFiles(self.root)

    def contents(self) -> dict[str, bytes]:
        """Return every file there is."""
        return dict(sorted(walk(self.root, "")))

    def corrupt(self, path: str, position: int, data: bytes) -> None:
        """Change octets behind the back of whoever wrote them; this is safe at once."""
        file = self._file(path)
        put(file.content, position, data)
        file.safe, file.changes = bytes(file.content), []

    def read(self, path: str, position: int, size: int) -> bytes:
        return bytes(self._file(path).content[position : position + size])

    def size(self, path: str) -> int:
        return len(self._file(path).content)

    def names(self, folder: str) -> list[str]:
        node = self._find(folder)
        return sorted(node.entries) if isinstance(node, MemoryFolder) else []

    def write(self, path: str, position: int, data: bytes) -> None:
        fails = self._count("write", path)
        self._make_sure_of_room(path, position + len(data))
        folder, name = self._parent(path)
        file = folder.entries.get(name)
        if file is None:
            file = MemoryFile()
            folder.change({name: file})
        assert isinstance(file, MemoryFile), path
        file.change(Change(position, bytes(data)[: self._written_before_failing] if fails else bytes(data)))
        self._raise_if(fails, path)

    def truncate(self, path: str, size: int) -> None:
        self._raise_if(self._count("truncate", path), path)
        self._file(path).change(Change(size, None))

    def sync(self, path: str) -> None:
        file = self._file(path)
        if self._count("sync", path):
            file.fail_sync()
            self._raise_if(True, path)
        file.sync()

    def sync_folder(self, folder: str) -> None:
        self._raise_if(self._count("sync_folder", folder), folder)
        self._folder(folder).sync()

    def make_folder(self, folder: str) -> None:
        self._raise_if(self._count("make_folder", folder), folder)
        node = self.root
        for name in folder.split("/") if folder else []:
            if name not in node.entries:
                node.change({name: MemoryFolder()})
            below = node.entries[name]
            assert isinstance(below, MemoryFolder), folder
            node = below

    def rename(self, old: str, new: str) -> None:
        self._raise_if(self._count("rename", old), old)
        file = self._file(old)
        folder, name = self._parent(old)
        target, new_name = self._parent(new)
        assert folder is target, "renames stay in their folder"
        folder.change({name: None, new_name: file})

    def remove(self, path: str) -> None:
        self._raise_if(self._count("remove", path), path)
        if self._find(path) is not None:
            folder, name = self._parent(path)
            folder.change({name: None})

    def remove_folder(self, folder: str) -> None:
        self._raise_if(self._count("remove_folder", folder), folder)
        node = self._find(folder)
        if isinstance(node, MemoryFolder):
            for name in sorted(node.entries):
                node.change({name: None})
            parent, name = self._parent(folder)
            parent.change({name: None})

    def _make_sure_of_room(self, path: str, size: int) -> None:
        if self.most is None:
            return
        node = self._find(path)
        more = size - len(node.content) if isinstance(node, MemoryFile) else size
        if more > 0 and self.octets + more > self.most:
            self.refused.append(path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    def _count(self, call: str, path: str) -> bool:
        """Count a call and tell whether it is to fail."""
        self.calls += 1
        self.log.append((call, path))
        return self._fail_at <= self.calls < self._fail_until

    def _raise_if(self, fails: bool, path: str) -> None:
        if fails:
            raise OSError(self._error, os.strerror(self._error), path)

    def _find(self, path: str) -> MemoryFile | MemoryFolder | None:
        node: MemoryFile | MemoryFolder | None = self.root
        for name in path.split("/") if path else []:
            node = node.entries.get(name) if isinstance(node, MemoryFolder) else None
        return node

    def _file(self, path: str) -> MemoryFile:
        node = self._find(path)
        return node if isinstance(node, MemoryFile) else missing(path)

    def _folder(self, path: str) -> MemoryFolder:
        node = self._find(path)
        return node if isinstance(node, MemoryFolder) else missing(path)

    def _parent(self, path: str) -> tuple[MemoryFolder, str]:
        folder, _, name = path.rpartition("/")
        return self._folder(folder), name


def missing(path: str) -> NoReturn:
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def put(content: bytearray, position: int, data: bytes) -> None:
    """Write as a file does: what lies between its end and the position becomes zeros; no data changes nothing."""
    if data:
        resize(content, max(len(content), position))
        content[position : position + len(data)] = data


def rename(entries: dict[str, MemoryFile | MemoryFolder], names: dict[str, MemoryFile | MemoryFolder | None]) -> None:
    for name, node in names.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


def walk(folder: MemoryFolder, start: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for name, node in folder.entries.items():
        if isinstance(node, MemoryFolder):
            found += walk(node, f"{start}{name}/")
        else:
            found.append((start + name, bytes(node.content)))
    return found
