"""A stream's store: what is read from where, what a reader is spared, and what becomes of what is broken."""

from __future__ import annotations

import errno
import random
from collections import Counter
from pathlib import Path

import pytest

from amqpd.broker.message import make_message
from amqpd.broker.policy import Policy
from amqpd.broker.queues.stream.filters import Filter
from amqpd.broker.queues.stream.page import TAIL
from amqpd.broker.queues.stream.store import StreamStore
from amqpd.log.log import Log
from amqpd.log.memory import MemoryFiles as AmqpdMemoryFiles
from amqpd.wire.properties import EMPTY_PROPERTIES
from tests.broker.queues.stream.clients import declared, filtered, offsets, publish, reader, stream_of
from tests.builders import World
from tests.log.faults import MemoryFiles, MemoryFolder
from tests.stores import Store

BLOCK = 40_000  # octets of a body of which two fill a block


class CountingFiles(MemoryFiles):
    """Files that count reads of logs."""

    def __init__(self, root: MemoryFolder | None = None) -> None:
        super().__init__(root)
        self.reads: Counter[str] = Counter()

    def read(self, path: str, position: int, size: int) -> bytes:
        if path.endswith(".log"):
            self.reads[path] += 1
        return super().read(path, position, size)

    def killed(self) -> MemoryFiles:
        return CountingFiles(self.root)


@pytest.fixture
def files() -> CountingFiles:
    return CountingFiles()


@pytest.fixture
def world(files: CountingFiles, tmp_path: Path) -> World:
    store = Store(tmp_path)
    store.files = files
    return World(store=store)


def store_of(world: World) -> StreamStore:
    return stream_of(world)._store


def large(number: int) -> bytes:
    return b"%d " % number + bytes(BLOCK)


def test_readers_at_the_end_do_not_touch_the_disk(world: World, files: CountingFiles) -> None:
    client = declared(world)
    readers = [reader(world) for _ in range(3)]
    for number in range(20):
        publish(client, large(number))
    assert [offsets(each) for each in readers] == [list(range(20))] * 3
    assert files.reads.total() == 0


def test_readers_at_the_same_place_share_what_is_read(world: World, files: CountingFiles) -> None:
    client = declared(world)
    for number in range(20):
        publish(client, large(number))
    reader(world, offset="first")
    once = files.reads.total()
    assert once > 0
    for _ in range(5):
        assert len(offsets(reader(world, offset="first"))) == 20
    assert files.reads.total() == once


def test_a_reader_without_credit_is_not_read_for(world: World, files: CountingFiles) -> None:
    client = declared(world)
    for number in range(50):
        publish(client, large(number))
    slow = reader(world, prefetch=1, offset="first")
    before = files.reads.total()
    assert before <= 2
    for number in range(50):
        publish(client, large(number))
    assert offsets(slow) == [0]
    assert files.reads.total() == before


def test_blocks_and_segments_without_anything_wanted_are_not_read(world: World, files: CountingFiles) -> None:
    client = declared(world, stream_max_segment_size_bytes=4 * BLOCK)
    for number in range(40):
        publish(client, large(number), properties=filtered("rare" if number in (9, 25) else "common"))
    found = reader(world, offset="first", filter="rare")
    assert offsets(found) == [9, 25]
    touched = [path for path in files.reads if files.reads[path]]
    segments = store_of(world)._log.segments()
    assert len(touched) <= 4 < len(segments)


def test_filters_are_known_again_after_a_restart_and_after_a_kill(world: World) -> None:
    client = declared(world, stream_max_segment_size_bytes=4 * BLOCK)
    for number in range(21):
        publish(client, large(number), properties=filtered("rare" if number in (9, 20) else "common"))
    wanted = Filter(("rare",), False)
    for ending in ("restarted", "killed"):
        world = getattr(world, ending)()
        store = store_of(world)
        assert 6 < store.next_match(0, wanted) <= 9
        assert store.next_match(10, wanted) <= 20
        assert offsets(reader(world, offset="first", filter="rare")) == [9, 20]
        world.finish()


@pytest.mark.parametrize("size", [16, 100])
def test_what_was_written_before_a_kill_is_not_denied_when_its_block_is_whole(size: int, world: World) -> None:
    """No checkpoint tells what was in it."""
    client = declared(world, stream_filter_size_bytes=size)
    publish(client, b"mine", properties=filtered("rare"))
    world = world.killed()
    client = world.client()
    client.open()
    for number in range(8):
        publish(client, large(number), properties=filtered("common"))
    assert offsets(reader(world, offset="first", filter="rare")) == [0]


def test_the_size_of_filters_may_change_while_there_are_readers(world: World) -> None:
    client = declared(world, stream_filter_size_bytes=16)
    for number in range(8):
        publish(client, large(number), properties=filtered("rare" if number == 3 else "common"))
    world.vhost.set_policy(Policy("p", "^q$", {"stream-filter-size-bytes": 200}))
    assert offsets(reader(world, offset="first", filter="rare")) == [3]
    world = world.restarted()
    client = world.client()
    client.open()
    for number in range(8):
        publish(client, large(number), properties=filtered("rare" if number == 3 else "common"))
    assert offsets(reader(world, offset="first", filter="rare")) == [3, 11]


