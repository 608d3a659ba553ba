"""Files in memory do what the disk does, whatever is done to them. The contract itself is in test_files.py."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from amqpd.log.files import DiskFiles, Files
from amqpd.log.memory import MemoryFiles
from tests.stores import quick_folder

paths = st.sampled_from(["a", "q/a", "q/b", "q/1/a", "q/10/a"])
folders = st.sampled_from(["", "q", "q/1", "q/10", "nowhere"])
positions = st.integers(0, 40)
MADE = ("q/1", "q/10")  # folders that are there


class FilesMachine(RuleBasedStateMachine):
    """The same calls to both."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = quick_folder()
        self.disk = DiskFiles(self.folder)
        self.memory = MemoryFiles()
        self.make_folders()

    def make_folders(self) -> None:
        for folder in MADE:
            self.disk.make_folder(folder)
            self.memory.make_folder(folder)

    def teardown(self) -> None:
        self.disk.close()
        self.memory.close()
        shutil.rmtree(self.folder)

    def same(self, call: Callable[[Files], object]) -> None:
        assert outcome(call, self.memory) == outcome(call, self.disk)

    @rule(path=paths, position=positions, data=st.binary(max_size=30))
    def write(self, path: str, position: int, data: bytes) -> None:
        self.same(lambda files: files.write(path, position, data))

    @rule(path=paths, position=positions, size=positions)
    def read(self, path: str, position: int, size: int) -> None:
        self.same(lambda files: files.read(path, position, size))
        self.same(lambda files: files.size(path))

    @rule(path=paths, size=positions)
    def truncate(self, path: str, size: int) -> None:
        self.same(lambda files: files.truncate(path, size))

    @rule(path=paths)
    def remove(self, path: str) -> None:
        self.same(lambda files: files.remove(path))

    @rule(data=st.data())
    def rename(self, data: st.DataObject) -> None:
        old, new = data.draw(st.sampled_from([("q/a", "q/b"), ("q/b", "q/a"), ("a", "a")]))
        self.same(lambda files: files.rename(old, new))

    @rule(path=paths)
    def sync(self, path: str) -> None:
        self.same(lambda files: files.sync(path))

    @rule(folder=st.sampled_from(["q/1", "q/10"]))
    def remove_folder(self, folder: str) -> None:
        self.same(lambda files: files.remove_folder(folder))
        self.make_folders()

    @rule(folder=folders)
    def list_names(self, folder: str) -> None:
        """A folder with nothing in it is there on the disk only."""
        there = outcome(lambda files: [name for name in files.names(folder) if name not in ("q", "1", "10")], self.disk)
        assert (
            outcome(lambda files: [n for n in files.names(folder) if n not in ("q", "1", "10")], self.memory) == there
        )


def outcome(call: Callable[[Files], object], files: Files) -> object:
    """What it returns, or which error it raises."""
    try:
        return call(files)
    except OSError as error:
        return type(error)


TestFilesMachine = FilesMachine.TestCase
TestFilesMachine.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_a_folder_is_there_as_long_as_something_is_in_it() -> None:
    files = MemoryFiles()
    files.make_folder("q/1")
    assert files.names("q") == []
    files.write("q/1/a", 0, b"x")
    assert (files.names(""), files.names("q"), files.names("q/1")) == (["q"], ["1"], ["a"])
    files.remove("q/1/a")
    assert files.names("q") == []
