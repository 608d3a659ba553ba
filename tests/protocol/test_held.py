"""Answers that wait for the disk: what goes out when, and what becomes of all that comes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pamqp import base, commands

from amqpd.errors import PreconditionFailed
from amqpd.protocol.held import MOST_KEPT
from amqpd.wire.frames import BODY, frame
from amqpd.wire.methods import encode, make
from amqpd.wire.properties import Properties
from tests.builders import Client, Content, World, header_bytes, is_read, publish_bytes
from tests.stores import Store

PERSISTENT = Properties.of(delivery_mode=2)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A broker whose commits the test runs; an exchange "x", and a queue "kept" with three messages, are there."""
    world = World(store=Store(tmp_path))
    client = world.client()
    client.open()
    client.declare("kept", durable=True)
    declare_exchange = encode(1, make(commands.Exchange.Declare, exchange="x", exchange_type="direct", durable=True))
    client.feed(declare_exchange)
    for number in range(3):
        client.publish(1, "", "kept", b"%d" % number, PERSISTENT)
    client.lose()
    world.hold_commits()
    yield world
    run_commits(world)
    assert world.storage.commits.idle
    assert world.observer.crashes == []


def method(channel: int, command: type[base.Frame], **arguments: object) -> bytes:
    return encode(channel, make(command, **arguments))


def names(client: Client) -> list[str]:
    """What came since the last call."""
    return [
        item.method.name if isinstance(item, Content) else item.name  # type: ignore[misc] # pamqp has no type for it
        for _, item in client.received()
    ]


def run_commits(world: World) -> None:
    """All that there are: deliveries and acknowledgements are noted too."""
    while world.held_commits:
        world.run_commit()


def declare(queue: str, channel: int = 1, nowait: bool = False) -> bytes:
    return method(channel, commands.Queue.Declare, queue=queue, durable=True, nowait=nowait)


LASTING = [
    pytest.param(declare("q"), commands.Queue.DeclareOk, id="queue.declare"),
    pytest.param(method(1, commands.Queue.Delete, queue="kept"), commands.Queue.DeleteOk, id="queue.delete"),
    pytest.param(
        method(1, commands.Queue.Bind, queue="kept", exchange="x", routing_key="k"),
        commands.Queue.BindOk,
        id="queue.bind",
    ),
    pytest.param(
        method(1, commands.Exchange.Declare, exchange="y", exchange_type="fanout", durable=True),
        commands.Exchange.DeclareOk,
        id="exchange.declare",
    ),
    pytest.param(method(1, commands.Exchange.Delete, exchange="x"), commands.Exchange.DeleteOk, id="exchange.delete"),
    pytest.param(
        method(1, commands.Exchange.Bind, destination="x", source="amq.topic", routing_key="k"),
        commands.Exchange.BindOk,
        id="exchange.bind",
    ),
]
PASSING = [
    pytest.param(method(1, commands.Queue.Declare, queue="q"), commands.Queue.DeclareOk, id="transient"),
    pytest.param(
        method(1, commands.Queue.Declare, queue="q", durable=True, exclusive=True),
        commands.Queue.DeclareOk,
        id="exclusive",
    ),
    pytest.param(method(1, commands.Queue.Declare, queue="kept", passive=True), commands.Queue.DeclareOk, id="passive"),
    pytest.param(declare("kept"), commands.Queue.DeclareOk, id="declared before"),
    pytest.param(
        method(1, commands.Exchange.Declare, exchange="y", exchange_type="fanout"),
        commands.Exchange.DeclareOk,
        id="transient exchange",
    ),
    pytest.param(method(1, commands.Queue.Delete, queue="nothing"), commands.Queue.DeleteOk, id="nothing to delete"),
    pytest.param(method(1, commands.Queue.Purge, queue="kept"), commands.Queue.PurgeOk, id="purge"),
]


@pytest.fixture
def client(world: World) -> Client:
    client = world.client()
    client.open(1)
    client.open(2)
    return client


@pytest.mark.parametrize(("request_frame", "answer"), LASTING)
def test_a_change_of_what_lasts_is_answered_when_it_is_safe(
    world: World, client: Client, request_frame: bytes, answer: type[base.Frame]
) -> None:
    client.feed(request_frame)
    assert client.received() == []
    world.run_commit()
    client.receive_one(1, answer)


