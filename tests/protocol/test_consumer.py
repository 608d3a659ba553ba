"""Consumers: what a client is sent for each message, cut for its channel and its frame size."""

from __future__ import annotations

import pytest
from pamqp import commands

from amqpd.broker.message import make_message
from amqpd.wire.frames import BODY, HEADER, METHOD
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from tests.broker.queues.takers import accepts
from tests.builders import Client, Content, World, publish_bytes


def consuming(client: Client, channel: int = 1, queue: str = "q", tag: str = "tag", **arguments: object) -> None:
    """Start a consumer; nothing is delivered yet."""
    values = {"queue": queue, "consumer_tag": tag, **arguments}
    assert client.call(channel, commands.Basic.Consume, commands.Basic.ConsumeOk, **values).consumer_tag == tag


def deliver_of(message: Content) -> commands.Basic.Deliver:
    """The method that announced a message, which must be basic.deliver."""
    assert isinstance(message.method, commands.Basic.Deliver)
    return message.method


def test_a_delivery_tells_tag_route_and_content(client: Client) -> None:
    client.declare("q")
    consuming(client)
    properties = Properties.of(content_type="text/plain", headers={"a": [1, 2]})
    client.publish(1, "", "q", b"body", properties)
    (message,) = client.messages()
    deliver = deliver_of(message)
    assert (deliver.consumer_tag, deliver.delivery_tag, deliver.redelivered) == ("tag", 1, False)
    assert (deliver.exchange, deliver.routing_key) == ("", "q")
    assert (message.properties.raw, message.body) == (properties.raw, b"body")


def test_deliveries_of_different_routes_carry_their_own(client: Client) -> None:
    client.declare("q")
    for key in ("k", "longer", "k"):
        client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue="q", exchange="amq.direct", routing_key=key)
    consuming(client)
    client.publish(1, "amq.direct", "k")
    client.publish(1, "amq.direct", "longer")
    client.publish(1, "", "q")
    routes = [(deliver_of(message).exchange, deliver_of(message).routing_key) for message in client.messages()]
    assert routes == [("amq.direct", "k"), ("amq.direct", "longer"), ("", "q")]


def test_the_channel_of_the_consumer_is_patched_in(client: Client) -> None:
    client.open(300)
    client.declare("q")
    consuming(client, channel=300)
    client.publish(1, "", "q", b"body")
    assert {channel for _, channel, _ in client.frames()} == {300}


@pytest.mark.parametrize("size", [0, 1, 4088, 4089, 20_000])
def test_a_body_is_cut_for_the_frame_size_of_its_consumer(world: World, size: int) -> None:
    publisher, consumer = world.client(), world.client(frame_max=4096)
    for each in (publisher, consumer):
        each.open(1)
    publisher.declare("q")
    consuming(consumer)
    body = bytes(number % 251 for number in range(size))
    publisher.publish(1, "", "q", body)
    frames = consumer.frames()
    assert [kind for kind, _, _ in frames[:2]] == [METHOD, HEADER]
    assert all(kind == BODY and len(payload) <= 4088 for kind, _, payload in frames[2:])
    assert b"".join(payload for _, _, payload in frames[2:]) == body


def test_one_message_for_consumers_of_different_channels_and_frame_sizes_is_the_same_for_all(world: World) -> None:
    publisher = world.client()
    publisher.open(1)
    body = bytes(10_000)
    consumers = [world.client(frame_max=size) for size in (4096, 131_072, 8192)]
    for number, consumer in enumerate(consumers, 1):
        consumer.open(number)
        consumer.declare(f"q{number}", channel=number)
        args = {"queue": f"q{number}", "exchange": "amq.fanout"}
        consumer.call(number, commands.Queue.Bind, commands.Queue.BindOk, **args)
        consuming(consumer, channel=number, queue=f"q{number}")
    publisher.publish(1, "amq.fanout", "", body)
    assert [consumer.bodies() for consumer in consumers] == [[body]] * 3


