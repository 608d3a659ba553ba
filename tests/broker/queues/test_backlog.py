"""Backlogs: what gets to the disk and what is spared that; what is read back, also when the disk is not what it was."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from amqpd.broker.queues.base import Queue
from amqpd.broker.queues.disk import HOLD_ABOVE, RELEASE_BELOW, SPILL, Disk
from amqpd.broker.queues.lane import Lane
from amqpd.broker.queues.room import PERSISTENT as PERSISTENT_ONLY
from amqpd.broker.queues.room import Room
from amqpd.broker.records import RecordEncoder
from amqpd.clock import ManualClock, Timers
from amqpd.log.commit import PATIENCE_SECONDS, RETRY_SECONDS, Commits
from amqpd.log.damage import Damage
from amqpd.log.log import Log
from amqpd.turn import Turn
from amqpd.wire.properties import Properties
from tests.broker.queues.takers import HeldPublisher, Taker, accepts, drained, make_queue, message
from tests.builders import World
from tests.log.faults import MemoryFiles
from tests.stores import Store

PERSISTENT = Properties.of(delivery_mode=2)
KINDS = pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({}, id="classic"),
        pytest.param({"max_priority": 3}, id="priorities"),
        pytest.param({"queue_type": "quorum"}, id="quorum"),
    ],
)


def stored_world(folder: Path, messages: int | None = None, page: int | None = None) -> tuple[World, Store]:
    store = Store(folder, messages=messages, page=page)
    return World(store=store), store


def fill(queue: Queue, first: int, last: int, properties: Properties = PERSISTENT) -> None:
    """Messages with these numbers, all the same size."""
    for number in range(first, last + 1):
        assert accepts(queue, message(b"%03d" % number, properties))


def written(store: Store) -> bytes:
    """Everything that is in logs."""
    return b"".join(data for path, data in store.memory.contents().items() if path.endswith(".log"))


def bodies(queue: Queue) -> list[bytes]:
    return [body for body, _ in drained(queue)]


# What is written.


def test_what_is_acknowledged_in_the_turn_in_which_it_came_is_never_written(tmp_path: Path) -> None:
    world, store = stored_world(tmp_path)
    queue = make_queue(world, durable=True)
    taker = Taker("c", queue, no_ack=True)
    queue.subscribe(taker)
    fill(queue, 0, 9)
    world.finish()
    assert len(taker.bodies) == 10
    assert written(store) == b""


def test_what_is_acknowledged_while_a_commit_is_under_way_is_not_written_with_the_next(tmp_path: Path) -> None:
    world, store = stored_world(tmp_path)
    queue = make_queue(world, durable=True)
    world.finish()
    world.hold_commits()
    fill(queue, 0, 0)
    world.finish()
    fill(queue, 1, 2)
    for _ in range(2):
        delivery = queue.get()
        assert delivery is not None
        queue.acknowledge(delivery)
    while world.held_commits:
        world.run_commit()
    assert [number in written(store) for number in (b"000", b"001", b"002")] == [True, False, True]


def test_a_durable_classic_queue_writes_persistent_messages_and_a_quorum_queue_all(tmp_path: Path) -> None:
    world, store = stored_world(tmp_path)
    for name, kind in (("c", "classic"), ("q", "quorum")):
        queue = make_queue(world, name, durable=True, queue_type=kind)
        queue.publish(message(b"transient in " + name.encode()))
        queue.publish(message(b"persistent in " + name.encode(), PERSISTENT))
    world.finish()
    found = [text in written(store) for text in (b"transient in c", b"persistent in c", b"transient in q")]
    assert found == [False, True, True]


def test_what_a_purge_drops_is_not_written_but_what_is_with_a_consumer_is(tmp_path: Path) -> None:
    """Also if so much is there that some of it was to be spilled."""
    world, _ = stored_world(tmp_path, messages=2)
    queue = make_queue(world, durable=True)
    fill(queue, 0, 5)
    delivery = queue.get()
    assert delivery is not None
    assert queue.purge() == 5
    fill(queue, 6, 6)
    world.finish()
    again = world.killed().vhost.queue("q")
    assert drained(again) == [(b"000", True), (b"006", False)]


# What is read back.


@pytest.mark.parametrize("durable", [False, True])
def test_what_comes_while_something_is_paged_stands_behind_it(tmp_path: Path, durable: bool) -> None:
    """Also when there is room in memory again."""
    world, _ = stored_world(tmp_path, messages=4)
    queue = make_queue(world, durable=durable)
    fill(queue, 0, 6)
    world.finish()
    for _ in range(4):
        assert queue.get() is not None
    fill(queue, 7, 8)
    assert [body for body, _ in drained(queue)] == [b"%03d" % number for number in range(4, 9)]


@KINDS
@pytest.mark.parametrize("durable", [True, False])
def test_what_does_not_fit_comes_back_in_its_order(tmp_path: Path, arguments: dict[str, object], durable: bool) -> None:
    world, _ = stored_world(tmp_path, messages=3, page=100)
    queue = make_queue(world, durable=durable, **arguments)
    fill(queue, 0, 20, Properties.of())
    world.finish()
    fill(queue, 21, 40)
    assert bodies(queue) == [b"%03d" % number for number in range(41)]


def test_what_is_not_written_yet_is_read_all_the_same(tmp_path: Path) -> None:
    world, _ = stored_world(tmp_path, messages=2)
    queue = make_queue(world, durable=True)
    world.finish()
    world.hold_commits()
    fill(queue, 0, 5)
    world.finish()  # a commit has begun, and is not done
    fill(queue, 6, 9)
    assert bodies(queue) == [b"%03d" % number for number in range(10)]


def test_so_many_octets_in_memory_are_enough_too(tmp_path: Path) -> None:
    world, store = stored_world(tmp_path)
    disk = world.storage.disk
    assert disk is not None
    disk.octets = 10
    queue = make_queue(world)
    for letter in (b"a", b"b", b"c"):
        queue.publish(message(letter * 6))
    world.finish()
    assert [letter * 6 in written(store) for letter in (b"a", b"b", b"c")] == [False, False, True]
    assert bodies(queue) == [b"aaaaaa", b"bbbbbb", b"cccccc"]


def test_a_queue_that_was_drained_has_its_room_again(tmp_path: Path) -> None:
    world, store = stored_world(tmp_path, messages=3)
    queue = make_queue(world)
    fill(queue, 0, 9)
    world.finish()
    assert len(bodies(queue)) == 10
    world.finish()
    fill(queue, 100, 102)
    world.finish()
    assert b"102" not in written(store)
    assert bodies(queue) == [b"100", b"101", b"102"]


# What is left behind.


@KINDS
def test_a_deleted_queue_that_was_spilled_leaves_nothing(tmp_path: Path, arguments: dict[str, object]) -> None:
    world, store = stored_world(tmp_path, messages=2)
    durable = "queue_type" in arguments
    queue = make_queue(world, durable=durable, **arguments)
    fill(queue, 0, 9)
    world.finish()
    assert written(store) != b""
    world.vhost.delete_queue(queue)
    world.finish()
    assert store.memory.contents() == {}
    assert store.files.names(SPILL) == store.files.names("queues") == []


def test_a_queue_that_is_deleted_while_it_is_written_leaves_nothing(tmp_path: Path) -> None:
    world, store = stored_world(tmp_path, messages=2)
    queues = [make_queue(world, "spilled"), make_queue(world, "durable", durable=True)]
    world.finish()
    world.hold_commits()
    for queue in queues:
        fill(queue, 0, 9)
    world.finish()
    for queue in queues:
        world.vhost.delete_queue(queue)
    world.finish()
    while world.held_commits:
        world.run_commit()
    assert store.memory.contents() == {}


# When the disk is not what it was.


def lose(store: Store, first: int, last: int) -> None:
    """The disk has other octets where these messages were."""
    for path, data in store.memory.contents().items():
        for number in range(first, last + 1):
            at = data.find(b"%03d" % number)
            if at >= 0 and path.endswith(".log"):
                store.memory.corrupt(path, at, b"???")


@KINDS
@pytest.mark.parametrize("way", ["get", "consume", "expire", "drop"])
@pytest.mark.parametrize(("first", "last"), [(4, 6), (7, 9), (3, 9)])
def test_messages_that_cannot_be_read_any_more_are_left_out_and_told_of(
    tmp_path: Path, arguments: dict[str, object], way: str, first: int, last: int
) -> None:
    """A pump that met them must not stumble, nor a count be wrong afterwards."""
    world, store = stored_world(tmp_path, messages=3, page=1)
    limits: dict[str, object] = {"expire": {"message_ttl": 1000}, "drop": {"max_length": 10}}.get(way, {})
    queue = make_queue(world, durable=True, **arguments, **limits)
    fill(queue, 0, 9)
    world.finish()
    lose(store, first, last)
    left = [b"%03d" % number for number in range(10) if not first <= number <= last]
    if way == "get":
        assert bodies(queue) == left
    elif way == "consume":
        taker = Taker("c", queue)
        queue.subscribe(taker)
        world.finish()
        assert taker.bodies == left
    elif way == "expire":
        world.advance(2.0)
    else:
        fill(queue, 10, 19)
        world.finish()
        assert bodies(queue)[-1] == b"019"
    assert queue.message_count == 0
    fill(queue, 20, 20)
    assert bodies(queue) == [b"020"]
    assert len(store.damages) > 0


@KINDS
def test_a_full_disk_delays_and_loses_nothing(tmp_path: Path, arguments: dict[str, object]) -> None:
    world, store = stored_world(tmp_path, messages=2)
    queue = make_queue(world, durable=True, **arguments)
    world.finish()
    store.memory.fail_at(1, errno.ENOSPC, times=3)
    fill(queue, 0, 4)
    world.finish()
    assert not world.storage.commits.idle
    world.advance(5 * RETRY_SECONDS)
    assert world.storage.commits.idle
    assert bodies(world.killed().vhost.queue("q")) == [b"%03d" % number for number in range(5)]


@KINDS
def test_a_queue_whose_disk_failed_refuses_publishes_and_tells_its_consumers(
    tmp_path: Path, arguments: dict[str, object]
) -> None:
    """Others go on."""
    world, store = stored_world(tmp_path)
    queue, other = make_queue(world, durable=True, **arguments), make_queue(world, "other", durable=True)
    told: list[tuple[str, OSError]] = []
    world.storage.on_queue_failure = lambda name, error: told.append((name, error))
    taker = Taker("c", queue, credit=1)
    queue.subscribe(taker)
    world.finish()
    store.memory.fail_at(1, errno.EIO)
    fill(queue, 0, 1)
    world.finish()
    assert [(name, error.errno) for name, error in told] == [("queue 'q' in vhost '/'", errno.EIO)]
    assert (queue.broken, taker.told_of_deletion) == (True, 1)
    assert not accepts(queue, message(b"2", PERSISTENT))
    assert queue.message_count == 1
    assert accepts(other, message(b"2", PERSISTENT))
    world.finish()
    assert bodies(world.killed().vhost.queue("other")) == [b"2"]


class Unreadable(MemoryFiles):
    """Files that cannot be read any more once they are told so."""

    failing = False

    def read(self, path: str, position: int, size: int) -> bytes:
        if self.failing:
            raise OSError(errno.EIO, "cannot be read", path)
        return super().read(path, position, size)


@KINDS
@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("way", ["get", "consume"])
def test_a_queue_that_cannot_be_read_is_stopped_and_nobody_else_is(
    tmp_path: Path, arguments: dict[str, object], durable: bool, way: str
) -> None:
    """After the restart, on a sound disk, everything that had been confirmed is there."""
    store = Store(tmp_path, messages=2)
    files = Unreadable()
    store.files = files
    world = World(store=store)
    told: list[str] = []
    world.storage.on_queue_failure = lambda name, error: told.append(name)
    queue, other = make_queue(world, durable=durable, **arguments), make_queue(world, "other")
    fill(queue, 0, 5)
    fill(other, 0, 1)
    world.finish()
    files.failing = True
    taker = Taker("c", queue)
    if way == "get":
        assert bodies(queue) == [b"000", b"001"]
    else:
        queue.subscribe(taker)
        world.finish()
        assert (taker.bodies, taker.told_of_deletion) == ([b"000", b"001"], 1)
    assert (told, queue.broken, queue.message_count) == (["queue 'q' in vhost '/'"], True, 0)
    assert not accepts(queue, message(b"new", PERSISTENT))
    assert bodies(other) == [b"000", b"001"]
    world.finish()
    again = world.killed()
    if queue.survives:
        assert bodies(again.vhost.queue("q")) == [b"%03d" % number for number in range(6)]


def test_publishers_are_held_while_the_disk_is_far_behind(tmp_path: Path) -> None:
    world, _ = stored_world(tmp_path)
    queue = make_queue(world, durable=True)
    world.finish()
    world.hold_commits()
    body = message(bytes(1024 * 1024), PERSISTENT)
    for _ in range(HOLD_ABOVE // (1024 * 1024) + 1):
        queue.publish(body)
    world.finish()
    publisher = HeldPublisher()
    assert queue.crowded
    for _ in range(2):
        queue.hold(publisher)
    assert publisher.holds == 1
    world.finish()
    while world.held_commits:
        assert publisher.holds == 1
        world.run_commit()
    world.finish()
    assert world.storage.commits.octets < RELEASE_BELOW
    assert publisher.holds == 0


@pytest.mark.parametrize("payload", [b"", b"\xff\xff\xff", b"\x00\x01q", b"\x02\x00\x00\x00\x05nonsense"])
def test_a_whole_record_that_is_no_message_is_left_out_and_told_of(payload: bytes) -> None:
    """Only another program could have written it; the messages around it must not go with it."""
    files, turn, clock = MemoryFiles(), Turn(), ManualClock()
    log = Log(files, "queues/1/0")
    encoder = RecordEncoder()
    for offset in range(3):
        sent = message(b"%d" % offset, PERSISTENT)
        parts = (b"", payload) if offset == 1 else (encoder.head(sent, 0), sent.content)
        log.append(offset, 0, 1, False, *parts)
    write = log.begin()
    assert write is not None
    write.run()
    disk = Disk(files, Commits(turn, Timers(clock)), clock, True)
    damages: list[Damage] = []
    disk.on_damage = damages.append
    lane = Lane(Room(disk, "queues/1", PERSISTENT_ONLY, lambda name, error: None))
    lane.recover()
    found = [lane.take(), lane.take(), lane.take()]
    assert [taken.body for taken in found if taken is not None] == [b"0", b"2"]
    assert lane.count == 0
    assert [damage.path for damage in damages] == ["queues/1/0, record 1"]


# Patience.


def patient_world(folder: Path) -> tuple[World, Queue, Taker]:
    """Commits are the test's to run, and wait if they can; there is a durable queue with a consumer."""
    world, _ = stored_world(folder)
    queue = make_queue(world, durable=True)
    world.finish()
    world.storage.commits.patience = PATIENCE_SECONDS
    world.hold_commits()
    taker = Taker("c", queue)
    queue.subscribe(taker)
    world.finish()
    return world, queue, taker


