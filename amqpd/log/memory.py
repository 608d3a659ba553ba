"""Files in memory: what keeps the log of a stream where there is no disk.

Rule: what may live here behaves as the disk does (files.py), and ends with the process.
"""

from __future__ import annotations

from typing import final

from amqpd.log.files import Files


@final
class MemoryFiles(Files):
    """Files that are octets in memory. Folders need not be made; no method blocks."""

    def __init__(self) -> None:
        self._files: dict[str, bytearray] = {}

    def read(self, path: str, position: int, size: int) -> bytes:
        return bytes(self._file(path)[position : position + size])

    def write(self, path: str, position: int, data: bytes) -> None:
        content = self._files.setdefault(path, bytearray())
        if data and position > len(content):
            content.extend(bytes(position - len(content)))
        content[position : position + len(data)] = data

    def truncate(self, path: str, size: int) -> None:
        content = self._file(path)
        if size > len(content):
            content.extend(bytes(size - len(content)))
        del content[size:]

    def size(self, path: str) -> int:
        return len(self._file(path))

    def names(self, folder: str) -> list[str]:
        start = f"{folder}/" if folder else ""
        return sorted({path[len(start) :].partition("/")[0] for path in self._files if path.startswith(start)})

    def make_folder(self, folder: str) -> None:
        """Nothing: a folder is there as soon as something is in it."""

    def sync(self, path: str) -> None:
        self._file(path)

    def sync_folder(self, folder: str) -> None:
        """Nothing: there is no power to lose."""

    def rename(self, old: str, new: str) -> None:
        self._file(old)
        self._files[new] = self._files.pop(old)

    def remove(self, path: str) -> None:
        self._files.pop(path, None)

    def remove_folder(self, folder: str) -> None:
        for path in [path for path in self._files if path.startswith(f"{folder}/")]:
            del self._files[path]

    def close(self) -> None:
        """Nothing is kept open."""

    def _file(self, path: str) -> bytearray:
        content = self._files.get(path)
        if content is None:
            raise FileNotFoundError(path)
        return content
