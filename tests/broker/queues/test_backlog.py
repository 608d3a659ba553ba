"""A lane's backlog on the disk."""

from __future__ import annotations

from amqpd.broker.message import Message, make_message
from amqpd.broker.queues.backlog import Disk
from amqpd.broker.queues.lane import Lane
from amqpd.broker.queues.room import PERSISTENT, Room
from amqpd.clock import ManualClock, Timers
from amqpd.log.commit import Commits
from amqpd.turn import Turn
from amqpd.wire.properties import Properties
from tests.log.faults import MemoryFiles


def message(number: int) -> Message:
    return make_message("", "q", Properties.of(delivery_mode=2), str(number).encode())


class Store:
    """Lanes on one set of files, one after the other; each has room for three messages in memory."""

    def __init__(self) -> None:
        self.files = MemoryFiles()
        self.turn = Turn()
        self.commits = Commits(self.turn, Timers(ManualClock()))

    def lane(self) -> Lane:
        disk = Disk(self.files, self.commits, ManualClock(), True)
        room = Room(disk, "queues/1", PERSISTENT, lambda error: None)
        room.messages = 3
        lane = Lane(room)
        lane.recover()
        return lane

    def commit(self) -> None:
        while not self.turn.idle:
            self.turn.finish()


def bodies(lane: Lane) -> list[bytes]:
    found = []
    while (taken := lane.take()) is not None:
        found.append(taken.body)
    return found


def test_what_a_consumer_has_survives_a_purge_before_it_was_written() -> None:
    store = Store()
    lane = store.lane()
    for number in range(6):
        lane.append(message(number), 0)
    assert lane.take() is not None
    assert lane.clear() == 5
    store.commit()
    assert bodies(store.lane()) == [b"0"]


def test_messages_come_back_in_their_order_from_memory_and_from_the_disk() -> None:
    store = Store()
    lane = store.lane()
    for number in range(10):
        lane.append(message(number), 0)
    store.commit()
    assert bodies(lane) == [str(number).encode() for number in range(10)]
    again = store.lane()
    assert again.count == 10
    assert bodies(again) == [str(number).encode() for number in range(10)]


def test_what_was_settled_before_its_commit_is_never_written() -> None:
    store = Store()
    lane = store.lane()
    lane.append(message(0), 0)
    assert lane.take() is not None
    lane.settle(lane.position)
    store.commit()
    assert not [name for name in store.files.names("queues/1/0") if name.endswith(".log")]
    assert store.lane().count == 0
