"""amqpd/broker/exchanges/delayed.py: what a durable exchange holds outlives the process."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pamqp import commands

from amqpd.broker.exchanges.delayed import AT_ONCE, PAUSE, DelayedExchange
from amqpd.broker.queues.disk import HOLD_ABOVE
from amqpd.broker.storage import QUEUES
from amqpd.clock import ManualClock
from amqpd.wire.properties import Properties
from amqpd.wire.table import Table
from tests.builders import Client, Content, World, message
from tests.stores import Store

Restart = Callable[[World], World]


@pytest.fixture(params=["killed", "restarted"])
def restart(request: pytest.FixtureRequest) -> Restart:
    """The two ways to end; what was committed is there after both."""

    def again(world: World) -> World:
        world.finish()
        assert world.observer.crashes == []
        after: World = getattr(world, request.param)()
        after.finish()
        assert after.recovered.left_out == []
        return after

    return again


@pytest.fixture(params=["in memory", "on the disk"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A broker with a durable delayed exchange "d" that leads to a durable queue "q"."""
    world = staged(Store(tmp_path, on_disk=request.param == "on the disk"))
    yield world
    assert world.store is not None
    assert world.store.damages == []


def staged(store: Store, kind: str = "fanout") -> World:
    world = World(store=store)
    client = client_of(world)
    declare_exchange(client, kind)
    client.declare("q", durable=True)
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue="q", exchange="d", routing_key="k")
    return world


def client_of(world: World) -> Client:
    client = world.client()
    client.open()
    return client


def declare_exchange(client: Client, kind: str = "fanout", durable: bool = True, **arguments: object) -> None:
    client.call(
        1,
        commands.Exchange.Declare,
        commands.Exchange.DeclareOk,
        exchange="d",
        exchange_type="x-delayed-message",
        durable=durable,
        arguments={"x-delayed-type": kind, **arguments},
    )


def exchange_of(world: World) -> DelayedExchange:
    found = world.vhost.exchange("d")
    assert isinstance(found, DelayedExchange)
    return found


def delayed(milliseconds: int, delivery_mode: int = 2, **more: object) -> Properties:
    return Properties.of(delivery_mode=delivery_mode, headers=Table.of({"x-delay": milliseconds, **more}))


def publish(world: World, *delays: int, client: Client | None = None) -> None:
    """Publish messages that are named as their delays."""
    sender = client or client_of(world)
    for delay in delays:
        sender.publish(1, "d", "k", b"%d" % delay, delayed(delay))


def contents(world: World, queue: str = "q") -> list[Content]:
    """Take everything out of a queue."""
    client = client_of(world)
    taken: list[Content] = []
    while True:
        client.send(1, commands.Basic.Get, queue=queue, no_ack=True)
        (_, item), *_ = client.received()
        if not isinstance(item, Content):
            return taken
        taken.append(item)


def bodies(world: World, queue: str = "q") -> list[bytes]:
    return [content.body for content in contents(world, queue)]


def folders(world: World) -> set[str]:
    assert world.store is not None
    return set(world.store.files.names(QUEUES))


def test_held_messages_come_back_and_wait_for_the_rest_of_their_time(world: World, restart: Restart) -> None:
    publish(world, 5000, 3000, 9000)
    world.advance(2)
    world = restart(world)
    assert exchange_of(world).held_count == 3
    world.advance(0.999)
    assert bodies(world) == []
    world.advance(0.001)
    assert bodies(world) == [b"3000"]
    world.advance(6)
    assert bodies(world) == [b"5000", b"9000"]
    assert exchange_of(world).held_count == 0


def test_time_passes_while_the_broker_is_down(world: World, restart: Restart) -> None:
    publish(world, 5000, 60_000, 3000)
    world.clock.advance(30)  # no timer runs
    world = restart(world)
    world.advance(0)
    assert bodies(world) == [b"3000", b"5000"]
    world.advance(30)
    assert bodies(world) == [b"60000"]


def test_after_a_reboot_the_monotonic_clock_begins_anew(world: World) -> None:
    publish(world, 60_000, 5000)
    assert world.store is not None
    world.store.abandon(world.storage)
    later = World(store=world.store, clock=ManualClock(world.clock.time() + 20))
    later.advance(0)
    assert bodies(later) == [b"5000"]
    later.advance(39.999)
    assert bodies(later) == []
    later.advance(0.001)
    assert bodies(later) == [b"60000"]


def test_what_came_out_stays_out(world: World, restart: Restart) -> None:
    publish(world, 1000, 9000)
    world.advance(1)
    assert bodies(world) == [b"1000"]
    world = restart(world)
    assert exchange_of(world).held_count == 1
    world.advance(8)
    assert bodies(world) == [b"9000"]
    world = restart(world)
    assert exchange_of(world).held_count == 0
    world.advance(100)
    assert bodies(world) == []


