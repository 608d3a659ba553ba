"""A broker whose disk is full loses nothing and goes on when there is room; one whose disk is broken loses one queue.

The error comes in each call to the disk in turn.
"""

from __future__ import annotations

import errno
import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from pamqp import base, commands

from amqpd.broker.storage import Storage
from amqpd.clock import Timers
from amqpd.log.commit import RETRY_SECONDS
from amqpd.net.disk import DiskWatch
from amqpd.turn import Turn
from amqpd.wire.methods import encode, make
from amqpd.wire.properties import Properties
from tests.builders import Client, Content, World
from tests.faults.worlds import CrashStore, Known, Life, Watch
from tests.stores import Store

SEED = 14  # with which segments are rewritten and queues deleted
STEPS = 45
CALLS = {"write", "sync", "sync_folder", "make_folder", "rename", "remove", "remove_folder"}
BODY = bytes(80)
PERSISTENT = Properties.of(delivery_mode=2)


class Trouble:
    """Random work on a disk that fails, the same work every time.

    Args:
        n: the call that fails, counted from when everything was declared.
        times: calls in a row.

    Attributes:
        stalls: the disk was full, or was not any more.
        failed: queues that the disk failed for.
    """

    def __init__(self, folder: Path, n: int, error: int, times: int) -> None:
        self.watch = Watch(random.Random(SEED), every=0)
        self.life = Life(CrashStore(folder, self.watch), Known())
        self.life.set_up()
        self.stalls: list[bool] = []
        self.failed: list[str] = []
        storage = self.life.world.storage
        storage.commits.on_stall = lambda error: self.stalls.append(error is not None)
        storage.on_queue_failure = self._on_queue_failure
        self.files = self.life.store.memory
        self._before = self.files.calls
        self.files.fail_at(n, error, times, written=3)

    @property
    def calls(self) -> list[tuple[str, str]]:
        return self.files.log[self._before :]

    def run(self) -> None:
        for _ in range(STEPS):
            self.life.step()
            if self.stalls or self.failed:
                self._look()
        self.life.finish()
        self._look()
        assert self.life.answered

    def met_deleted_queue(self, path: str) -> bool:
        """The call may have been for a queue that was deleted meanwhile."""
        folders = [home.folder for home in self.life.known.homes.values() if home.leaving]
        return any(folder.startswith(path) or path.startswith(folder) for folder in folders)

    def _on_queue_failure(self, queue: str, error: OSError) -> None:
        name = queue.split("'")[1]
        self.failed.append(name)
        self.life.broken.add(name)

    def _look(self) -> None:
        for home in self.life.known.homes.values():
            if home.name in self.failed:
                self.life.known.forgive_moves(home)
        self.watch.every = 1
        self.watch.look()
        self.watch.every = 0


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """What the work calls the disk for when nothing fails."""
    calm = Trouble(tmp_path_factory.mktemp("calm"), 1_000_000, errno.EIO, 1)
    calm.run()
    assert calm.stalls == []
    assert calm.failed == []
    assert {call for call, _ in calm.calls} >= CALLS
    calm.life.close()
    return calm.calls


def may_fail(call: str, path: str) -> bool:
    """Nobody has to hear of it: the next start does without."""
    return path.endswith(".idx") or call == "remove_folder"


def may_wait(calls: list[tuple[str, str]], n: int) -> bool:
    """The call is for a hint to the next start, or for a rewrite, which is only to save room."""
    path = calls[n - 1][1]
    return path.endswith((".idx", ".new")) or calls[n - 2][0] == "rename"


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    """Folders, as many as are needed."""
    return made(tmp_path)


def made(parent: Path) -> Iterator[Path]:
    for number in range(100_000):
        folder = parent / str(number)
        folder.mkdir()
        yield folder


def test_a_full_disk_loses_nothing_and_everything_is_confirmed_when_there_is_room(
    calls: list[tuple[str, str]], folders: Iterator[Path]
) -> None:
    for n, (call, path) in enumerate(calls, 1):
        trouble = Trouble(next(folders), n, errno.ENOSPC, times=random.Random(n).randint(1, 6))
        trouble.run()
        assert trouble.failed == [], (n, call, path)
        assert trouble.stalls in ([True, False], [True, False, True, False], []), (n, call, path)
        assert trouble.stalls or may_wait(calls, n), (n, call, path)
        assert not trouble.life.refused, (n, call, path)
        trouble.life.close()


def test_a_broken_disk_costs_the_queue_that_met_it_and_no_other(
    calls: list[tuple[str, str]], folders: Iterator[Path]
) -> None:
    for n, (call, path) in enumerate(calls, 1):
        trouble = Trouble(next(folders), n, errno.EIO, times=1)
        trouble.run()
        assert trouble.stalls == []
        assert len(trouble.failed) <= 1, (n, call, path)
        assert trouble.failed or may_fail(call, path) or trouble.met_deleted_queue(path), (n, call, path)
        for name in list(trouble.life.known.current):
            assert trouble.life.publish_to(name) is (name not in trouble.failed), (n, call, path, name)
        trouble.life.close()


