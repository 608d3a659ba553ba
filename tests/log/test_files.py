"""Files: one contract for the disk, for those that --memory has, and for the stand-in in tests; then what only one of
them can do.
"""

from __future__ import annotations

import errno
import os
import random
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from amqpd.log import memory
from amqpd.log.files import Descriptors, DiskFiles, Files
from tests.log.faults import MemoryFiles

SEEDS = range(200)


@pytest.fixture(params=["disk", "memory", "stand-in"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Files]:
    if request.param != "disk":
        yield memory.MemoryFiles() if request.param == "memory" else MemoryFiles()
        return
    disk = DiskFiles(tmp_path, most_open=2)
    yield disk
    disk.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskFiles]:
    disk = DiskFiles(tmp_path)
    yield disk
    disk.close()


# What holds for all.


def test_what_was_written_is_read(files: Files) -> None:
    files.write("a", 0, b"0123456789")
    files.write("a", 3, b"xyz")
    assert files.read("a", 2, 5) == b"2xyz6"
    assert files.size("a") == 10


def test_pieces_are_written_behind_each_other(files: Files) -> None:
    files.write("a", 0, b"0123456789")
    files.write_pieces("a", 2, [b"x", b"", b"yz"])
    assert files.read("a", 0, 20) == b"01xyz56789"
    many = [bytes([number % 256]) * 3 for number in range(2000)]
    files.write_pieces("a", 1, many)
    assert files.read("a", 0, 10_000) == b"0" + b"".join(many)


def test_a_read_ends_where_the_file_ends(files: Files) -> None:
    files.write("a", 0, b"0123")
    assert files.read("a", 2, 100) == b"23"
    assert files.read("a", 4, 100) == b""


def test_a_write_behind_the_end_leaves_zeros_between(files: Files) -> None:
    files.write("a", 2, b"x")
    assert files.read("a", 0, 10) == b"\0\0x"


def test_a_file_is_cut_and_extended(files: Files) -> None:
    files.write("a", 0, b"0123")
    files.truncate("a", 2)
    assert files.read("a", 0, 10) == b"01"
    files.truncate("a", 3)
    assert files.read("a", 0, 10) == b"01\0"


@pytest.mark.parametrize("call", ["read", "truncate", "size", "sync", "rename"])
def test_a_missing_file_is_an_error(files: Files, call: str) -> None:
    calls = {
        "read": lambda: files.read("a", 0, 1),
        "truncate": lambda: files.truncate("a", 1),
        "size": lambda: files.size("a"),
        "sync": lambda: files.sync("a"),
        "rename": lambda: files.rename("a", "b"),
    }
    with pytest.raises(FileNotFoundError):
        calls[call]()
    assert files.names("") == []


def test_a_write_does_not_make_folders(files: Files) -> None:
    if isinstance(files, memory.MemoryFiles):
        pytest.skip("there a folder is just the beginning of a name")
    with pytest.raises(FileNotFoundError):
        files.write("folder/a", 0, b"x")


def test_folders_are_made_with_their_parents_and_twice_is_fine(files: Files) -> None:
    files.make_folder("a/b/c")
    files.make_folder("a/b/c")
    files.write("a/b/c/file", 0, b"x")
    files.write("a/b/another", 0, b"x")
    assert files.names("a/b") == ["another", "c"]
    assert files.names("a/b/c") == ["file"]
    assert files.names("nowhere") == []


def test_a_renamed_file_takes_the_place_of_another(files: Files) -> None:
    files.write("old", 0, b"content")
    files.write("new", 0, b"something else")
    assert files.read("new", 0, 20) == b"something else"
    files.rename("old", "new")
    assert files.names("") == ["new"]
    assert files.read("new", 0, 20) == b"content"
    files.write("new", 0, b"C")
    assert files.read("new", 0, 20) == b"Content"


def test_a_removed_file_is_gone_and_one_of_its_name_is_another(files: Files) -> None:
    files.write("a", 0, b"before")
    assert files.read("a", 0, 10) == b"before"
    files.remove("a")
    files.remove("a")
    with pytest.raises(FileNotFoundError):
        files.read("a", 0, 10)
    files.write("a", 0, b"new")
    assert files.read("a", 0, 10) == b"new"


def test_a_removed_folder_is_gone_with_its_contents(files: Files) -> None:
    files.make_folder("q/1/below")
    files.make_folder("q/10")
    for path in ("q/1/a", "q/1/below/a", "q/10/a"):
        files.write(path, 0, b"x")
        files.read(path, 0, 1)
    files.remove_folder("q/1")
    files.remove_folder("q/1")
    assert files.names("q") == ["10"]
    assert files.read("q/10/a", 0, 1) == b"x"
    with pytest.raises(FileNotFoundError):
        files.read("q/1/a", 0, 1)


def test_more_files_than_may_be_open(files: Files) -> None:
    for turn in range(3):
        for number in range(7):
            files.write(f"file{number}", turn, b"%d" % turn)
            files.sync(f"file{number}")
    assert [files.read(f"file{number}", 0, 9) for number in range(7)] == [b"012"] * 7
    files.sync_folder("")


# The disk.


def test_at_most_so_many_descriptors_are_open(tmp_path: Path) -> None:
    held = Descriptors(str(tmp_path), os.O_RDWR, 3)
    for number in range(10):
        held.give_back(held.take(f"file{number}", True))
        assert len(held) <= 3
    held.forget_under("")
    assert len(held) == 0


