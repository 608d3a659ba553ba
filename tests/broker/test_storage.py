"""Storage: what is handed to the catalog, and what becomes of the folders of queues."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from amqpd.broker.declaration import ExchangeSpec
from amqpd.broker.policy import Policy
from amqpd.broker.queues.base import Owner, Queue
from amqpd.broker.storage import QUEUES, folder_of, id_of
from amqpd.catalog.rows import Topology
from amqpd.log.commit import RETRY_SECONDS, SAFE
from amqpd.wire.properties import Properties
from amqpd.wire.table import EMPTY_TABLE
from tests.broker.queues.takers import drained, make_queue, message, queue_spec
from tests.builders import World
from tests.stores import Store

PERSISTENT = Properties.of(delivery_mode=2)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(store=Store(tmp_path))


def topology(world: World) -> Topology:
    """What is in the catalog."""
    assert world.storage.catalog is not None
    world.finish()
    return world.storage.catalog.load()


def files_of(world: World) -> dict[str, bytes]:
    assert world.store is not None
    return world.store.memory.contents()


def test_without_a_disk_everything_can_be_said_and_nothing_happens() -> None:
    world = World()
    queue = make_queue(world, durable=True, max_length=3)
    world.vhost.bind(world.vhost.exchange("amq.direct"), queue, "k", EMPTY_TABLE)
    world.vhost.set_policy(Policy("p", ".*", {"max-length": 1}))
    assert queue.publish(message(b"m", PERSISTENT)) == SAFE
    assert not queue.survives
    world.vhost.delete_queue(queue)
    world.storage.close()
    assert world.storage.discard_orphans(set()) == 0
    assert world.storage.topology_ticket == SAFE


@pytest.mark.parametrize(
    ("make", "kept"),
    [
        pytest.param(lambda world: make_queue(world, durable=True), True, id="durable"),
        pytest.param(lambda world: make_queue(world), False, id="transient"),
        pytest.param(
            lambda world: world.vhost.create_queue("q", queue_spec(durable=True, auto_delete=True)),
            True,
            id="durable, auto-delete",
        ),
        pytest.param(
            lambda world: world.vhost.create_queue("q", queue_spec(durable=True, owner=Owner())),
            False,
            id="exclusive",
        ),
    ],
)
def test_only_durable_queues_are_kept_and_exclusive_ones_are_not(
    world: World, make: Callable[[World], Queue], kept: bool
) -> None:
    queue = make(world)
    assert queue.survives == kept
    assert [row.name for row in topology(world).queues] == (["q"] if kept else [])


@pytest.mark.parametrize("durable", [True, False])
def test_only_durable_exchanges_are_kept(world: World, durable: bool) -> None:
    world.vhost.create_exchange("x", ExchangeSpec("fanout", durable, False, False))
    assert [row.name for row in topology(world).exchanges] == (["x"] if durable else [])


def test_exchanges_that_are_there_from_the_beginning_are_not_kept(world: World) -> None:
    world.broker.create_vhost("other")
    found = topology(world)
    assert found.exchanges == []
    assert [row.name for row in found.vhosts if row.name != "/"] == ["other"]


@pytest.mark.parametrize("durable_source", [True, False])
@pytest.mark.parametrize("durable_queue", [True, False])
def test_a_binding_is_kept_if_both_of_its_ends_are(world: World, durable_source: bool, durable_queue: bool) -> None:
    source = world.vhost.create_exchange("x", ExchangeSpec("fanout", durable_source, False, False))
    world.vhost.bind(source, make_queue(world, durable=durable_queue), "k", EMPTY_TABLE)
    assert len(topology(world).bindings) == int(durable_source and durable_queue)


def test_what_is_taken_away_is_taken_out(world: World) -> None:
    vhost = world.vhost
    x = vhost.create_exchange("x", ExchangeSpec("fanout", True, False, False))
    y = vhost.create_exchange("y", ExchangeSpec("fanout", True, False, False))
    one, two = (make_queue(world, name, durable=True) for name in ("one", "two"))
    for destination in (y, one, two):
        vhost.bind(x, destination, "", EMPTY_TABLE)
    vhost.bind(vhost.exchange("amq.direct"), one, "k", EMPTY_TABLE)
    vhost.bind(y, two, "", EMPTY_TABLE)
    vhost.unbind(x, two, "", EMPTY_TABLE)
    vhost.delete_queue(one)
    found = topology(world)
    assert [row.name for row in found.queues] == ["two"]
    assert [(row.source, row.destination) for row in found.bindings] == [("x", "y"), ("y", "two")]
    vhost.delete_exchange(y)
    found = topology(world)
    assert ([row.name for row in found.exchanges], found.bindings) == (["x"], [])


def test_what_goes_because_something_else_goes_is_taken_out_too(world: World) -> None:
    """Exchanges that delete themselves, in a chain."""
    vhost = world.vhost
    names = ("a", "b", "c")
    chain = [vhost.create_exchange(name, ExchangeSpec("fanout", True, True, False)) for name in names]
    queue = make_queue(world, durable=True)
    for source, destination in zip(chain, [*chain[1:], queue], strict=True):
        vhost.bind(source, destination, "", EMPTY_TABLE)
    assert len(topology(world).bindings) == 3
    vhost.delete_queue(queue)
    found = topology(world)
    assert (found.exchanges, found.queues, found.bindings) == ([], [], [])


def test_policies_come_change_and_go(world: World) -> None:
    vhost = world.vhost
    vhost.set_policy(Policy("p", "^a", {"max-length": 1}, 3, "queues"))
    vhost.set_policy(Policy("p", "^a", {"max-length": 2}, 3, "queues"))
    vhost.set_policy(Policy("p", "^a", {"max-length": 4}, is_operator=True))
    assert [(row.name, row.is_operator, row.definition) for row in topology(world).policies] == [
        ("p", False, '{"max-length": 2}'),
        ("p", True, '{"max-length": 4}'),
    ]
    vhost.delete_policy("p")
    assert [row.is_operator for row in topology(world).policies] == [True]


def test_many_changes_are_one_commit(world: World) -> None:
    world.finish()
    world.hold_commits()
    for number in range(100):
        make_queue(world, f"q{number}", durable=True)
    world.finish()
    world.run_commit()
    assert world.held_commits == []
    assert len(topology(world).queues) == 100


def test_the_ticket_of_the_topology_is_the_commit_with_its_last_change(world: World) -> None:
    world.finish()
    world.hold_commits()
    assert world.storage.topology_ticket == SAFE
    make_queue(world, durable=True)
    ticket = world.storage.topology_ticket
    world.finish()
    make_queue(world, "other")
    assert world.storage.topology_ticket == ticket > SAFE
    world.run_commit()
    assert world.storage.topology_ticket == SAFE


def test_a_queue_declared_again_gets_another_folder(world: World) -> None:
    """A late acknowledgement, or a file that is still there, must not meet the new one."""
    first = make_queue(world, durable=True)
    first.publish(message(b"old", PERSISTENT))
    world.finish()
    world.vhost.delete_queue(first)
    second = make_queue(world, durable=True)
    world.finish()
    assert first.spec.folder != second.spec.folder
    assert files_of(world) == {}
    assert drained(world.killed().vhost.queue("q")) == []


def test_a_folder_goes_only_after_the_catalog_knows_that_its_queue_is_gone(world: World) -> None:
    queue = make_queue(world, durable=True)
    queue.publish(message(b"m", PERSISTENT))
    world.finish()
    world.hold_commits()
    world.vhost.delete_queue(queue)
    world.finish()
    (commit,) = world.held_commits
    assert [type(step.member).__name__ for step in commit.steps] == ["CatalogMember"]
    assert [type(step.member).__name__ for step in commit.late] == ["Discards"]
    world.run_commit()
    assert files_of(world) == {}


def test_folders_of_queues_that_nobody_knows_are_removed_at_the_next_start(world: World) -> None:
    """The broker died between the two."""
    assert world.store is not None
    make_queue(world, durable=True).publish(message(b"m", PERSISTENT))
    world.finish()
    world.store.files.make_folder(f"{QUEUES}/77")
    world.store.files.write(f"{QUEUES}/77/file", 0, b"left")
    again = world.killed()
    again.finish()
    assert not any("/77/" in path for path in files_of(again))
    assert again.vhost.queue("q").message_count == 1


def test_a_catalog_that_cannot_be_written_is_tried_again_until_it_can(world: World) -> None:
    """Until then nothing that may depend on it is safe."""
    told: list[int | None] = []
    commits = world.storage.commits
    commits.on_stall = lambda error: told.append(None if error is None else error.errno)
    assert world.storage.catalog is not None
    connection = world.storage.catalog._connection
    connection.execute("PRAGMA query_only = ON")
    make_queue(world, durable=True)
    world.finish()
    world.advance(3 * RETRY_SECONDS)
    assert (told, commits.idle, world.storage.topology_ticket > SAFE) == ([errno.EROFS], False, True)
    connection.execute("PRAGMA query_only = OFF")
    world.advance(RETRY_SECONDS)
    assert (told, commits.idle, world.storage.topology_ticket) == ([errno.EROFS, None], True, SAFE)
    assert [row.name for row in topology(world).queues] == ["q"]


@pytest.mark.parametrize("number", [1, 10**12 + 5])
def test_a_folder_tells_its_number(number: int) -> None:
    assert id_of(folder_of(number)) == number
