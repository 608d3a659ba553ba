"""Deleting a virtual host: nothing of it is left, neither in memory nor on the disk, and its connections end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from pamqp import commands

from amqpd.auth.permissions import Permission
from amqpd.auth.topics import TopicPermission
from amqpd.broker.declaration import ExchangeSpec
from amqpd.broker.policy import Policy
from amqpd.broker.queues.base import QueueSpec
from amqpd.broker.storage import MOST_FOLDERS
from amqpd.broker.vhost import VHost
from amqpd.catalog.rows import Topology
from amqpd.management.subjects import broker_traffic
from amqpd.wire.properties import Properties
from amqpd.wire.table import EMPTY_TABLE, Table
from tests.builders import World, message
from tests.listener import Listener
from tests.stores import Store

ALL = Permission(".*", ".*", ".*")
KINDS = ("classic", "quorum", "stream")
DURABLE = Properties.of(delivery_mode=2)


def furnish(world: World, name: str = "other") -> VHost:
    """A virtual host with one of everything that can be in one."""
    vhost = world.broker.create_vhost(name)
    exchange = vhost.create_exchange("x", ExchangeSpec("topic", True, False, False))
    for kind in KINDS:
        queue = vhost.create_queue(kind, QueueSpec(True, None, False, Table.of({"x-queue-type": kind})))
        vhost.bind(exchange, queue, "k", EMPTY_TABLE)
        queue.publish(message(DURABLE, b"m"))
    vhost.set_policy(Policy("p", ".*", {"max-length": 5}))
    vhost.set_policy(Policy("p", ".*", {"max-length": 9}, is_operator=True))
    world.broker.limits.set_one(vhost, "max-queues", 5)
    world.users.permissions.set("guest", name, ALL)
    world.users.topic_permissions.set("guest", name, "x", TopicPermission(".*", ".*"))
    world.finish()
    return vhost


def test_nothing_is_left_in_memory() -> None:
    world = World()
    furnish(world)
    assert world.broker.delete_vhost("other")
    assert list(world.broker.vhosts) == ["/"]
    assert world.users.permissions.find("guest", "other") is None
    assert world.users.topic_permissions.find("guest", "other", "x") is None
    assert not world.broker.delete_vhost("other")
    world.finish()


def test_one_of_the_same_name_that_comes_later_has_nothing_of_it() -> None:
    world = World()
    furnish(world)
    world.broker.delete_vhost("other")
    again = world.broker.create_vhost("other")
    assert (list(again.queues), again.max_queues, again.parameters) == ([], None, {})
    assert again.policies.user_policies() == again.policies.operator_policies() == []
    assert world.users.permissions.find("guest", "other") is None


def test_nothing_is_left_in_the_catalog_or_among_the_files(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    before = topology(world)
    files = set(world.store.memory.names("queues")) if world.store is not None else set()
    furnish(world)
    assert topology(world) != before
    assert world.store is not None
    assert len(world.store.memory.names("queues")) == len(files) + len(KINDS)
    world.broker.delete_vhost("other")
    world.finish()
    assert topology(world) == before
    assert set(world.store.memory.names("queues")) == files
    assert list(world.restarted().broker.vhosts) == ["/"]


def topology(world: World) -> Topology:
    """What the catalog holds when all is written."""
    world.finish()
    catalog = world.storage.catalog
    assert catalog is not None
    return catalog.load()


def test_the_default_virtual_host_can_go_and_stays_gone(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    world.broker.delete_vhost("/")
    world.broker.create_vhost("other")
    world.finish()
    again = world.restarted()
    assert list(again.broker.vhosts) == ["other"]
    assert [user.name for user in again.users] == ["guest"]
    assert list(again.users.permissions) == []


def test_its_connections_are_closed_and_told_why() -> None:
    world = World()
    furnish(world)
    client, stays = world.raw_client(), world.client()
    client.handshake(vhost="other")
    client.open(1)
    client.send(1, commands.Basic.Consume, queue="classic", consumer_tag="c")
    client.take()
    world.broker.delete_vhost("other")
    world.finish()
    *_, (number, close) = client.received()
    assert isinstance(close, commands.Connection.Close)
    assert (number, close.reply_code, close.class_id, close.method_id) == (0, 320, 0, 0)
    assert close.reply_text == "CONNECTION_FORCED - vhost 'other' is deleted"
    assert world.services.connections.of_vhost("other") == 0
    stays.open(1)
    assert world.observer.crashes == []


def test_a_client_in_the_middle_of_its_handshake_is_told_that_it_is_not_found() -> None:
    world = World()
    world.broker.create_vhost("other")
    world.users.permissions.set("guest", "other", ALL)
    client = world.raw_client()
    client.log_in()
    world.broker.delete_vhost("other")
    client.send(0, commands.Connection.Open, virtual_host="other")
    close = client.receive_one(0, commands.Connection.Close)
    assert (close.reply_code, close.reply_text) == (530, "NOT_ALLOWED - vhost other not found")


def test_exclusive_queues_and_unsettled_deliveries_go_with_it() -> None:
    world = World()
    vhost = furnish(world)
    client = world.raw_client()
    client.handshake(vhost="other")
    client.open(1)
    client.send(1, commands.Queue.Declare, queue="mine", exclusive=True)
    client.send(1, commands.Basic.Get, queue="classic")
    client.send(1, commands.Tx.Select)
    world.broker.delete_vhost("other")
    world.finish()
    assert vhost.queues == {}
    assert world.observer.crashes == []


def test_it_is_told_after_everything_in_it() -> None:
    world = World()
    furnish(world)
    listener = Listener(world)
    world.broker.delete_vhost("other", "someone")
    events = listener.heard()
    assert events[-1].plain == {"name": "other", "user_who_performed_action": "someone"}
    assert events[-1].key == "vhost.deleted"
    assert [event["name"] for event in events if event.key == "queue.deleted"] == list(KINDS)
    assert {event["user_who_performed_action"] for event in events} == {"someone"}


def test_events_end_with_the_virtual_host_that_has_them() -> None:
    world = World()
    Listener(world)
    world.broker.delete_vhost("/")
    assert not world.broker.events.wanted
    world.broker.create_vhost("other")
    world.finish()


def begun(world: World, steps: int = 2) -> Iterator[None]:
    """A deletion of the virtual host ``other`` of which so many steps are done."""
    deletion = world.broker.deletion_of("other")
    for _ in range(steps):
        next(deletion)
    return deletion


def test_nobody_finds_it_while_it_is_being_deleted() -> None:
    world = World()
    vhost = furnish(world)
    client = world.raw_client()
    client.handshake(vhost="other")
    client.open(1)
    deletion = begun(world, steps=0)
    assert list(world.broker.vhosts) == ["/"]
    assert world.users.permissions.find("guest", "other") is None
    world.finish()
    client.take()
    client.send(1, commands.Queue.Declare, queue="late")
    assert client.take() == b"", "its connections are closed before anything in it goes"
    assert list(vhost.queues) == list(KINDS)
    for _ in deletion:
        world.finish()
    assert vhost.queues == {}
    assert world.observer.crashes == []


def test_no_step_deletes_more_than_one_thing() -> None:
    world = World()
    vhost = furnish(world)
    left = [len(vhost.queues) + len(vhost.exchanges) for _ in begun(world, steps=0)]
    assert all(before - after <= 1 for before, after in itertools.pairwise(left))
    assert left[-1] == 1, "the default exchange"


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_a_broker_that_is_killed_meanwhile_has_nothing_of_it(tmp_path: Path, steps: int) -> None:
    world = World(store=Store(tmp_path))
    furnish(world)
    begun(world, steps)
    world.finish()
    again = world.killed()
    assert list(again.broker.vhosts) == ["/"]
    assert again.users.permissions.find("guest", "other") is None
    again.finish()
    assert again.store is not None
    assert again.store.memory.names("queues") == []


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_a_broker_that_is_killed_before_the_first_commit_has_all_of_it(tmp_path: Path, steps: int) -> None:
    world = World(store=Store(tmp_path))
    furnish(world)
    world.hold_commits()
    begun(world, steps)
    world.finish()
    again = world.killed().broker.vhosts["other"]
    assert {name: queue.message_count for name, queue in again.queues.items()} == dict.fromkeys(KINDS, 1)
    assert len(again.exchange("x").bindings()) == len(KINDS)


def test_few_folders_go_with_one_commit_for_others_wait_for_it_too(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    vhost, count = world.broker.create_vhost("other"), 2 * MOST_FOLDERS + 1
    for number in range(count):
        vhost.create_queue(str(number), QueueSpec(True, None, False, EMPTY_TABLE)).publish(message(DURABLE, b"m"))
    world.finish()
    assert world.store is not None
    files, left = world.store.memory, []
    assert len(files.names("queues")) == count
    world.hold_commits()
    world.broker.delete_vhost("other")
    world.finish()
    while world.held_commits:
        world.run_commit()
        left.append(len(files.names("queues")))
    assert left[-1] == 0
    assert all(before - after <= MOST_FOLDERS for before, after in itertools.pairwise([count, *left]))


def test_another_one_of_its_name_may_come_before_it_is_gone(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    old = furnish(world)
    deletion = begun(world, steps=1)
    furnish(world)
    old.delete_queue(old.queue("stream"))  # as if it had expired just now
    for _ in deletion:
        world.finish()
    again = world.killed().broker.vhosts["other"]
    assert list(again.queues) == list(KINDS)
    assert len(again.exchange("x").bindings()) == len(KINDS)


def test_what_it_has_counted_counts_all_the_time() -> None:
    world = World()
    furnish(world)
    client = world.raw_client()
    client.handshake(vhost="other")
    client.open(1)
    client.publish(1, "x", "k", b"m")
    before = broker_traffic(world.broker).publish
    assert before > 0
    for _ in world.broker.deletion_of("other"):
        assert broker_traffic(world.broker).publish == before
    assert broker_traffic(world.broker).publish == before
    assert not world.broker.leaving


@pytest.mark.parametrize("name", ["", "v" * 256])
def test_a_name_that_no_client_could_open_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 255 octets"):
        World().broker.create_vhost(name)