def test_the_descriptor_used_longest_ago_is_closed_first(tmp_path: Path) -> None:
    held = Descriptors(str(tmp_path), os.O_RDWR, 2)
    first = held.take("a", True)
    held.give_back(first)
    held.give_back(held.take("b", True))
    held.give_back(held.take("a", True))
    held.give_back(held.take("c", True))
    assert held.take("a", False) is first
    held.forget_under("")


def test_a_descriptor_in_use_stays_open_though_its_file_is_removed(tmp_path: Path) -> None:
    """Else its number could be that of another file before the one who reads is done."""
    held = Descriptors(str(tmp_path), os.O_RDWR, 1)
    used = held.take("a", True)
    os.pwrite(used.number, b"content", 0)
    os.unlink(tmp_path / "a")
    held.forget("a")
    held.give_back(held.take("b", True))  # and though there is room for one only
    assert os.pread(used.number, 9, 0) == b"content"
    held.give_back(used)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(used.number)
    held.forget_under("")


def test_without_syncs_nothing_is_synced(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path, syncs=False)
    files.sync("missing")
    files.sync_folder("missing")
    with pytest.raises(FileNotFoundError):
        DiskFiles(tmp_path).sync_folder("missing")


def test_a_write_that_the_system_takes_in_parts_goes_on_until_the_error(disk: DiskFiles) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            disk.write("a", 900, bytes(200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert disk.size("a") == 1000, "what there was room for is written"


@pytest.mark.parametrize("pieces", [[200], [50, 150], [50, 50, 100], [30, 40, 50, 80]])
def test_pieces_that_the_system_takes_in_parts_go_on_until_the_error(disk: DiskFiles, pieces: list[int]) -> None:
    data = [bytes([65 + number]) * size for number, size in enumerate(pieces)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            disk.write_pieces("a", 900, data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert disk.read("a", 900, 200) == b"".join(data)[:100], "what there was room for is written"


def test_after_close_files_are_opened_again(disk: DiskFiles) -> None:
    disk.write("a", 0, b"x")
    disk.close()
    disk.write("a", 1, b"y")
    assert disk.read("a", 0, 2) == b"xy"


# Power loss in memory: the tests of recovery stand on this.


def outcomes(files: MemoryFiles) -> list[dict[str, bytes]]:
    """The states that power loss may leave."""
    found: list[dict[str, bytes]] = []
    for seed in SEEDS:
        state = files.crashes(random.Random(seed)).contents()
        if state not in found:
            found.append(state)
    return found


def test_what_was_synced_with_its_name_survives() -> None:
    files = MemoryFiles()
    files.write("a", 0, b"content")
    files.sync("a")
    files.sync_folder("")
    assert outcomes(files) == [{"a": b"content"}]


def test_a_name_that_was_not_synced_may_be_missing() -> None:
    files = MemoryFiles()
    files.write("a", 0, b"x")
    files.sync("a")
    states = outcomes(files)
    assert {} in states
    assert {"a": b"x"} in states


def test_a_write_that_was_not_synced_may_be_there_or_not_or_torn() -> None:
    files = MemoryFiles()
    files.write("a", 0, b"x")
    files.sync("a")
    files.sync_folder("")
    files.write("a", 1, b"12")
    states = [state["a"] for state in outcomes(files)]
    assert sorted(states) == [b"x", b"x\x00\x00", b"x\x002", b"x1", b"x1\x00", b"x12"]


def test_later_writes_may_be_there_without_earlier_ones() -> None:
    files = MemoryFiles()
    files.write("a", 0, b"x")
    files.sync("a")
    files.sync_folder("")
    files.write("a", 1, b"1")
    files.write("a", 2, b"2")
    assert {"a": b"x\x002"} in outcomes(files)


def test_a_removed_name_may_be_back_and_a_rename_is_never_half() -> None:
    files = MemoryFiles()
    files.write("a", 0, b"x")
    files.write("b", 0, b"y")
    for path in ("a", "b"):
        files.sync(path)
    files.sync_folder("")
    files.remove("b")
    files.rename("a", "c")
    states = outcomes(files)
    assert len(states) == 4
    assert all(("a" in state) != ("c" in state) for state in states)


def test_a_write_whose_sync_failed_is_not_made_safe_by_the_next_sync() -> None:
    files = MemoryFiles()
    files.write("a", 0, b"x")
    files.sync("a")
    files.sync_folder("")
    files.write("a", 1, b"1")
    files.fail_at(1, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        files.sync("a")
    files.write("a", 2, b"2")
    files.sync("a")
    states = [state["a"] for state in outcomes(files)]
    assert sorted(states) == [b"x\x002", b"x12"]
    files.write("a", 1, b"1")
    files.sync("a")
    assert outcomes(files) == [{"a": b"x12"}]


def test_calls_fail_where_they_are_told_to() -> None:
    files = MemoryFiles()
    files.fail_at(2, errno.ENOSPC, times=2, written=1)
    files.write("a", 0, b"12")
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            files.write("a", 2, b"34")
    assert files.read("a", 0, 9) == b"123"
    files.write("a", 2, b"34")
    assert files.read("a", 0, 9) == b"1234"
    assert files.calls == 4