def acknowledge(taker: Taker) -> None:
    """All that it has."""
    for delivery in taker.deliveries:
        delivery.queue.acknowledge(delivery)
    taker.deliveries.clear()


def hand_out(world: World, queue: Queue, number: int) -> None:
    fill(queue, number, number)
    world.finish()


def test_the_first_message_does_not_wait_for_its_commit_to_begin(tmp_path: Path) -> None:
    world, queue, _ = patient_world(tmp_path)
    hand_out(world, queue, 0)
    assert len(world.held_commits) == 1


def test_a_commit_waits_where_messages_are_acknowledged_before_they_are_safe(tmp_path: Path) -> None:
    world, queue, taker = patient_world(tmp_path)
    hand_out(world, queue, 0)
    acknowledge(taker)
    world.run_commit()
    hand_out(world, queue, 1)
    assert len(world.held_commits) == 1  # it is not known yet that this one will be, too
    acknowledge(taker)
    world.run_commit()
    for number in range(2, 30):
        hand_out(world, queue, number)
        acknowledge(taker)
        world.advance(PATIENCE_SECONDS / 2)
    assert not world.held_commits or not any(commit.steps for commit in world.held_commits)


@pytest.mark.parametrize(("left", "waits"), [(2, True), (3, False)])
def test_it_goes_on_to_wait_while_nine_of_ten_are_acknowledged_in_time(tmp_path: Path, left: int, waits: bool) -> None:
    world, queue, taker = patient_world(tmp_path)
    for number in range(2):
        hand_out(world, queue, number)
        acknowledge(taker)
        world.run_commit()
    for number in range(2, 12):  # ten, and the one before was settled while its commit was under way
        hand_out(world, queue, number)
    kept, taker.deliveries[:] = taker.deliveries[:left], taker.deliveries[left:]
    acknowledge(taker)
    world.advance(2 * PATIENCE_SECONDS)  # for those that are left
    assert len(kept) == left
    world.run_commit()
    hand_out(world, queue, 12)
    assert (len(world.held_commits) == 0) is waits


