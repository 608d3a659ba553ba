"""Power loss: the write-ahead log cut or garbled anywhere. What was committed before that is there, whole.

SQLite does its own writing, so this does not record calls: it takes the files after each commit as the disk may have
them, everything that was synced and any part of what came behind it.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from amqpd.catalog.rows import Topology
from tests.catalog.rows import binding, commit, opened, queue

FRAME = 4096 + 24  # octets of a page in SQLite's write-ahead log, with its header
HEADER = 32
COMMITS = 12
FILES = ("catalog.sqlite", "catalog.sqlite-wal")


class Story:
    """A catalog, commit by commit: after each, the size of the write-ahead log and what the catalog holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "story"
        self.again = folder / "again"
        self.again.mkdir()
        self.folder.mkdir()
        catalog = opened(self.folder)
        wal = self.folder / FILES[1]
        self.sizes = [wal.stat().st_size]
        self.states = [catalog.load()]
        for number in range(1, COMMITS + 1):
            catalog.add_queue(queue(number))
            for key in range(number * 5):
                catalog.add_binding(binding(f"key.{key}", destination=f"queue-{number}"))
            if number % 4 == 0:
                catalog.remove_queue(number - 2)
                catalog.remove_bindings_to("/", True, f"queue-{number - 2}")
            commit(catalog)
            self.sizes.append(wal.stat().st_size)
            self.states.append(catalog.load())
        # As the process leaves them when it is killed: close() would empty the write-ahead log.
        self.database, self.wal = [(self.folder / name).read_bytes() for name in FILES]
        catalog.close()
        assert len(self.wal) == self.sizes[-1]
        assert sorted(set(self.sizes)) == self.sizes, "every commit makes the log longer"

    def after(self, wal: bytes) -> tuple[Topology, list[str]]:
        """What is there, and what a check finds, when a start meets this write-ahead log."""
        for name, content in zip(FILES, (self.database, wal), strict=True):
            (self.again / name).write_bytes(content)
        catalog = opened(self.again)
        try:
            return catalog.load(), catalog.check()
        finally:
            catalog.close()
            assert [path.name for path in self.again.iterdir()] == [FILES[0]]

    def committed(self, size: int) -> Topology:
        """What was committed when the write-ahead log was so long."""
        commits = [number for number, reached in enumerate(self.sizes) if reached <= size]
        return self.states[commits[-1]] if commits else Topology()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """One story for all tests of this file."""
    return Story(tmp_path_factory.mktemp("torn"))


def cuts(size: int) -> list[int]:
    """Where to cut: around the borders of all headers and pages, and at many other places."""
    borders = [0, 1, HEADER - 1, HEADER, HEADER + 1]
    for frame in range(HEADER, size, FRAME):
        borders += [frame + 1, frame + 23, frame + 24, frame + 25, frame + FRAME - 1, frame + FRAME]
    others = random.Random(size).sample(range(size), 100)
    return sorted({cut for cut in borders + others if cut <= size})


def test_the_log_cut_anywhere_leaves_exactly_the_commits_that_were_whole(story: Story) -> None:
    tried = 0
    for cut in cuts(len(story.wal)):
        assert story.after(story.wal[:cut]) == (story.committed(cut), []), f"cut at {cut}"
        tried += 1
    assert tried > 200


def test_what_was_being_written_behind_a_commit_may_be_garbage(story: Story) -> None:
    """Power fails during a commit: of what follows the last sync, any octets may be there, in pages of any order."""
    draw = random.Random(4)
    for commits in range(COMMITS):
        size = story.sizes[commits]
        being_written = story.wal[size : story.sizes[commits + 1]]
        for _ in range(8):
            tail = bytearray(being_written[: draw.randint(1, len(being_written))])
            start = draw.randrange(len(tail))
            length = draw.randint(1, 512)
            tail[start : start + length] = draw.choice([bytes(length), draw.randbytes(length)])
            there, findings = story.after(story.wal[:size] + tail)
            assert findings == []
            # The octets drawn may be the very ones that are there; then the next commit is whole.
            whole = bytes(tail[: len(being_written)]) == being_written
            assert there == story.states[commits + 1 if whole else commits]


def test_frames_of_an_earlier_round_behind_the_end_are_not_taken_for_new_ones(story: Story, tmp_path: Path) -> None:
    """After a checkpoint SQLite writes over the log from its start: behind the new end the old frames still stand."""
    for name in FILES:
        (tmp_path / name).write_bytes({FILES[0]: story.database, FILES[1]: story.wal}[name])
    catalog = opened(tmp_path)
    catalog._connection.execute("PRAGMA wal_checkpoint(RESTART)")
    catalog.add_queue(queue(99))
    commit(catalog)
    expected = catalog.load()
    (tmp_path / "killed").mkdir()
    for name in FILES:
        shutil.copy(tmp_path / name, tmp_path / "killed")
    catalog.close()
    assert (tmp_path / "killed" / FILES[1]).stat().st_size >= len(story.wal), "the old frames are there"
    again = opened(tmp_path / "killed")
    assert again.load() == expected
    again.close()


def test_power_lost_while_the_log_is_moved_into_the_file_loses_nothing(story: Story, tmp_path: Path) -> None:
    """A checkpoint changes the file in any order, whole pages or parts, while the log still has everything."""
    (tmp_path / "after").mkdir()
    for name, content in zip(FILES, (story.database, story.wal), strict=True):
        (tmp_path / name).write_bytes(content)
    catalog = opened(tmp_path)
    catalog.close()
    moved = (tmp_path / FILES[0]).read_bytes()
    draw = random.Random(5)
    for _ in range(40):
        torn = bytearray(story.database.ljust(len(moved), b"\0")[: draw.randrange(len(story.database), len(moved) + 1)])
        for page in range(0, len(torn), 4096):
            part = slice(page, page + draw.choice([0, 100, 512, 4096]))
            torn[part] = moved[part][: len(torn[part])]
        for name, content in zip(FILES, (bytes(torn), story.wal), strict=True):
            (tmp_path / "after" / name).write_bytes(content)
        again = opened(tmp_path / "after")
        assert (again.load(), again.check()) == (story.states[-1], [])
        again.close()
