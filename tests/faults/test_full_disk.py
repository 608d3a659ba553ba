"""A disk that the broker has filled has room again when messages are consumed, purged, or deleted with their queue.

Nothing that has to be there is removed for that: dead letters that did not arrive, what a transaction did not publish.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from pamqp import commands

from amqpd.broker.storage import Storage
from amqpd.clock import Timers
from amqpd.log.commit import RETRY_SECONDS
from amqpd.turn import Turn
from amqpd.wire.properties import Properties
from tests.builders import Content, World
from tests.faults.worlds import CrashStore, Known, Life, Watch
from tests.stores import Store

PERSISTENT = Properties.of(delivery_mode=2)
BODY = bytes(100)
SEGMENT = 1000
ROOM = 6000  # octets of the disk
SOURCE, TARGET = "source", "target"
LIVES, STEPS, RUNS = 3, 80, 3


class SmallStore(Store):
    """A store with small segments."""

    def open(self, turn: Turn, timers: Timers) -> Storage:
        storage = super().open(turn, timers)
        assert storage.disk is not None
        storage.disk.segment_size = SEGMENT
        return storage


class Full:
    """A disk full of a queue's messages.

    Attributes:
        sent: how many messages were published to it.
        stalled: the broker waits for room.
    """

    def __init__(self, folder: Path, **arguments: object) -> None:
        store = SmallStore(folder)
        self.files = store.memory
        self.world = World(store=store)
        self.stalled = False
        self.world.storage.commits.on_stall = self._on_stall
        self.client = self.world.client()
        self.client.open()
        self.client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
        for channel in (2, 3):
            self.client.open(channel)
        self.client.declare(TARGET, durable=True)
        self.client.declare(SOURCE, durable=True, arguments=arguments)
        self.files.most = ROOM
        self.sent = 0
        self._told: list[str] = []
        while not self.stalled:
            self.sent += 1
            self.client.publish(1, "", SOURCE, b"%d " % self.sent + BODY, PERSISTENT)
        self.confirmed = sum(isinstance(item, commands.Basic.Ack) for _, item in self.client.received())

    def get(self, count: int, no_ack: bool = False) -> list[int]:
        """Take messages; returns their delivery tags."""
        tags: list[int] = []
        for _ in range(count):
            self.client.send(2, commands.Basic.Get, queue=SOURCE, no_ack=no_ack)
            for _, item in self.client.received():
                if isinstance(item, commands.Basic.Ack):
                    self._told.append(item.name)  # what is consumed needs no room
                    continue
                assert isinstance(item, Content)
                assert isinstance(item.method, commands.Basic.GetOk)
                tags.append(item.method.delivery_tag or 0)
        return tags

    def names(self) -> list[str]:
        told, self._told = self._told, []
        return told + [item.name for _, item in self.client.received() if not isinstance(item, Content)]

    def _on_stall(self, error: OSError | None) -> None:
        self.stalled = error is not None


def consume(full: Full) -> None:
    full.client.send(2, commands.Basic.Ack, delivery_tag=full.get(full.sent)[-1], multiple=True)


def consume_without_acknowledging(full: Full) -> None:
    full.get(full.sent, no_ack=True)


def purge(full: Full) -> None:
    full.client.call(3, commands.Queue.Purge, commands.Queue.PurgeOk, queue=SOURCE)


def delete(full: Full) -> None:
    full.client.send(3, commands.Queue.Delete, queue=SOURCE)


@pytest.mark.parametrize("take", [consume, consume_without_acknowledging, purge, delete])
@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_what_is_taken_makes_room(tmp_path: Path, take: Callable[[Full], None], kind: str) -> None:
    full = Full(tmp_path, **{"x-queue-type": kind})
    assert full.confirmed < full.sent
    full.world.advance(3 * RETRY_SECONDS)
    assert full.stalled
    take(full)
    full.world.advance(3 * RETRY_SECONDS)
    assert not full.stalled
    assert "Basic.Ack" in full.names()
    assert full.files.octets < ROOM / 2


def test_part_of_a_backlog_that_is_consumed_makes_room(tmp_path: Path) -> None:
    full = Full(tmp_path)
    full.client.send(2, commands.Basic.Ack, delivery_tag=full.get(full.sent // 2)[-1], multiple=True)
    full.world.advance(3 * RETRY_SECONDS)
    assert not full.stalled
    assert [int(body.split()[0]) for body in bodies_in(full.world.killed(), SOURCE)] == list(
        range(full.sent // 2 + 1, full.sent + 1)
    )


def test_another_queue_that_was_consumed_before_makes_room(tmp_path: Path) -> None:
    """Even if it was never large enough for a second segment."""
    full = Full(tmp_path)
    full.files.most = None
    full.world.advance(RETRY_SECONDS)
    full.client.publish(1, "", TARGET, BODY * 4, PERSISTENT)
    full.client.send(2, commands.Basic.Get, queue=TARGET, no_ack=True)
    full.world.advance(3 * RETRY_SECONDS)
    full.files.most = full.files.octets
    full.client.publish(1, "", SOURCE, BODY * 4, PERSISTENT)
    assert full.stalled
    full.world.advance(RETRY_SECONDS)
    assert not full.stalled


def test_dead_letters_stay_until_there_is_room_for_them_where_they_go(tmp_path: Path) -> None:
    full = Full(tmp_path, **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": TARGET})
    full.client.send(2, commands.Basic.Nack, delivery_tag=full.get(full.sent)[-1], multiple=True, requeue=False)
    full.world.advance(3 * RETRY_SECONDS)
    assert full.stalled
    world = full.world.killed()
    assert len(bodies_in(world, SOURCE) + bodies_in(world, TARGET)) >= full.confirmed


def test_dead_letters_stay_that_are_in_the_commit_that_finds_the_disk_full(tmp_path: Path) -> None:
    full = Full(tmp_path, **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": TARGET})
    tags = full.get(full.sent)
    full.files.most = None
    full.world.advance(RETRY_SECONDS)
    assert not full.stalled
    full.files.most = full.files.octets
    full.client.send(2, commands.Basic.Nack, delivery_tag=tags[-1], multiple=True, requeue=False)
    full.world.advance(3 * RETRY_SECONDS)
    assert full.stalled
    world = full.world.killed()
    assert len(bodies_in(world, SOURCE) + bodies_in(world, TARGET)) >= full.sent


def test_dead_letters_stay_even_if_their_queue_is_deleted(tmp_path: Path) -> None:
    full = Full(tmp_path, **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": TARGET})
    full.client.send(2, commands.Basic.Nack, delivery_tag=full.get(full.sent)[-1], multiple=True, requeue=False)
    delete(full)
    full.world.advance(3 * RETRY_SECONDS)
    assert full.stalled
    assert len(bodies_in(full.world.killed(), SOURCE)) >= full.confirmed


@pytest.mark.parametrize("publishes", [False, True])
def test_what_a_transaction_acknowledges_stays_until_what_it_publishes_is_safe(tmp_path: Path, publishes: bool) -> None:
    full = Full(tmp_path)
    full.client.call(2, commands.Tx.Select, commands.Tx.SelectOk)
    if publishes:
        full.client.publish(2, "", TARGET, BODY, PERSISTENT)
    full.client.send(2, commands.Basic.Ack, delivery_tag=full.get(full.sent)[-1], multiple=True)
    full.client.send(2, commands.Tx.Commit)
    full.world.advance(3 * RETRY_SECONDS)
    assert full.stalled == publishes
    if publishes:
        assert len(bodies_in(full.world.killed(), SOURCE)) >= full.confirmed


class Tight(Life):
    """A life on a disk that is full now and then, and has room again when messages leave."""

    def step(self) -> None:
        if self.rng.random() < 0.05:
            self.store.memory.most = None
        elif self.rng.random() < 0.05:
            self.store.memory.most = self.store.memory.octets + self.rng.randrange(1500)
        super().step()


def test_power_loss_on_a_full_disk_keeps_what_was_confirmed(tmp_path_factory: pytest.TempPathFactory) -> None:
    refused = 0
    for seed in range(RUNS):
        folder = tmp_path_factory.mktemp(f"run-{seed}")
        watch = Watch(random.Random(seed))
        life = Tight(CrashStore(folder, watch), Known())
        life.set_up()
        for number in range(LIVES):
            for _ in range(STEPS):
                life.step()
            refused += len(life.store.memory.refused)
            life = life.end(folder / f"life-{number}")
        life.close()
    assert refused > 20


def bodies_in(world: World, queue: str) -> list[bytes]:
    """What is in a queue."""
    bodies: list[bytes] = []
    while (delivery := world.vhost.queues[queue].get()) is not None:
        bodies.append(delivery.message.body)
    return bodies