@pytest.mark.parametrize(("request_frame", "answer"), LASTING)
def test_what_was_answered_is_there_after_a_kill(
    world: World, client: Client, request_frame: bytes, answer: type[base.Frame]
) -> None:
    """Asked again after the restart nothing changes, and so nothing is to be waited for."""
    client.feed(request_frame)
    world.run_commit()
    client.receive_one(1, answer)
    again = world.killed()
    again.hold_commits()
    asking = again.client()
    asking.open()
    asking.feed(request_frame)
    asking.receive_one(1, answer)
    assert again.held_commits == []
    world.held_commits.clear()
    assert again.store is not None
    again.store.abandon(again.storage)


@pytest.mark.parametrize(("request_frame", "answer"), PASSING)
def test_what_does_not_last_or_changes_nothing_is_answered_at_once(
    client: Client, request_frame: bytes, answer: type[base.Frame]
) -> None:
    client.feed(request_frame)
    client.receive_one(1, answer)


def test_without_an_answer_nothing_waits(client: Client) -> None:
    client.feed(declare("q", nowait=True) + publish_bytes(1, "", "q", b"m") + method(1, commands.Basic.Get, queue="q"))
    assert client.bodies() == [b"m"]


def test_what_comes_behind_it_waits_and_is_done_in_its_order(world: World, client: Client) -> None:
    client.feed(declare("q") + publish_bytes(1, "", "q", b"a") * 2)
    client.feed(method(1, commands.Basic.Get, queue="q") + publish_bytes(1, "", "q", b"b"))
    client.feed(method(1, commands.Queue.Purge, queue="q"))
    queue = world.vhost.queue("q")
    assert (client.received(), queue.message_count) == ([], 0)
    world.run_commit()
    assert names(client) == ["Queue.DeclareOk", "Basic.GetOk", "Queue.PurgeOk"]
    assert queue.message_count == 0


def test_a_message_that_comes_in_pieces_is_kept_piece_by_piece(world: World, client: Client) -> None:
    """Also if the last of them come when the wait is over."""
    client.feed(declare("q"))
    client.feed(method(1, commands.Basic.Publish, routing_key="q") + header_bytes(1, 4) + frame(BODY, 1, b"ab"))
    world.run_commit()
    client.receive_one(1, commands.Queue.DeclareOk)
    client.feed(frame(BODY, 1, b"cd"))
    client.send(1, commands.Basic.Get, queue="q")
    assert client.bodies() == [b"abcd"]


def test_what_was_kept_may_have_to_wait_for_another_commit(world: World, client: Client) -> None:
    client.feed(declare("one") + declare("two") + publish_bytes(1, "", "two", b"m") + declare("three"))
    for queue in ("one", "two", "three"):
        assert client.received() == []
        world.run_commit()
        assert client.receive_one(1, commands.Queue.DeclareOk).queue == queue
    assert world.vhost.queue("two").message_count == 1


def test_other_channels_and_connections_go_on(world: World, client: Client) -> None:
    other = world.client()
    other.open()
    client.feed(declare("q"))
    client.publish(2, "", "q", b"m")
    client.send(2, commands.Basic.Get, queue="q")
    assert client.bodies() == [b"m"]
    other.send(1, commands.Basic.Get, queue="kept")
    assert other.bodies() == [b"0"]


def test_one_commit_answers_all_who_wait_for_it(world: World, client: Client) -> None:
    client.feed(declare("q") + declare("r", channel=2))
    world.run_commit()
    assert [(number, item.name) for number, item in client.received() if isinstance(item, base.Frame)] == [
        (1, "Queue.DeclareOk"),
        (2, "Queue.DeclareOk"),
    ]


def test_who_asks_while_a_commit_is_under_way_waits_for_the_next(world: World, client: Client) -> None:
    client.feed(declare("q"))
    client.feed(declare("r", channel=2))
    world.run_commit()
    assert client.receive_one(1, commands.Queue.DeclareOk).queue == "q"
    world.run_commit()
    assert client.receive_one(2, commands.Queue.DeclareOk).queue == "r"


def test_acknowledgements_wait_too(world: World, client: Client) -> None:
    for _ in range(3):
        client.send(1, commands.Basic.Get, queue="kept")
    client.messages()
    run_commits(world)
    acks = [method(1, commands.Basic.Ack, delivery_tag=tag) for tag in (1, 3)]
    client.feed(declare("q") + acks[0] + method(1, commands.Basic.Nack, delivery_tag=2, requeue=True) + acks[1])
    kept = world.vhost.queue("kept")
    assert kept.message_count == 0
    world.run_commit()
    assert kept.message_count == 1
    client.receive_one(1, commands.Queue.DeclareOk)


