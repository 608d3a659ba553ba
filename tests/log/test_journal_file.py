"""The file of a journal, such as those of acks and cursors: when it grows, when it is replaced, what of it is safe."""

from __future__ import annotations

import errno
import random

import pytest

from amqpd.log.journal_file import JournalFile
from amqpd.log.journal_write import GROWTH, JournalWrite
from tests.log.faults import MemoryFiles

FOLDER = "queues/7/0"
HEAD = b"head "


class Numbers:
    """An owner that keeps numbers: an entry is a number, a snapshot all of them. It knows how to read its files."""

    def __init__(self, files: MemoryFiles, small: int = 1000) -> None:
        self.files = files
        self.file = JournalFile(files, FOLDER, "numbers", small)
        self.said: list[int] = []

    def begin(self, number: int) -> JournalWrite:
        self.said.append(number)
        if self.file.size > 0 and not self.file.outgrown:
            return self.file.append(b"%d " % number)
        return self.file.replace(HEAD + b"".join(b"%d " % said for said in self.said))

    def say(self, number: int, sync: bool = True) -> JournalWrite:
        write = self.begin(number)
        write.run()
        if sync:
            write.sync()
        self.file.finished(write)
        return write

    @property
    def names(self) -> list[str]:
        return [path.removeprefix(f"{FOLDER}/") for path in self.files.contents()]


def newest(files: MemoryFiles) -> list[int]:
    """What the newest whole file says."""
    for _, data in sorted(files.contents().items(), reverse=True):
        if data.startswith(HEAD):
            return [int(number) for number in data.removeprefix(HEAD).split()]
    return []


def test_entries_stand_behind_each_other() -> None:
    numbers = Numbers(MemoryFiles())
    for number in range(3):
        numbers.say(number)
    assert newest(numbers.files) == [0, 1, 2]
    assert numbers.names == ["numbers.0"]


def test_a_file_that_grew_is_replaced_by_a_snapshot_that_is_not_replaced_at_once() -> None:
    numbers = Numbers(MemoryFiles(), small=20)
    while numbers.names != ["numbers.1"]:
        before = numbers.file.size
        numbers.say(len(numbers.said))
    assert before > 20
    assert not numbers.file.outgrown
    assert newest(numbers.files) == numbers.said
    first = numbers.file.size
    while not numbers.file.outgrown:
        numbers.say(len(numbers.said))
    assert numbers.file.size > GROWTH * first, "a large snapshot may grow as many times"


def test_the_old_file_is_removed_only_when_the_new_one_is_safe() -> None:
    files = MemoryFiles()
    numbers = Numbers(files, small=20)
    while not numbers.file.outgrown:
        numbers.say(1)
    files.log.clear()
    write = numbers.say(2, sync=False)
    new, old = f"{FOLDER}/numbers.1", f"{FOLDER}/numbers.0"
    calls = [call for call in files.log if call[0] != "make_folder"]
    assert calls[:3] == [("write", new), ("sync", new), ("sync_folder", FOLDER)]
    assert calls[-1] == ("remove", old)
    files.log.clear()
    write.sync()
    assert files.log == [], "it was synced"


def test_what_a_start_found_is_appended_to_only_if_it_is_alone_and_sound() -> None:
    numbers = Numbers(MemoryFiles())
    numbers.say(1)
    sound = Numbers(numbers.files)
    sound.file.found(0, numbers.file.size, numbers.file.size, [])
    sound.said = [1]
    sound.say(2)
    assert sound.names == ["numbers.0"]
    doubtful = Numbers(numbers.files)
    doubtful.file.found(0, 5, 5, [f"{FOLDER}/numbers.0"])
    assert doubtful.file.outgrown
    doubtful.said = [1, 2]
    doubtful.say(3)
    assert doubtful.names == ["numbers.1"]
    assert newest(doubtful.files) == [1, 2, 3]


def test_the_first_sync_makes_the_names_safe_too_however_late_it_comes() -> None:
    files = MemoryFiles()
    numbers = Numbers(files)
    for number in range(3):
        numbers.say(number, sync=False)
    numbers.say(3)
    for seed in range(50):
        assert newest(files.crashes(random.Random(seed))) == [0, 1, 2, 3]
    files.log.clear()
    numbers.say(4)
    assert [call for call, _ in files.log] == ["write", "sync"]


def test_after_a_failed_sync_everything_is_written_anew() -> None:
    """The disk may have lost what earlier writes brought and nobody synced; only the last part was written again."""
    files = MemoryFiles()
    numbers = Numbers(files)
    numbers.say(1)
    numbers.say(2, sync=False)
    write = numbers.begin(3)
    write.run()
    files.fail_at(1, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        write.sync()
    write.run()
    write.sync()
    numbers.file.finished(write)
    assert numbers.file.outgrown
    numbers.say(4)
    assert numbers.names == ["numbers.1"]
    for seed in range(50):
        assert newest(files.crashes(random.Random(seed))) == [1, 2, 3, 4]


def test_one_write_at_a_time_and_only_the_one_that_is_under_way_can_be_finished() -> None:
    numbers = Numbers(MemoryFiles())
    write = numbers.begin(1)
    assert not numbers.file.idle
    with pytest.raises(AssertionError, match="under way"):
        numbers.begin(2)
    numbers.file.finished(write)
    assert numbers.file.idle
    with pytest.raises(AssertionError, match="under way"):
        numbers.file.finished(write)