def test_a_broken_record_is_told_and_left_out(world: World, files: CountingFiles) -> None:
    client = declared(world)
    for number in range(3):
        publish(client, large(number))
    path = store_of(world)._log.segments()[0].path
    files.corrupt(path, BLOCK + 500, b"!")
    assert offsets(reader(world, offset="first")) == [0, 2]
    assert world.store is not None
    assert [damage.path for damage in world.store.damages] == [path]


def test_a_whole_segment_that_is_broken_is_left_out(world: World, files: CountingFiles) -> None:
    client = declared(world, stream_max_segment_size_bytes=BLOCK)
    for number in range(5):
        publish(client, large(number))
    path = store_of(world)._log.segments()[2].path
    files.corrupt(path, 32, bytes(files.size(path) - 32))
    world = world.killed()
    assert offsets(reader(world, offset="first")) == [0, 1, 3, 4]


def test_a_record_that_is_no_message_is_told_and_left_out(world: World) -> None:
    client = declared(world)
    publish(client, b"0")
    store = store_of(world)
    store._log.append(1, 1, 1, False, b"", b"nonsense")
    store.changed()
    world.finish()
    publish(client, b"2")
    assert offsets(reader(world, offset="first")) == [0, 2]
    assert world.store is not None
    (damage,) = world.store.damages
    assert "it is no message" in str(damage)


def test_a_disk_that_cannot_be_read_ends_the_stream_and_its_consumers(
    world: World, files: CountingFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = declared(world)
    publish(client, b"0")
    failures: list[str] = []
    world.storage.on_queue_failure = lambda queue, error: failures.append(queue)

    def broken(path: str, position: int, size: int) -> bytes:
        raise OSError(errno.EIO, "broken", path)

    monkeypatch.setattr(files, "read", broken)
    consumer = reader(world, offset="first")
    assert [item.name for _, item in consumer.received()] == ["Basic.ConsumeOk", "Basic.Cancel"]  # type: ignore[union-attr]
    assert failures == ["queue 'q' in vhost '/'"]
    client.publish(1, "", "q", b"1")
    assert [item.name for _, item in client.received()] == ["Basic.Nack"]  # type: ignore[union-attr]


def test_old_segments_stay_when_the_new_one_cannot_be_written(world: World, files: CountingFiles) -> None:
    """Else the next start would not know which offsets were given."""
    client = declared(world, stream_max_segment_size_bytes=300, stream_max_length=0)
    publish(client, *[b"%d" % number for number in range(20)])
    world.hold_commits()
    publish(client, *[b"%d" % number for number in range(20, 30)])
    files.fail_at(1, errno.EIO)
    while world.held_commits:
        world.run_commit()
    world = world.killed()
    stream = stream_of(world)
    assert stream.next_offset == 20
    assert stream.first_offset < 20


def test_where_nobody_reads_nothing_is_in_memory(world: World) -> None:
    client = declared(world)
    consumer = reader(world, offset="first")
    publish(client, *[large(number) for number in range(100)])
    store = store_of(world)
    tail = store._tail
    assert tail is not None
    assert 100 - tail.first < TAIL // BLOCK + 10
    consumer.lose()
    assert store._tail is None
    publish(client, large(100))
    assert store._tail is None


def test_without_a_disk_the_log_is_in_memory_and_does_not_outlive_the_stream() -> None:
    world = World()
    client = declared(world, stream_max_segment_size_bytes=400, stream_max_length=10)
    publish(client, *[b"%d" % number for number in range(50)])
    stream = stream_of(world)
    assert 30 < stream.first_offset < 50
    assert offsets(reader(world, offset="first"))[-1] == 49
    files = stream._store._disk.files
    assert isinstance(files, AmqpdMemoryFiles)
    assert files.names("") != []
    world.vhost.delete_queue(stream)
    world.finish()
    assert files.names("") == []


def test_offsets_are_given_in_the_order_of_publishing_whatever_is_under_way(world: World) -> None:
    declared(world)
    world.hold_commits()
    store = store_of(world)
    found = []
    for number in range(5):
        found.append(int(store.next_offset))
        store.append(make_message("", "q", EMPTY_PROPERTIES, b"%d" % number), 1)
        world.finish()
    assert found == list(range(5))
    assert store.end == 0
    assert store.page_at(0) is None


def test_what_a_killed_process_had_only_written_is_made_safe_before_it_is_read(world: World) -> None:
    client = declared(world)
    folder = f"{stream_of(world).spec.folder}/0"
    world.hold_commits()
    publish(client, b"m")
    for step in world.held_commits[0].steps:
        step.write()  # and the process is killed before it syncs
    world = world.killed()
    assert stream_of(world).next_offset == 1
    files = world.store.files if world.store is not None else None
    assert isinstance(files, MemoryFiles)
    for seed in range(30):
        log = Log(files.crashes(random.Random(seed)), folder)
        log.open()
        assert log.next_offset == 1, "an offset that could be read belongs to another message after power loss"
