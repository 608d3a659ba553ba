"""amqpd/broker/exchanges/held.py: which message is due when, and what of them is in memory."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from amqpd.broker.exchanges.held import AHEAD, Held
from amqpd.broker.message import Message
from amqpd.broker.queues.disk import Disk
from amqpd.log.files import Files
from amqpd.wire.properties import EMPTY_PROPERTIES
from tests.builders import World, message
from tests.log.faults import MemoryFiles
from tests.stores import Store

FOLDER = "queues/1"
NOW = 1_000_000  # microseconds
EPOCH = 1_700_000_000_000


class Rig:
    """Messages held on a disk; commits run when commit() says so."""

    def __init__(self, folder: Path, messages: int = 4, page: int = 400) -> None:
        self.world = World(store=Store(folder, messages=messages, page=page))
        self.errors: list[OSError] = []
        self.held = self.open()

    @property
    def disk(self) -> Disk:
        disk = self.world.storage.disk
        assert disk is not None
        return disk

    @property
    def files(self) -> MemoryFiles:
        files: Files = self.disk.files
        assert isinstance(files, MemoryFiles)
        return files

    def open(self) -> Held:
        return Held(self.disk, FOLDER, self.errors.append)

    def again(self) -> None:
        """Another process finds what is there."""
        self.held = self.open()
        self.held.recover(NOW, EPOCH)

    def put(self, due: int, number: int, size: int = 0) -> None:
        """Add a message that is due so many milliseconds after NOW."""
        body = (b"%d " % number).ljust(size, b".")
        self.held.add(NOW + due * 1000, EPOCH + due, message(EMPTY_PROPERTIES, body))

    def commit(self) -> None:
        self.world.finish()

    def take(self) -> tuple[int, int] | None:
        """The next one's deadline and number; None if it cannot be read."""
        deadline = self.held.first_deadline()
        assert deadline is not None
        found = self.held.first()
        self.held.drop_first()
        return None if found is None else ((deadline - NOW) // 1000, number_of(found))


def number_of(found: Message) -> int:
    return int(found.body.split(b" ")[0])


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_what_does_not_survive_is_in_memory_whatever_the_disk_says(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path, messages=1))
    held = Held(world.storage.disk, "", lambda error: None)
    for number in range(10):
        held.add(number, number, message())
    assert (len(held), held.in_memory) == (10, 10)
    held.recover(0, 0)
    assert len(held) == 10


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_messages_leave_by_deadline_and_then_by_arrival(rig: Rig, seed: int, restarted: bool) -> None:
    rng = random.Random(seed)
    expected = []
    for number in range(600):
        due = rng.randrange(-100, 500)
        rig.put(due, number, rng.choice((0, 0, 50)))
        expected.append((due, number))
        if rng.random() < 0.01:
            rig.commit()
    rig.commit()
    if restarted:
        rig.again()
    assert len(rig.held) == 600
    assert [rig.take() for _ in expected] == sorted(expected)
    assert rig.held.first_deadline() is None


def test_memory_holds_no_more_than_it_may(rig: Rig) -> None:
    for number in range(500):
        rig.put(number % 50, number, 60)
    rig.commit()
    assert rig.held.in_memory == 4
    rig.again()
    assert rig.held.in_memory == 4
    for _ in range(500):
        assert rig.take() is not None
        assert rig.held.in_memory <= 4 + 400 // 60 + 2
    assert rig.held.in_memory == 0


def test_large_messages_are_read_back_one_by_one(tmp_path: Path) -> None:
    """What was read back ahead takes up the room that there is, and does not grow with every message that is due."""
    rig = Rig(tmp_path, messages=1, page=100)
    for number in range(50):
        rig.put(50 - number, number, 5000)
    rig.commit()
    for number in reversed(range(50)):
        assert rig.take() == (50 - number, number)
        assert rig.held.in_memory <= 3


def test_messages_are_read_back_many_at_a_time(tmp_path: Path) -> None:
    rig = Rig(tmp_path, messages=1, page=1 << 20)
    for number in range(AHEAD + 10):
        rig.put(AHEAD - number, number)
    rig.commit()
    assert rig.take() == (-9, AHEAD + 9)
    assert rig.held.in_memory == AHEAD
    assert [rig.take() for _ in range(AHEAD + 9)] == [(AHEAD - number, number) for number in reversed(range(AHEAD + 9))]


def test_what_is_dropped_never_comes_again(rig: Rig) -> None:
    for number in range(100):
        rig.put(number, number)
    rig.commit()
    for _ in range(60):
        rig.take()
    rig.commit()
    rig.again()
    assert [rig.take() for _ in range(len(rig.held))] == [(number, number) for number in range(60, 100)]
    rig.commit()
    rig.again()
    assert len(rig.held) == 0


def test_positions_go_on_where_they_were(rig: Rig) -> None:
    rig.put(5, 1)
    rig.commit()
    rig.take()
    rig.commit()
    rig.again()
    rig.put(5, 2)
    rig.commit()
    rig.again()
    assert [rig.take() for _ in range(len(rig.held))] == [(5, 2)]


def test_a_message_that_cannot_be_read_is_left_out_and_told_of(tmp_path: Path) -> None:
    rig = Rig(tmp_path, messages=1)
    for number in range(3):
        rig.put(number, number, 100)
    rig.commit()
    (name,) = [name for name in rig.files.names(f"{FOLDER}/0") if name.endswith(".log")]
    path = f"{FOLDER}/0/{name}"
    size = rig.files.size(path)
    rig.files.write(path, size // 2, b"\xff\xff\xff")  # in the middle of the second one
    assert [rig.take() for _ in range(3)] == [(0, 0), None, (2, 2)]
    assert rig.world.store is not None
    assert len(rig.world.store.damages) == 1


def test_closing_leaves_what_is_on_the_disk(rig: Rig) -> None:
    for number in range(10):
        rig.put(number, number)
    rig.commit()
    rig.held.close()
    assert (len(rig.held), rig.held.in_memory, rig.held.first_deadline()) == (0, 0, None)
    rig.commit()
    rig.again()
    assert len(rig.held) == 10
