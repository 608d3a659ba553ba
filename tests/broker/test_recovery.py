"""Recovery: after a stop, or a kill, the broker is as it was, as far as that was to last."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pamqp import commands

from amqpd.broker.exchanges import EXCHANGE_TYPES
from amqpd.broker.policy import Policy
from amqpd.broker.queues.base import Queue
from amqpd.broker.recovery import Progress, Recovery
from amqpd.catalog.rows import BindingRow, ExchangeRow, PolicyRow, QueueRow
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from amqpd.wire.table import EMPTY_TABLE, Field, Table
from tests.broker.queues.takers import drained, drained_deliveries, make_queue, message
from tests.builders import Client, Content, World
from tests.stores import Store

PERSISTENT = Properties.of(delivery_mode=2)
QUORUM = {"x-queue-type": "quorum"}
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
    world = World(store=Store(tmp_path, on_disk=request.param == "on the disk"))
    yield world
    assert world.store is not None
    assert world.store.damages == []


def client_of(world: World) -> Client:
    """A client whose channel 1 is open."""
    client = world.client()
    client.open()
    return client


def got(client: Client, queue: str, no_ack: bool = False) -> Content | None:
    """What basic.get gives."""
    client.send(1, commands.Basic.Get, queue=queue, no_ack=no_ack)
    ((_, item),) = client.received()
    return item if isinstance(item, Content) else None


def all_got(client: Client, queue: str) -> list[tuple[bytes, bool]]:
    """Bodies and redelivered flags of all that is there."""
    found = []
    while (item := got(client, queue)) is not None:
        assert isinstance(item.method, commands.Basic.GetOk)
        found.append((item.body, bool(item.method.redelivered)))
    return found


def fill(queue: Queue, count: int, properties: Properties = PERSISTENT) -> None:
    for number in range(count):
        queue.publish(message(b"%d" % number, properties))


# Topology.


def test_an_empty_broker_comes_back_empty(world: World, restart: Restart) -> None:
    before = set(world.vhost.exchanges)
    world = restart(world)
    assert (set(world.vhost.exchanges), world.vhost.queues, world.recovered.total) == (before, {}, (0, 0))


def test_who_declared_a_queue_is_still_known(world: World, restart: Restart) -> None:
    client = client_of(world)
    client.send(1, commands.Queue.Declare, queue="q", durable=True)
    assert world.vhost.queue("q").spec.declared_by == "guest"
    assert restart(world).vhost.queue("q").spec.declared_by == "guest"


def test_exchanges_queues_and_bindings_come_back_with_all_their_arguments(world: World, restart: Restart) -> None:
    client = client_of(world)
    alternate = {"alternate-exchange": "amq.fanout"}
    client.call(
        1,
        commands.Exchange.Declare,
        commands.Exchange.DeclareOk,
        exchange="x",
        exchange_type="headers",
        durable=True,
        internal=True,
        auto_delete=True,
        arguments=alternate,
    )
    arguments = {"x-max-length": 7, "x-dead-letter-exchange": "", "x-message-ttl": 10**9, "mine": "text"}
    client.declare("q", durable=True, arguments=arguments)
    client.declare("quorum", durable=True, arguments=QUORUM)
    matched = {"x-match": "any", "a": 1}
    for destination in ("q", "quorum"):
        client.call(
            1,
            commands.Queue.Bind,
            commands.Queue.BindOk,
            queue=destination,
            exchange="x",
            routing_key="k",
            arguments=matched,
        )
    client.call(
        1, commands.Exchange.Bind, commands.Exchange.BindOk, destination="x", source="amq.topic", routing_key="a.#"
    )
    world = restart(world)
    exchange, queue = world.vhost.exchange("x"), world.vhost.queue("q")
    assert (exchange.kind, exchange.durable, exchange.auto_delete, exchange.internal) == ("headers", True, True, True)
    assert exchange.arguments == Table.of(alternate)
    assert exchange.alternate == "amq.fanout"
    assert (queue.kind, queue.spec.durable, queue.settings.max_length) == ("classic", True, 7)
    assert world.vhost.queue("quorum").kind == "quorum"
    found = {(binding.destination.name, binding.key, binding.arguments) for binding in exchange.bindings()}
    assert found == {(name, "k", Table.of(matched)) for name in ("q", "quorum")}
    assert [binding.destination for binding in world.vhost.exchange("amq.topic").bindings()] == [exchange]
    again = client_of(world)
    again.declare("q", durable=True, arguments=arguments)  # equivalent to what is there


@pytest.mark.parametrize("kind", sorted(EXCHANGE_TYPES))
def test_exchanges_of_every_type_come_back(world: World, restart: Restart, kind: str) -> None:
    client = client_of(world)
    arguments = {"x-delayed-type": "direct", "x-recent-history-length": 3}
    client.call(
        1,
        commands.Exchange.Declare,
        commands.Exchange.DeclareOk,
        exchange="x",
        exchange_type=kind,
        durable=True,
        arguments=arguments,
    )
    client.declare("q", durable=True)
    key = "" if kind == "x-local-random" else "1"  # which it insists on
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue="q", exchange="x", routing_key=key)
    world = restart(world)
    assert world.vhost.exchange("x").kind == kind
    assert world.vhost.exchange("x").binding_count == 1


def test_what_was_not_to_last_is_gone_with_its_bindings(world: World, restart: Restart) -> None:
    client = client_of(world)
    client.declare("transient")
    client.declare("exclusive", durable=True, exclusive=True)
    client.declare("durable", durable=True)
    client.call(1, commands.Exchange.Declare, commands.Exchange.DeclareOk, exchange="passing", exchange_type="fanout")
    for exchange in ("amq.fanout", "passing"):
        for queue in ("transient", "exclusive", "durable"):
            client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue=queue, exchange=exchange)
    world = restart(world)
    assert list(world.vhost.queues) == ["durable"]
    assert "passing" not in world.vhost.exchanges
    assert world.vhost.exchange("amq.fanout").binding_count == 1


def test_an_auto_delete_queue_is_gone_if_it_had_a_consumer_when_the_broker_stopped(world: World) -> None:
    client = client_of(world)
    for queue in ("used", "unused"):
        client.declare(queue, durable=True, auto_delete=True)
    client.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, queue="used", consumer_tag="c")
    assert list(world.restarted().vhost.queues) == ["unused"]


def test_policies_hold_again_from_the_start(world: World, restart: Restart) -> None:
    queue = make_queue(world, durable=True)
    world.vhost.set_policy(Policy("p", "^q$", {"max-length": 2, "dead-letter-exchange": "dlx"}, 3, "queues"))
    world.vhost.set_policy(Policy("o", "^q$", {"message-ttl": 10**9}, is_operator=True))
    world.vhost.set_policy(Policy("a", "^amq.direct$", {"alternate-exchange": "amq.fanout"}, apply_to="exchanges"))
    fill(queue, 5)
    world = restart(world)
    settings = world.vhost.queue("q").settings
    assert (settings.max_length, settings.dead_letter_exchange, settings.message_ttl) == (2, "dlx", 10**9)
    assert world.vhost.exchange("amq.direct").alternate == "amq.fanout"
    assert drained(world.vhost.queue("q")) == [(b"3", False), (b"4", False)]


def test_virtual_hosts_come_back_with_what_is_in_them(world: World, restart: Restart) -> None:
    other = world.broker.create_vhost("other")
    spec = make_queue(world, durable=True).spec
    spec.folder = ""
    other.create_queue("theirs", spec)
    world = restart(world)
    assert (list(world.vhost.queues), list(world.broker.vhosts["other"].queues)) == (["q"], ["theirs"])


def test_what_was_deleted_stays_away(world: World, restart: Restart) -> None:
    queue = make_queue(world, durable=True)
    fill(queue, 5)
    world.vhost.bind(world.vhost.exchange("amq.fanout"), queue, "", EMPTY_TABLE)
    world = restart(world)
    world.vhost.delete_queue(world.vhost.queue("q"))
    world = restart(world)
    assert (world.vhost.queues, world.vhost.exchange("amq.fanout").binding_count) == ({}, 0)
    queue = make_queue(world, durable=True)
    world = restart(world)
    assert world.vhost.queue("q").message_count == 0


def test_rows_that_cannot_be_brought_back_are_told_of_and_the_others_are_there(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    make_queue(world, durable=True)
    world.finish()
    catalog = world.storage.catalog
    assert catalog is not None
    catalog.add_exchange(ExchangeRow("/", "strange", "x-unknown", False, False, b""))
    catalog.add_exchange(ExchangeRow("nowhere", "lost", "fanout", False, False, b""))
    catalog.add_queue(QueueRow(7, "/", "bad", "classic", False, b"\x01"))
    catalog.add_binding(BindingRow("/", "missing", True, "q", "", b""))
    catalog.add_policy(PolicyRow("/", "broken", False, "(", "all", 0, "{}"))
    write = catalog.begin()
    assert write is not None
    write.run()
    again = world.killed()
    assert sorted(what for what, _ in again.recovered.left_out) == sorted(
        [
            "exchange 'strange' in virtual host '/'",
            "exchange 'lost'",
            "queue 'bad' in virtual host '/'",
            "binding of 'q' in virtual host '/'",
            "policy 'broken' in virtual host '/'",
        ]
    )
    assert again.recovered.total == (len(again.recovered.queues), again.recovered.bindings), "some were not counted"
    assert list(again.vhost.queues) == ["q"]


def test_progress_is_told_queue_by_queue_and_binding_by_binding(world: World, restart: Restart) -> None:
    for name, count in (("one", 3), ("two", 0)):
        fill(make_queue(world, name, durable=True), count)
        world.vhost.bind(world.vhost.exchange("amq.topic"), world.vhost.queues[name], "key", EMPTY_TABLE)
    world = restart(world)
    assert world.recovered.total == (2, 2)
    assert (sorted(world.recovered.queues), world.recovered.bindings) == ([0, 3], 2)


# Messages.


def test_of_a_classic_queue_persistent_messages_come_back_and_of_a_quorum_queue_all(
    world: World, restart: Restart
) -> None:
    client = client_of(world)
    client.declare("classic", durable=True)
    client.declare("quorum", durable=True, arguments=QUORUM)
    client.declare("priority", durable=True, arguments={"x-max-priority": 5})
    for queue in ("classic", "quorum", "priority"):
        for number in range(6):
            mode = 2 if number % 2 else 1
            client.publish(1, "", queue, b"%d" % number, Properties.of(delivery_mode=mode, priority=number // 4))
    client = client_of(restart(world))
    assert all_got(client, "classic") == [(b"1", False), (b"3", False), (b"5", False)]
    assert all_got(client, "quorum") == [(b"%d" % number, False) for number in range(6)]
    assert all_got(client, "priority") == [(b"5", False), (b"1", False), (b"3", False)]


@pytest.mark.parametrize("arguments", [{}, {"x-max-priority": 5}, QUORUM])
def test_what_was_not_acknowledged_is_back_in_its_place_and_flagged(
    world: World, restart: Restart, arguments: dict[str, object]
) -> None:
    """Spec D.9."""
    client = client_of(world)
    client.declare("q", durable=True, arguments=arguments)
    for number in range(6):
        client.publish(1, "", "q", b"%d" % number, PERSISTENT)
    for _ in range(4):
        got(client, "q")
    for tag in (1, 3):
        client.send(1, commands.Basic.Ack, delivery_tag=tag)
    client = client_of(restart(world))
    assert all_got(client, "q") == [(b"1", True), (b"3", True), (b"4", False), (b"5", False)]


def test_a_delivery_without_acknowledgement_is_not_repeated(world: World, restart: Restart) -> None:
    client = client_of(world)
    client.declare("q", durable=True)
    for number in range(3):
        client.publish(1, "", "q", b"%d" % number, PERSISTENT)
    got(client, "q", no_ack=True)
    client = client_of(restart(world))
    assert all_got(client, "q") == [(b"1", False), (b"2", False)]


def delivery_count(item: Content) -> Field | None:
    headers = item.properties.headers
    return None if headers is None else headers.get("x-delivery-count")


def test_quorum_queues_go_on_counting_deliveries(world: World, restart: Restart) -> None:
    """A limit holds over restarts."""
    client = client_of(world)
    client.declare("dead", durable=True)
    limits = {"x-delivery-limit": 3, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    client.declare("q", durable=True, arguments={**QUORUM, **limits})
    client.publish(1, "", "q", b"poison", PERSISTENT)
    for returns in range(4):
        item = got(client, "q")
        assert item is not None
        assert delivery_count(item) == (Field.long(returns) if returns else None)
        client.send(1, commands.Basic.Nack, delivery_tag=1, requeue=True)
        world = restart(world)
        client = client_of(world)
    assert got(client, "q") is None
    assert all_got(client, "dead") == [(b"poison", False)]


@pytest.mark.parametrize("returns", [0, 1, 3])
@pytest.mark.parametrize("out", [False, True])
def test_what_a_consumer_of_a_quorum_queue_had_counts_as_returned(
    world: World, restart: Restart, returns: int, out: bool
) -> None:
    """Spec D.9, and RabbitMQ 3.10.8 killed with kill -9: its x-delivery-count is one more."""
    client = client_of(world)
    client.declare("q", durable=True, arguments=QUORUM)
    client.publish(1, "", "q", b"m")
    for tag in range(1, returns + 1):
        got(client, "q")
        client.send(1, commands.Basic.Nack, delivery_tag=tag, requeue=True)
        world.finish()
    if out:
        got(client, "q")
    for expected in (returns + out, returns + out + 1):  # each start finds it with a consumer
        world = restart(world)
        item = got(client_of(world), "q")
        assert item is not None
        assert delivery_count(item) == (Field.long(expected) if expected else None)


@pytest.mark.parametrize("limit", [0, 1, 2])
@pytest.mark.parametrize("careful", [False, True])
def test_what_is_with_a_consumer_for_the_last_time_does_not_come_back(
    world: World, restart: Restart, limit: int, careful: bool
) -> None:
    """RabbitMQ 3.10.8, killed: it counts as returned, so it dies if it was delivered as often as the limit allows."""
    strategy = "at-least-once" if careful else "at-most-once"
    letters = {**CAREFUL, "dead_letter_exchange": "", "dead_letter_strategy": strategy, "delivery_limit": limit}
    queue = make_queue(world, **letters)
    target = make_queue(world, "dead", durable=True)
    fill(queue, 3)
    for _ in range(limit):
        first = queue.get()
        assert first is not None
        queue.requeue(first)
    world.finish()
    client = client_of(world)
    item = got(client, "q")
    assert item is not None
    assert item.body == b"0"
    if limit == 2:
        other = got(client, "q")
        assert other is not None  # for the first time
    world = restart(world)
    left = [(b"1", limit == 2), (b"2", False)]
    assert world.vhost.queue("q").message_count == 2
    world = restart(world)
    assert drained(world.vhost.queue("q")) == left
    target = world.vhost.queue("dead")
    assert [delivery.message.body for delivery in drained_deliveries(target)] == [b"0"]


CAREFUL: dict[str, object] = {
    "queue_type": "quorum",
    "overflow": "reject-publish",
    "dead_letter_exchange": "amq.direct",
    "dead_letter_routing_key": "dead",
    "dead_letter_strategy": "at-least-once",
}


def undeliverable(world: World, *priorities: int) -> Queue:
    """A queue whose dead letters have nowhere to go yet: one was rejected, the others expired. One lives."""
    queue = make_queue(world, **CAREFUL)
    for number, priority in enumerate(priorities):
        queue.publish(message(b"%d" % number, Properties.of(priority=priority, expiration="1000")))
    rejected = queue.get()
    assert rejected is not None
    queue.reject(rejected)
    world.advance(2.0)
    queue.publish(message(b"alive"))
    world.finish()
    return queue


def dead_letters(world: World) -> set[tuple[bytes, object]]:
    """Bodies and reasons of what comes once there is a place for it."""
    target = make_queue(world, "dead", durable=True)
    world.vhost.bind(world.vhost.exchange("amq.direct"), target, "dead", EMPTY_TABLE)
    world.advance(5.0)
    found = set()
    for delivery in drained_deliveries(target):
        assert not delivery.redelivered
        headers = delivery.message.properties.headers
        assert headers is not None
        reason = headers.get("x-first-death-reason")
        assert reason is not None
        found.add((delivery.message.body, reason.value))
    return found


@pytest.mark.parametrize("restarts", [1, 2])
def test_dead_letters_that_had_not_arrived_go_on_after_a_restart(world: World, restart: Restart, restarts: int) -> None:
    """And never to a consumer of the queue in which they died."""
    undeliverable(world, 0, 0, 9)
    for _ in range(restarts):
        world = restart(world)
    assert world.vhost.queue("q").message_count == 1
    assert drained(world.vhost.queue("q")) == [(b"alive", False)]
    world.advance(5.0)
    assert dead_letters(world) == {(b"2", "rejected"), (b"0", "expired"), (b"1", "expired")}
    world.finish()
    again = restart(world)
    assert drained(again.vhost.queue("q")) == [(b"alive", True)], "they have arrived"
    assert len(again.recovered.queues) == 2


def test_a_purge_after_a_restart_leaves_dead_letters_alone(tmp_path: Path, restart: Restart) -> None:
    """That of a message before them is in memory then, they and the one behind are on the disk."""
    world = World(store=Store(tmp_path, page=1))
    queue = make_queue(world, **CAREFUL)
    fill(queue, 3)
    first, second, third = drained_deliveries(queue)
    queue.reject(second)
    queue.requeue(first)
    queue.requeue(third)
    world = restart(world)
    assert world.vhost.queue("q").message_count == 2
    assert world.vhost.queue("q").purge() == 2
    world = restart(world)
    assert world.vhost.queue("q").message_count == 0
    assert dead_letters(world) == {(b"1", "rejected")}


def test_dead_letters_end_with_a_strategy_that_may_lose_them(world: World, restart: Restart) -> None:
    """As they do when a policy changes while the broker runs."""
    queue = undeliverable(world, 0, 0)
    arguments = {name: value for name, value in CAREFUL.items() if name != "dead_letter_strategy"}
    assert world.storage.catalog is not None
    table = Table.of({"x-" + name.replace("_", "-"): value for name, value in arguments.items()})
    row = QueueRow(int(queue.spec.folder.split("/")[1]), "/", "q", "quorum", False, table.raw)
    world.storage.catalog.add_queue(row)
    world.vhost.set_policy(Policy("p", "nothing", {"max-length": 1}))  # for a commit
    world = restart(world)
    assert world.vhost.queue("q").message_count == 1
    assert dead_letters(world) == set()


def test_deadlines_are_moments_and_not_durations(world: World, restart: Restart) -> None:
    """Spec D.9: what expired meanwhile is dead-lettered after the start."""
    client = client_of(world)
    client.declare("dead", durable=True)
    letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    client.declare("q", durable=True, arguments=letters)
    for body, expiration in ((b"first", "10000"), (b"second", "30000"), (b"third", None)):
        client.publish(1, "", "q", body, Properties.of(delivery_mode=2, expiration=expiration))
    world.finish()
    world.clock.advance(20.0)  # nobody is there to see it
    world = restart(world)
    assert [letter.message.body for letter in drained_deliveries(world.vhost.queue("dead"))] == [b"first"]
    assert world.vhost.queue("q").message_count == 2
    world.advance(9.0)
    assert world.vhost.queue("q").message_count == 2
    world.advance(2.0)
    assert drained(world.vhost.queue("q")) == [(b"third", False)]


def test_the_time_without_use_begins_anew(world: World, restart: Restart) -> None:
    make_queue(world, durable=True, expires=10_000)
    world.advance(8.0)
    world = restart(world)
    world.advance(9.0)
    assert "q" in world.vhost.queues
    world.advance(2.0)
    assert "q" not in world.vhost.queues


def test_dead_letters_know_their_history_after_a_restart(world: World, restart: Restart) -> None:
    client = client_of(world)
    client.declare("dead", durable=True, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"})
    client.declare("q", durable=True, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    client.publish(1, "", "q", b"m", PERSISTENT)
    got(client, "q")
    client.send(1, commands.Basic.Reject, delivery_tag=1, requeue=False)
    world = restart(world)
    client = client_of(world)
    assert got(client, "dead") is not None
    client.send(1, commands.Basic.Reject, delivery_tag=1, requeue=False)
    item = got(client, "q")
    assert item is not None
    deaths = item.properties.headers.get("x-death") if item.properties.headers is not None else None
    assert deaths is not None
    assert isinstance(deaths.value, tuple)
    assert len(deaths.value) == 2


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_dead_letter_is_in_one_of_both_queues_at_least(world: World, restart: Restart, kind: str) -> None:
    dead = make_queue(world, "dead", durable=True)
    letters = {"dead_letter_exchange": "", "dead_letter_routing_key": "dead"}
    queue = make_queue(world, durable=True, queue_type=kind, **letters)
    fill(queue, 3)
    for delivery in drained_deliveries(queue):
        queue.reject(delivery)
    world.finish()
    assert dead.message_count == 3
    world = restart(world)
    assert (world.vhost.queue("q").message_count, world.vhost.queue("dead").message_count) == (0, 3)


def test_a_letter_that_must_not_get_lost_waits_over_a_restart(world: World, restart: Restart) -> None:
    queue = make_queue(
        world,
        queue_type="quorum",
        overflow="reject-publish",
        dead_letter_exchange="",
        dead_letter_routing_key="dead",
        dead_letter_strategy="at-least-once",
        message_ttl=1000,
    )
    fill(queue, 2)
    world.finish()
    world.advance(2.0)
    assert queue.message_count == 0
    world = restart(world)
    dead = make_queue(world, "dead")
    world.advance(10.0)
    assert [letter.message.body for letter in drained_deliveries(dead)] == [b"0", b"1"]


def test_a_message_of_many_frames_comes_back_whole(world: World, restart: Restart) -> None:
    client = client_of(world)
    client.declare("q", durable=True)
    small = world.client(frame_max=4096)
    small.open()
    body = bytes(range(256)) * 100
    small.publish(1, "", "q", body, Properties.of(delivery_mode=2, content_type="text/plain", headers={"a": [1, "b"]}))
    item = got(client_of(restart(world)), "q")
    assert item is not None
    assert (item.body, item.properties.content_type) == (body, "text/plain")
    assert item.properties.headers == Table.of({"a": [1, "b"]})


# Over many restarts.


@pytest.mark.parametrize("arguments", [{}, {"max_priority": 2}, {"queue_type": "quorum"}])
def test_no_position_is_ever_used_for_two_messages(
    world: World, restart: Restart, arguments: dict[str, object]
) -> None:
    """Else the new one would be gone with the old one's acknowledgement, or come back with its flag."""
    make_queue(world, durable=True, **arguments)
    expected: list[tuple[bytes, bool]] = []
    for start in range(8):
        queue = world.vhost.queue("q")
        assert queue.message_count == len(expected)
        for number in range(4):
            queue.publish(message(b"%d.%d" % (start, number), PERSISTENT))
            expected.append((b"%d.%d" % (start, number), False))
        deliveries = [queue.get() for _ in expected]
        for place, delivery in enumerate(deliveries):
            assert delivery is not None
            assert (delivery.message.body, delivery.redelivered) == expected[place]
        kept = [place for place in range(len(expected)) if place % 3 == start % 3]
        for place, delivery in enumerate(deliveries):
            if place not in kept and delivery is not None:
                queue.acknowledge(delivery)
        expected = [(expected[place][0], True) for place in kept]
        world = restart(world)
    assert drained(world.vhost.queue("q")) == expected