def test_a_consumer_sees_the_same_as_without_a_restart(world: World, restart: Restart) -> None:
    client_of(world).publish(1, "d", "key", b"b" * 300_000, delayed(1000, other="kept"))
    world = restart(world)
    world.advance(1)
    (content,) = contents(world)
    assert content.properties == delayed(-1000, other="kept")
    assert (content.method.exchange, content.method.routing_key) == ("d", "key")
    assert content.body == b"b" * 300_000
    assert not content.method.redelivered


def test_transient_messages_are_kept_as_well(world: World, restart: Restart) -> None:
    """As the plugin does; in the queue they are transient again."""
    client_of(world).publish(1, "d", "k", b"1", delayed(1000, delivery_mode=1))
    world = restart(world)
    world.advance(1)
    assert world.vhost.queue("q").message_count == 1
    world = restart(world)
    assert bodies(world) == []


def test_the_keys_come_back_blind_ones_unseen(tmp_path: Path, restart: Restart) -> None:
    world = staged(Store(tmp_path), "direct")
    client = client_of(world)
    for queue in ("cc", "bcc", "other"):
        client.declare(queue, durable=True)
        client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue=queue, exchange="d", routing_key=queue)
    client.publish(1, "d", "k", b"1", delayed(1000, CC=["cc"], BCC=["bcc"]))
    world = restart(world)
    world.advance(1)
    for queue in ("q", "cc", "bcc"):
        (content,) = contents(world, queue)
        assert content.properties == delayed(-1000, CC=["cc"])
    assert bodies(world, "other") == []


def test_a_dead_letter_goes_by_its_new_key_although_its_header_names_others(tmp_path: Path, restart: Restart) -> None:
    world = staged(Store(tmp_path), "direct")
    client = client_of(world)
    for queue, key in (("cc", "copy"), ("dead", "dead")):
        client.declare(queue, durable=True)
        client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue=queue, exchange="d", routing_key=key)
    dying = {"x-dead-letter-exchange": "d", "x-dead-letter-routing-key": "dead"}
    client.declare("dying", durable=True, arguments=dying)
    client.publish(1, "", "dying", b"1", delayed(1000, CC=["copy"]))
    client.send(1, commands.Basic.Get, queue="dying")
    ((_, got),) = client.received()
    assert isinstance(got, Content)
    client.send(1, commands.Basic.Reject, delivery_tag=1, requeue=False)
    assert exchange_of(world).held_count == 1
    world = restart(world)
    world.advance(1)
    assert bodies(world, "dead") == [b"1"]
    assert bodies(world, "cc") == []


def test_a_confirm_comes_when_the_message_is_on_the_disk(world: World) -> None:
    client = client_of(world)
    client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
    world.hold_commits()
    publish(world, 1000, client=client)
    assert client.received() == []
    world.run_commit()
    client.receive_one(1, commands.Basic.Ack)


def test_a_message_is_in_the_queue_before_it_is_gone_from_the_exchange(tmp_path: Path) -> None:
    """Killed before the commit with both, the message is still held; killed after it, it is in the queue alone."""
    for commits, there in ((0, (1, 0)), (1, (0, 1))):
        folder = tmp_path / str(commits)
        folder.mkdir()
        world = staged(Store(folder))
        publish(world, 1000)
        world.hold_commits()
        world.advance(1)
        for _ in range(commits):
            world.run_commit()
        world = world.killed()
        assert (exchange_of(world).held_count, world.vhost.queue("q").message_count) == there


def test_a_message_that_is_due_before_it_was_written_never_is(tmp_path: Path) -> None:
    world = staged(Store(tmp_path))
    client = client_of(world)
    client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
    world.hold_commits()
    client.publish(1, "", "q", b"other", Properties.of(delivery_mode=2))  # its commit is under way now
    publish(world, 1, client=client)
    world.advance(0.001)
    world.run_commit()
    client.receive_one(1, commands.Basic.Ack)
    world.run_commit()
    client.receive_one(1, commands.Basic.Ack)
    assert world.store is not None
    folder = exchange_of(world).folder
    assert [name for name in world.store.files.names(f"{folder}/0") if name.endswith(".log")] == []
    world = world.killed()
    assert bodies(world) == [b"other", b"1"]
    assert exchange_of(world).held_count == 0