@pytest.mark.parametrize("no_ack", [True, False])
def test_without_acknowledgements_nothing_is_kept_for_the_client(client: Client, no_ack: bool) -> None:
    client.declare("q")
    consuming(client, no_ack=no_ack)
    client.publish(1, "", "q")
    assert len(client.messages()) == 1
    client.call(1, commands.Channel.Close, commands.Channel.CloseOk)
    client.open(1)
    assert client.declare("q").message_count == (0 if no_ack else 1)


def test_a_redelivery_is_flagged(client: Client) -> None:
    client.declare("q")
    consuming(client)
    client.publish(1, "", "q")
    client.messages()
    client.send(1, commands.Basic.Reject, delivery_tag=1, requeue=True)
    (message,) = client.messages()
    assert (deliver_of(message).redelivered, deliver_of(message).delivery_tag) == (True, 2)


def test_a_consumer_tag_may_be_any_text(client: Client) -> None:
    client.declare("q")
    tag = "ä" * 127
    consuming(client, tag=tag)
    client.publish(1, "", "q")
    assert deliver_of(client.messages()[0]).consumer_tag == tag


def test_consumers_of_a_queue_take_turns_and_who_has_no_credit_is_left_out(client: Client) -> None:
    client.open(2)
    client.declare("q")
    client.call(2, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1)
    consuming(client, channel=1, tag="a", no_ack=True)
    consuming(client, channel=2, tag="b")
    client.feed(publish_bytes(1, "", "q") * 5)
    tags = [deliver_of(message).consumer_tag or "" for message in client.messages()]
    assert sorted(tags) == ["a"] * 4 + ["b"]


# Direct reply-to.


def requester(world: World) -> tuple[Client, str]:
    """A client that waits for replies, and the address under which it does."""
    client, responder = world.client(), world.client()
    for each in (client, responder):
        each.open(1)
    responder.declare("service")
    consuming(responder, queue="service", no_ack=True)
    consuming(client, queue="amq.rabbitmq.reply-to", tag="replies", no_ack=True)
    client.publish(1, "", "service", b"request", Properties.of(reply_to="amq.rabbitmq.reply-to"))
    (request,) = responder.messages()
    address = request.properties.reply_to
    assert isinstance(address, str)
    return client, address


def test_a_reply_is_delivered_to_the_requester_under_its_tag(world: World) -> None:
    client, address = requester(world)
    responder = world.client()
    responder.open(1)
    responder.publish(1, "", address, b"reply")
    (reply,) = client.messages()
    deliver = deliver_of(reply)
    assert (deliver.consumer_tag, deliver.delivery_tag, deliver.redelivered) == ("replies", 1, False)
    assert (deliver.exchange, deliver.routing_key, reply.body) == ("", address, b"reply")


def test_a_reply_for_a_requester_that_has_gone_is_dropped(world: World) -> None:
    client, address = requester(world)
    client.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="replies")
    responder = world.client()
    responder.open(1)
    responder.publish(1, "", address, b"reply", mandatory=True)
    (returned,) = responder.messages()
    assert isinstance(returned.method, commands.Basic.Return)
    assert client.take() == b""


def test_another_address_follows_a_cancelled_one(world: World) -> None:
    client, address = requester(world)
    client.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="replies")
    consuming(client, queue="amq.rabbitmq.reply-to", tag="replies", no_ack=True)
    client.declare("inspected")
    client.publish(1, "", "inspected", b"", Properties.of(reply_to="amq.rabbitmq.reply-to"))
    client.send(1, commands.Basic.Get, queue="inspected")
    (message,) = client.messages()
    fresh = message.properties.reply_to
    assert isinstance(fresh, str)
    assert fresh.startswith("amq.rabbitmq.reply-to.")
    assert fresh != address


def test_an_address_ends_with_its_channel(world: World) -> None:
    client, address = requester(world)
    assert world.vhost.reply_queue(address) is not None
    client.call(1, commands.Channel.Close, commands.Channel.CloseOk)
    assert world.vhost.reply_queue(address) is None


def test_a_reply_that_was_routed_before_the_requester_left_is_dropped(world: World) -> None:
    client, address = requester(world)
    queue = world.vhost.reply_queue(address)
    assert queue is not None
    client.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="replies")
    assert accepts(queue, make_message("", address, EMPTY_PROPERTIES, b"late"))
    world.finish()
    assert client.take() == b""
