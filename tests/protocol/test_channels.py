"""The channels of a connection: how many there may be, and which of them a frame is for."""

from __future__ import annotations

from pamqp import commands

from amqpd.protocol.limits import Limits
from tests.builders import Client, World


def test_channels_are_counted_and_their_numbers_are_free(world: World) -> None:
    client = world.client(channel_max=2)
    client.open(65_535)
    client.open(7)
    client.send(1, commands.Channel.Open)
    text = "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)"
    close = client.receive_one(0, commands.Connection.Close)
    assert (close.reply_code, close.reply_text, close.class_id, close.method_id) == (530, text, 0, 0)


def test_a_closed_channel_makes_room_for_another(world: World) -> None:
    client = world.client(channel_max=1)
    for number in (1, 2, 1):
        client.open(number)
        client.call(number, commands.Channel.Close, commands.Channel.CloseOk, reply_code=200)


def test_without_a_limit_channels_are_not_counted() -> None:
    client = World(Limits(channel_max=0)).client(channel_max=0)
    for number in range(1, 3000):
        client.open(number)


def test_the_channel_that_was_found_last_is_remembered_until_it_is_closed(client: Client) -> None:
    client.open(2)
    channels = client.connection.channels
    first, second = channels.all()
    assert channels.find(1) is first
    assert channels.last is first
    assert channels.find(2) is second
    assert channels.find(3) is None
    assert channels.last is second
    client.call(2, commands.Channel.Close, commands.Channel.CloseOk, reply_code=200)
    assert channels.last is None
    assert channels.all() == [first]


def test_publishes_to_a_channel_that_was_opened_again_go_to_the_new_one(client: Client) -> None:
    client.declare("q")
    client.publish(1, "", "q")
    client.call(1, commands.Channel.Close, commands.Channel.CloseOk, reply_code=200)
    client.open(1)
    client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
    client.publish(1, "", "q")
    assert client.receive_one(1, commands.Basic.Ack).delivery_tag == 1


def test_a_connection_consumes_with_a_consumer_or_a_delivery_on_any_channel(client: Client) -> None:
    channels = client.connection.channels
    client.open(2)
    client.declare("q")
    seen = [channels.consuming]
    client.call(2, commands.Basic.Consume, commands.Basic.ConsumeOk, queue="q", consumer_tag="c")
    seen.append(channels.consuming)
    client.call(2, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="c")
    seen.append(channels.consuming)
    client.publish(1, "", "q")
    client.send(2, commands.Basic.Get, queue="q")
    seen.append(channels.consuming)
    client.send(2, commands.Basic.Ack, delivery_tag=1)
    seen.append(channels.consuming)
    assert seen == [False, True, False, True, False]