def test_an_exchange_that_is_not_durable_keeps_nothing(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    client = client_of(world)
    declare_exchange(client, durable=False)
    before = folders(world)
    publish(world, 1000)
    world.finish()
    assert folders(world) == before
    assert exchange_of(world).held_count == 1
    assert "d" not in world.killed().vhost.exchanges


def test_with_an_exchange_goes_its_folder(world: World, restart: Restart) -> None:
    publish(world, 1000)
    folder = exchange_of(world).folder
    assert folder.removeprefix(f"{QUEUES}/") in folders(world)
    client = client_of(world)
    client.call(1, commands.Exchange.Delete, commands.Exchange.DeleteOk, exchange="d")
    world.finish()
    assert folder.removeprefix(f"{QUEUES}/") not in folders(world)
    declare_exchange(client)
    assert exchange_of(world).folder not in ("", folder)
    world = restart(world)
    assert exchange_of(world).held_count == 0


def test_the_folder_of_an_exchange_deleted_just_before_a_kill_goes_with_the_next_start(tmp_path: Path) -> None:
    world = staged(Store(tmp_path))
    publish(world, 1000)
    folder = exchange_of(world).folder.removeprefix(f"{QUEUES}/")
    client = client_of(world)
    world.hold_commits()
    client.send(1, commands.Exchange.Delete, exchange="d")
    (commit,) = world.held_commits
    for step in commit.steps:  # the catalog knows, and then the process dies
        step.write()
    assert folder in folders(world)
    world = world.killed()
    world.finish()
    assert "d" not in world.vhost.exchanges
    assert folder not in folders(world)


def test_a_start_leaves_the_folder_alone_of_an_exchange_that_is_there(world: World, restart: Restart) -> None:
    publish(world, 100_000)
    before = exchange_of(world).folder
    for _ in range(2):
        world = restart(world)
        assert exchange_of(world).folder == before
        assert exchange_of(world).held_count == 1


def test_what_has_no_room_in_memory_is_read_back_in_the_order_of_deadlines(tmp_path: Path, restart: Restart) -> None:
    world = staged(Store(tmp_path, messages=3, page=200))
    delays = [(number * 7919) % 500 + 1 for number in range(500)]
    publish(world, *delays)
    world.advance(0.25)
    assert bodies(world) == [b"%d" % delay for delay in range(1, 251)]
    world = restart(world)
    world.advance(0.25)
    assert bodies(world) == [b"%d" % delay for delay in range(251, 501)]


def test_a_message_can_be_had_while_it_is_being_written(tmp_path: Path) -> None:
    world = staged(Store(tmp_path, messages=1))
    world.hold_commits()
    client = client_of(world)
    publish(world, 2000, 1000, client=client)  # one is in the commit under way, the other waits for the next
    world.advance(2)
    world.run_commit()
    assert bodies(world) == [b"1000", b"2000"]


def test_many_that_are_due_at_once_take_turns_with_others(tmp_path: Path) -> None:
    world = staged(Store(tmp_path, messages=10))
    for _ in range(AT_ONCE * 2 + 1):
        world.vhost.forward(exchange_of(world), ["k"], message(delayed(1000)))
    world.finish()
    world.clock.advance(1)
    runs = 0
    queue = world.vhost.queue("q")
    seen = []
    while exchange_of(world).held_count:
        deadline = world.timers.next_deadline()
        assert deadline is not None
        world.clock.advance_to(deadline)
        exchange_of(world)._release()
        seen.append(queue.message_count)
        runs += 1
    assert seen == [AT_ONCE, AT_ONCE * 2, AT_ONCE * 2 + 1]


def test_while_the_disk_is_behind_nothing_is_released_and_publishers_are_held(tmp_path: Path) -> None:
    world = staged(Store(tmp_path))
    publish(world, 1000)
    world.hold_commits()
    client = client_of(world)
    for _ in range(3):
        client.publish(1, "d", "k", bytes(HOLD_ABOVE // 3), delayed(60_000))
    assert not client.wire.reading
    world.advance(1)
    assert world.vhost.queue("q").message_count == 0
    while world.held_commits:
        world.run_commit()
    assert client.wire.reading
    world.advance(PAUSE / 1_000_000)
    assert world.vhost.queue("q").message_count == 1


def test_a_disk_that_fails_refuses_messages_and_stops_none_that_are_in_memory(tmp_path: Path) -> None:
    world = staged(Store(tmp_path))
    failed: list[str] = []
    world.storage.on_queue_failure = lambda what, error: failed.append(what)
    publish(world, 1000)
    client = client_of(world)
    client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
    assert world.store is not None
    world.store.memory.fail_at(1, errno.EIO)
    publish(world, 2000, client=client)
    client.receive_one(1, commands.Basic.Nack)
    assert failed == ["exchange 'd' in vhost '/'"]
    publish(world, 3000, client=client)
    client.receive_one(1, commands.Basic.Nack)
    assert exchange_of(world).held_count == 2
    world.advance(1)
    assert bodies(world) == [b"1000"]
    world = world.killed()
    assert exchange_of(world).held_count == 1  # what could not be said is that it is gone