class Clients:
    """A publisher, and a consumer of the queues "one" and "two"."""

    def __init__(self, folder: Path) -> None:
        store = Store(folder)
        self.files = store.memory
        self.world = World(store=store)
        DiskWatch(self.world.broker, folder, 0, logging.getLogger("amqpd.tests"))
        self.publisher, self.consumer = self.world.client(), self.world.client()
        self.publisher.open()
        self.consumer.open()
        self.publisher.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
        for queue in ("one", "two"):
            self.publisher.declare(queue, durable=True)
            self.consumer.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, queue=queue, consumer_tag=queue)

    def publish(self, queue: str, body: bytes = b"") -> list[str]:
        """Returns what comes back."""
        self.publisher.publish(1, "", queue, body, PERSISTENT)
        return names_of(self.publisher)


def names_of(client: Client) -> list[str]:
    return [item.method.name if isinstance(item, Content) else item.name for _, item in client.received()]


def test_a_full_disk_blocks_publishers_and_not_consumers_until_there_is_room(tmp_path: Path) -> None:
    clients = Clients(tmp_path)
    world, files = clients.world, clients.files
    assert clients.publish("one", b"before") == ["Basic.Ack"]
    files.fail_at(1, errno.ENOSPC, times=10**9)
    assert clients.publish("one", b"during") == []
    assert world.broker.alarms.active
    assert world.broker.alarms.reason == "low on disk"
    assert clients.publish("two", b"behind") == ["Connection.Blocked"]
    assert not clients.publisher.wire.reading
    assert clients.consumer.bodies() == [b"before", b"during", b"behind"]
    clients.consumer.send(1, commands.Basic.Ack, delivery_tag=2, multiple=True)
    assert names_of(clients.publisher) == ["Basic.Ack"], "what was consumed needs no room"
    clients.consumer.call(1, commands.Basic.Get, commands.Basic.GetEmpty, queue="one")
    world.advance(5 * RETRY_SECONDS)
    assert names_of(clients.publisher) == []
    files.fail_at(1, errno.ENOSPC, times=0)
    world.advance(RETRY_SECONDS)
    assert not world.broker.alarms.active
    assert set(names_of(clients.publisher)) == {"Basic.Ack", "Connection.Unblocked"}
    assert clients.publish("two", b"after") == ["Basic.Ack"]
    assert clients.consumer.bodies() == [b"after"]
    assert world.observer.crashes == []


def test_a_broken_disk_cancels_the_consumers_of_its_queue_and_refuses_what_is_published_there(tmp_path: Path) -> None:
    clients = Clients(tmp_path)
    assert clients.publish("one", b"before") == ["Basic.Ack"]
    clients.files.fail_at(1, errno.EIO)
    assert clients.publish("one", b"lost") == ["Basic.Nack"]
    assert clients.publish("two", b"other") == ["Basic.Ack"]
    assert clients.publish("one", b"refused") == ["Basic.Nack"]
    received = [item for _, item in clients.consumer.received()]
    assert [item.consumer_tag for item in received if isinstance(item, commands.Basic.Cancel)] == ["one"]
    assert [item.body for item in received if isinstance(item, Content)] == [b"before", b"lost", b"other"]
    assert not clients.world.broker.alarms.active


def test_a_queue_in_the_place_of_one_that_was_deleted_does_not_fail_with_it(tmp_path: Path) -> None:
    """The disk fails for the deleted one, whose last commit is still under way."""
    clients = Clients(tmp_path)
    world = clients.world
    clients.publish("one")
    world.hold_commits()
    assert clients.publish("one") == []
    for channel, command in ((2, commands.Queue.Delete), (3, commands.Queue.Declare)):
        clients.publisher.open(channel)
        clients.publisher.send(channel, command, queue="one", **({"durable": True} if channel == 3 else {}))
    clients.files.fail_at(1, errno.EIO)
    while world.held_commits:
        world.run_commit()
    world.storage.commits.execute = None
    assert "Queue.DeclareOk" in names_of(clients.publisher)
    assert clients.publish("one") == ["Basic.Ack"]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_topology_is_not_confirmed_before_the_catalog_has_it(tmp_path: Path, error: int) -> None:
    """Neither is a message in a queue that would not be there after a restart."""
    watch = Watch(random.Random(1))
    life = Life(CrashStore(tmp_path, watch), Known())
    life.set_up()
    life.store.catalog.errors = [error, error]
    for _ in range(40):
        life.step()
    life.finish()
    watch.look()
    life.close()


class SmallStore(Store):
    """A store with small segments."""

    def open(self, turn: Turn, timers: Timers) -> Storage:
        storage = super().open(turn, timers)
        assert storage.disk is not None
        storage.disk.segment_size = 1000
        return storage