def test_what_was_never_committed_leaves_no_trace(tmp_path: Path) -> None:
    """A kill in the middle: whoever published it was not told that it is safe."""
    world = World(store=Store(tmp_path))
    queue = make_queue(world, durable=True)
    fill(queue, 2)
    world.finish()
    world.hold_commits()
    fill(queue, 5)
    for delivery in drained_deliveries(queue):
        queue.acknowledge(delivery)
    world.finish()
    world = world.killed()
    queue = world.vhost.queue("q")
    assert [body for body, _ in drained(queue)] == [b"0", b"1"]
    fill(queue, 3, EMPTY_PROPERTIES)
    queue.publish(message(b"new", PERSISTENT))
    world.finish()
    assert [body for body, _ in drained(world.killed().vhost.queue("q"))] == [b"0", b"1", b"new"]


def test_a_restarted_queue_is_as_good_as_a_new_one(tmp_path: Path, restart: Restart) -> None:
    """It pages, purges and counts; and starts again."""
    world = World(store=Store(tmp_path, messages=3, page=100))
    make_queue(world, durable=True)
    for start in range(3):
        world = restart(world)
        queue = world.vhost.queue("q")
        assert queue.purge() == (10 if start else 0)
        fill(queue, 20)
        for number, delivery in enumerate(drained_deliveries(queue)):
            assert delivery.message.body == b"%d" % number
            queue.acknowledge(delivery)
        fill(queue, 10)
        world.finish()
        assert queue.purge() == 10
        fill(queue, 10)
        assert queue.message_count == 10


class Interrupted(Progress):
    """Recovery that does not get beyond the first queue."""

    def queue(self, messages: int) -> None:
        raise OSError(errno.EIO, "as the test wants it")


def test_a_recovery_that_fails_leaves_nothing_behind_that_keeps_later_changes_from_the_catalog(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    make_queue(world, durable=True)
    world.finish()
    catalog = world.storage.catalog
    assert catalog is not None
    topology = catalog.load()
    world.vhost.delete_queue(world.vhost.queue("q"))
    world.finish()
    with pytest.raises(OSError, match="as the test wants it"):
        Recovery(world.broker, topology, Interrupted()).run()
    make_queue(world, "later", durable=True)
    world.finish()
    assert [queue.name for queue in catalog.load().queues] == ["later"]