def test_an_acknowledgement_that_is_wrong_closes_the_channel_when_its_turn_comes(world: World, client: Client) -> None:
    """And nothing behind it is done."""
    unknown = method(1, commands.Basic.Ack, delivery_tag=7)
    client.feed(declare("q") + unknown + publish_bytes(1, "", "kept", b"lost"))
    world.run_commit()
    assert names(client) == ["Queue.DeclareOk", "Channel.Close"]
    assert world.vhost.queue("kept").message_count == 3


def test_consumers_of_a_waiting_channel_get_their_messages(world: World, client: Client) -> None:
    client.send(1, commands.Basic.Qos, prefetch_count=1)
    client.send(1, commands.Basic.Consume, queue="kept", consumer_tag="c")
    run_commits(world)
    client.take()
    client.feed(declare("q") + method(1, commands.Basic.Ack, delivery_tag=1))
    assert client.received() == []
    world.run_commit()
    assert names(client) == ["Queue.DeclareOk", "Basic.Deliver"]


def test_a_close_of_the_channel_waits_its_turn(world: World, client: Client) -> None:
    client.feed(declare("q") + publish_bytes(1, "", "q", b"m") + method(1, commands.Channel.Close, reply_code=200))
    client.feed(method(1, commands.Channel.Open))
    assert client.received() == []
    world.run_commit()
    assert names(client) == ["Queue.DeclareOk", "Channel.CloseOk", "Channel.OpenOk"]
    assert world.vhost.queue("q").message_count == 1


def test_a_close_of_the_connection_does_not_wait(world: World, client: Client) -> None:
    """What was kept is dropped with it: nobody was told that it was done."""
    client.feed(declare("q") + publish_bytes(1, "", "kept", b"m"))
    client.send(0, commands.Connection.Close, reply_code=200)
    client.receive_one(0, commands.Connection.CloseOk)
    world.run_commit()
    assert client.received() == []
    assert world.vhost.queue("kept").message_count == 3
    assert "q" in world.vhost.queues


def test_a_lost_connection_is_not_answered(world: World, client: Client) -> None:
    client.feed(declare("q") + publish_bytes(1, "", "kept", b"m"))
    client.lose()
    world.run_commit()
    assert client.received() == []
    assert world.vhost.queue("kept").message_count == 3


def test_what_comes_for_a_waiting_channel_takes_bounded_memory(world: World, client: Client) -> None:
    body = bytes(100_000)
    publish = publish_bytes(1, "", "q", body)
    client.feed(declare("q"))
    sent = 0
    while is_read(client):
        client.feed(publish)
        sent += 1
        assert sent * len(body) <= MOST_KEPT + 2 * len(body)
    assert sent * len(body) >= MOST_KEPT - len(body)
    world.run_commit()
    assert is_read(client)
    client.receive_one(1, commands.Queue.DeclareOk)
    assert world.vhost.queue("q").message_count == sent


def test_two_channels_that_keep_much_are_both_waited_for(world: World, client: Client) -> None:
    """The connection is read again when the last of them is done."""
    client.feed(declare("q"))
    client.feed(declare("r", channel=2))  # another commit
    for channel in (1, 2):
        client.feed(publish_bytes(channel, "", "q", bytes(MOST_KEPT // 13)) * 14)
    assert not is_read(client)
    world.run_commit()
    assert not is_read(client)
    world.run_commit()
    assert is_read(client)


def test_a_connection_that_closes_while_it_keeps_much_is_read_to_its_end(world: World, client: Client) -> None:
    client.feed(declare("q"))
    client.feed(publish_bytes(1, "", "q", bytes(MOST_KEPT // 13)) * 14)
    assert not is_read(client)
    client.connection.force_close("operator")
    world.finish()
    world.run_commit()
    assert is_read(client)


def test_a_peer_that_closes_a_channel_which_the_broker_closes_meanwhile_is_answered(world: World) -> None:
    """It discards everything but close and close_ok, and waits for both."""
    client = world.client()
    client.open()
    client.feed(declare("q") + publish_bytes(1, "", "kept", b"m") + method(1, commands.Channel.Close))
    assert names(client) == []
    client.connection.fail(PreconditionFailed("timed out", about_method=False), 1)
    world.finish()
    assert names(client) == ["Channel.Close", "Channel.CloseOk"]
    client.feed(method(1, commands.Channel.CloseOk))
    run_commits(world)
    assert names(client) == [], "nothing is answered twice, nor published"
    assert world.vhost.queue("kept").message_count == 3
    client.open(1)