class Filled:
    """Twenty persistent messages, delivered, a few to a segment."""

    def __init__(self, folder: Path) -> None:
        store = SmallStore(folder)
        self.files = store.memory
        self.world = World(store=store)
        self.stalls: list[bool] = []
        self.world.storage.commits.on_stall = lambda error: self.stalls.append(error is not None)
        self.client = self.world.client()
        self.client.open()
        self.client.declare("q", durable=True)
        for _ in range(20):
            self.client.publish(1, "", "q", BODY, PERSISTENT)
        names_of(self.client)
        self.client.send(1, commands.Basic.Consume, queue="q")
        assert names_of(self.client) == ["Basic.ConsumeOk", *["Basic.Deliver"] * 20]
        self.world.advance(2.0)

    def acknowledge(self, *tags: int) -> None:
        for tag in tags[:-1]:
            self.client.connection.receive(encode(1, make(commands.Basic.Ack, delivery_tag=tag)))
        self.client.send(1, commands.Basic.Ack, delivery_tag=tags[-1])


def test_acknowledging_makes_room_on_a_disk_that_has_none(tmp_path: Path) -> None:
    """Files in which nothing lives are removed before anything is written."""
    filled = Filled(tmp_path)
    before = filled.files.most = filled.files.octets
    filled.acknowledge(*range(1, 21))
    assert filled.files.octets < before / 2
    assert filled.stalls == []


def test_a_segment_that_cannot_be_rewritten_for_lack_of_room_holds_nobody_up(tmp_path: Path) -> None:
    filled = Filled(tmp_path)
    before = filled.files.octets
    filled.files.most = before + 150  # the journal has room, a message that moves has none
    filled.acknowledge(2, 3, 4, 5, 6)
    assert any(path.endswith(".new") for path in filled.files.refused)
    assert filled.stalls == []
    assert not any(path.endswith(".new") for path in filled.files.contents())
    filled.files.most = None
    filled.acknowledge(20)
    filled.world.advance(1.0)
    assert any(path.endswith(".1.log") for path in filled.files.contents()), "it is done when there is room"
    assert bodies_after(filled.world, "q") == [BODY] * 14


def bodies_after(world: World, queue: str) -> list[bytes]:
    """What is in a queue when only the process has died and another one starts."""
    again = world.killed()
    found = again.vhost.queues[queue]
    bodies: list[bytes] = []
    while (delivery := found.get()) is not None:
        bodies.append(delivery.message.body)
    return bodies


CRASHED = "NOT_FOUND - queue 'one' in vhost '/' has crashed and failed to restart"


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (commands.Queue.Declare, {"durable": True}),
        (commands.Queue.Declare, {"durable": False}),
        (commands.Queue.Declare, {"passive": True}),
        (commands.Queue.Purge, {}),
        (commands.Basic.Get, {}),
        (commands.Basic.Consume, {}),
    ],
)
def test_a_queue_whose_disk_failed_is_not_found(
    tmp_path: Path, command: type[base.Frame], arguments: dict[str, object]
) -> None:
    clients = Clients(tmp_path)
    clients.files.fail_at(1, errno.EIO)
    assert clients.publish("one") == ["Basic.Nack"]
    closed = clients.publisher.call(1, command, commands.Channel.Close, queue="one", **arguments)
    assert (closed.reply_code, closed.reply_text) == (404, CRASHED)


@pytest.mark.parametrize("condition", [{}, {"if_empty": True}, {"if_unused": True}])
@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_queue_whose_disk_failed_can_be_deleted_and_declared_anew(
    tmp_path: Path, kind: str, condition: dict[str, object]
) -> None:
    clients = Clients(tmp_path)
    arguments = {"x-queue-type": kind}
    clients.publisher.declare("failing", durable=True, arguments=arguments)
    assert clients.publish("failing") == ["Basic.Ack"]
    clients.files.fail_at(1, errno.EIO)
    assert clients.publish("failing") == ["Basic.Nack"]
    deleted = clients.publisher.call(1, commands.Queue.Delete, commands.Queue.DeleteOk, queue="failing", **condition)
    assert deleted.message_count == 0
    declared = clients.publisher.declare("failing", durable=True, arguments=arguments)
    assert declared.message_count == 0
    assert clients.publish("failing", b"new") == ["Basic.Ack"]
    assert bodies_after(clients.world, "failing") == [b"new"]


def test_nothing_in_a_queue_whose_disk_failed_expires_into_another_one(tmp_path: Path) -> None:
    """After a restart it would be there twice."""
    clients = Clients(tmp_path)
    arguments = {"x-message-ttl": 1000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "two"}
    clients.publisher.declare("failing", durable=True, arguments=arguments)
    assert clients.publish("failing") == ["Basic.Ack"]
    clients.files.fail_at(1, errno.EIO)
    assert clients.publish("failing") == ["Basic.Nack"]
    clients.world.advance(5)
    assert clients.consumer.bodies() == []
