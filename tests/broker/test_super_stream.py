"""Super streams: what is made, what is refused, where messages go, and that all of it comes back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pamqp import commands

from amqpd.broker.declaration import ExchangeSpec
from amqpd.broker.super_stream import (
    MOST_PARTITIONS,
    SuperStreamError,
    SuperStreamSpec,
    create_super_stream,
    delete_super_stream,
    numbered,
    partitions_of,
    routing_of,
    super_streams,
)
from amqpd.broker.vhost import VHost
from amqpd.errors import PreconditionFailed
from amqpd.wire.table import EMPTY_TABLE, Field, Table
from tests.broker.queues.takers import queue_spec
from tests.builders import World, message
from tests.stores import Store

NUMBERED = [f"s-{number}" for number in range(12)]


def spec(name: str = "s", routing: str = "hash", partitions: int = 3, **arguments: object) -> SuperStreamSpec:
    named = {argument.replace("_", "-"): value for argument, value in arguments.items()}
    return SuperStreamSpec(name, numbered(partitions), routing, named)


def routed(vhost: VHost, key: str) -> list[str]:
    """The names of the queues that a message to s would go to."""
    return [queue.name for queue in vhost.route(vhost.exchange("s"), [key], message()).queues]


def facts(vhost: VHost, name: str = "s") -> list[tuple[str, str, Table]]:
    """The partitions of a super stream: stream, key and arguments."""
    found = partitions_of(vhost.exchange(name))
    return [(binding.destination.name, binding.key, binding.arguments) for binding in found]


# What is made.


def test_it_is_made_as_rabbitmq_makes_it() -> None:
    vhost = World().vhost
    create_super_stream(vhost, spec(routing="direct", x_max_age="7D"))
    exchange = vhost.exchange("s")
    assert (exchange.kind, exchange.durable, exchange.auto_delete, exchange.internal) == ("direct", True, False, False)
    assert exchange.arguments == Table.of({"x-super-stream": True})
    order = "x-stream-partition-order"
    assert facts(vhost) == [(f"s-{n}", f"{n}", Table.of({order: Field.long(n)})) for n in range(3)]
    assert partitions_of(exchange)[0].arguments.get(order) == Field("l", 0)
    for number in range(3):
        queue = vhost.queue(f"s-{number}")
        assert (queue.kind, queue.spec.durable, queue.spec.auto_delete) == ("stream", True, False)
        assert queue.spec.arguments == Table.of({"x-queue-type": "stream", "x-max-age": "7D"})


def test_partitions_may_have_names() -> None:
    vhost = World().vhost
    create_super_stream(vhost, SuperStreamSpec("s", ["north", "south"], "direct", {}))
    assert [(stream, key) for stream, key, _ in facts(vhost)] == [("s-north", "north"), ("s-south", "south")]
    assert routed(vhost, "south") == ["s-south"]
    assert routed(vhost, "west") == []


def test_a_client_may_make_one_too() -> None:
    """The arguments are what counts."""
    world = World()
    client = world.client()
    channel = client.open()
    client.send(
        channel,
        commands.Exchange.Declare,
        exchange="s",
        exchange_type="direct",
        durable=True,
        arguments={"x-super-stream": True},
    )
    for number in (1, 0):
        arguments = {"x-queue-type": "stream"}
        client.send(channel, commands.Queue.Declare, queue=f"s-{number}", durable=True, arguments=arguments)
        order = {"x-stream-partition-order": number}
        client.send(channel, commands.Queue.Bind, queue=f"s-{number}", exchange="s", routing_key="k", arguments=order)
    assert [exchange.name for exchange in super_streams(world.vhost)] == ["s"]
    assert [stream for stream, _, _ in facts(world.vhost)] == ["s-0", "s-1"]


def test_what_else_is_bound_to_the_exchange_is_no_partition() -> None:
    vhost = World().vhost
    exchange = create_super_stream(vhost, spec())
    other = vhost.create_queue("other", queue_spec())
    vhost.bind(exchange, other, "k", EMPTY_TABLE)
    vhost.bind(exchange, other, "k", Table.of({"x-stream-partition-order": 0}))
    assert [stream for stream, _, _ in facts(vhost)] == ["s-0", "s-1", "s-2"]
    assert delete_super_stream(vhost, "s") == ["s-0", "s-1", "s-2"]
    assert vhost.queue("other") is other


def test_they_are_listed_by_name_with_their_routing() -> None:
    vhost = World().vhost
    create_super_stream(vhost, spec("b", "direct"))
    create_super_stream(vhost, spec("a"))
    vhost.create_exchange("c", ExchangeSpec("topic", True, False, False, Table.of({"x-super-stream": True})))
    vhost.create_exchange("d", ExchangeSpec("topic", True, False, False, Table.of({"x-super-stream": False})))
    found = [(exchange.name, routing_of(exchange)) for exchange in super_streams(vhost)]
    assert found == [("a", "hash"), ("b", "direct"), ("c", "topic")]


def test_a_stream_knows_its_partition() -> None:
    vhost = World().vhost
    create_super_stream(vhost, spec())
    assert [vhost.partition_of(vhost.queue(f"s-{number}")) for number in range(3)] == [0, 1, 2]
    assert vhost.partition_of(vhost.create_queue("other", queue_spec())) == 0


# Where messages go.


def test_the_hash_of_the_routing_key_decides_and_every_partition_gets_its_share() -> None:
    vhost = World().vhost
    create_super_stream(vhost, spec(partitions=12))
    shares = Counter(stream for number in range(3000) for stream in routed(vhost, f"order {number}"))
    assert sorted(shares) == sorted(NUMBERED)
    assert all(abs(share - 250) < 70 for share in shares.values())
    assert routed(vhost, "order 1") == routed(vhost, "order 1")


def test_the_i_th_partition_is_the_i_th_by_its_order_and_not_by_its_name() -> None:
    """With ten and more, "s-10" comes before "s-2" by name."""
    world = World()
    create_super_stream(world.vhost, spec(partitions=12))
    plain = World().vhost
    exchange = plain.create_exchange("s", ExchangeSpec("x-modulus-hash", True, False, False))
    for number in range(12):  # names whose order is that of the partitions
        plain.bind(exchange, plain.create_queue(f"p{number:02}", queue_spec()), "", EMPTY_TABLE)
    for number in range(100):
        key = f"order {number}"
        assert routed(world.vhost, key)[0].removeprefix("s-") == str(int(routed(plain, key)[0].removeprefix("p")))


def test_keys_keep_their_partitions_through_a_restart(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    create_super_stream(world.vhost, spec(partitions=12, x_max_length_bytes=1_000_000))
    world.finish()
    keys = [f"order {number}" for number in range(100)]
    before = [routed(world.vhost, key) for key in keys]
    made = facts(world.vhost)
    for _ in range(2):
        world = world.killed()
        assert facts(world.vhost) == made
        assert [routed(world.vhost, key) for key in keys] == before
        assert world.vhost.queue("s-3").spec.arguments.get("x-max-length-bytes") is not None
        assert [exchange.name for exchange in super_streams(world.vhost)] == ["s"]


def test_one_commit_brings_all_of_it_to_the_disk(tmp_path: Path) -> None:
    """Or nothing: half a super stream would send keys elsewhere for ever."""
    world = World(store=Store(tmp_path))
    world.hold_commits()
    create_super_stream(world.vhost, spec())
    world.finish()
    world = world.killed()
    assert super_streams(world.vhost) == []
    assert not world.vhost.queues
    world.hold_commits()
    create_super_stream(world.vhost, spec())
    world.finish()
    world.run_commit()
    assert len(facts(world.killed().vhost)) == 3


# What is refused.


@pytest.mark.parametrize("routing", ["hash", "direct"])
def test_a_taken_name_is_refused_and_nothing_is_made(routing: str) -> None:
    vhost = World().vhost
    vhost.create_queue("s-2", queue_spec())
    before = (list(vhost.queues), list(vhost.exchanges))
    with pytest.raises(SuperStreamError, match=r"^reference_already_exists: there is already a queue named 's-2'$"):
        create_super_stream(vhost, spec(routing=routing))
    assert (list(vhost.queues), list(vhost.exchanges)) == before
    create_super_stream(vhost, spec("other", routing))
    with pytest.raises(SuperStreamError) as refused:
        create_super_stream(vhost, spec("other", routing))
    assert (refused.value.reason, refused.value.text) == (
        "reference_already_exists",
        "there is already an exchange named 'other'",
    )


@pytest.mark.parametrize("name", ["", "amq.s", "a\nb", "a\rb", "ü" * 128, "x" * 256])
def test_a_name_that_no_exchange_could_have_is_refused(name: str) -> None:
    with pytest.raises(SuperStreamError, match=r"(?s)^validation_failed: .* is not a correct name for a super stream$"):
        create_super_stream(World().vhost, spec(name))


def test_a_name_that_is_too_long_for_its_streams_is_refused() -> None:
    with pytest.raises(SuperStreamError, match="is not a correct name for a stream"):
        create_super_stream(World().vhost, spec("x" * 254))
    create_super_stream(World().vhost, spec("x" * 253))


@pytest.mark.parametrize("keys", [[], ["a", "b", "a"], numbered(MOST_PARTITIONS + 1)])
def test_keys_must_tell_partitions_apart_and_be_some_but_not_too_many(keys: list[str]) -> None:
    vhost = World().vhost
    with pytest.raises(SuperStreamError) as refused:
        create_super_stream(vhost, SuperStreamSpec("s", keys, "hash", {}))
    assert refused.value.reason == "validation_failed"
    assert not vhost.queues


def test_arguments_that_streams_do_not_take_are_refused_and_nothing_is_made() -> None:
    vhost = World().vhost
    with pytest.raises(PreconditionFailed) as refused:
        create_super_stream(vhost, spec(x_max_age="never"))
    assert "invalid arg 'x-max-age' for queue 's-0'" in refused.value.reply_text
    assert not vhost.queues
    assert "s" not in vhost.exchanges


# Deleting.


def test_it_is_deleted_with_its_streams(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    create_super_stream(world.vhost, spec(partitions=12))
    world.finish()
    assert delete_super_stream(world.vhost, "s") == NUMBERED
    world.finish()
    for vhost in (world.vhost, world.killed().vhost):
        assert not vhost.queues
        assert super_streams(vhost) == []


def test_only_super_streams_are_deleted() -> None:
    vhost = World().vhost
    vhost.create_exchange("plain", ExchangeSpec("direct", True, False, False))
    for name in ("plain", "missing", ""):
        text = f"stream_not_found: there is no super stream '{name}' in vhost '/'"
        with pytest.raises(SuperStreamError, match=f"^{text}$"):
            delete_super_stream(vhost, name)
    assert "plain" in vhost.exchanges
