"""A channel without a connection: what is published and got in AMQP's words, but not over AMQP."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from pamqp import commands

from amqpd.errors import NotFound
from amqpd.protocol.direct import DirectChannel
from amqpd.protocol.handshake import open_session
from amqpd.wire.properties import EMPTY_PROPERTIES
from tests.builders import Client, World


@pytest.fixture
def world() -> World:
    world = World()
    client = world.client()
    client.open()
    client.declare("q")
    return world


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Nobody but the test looks for cycles."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def opened(world: World) -> DirectChannel:
    """A channel of the user guest."""
    services, user = world.services, world.users.find("guest")
    assert user is not None
    session = open_session(services.broker, services.users, services.limits, user, "/", "test")
    return DirectChannel(session, world.broker.context)


def publish(world: World, queue: str, times: int = 1) -> DirectChannel:
    """A channel that has published, and was closed."""
    channel = opened(world)
    for _ in range(times):
        channel.publish("", queue, EMPTY_PROPERTIES, b"m")
    world.finish()
    channel.close()
    return channel


@pytest.mark.parametrize(("queue", "returned"), [("q", False), ("nobody", True)])
def test_a_publish_is_answered_and_says_whether_it_reached_a_queue(world: World, queue: str, returned: bool) -> None:
    channel = opened(world)
    told: list[bool] = []
    channel.answers.on_confirm = lambda: told.append(channel.answers.returned)
    channel.publish("", queue, EMPTY_PROPERTIES, b"m")
    assert told == []
    world.finish()
    assert told == [returned]
    assert not channel.answers.refused


def test_what_was_got_and_not_settled_goes_back_when_the_channel_closes(world: World) -> None:
    publish(world, "q")
    channel = opened(world)
    got = channel.get("q", no_ack=False)
    assert got is not None
    assert got.body == b"m"
    assert channel.get("q", no_ack=False) is None
    channel.close()
    assert world.vhost.queue("q").message_count == 1


def test_what_it_has_published_stays_counted(world: World) -> None:
    before = world.vhost.totals.traffic().publish
    publish(world, "q", times=3)
    assert world.vhost.totals.traffic().publish == before + 3


@pytest.mark.usefixtures("no_collector")
def test_a_channel_that_is_closed_leaves_nothing_to_the_garbage_collector(world: World) -> None:
    """Each publish over HTTP has one: thousands of them at once would be a pause for everybody."""
    for _ in range(3):
        publish(world, "q", times=2)
        channel = opened(world)
        assert channel.get("q", no_ack=False) is not None
        channel.close()
    del channel
    assert gc.collect() == 0


@pytest.mark.usefixtures("no_collector")
def test_nor_does_one_with_a_publish_that_was_refused(world: World) -> None:
    channel = opened(world)
    with pytest.raises(NotFound):
        channel.publish("nowhere", "q", EMPTY_PROPERTIES, b"m")
    channel.close()
    del channel
    assert gc.collect() == 0


@pytest.mark.usefixtures("no_collector")
def test_nor_does_one_of_an_amqp_client(world: World) -> None:
    client: Client = world.client()
    client.open()
    gc.collect()
    for _ in range(3):
        client.open(2)
        client.call(2, commands.Confirm.Select, commands.Confirm.SelectOk)
        client.publish(2, "", "q", b"m")
        client.receive_one(2, commands.Basic.Ack)
        client.call(2, commands.Channel.Close, commands.Channel.CloseOk)
    assert gc.collect() == 0
