"""The room of a queue: how much of it may be in memory, and where the rest goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from amqpd.broker.queues.disk import MESSAGES, OCTETS, SPILL
from amqpd.broker.queues.lane import Lane
from amqpd.broker.queues.room import ALL, NOTHING, PERSISTENT, UNLIMITED, Room
from tests.broker.queues.takers import memory_room, message, never_fails
from tests.builders import World
from tests.stores import Store


def room_of(world: World, folder: str, keeps: int) -> Room:
    """The room of a queue that has a folder, or none."""
    return world.storage.room("q", folder, keeps, UNLIMITED, never_fails)


def test_without_a_disk_there_is_room_for_everything_and_nothing_is_kept() -> None:
    room = Room(None, "", ALL, never_fails)
    assert (room.messages, room.octets, room.keeps) == (UNLIMITED, UNLIMITED, NOTHING)
    assert not memory_room().holds(0)


def test_without_a_disk_all_queues_share_one_room() -> None:
    storage = World().storage
    rooms = [storage.room(name, "", keeps, UNLIMITED, never_fails) for name, keeps in (("a", ALL), ("b", NOTHING))]
    assert rooms[0] is rooms[1]


def test_with_a_disk_there_is_as_much_room_as_it_says(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    room = room_of(world, "queues/1", PERSISTENT)
    assert (room.messages, room.octets, room.keeps) == (MESSAGES, OCTETS, PERSISTENT)


def test_a_queue_without_a_folder_keeps_nothing(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    assert room_of(world, "", ALL).keeps == NOTHING


def test_a_room_holds_a_lane_when_an_earlier_process_left_something_of_it(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    room = room_of(world, "queues/1", ALL)
    Lane(room, 2).append(message(b"m"), 0)
    assert [room.holds(level) for level in range(4)] == [False] * 4
    world.finish()
    assert [room.holds(level) for level in range(4)] == [False, False, True, False]


def test_every_lane_that_is_spilled_has_a_folder_of_its_own(tmp_path: Path) -> None:
    store = Store(tmp_path, messages=1)
    world = World(store=store)
    for _ in range(2):
        room = room_of(world, "", NOTHING)
        for level in range(2):
            lane = Lane(room, level)
            for _ in range(2):
                lane.append(message(b"m"), 0)
    world.finish()
    assert len(store.files.names(SPILL)) == 4


@pytest.mark.parametrize("folder", ["", "queues/1"])
def test_a_lane_makes_no_folder_before_it_needs_one(tmp_path: Path, folder: str) -> None:
    store = Store(tmp_path)
    world = World(store=store)
    lane = Lane(room_of(world, folder, PERSISTENT))
    lane.append(message(b"m"), 0)
    world.finish()
    assert store.memory.contents() == {}
