"""Limits of a whole broker: connections and channels, with RabbitMQ's texts."""

from __future__ import annotations

from pamqp import commands

from amqpd.protocol.limits import Limits
from tests.builders import World


def test_one_connection_more_than_the_node_may_have_is_refused_until_one_has_gone() -> None:
    world = World(Limits(connection_max=1))
    first = world.client()
    second = world.raw_client()
    second.log_in("guest", 0, 131_072, 2047)
    second.send(0, commands.Connection.Open, virtual_host="/")
    closed = second.receive_one(0, commands.Connection.Close)
    assert (closed.reply_code, closed.class_id, closed.method_id) == (530, 10, 40)
    assert closed.reply_text == "NOT_ALLOWED - connection refused: node connection limit (1) is reached"
    first.connection.lost("closed by the test")
    world.client()


def test_one_channel_more_than_the_node_may_have_closes_the_connection() -> None:
    world = World(Limits(channels_max=2))
    client = world.client()
    client.open(1)
    client.open(2)
    client.send(2, commands.Channel.Close, reply_code=200, reply_text="", class_id=0, method_id=0)
    client.receive_one(2, commands.Channel.CloseOk)
    client.open(3)
    other = world.client()
    other.send(1, commands.Channel.Open)
    closed = other.receive_one(0, commands.Connection.Close)
    assert closed.reply_code == 530
    assert closed.reply_text == (
        "NOT_ALLOWED - number of channels opened on node 'amqpd@test' has reached the maximum allowed limit of (2)"
    )
    client.connection.lost("closed by the test")
    assert world.services.connections.channels == 0