def test_it_does_not_wait_in_vain_for_long(tmp_path: Path) -> None:
    """Soon it is known that the consumer is slow."""
    world, queue, taker = patient_world(tmp_path)
    for number in range(2):
        hand_out(world, queue, number)
        acknowledge(taker)
        world.run_commit()
    for number in range(2, 4):
        hand_out(world, queue, number)
        assert not world.held_commits
        world.advance(2 * PATIENCE_SECONDS)
        world.run_commit()
    for number in range(4, 10):
        hand_out(world, queue, number)
        world.run_commit()


def test_what_was_not_written_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither in the files, nor in what is known of positions that are gone."""
    world, store = stored_world(tmp_path)
    queue = make_queue(world, durable=True)
    queue.subscribe(Taker("c", queue, no_ack=True))
    fill(queue, 0, 99)
    world.finish()
    assert not any(path.startswith(queue.spec.folder) for path in store.memory.contents())
    assert world.storage.commits.octets == 0
    assert drained(world.killed().vhost.queue("q")) == []


def test_what_is_written_of_many_is_found_again_and_nothing_else(tmp_path: Path) -> None:
    world, _ = stored_world(tmp_path)
    queue = make_queue(world, durable=True)
    world.finish()
    fill(queue, 0, 99)
    out = [queue.get() for _ in range(100)]
    for number, delivery in enumerate(out):
        assert delivery is not None
        if number % 7:
            queue.acknowledge(delivery)
    world.finish()
    again = world.killed().vhost.queue("q")
    assert [body for body, _ in drained(again)] == [b"%03d" % number for number in range(0, 100, 7)]


def test_a_stop_does_not_sync_what_a_start_reads_as_fast(tmp_path: Path) -> None:
    """There may be thousands of queues that a kill left without a checkpoint."""
    world, store = stored_world(tmp_path)
    fill(make_queue(world, durable=True), 0, 9)
    world.finish()
    again = world.killed()
    files = store.memory
    files.log.clear()
    last = again.restarted()
    assert [path for call, path in files.log if call == "sync" and path.endswith(".log")] == []
    assert len(bodies(last.vhost.queue("q"))) == 10
