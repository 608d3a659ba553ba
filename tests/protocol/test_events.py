"""Events of connections, channels and consumers, and who is named as the one who did it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pamqp import commands

from amqpd.wire.table import Field
from tests.builders import ALL_CAPABILITIES, PROTOCOL_HEADER, Client, World
from tests.listener import Listener

NAME = "127.0.0.1:40000 -> 127.0.0.1:5672"
CHANNEL = f"{NAME} (1)"
GUEST = {"user_who_performed_action": "guest"}
LOGIN = {
    "connection_type": "network",
    "name": "guest",
    "connection_name": NAME,
    "host": "127.0.0.1",
    "port": 5672,
    "peer_host": "127.0.0.1",
    "peer_port": 40000,
    "protocol": "AMQP 0-9-1",
    "auth_mechanism": "PLAIN",
    "ssl": False,
}


@pytest.fixture
def listener(world: World) -> Listener:
    return Listener(world)


def consume(client: Client, **arguments: object) -> str:
    values = {"queue": "q", "consumer_tag": "tag", **arguments}
    return client.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, **values).consumer_tag


def test_a_login_and_a_connection_are_told(world: World, listener: Listener) -> None:
    world.clock.advance(2)
    world.client(heartbeat=30, frame_max=8192, channel_max=5)
    login, created = listener.heard()
    assert (login.key, login.plain) == ("user.authentication.success", LOGIN)
    assert created.key == "connection.created"
    assert created.plain == {
        "name": NAME,
        "user": "guest",
        "vhost": "/",
        "node": "amqpd@test",
        "pid": NAME,
        "type": "network",
        "protocol": "AMQP 0-9-1",
        "auth_mechanism": "PLAIN",
        "host": "127.0.0.1",
        "port": 5672,
        "peer_host": "127.0.0.1",
        "peer_port": 40000,
        "ssl": False,
        "timeout": 30,
        "frame_max": 8192,
        "channel_max": 5,
        "client_properties": {"capabilities": ALL_CAPABILITIES},
        "connected_at": 1_700_000_002_000,
        **GUEST,
    }
    assert created.headers.get("port") == Field.long(5672)


@pytest.mark.parametrize(
    "end",
    [
        lambda client: None,
        lambda client: client.send(0, commands.Connection.Close, reply_code=200, reply_text=""),
        lambda client: client.connection.force_close("by the test"),
    ],
    ids=["lost", "closed", "forced"],
)
def test_a_connection_is_closed_once_with_all_that_was_open(
    client: Client, listener: Listener, end: Callable[[Client], None]
) -> None:
    client.declare("q", exclusive=True)
    client.open(2)
    consume(client)
    listener.heard()
    end(client)
    client.lose()
    events = listener.heard()
    assert [event.key for event in events] == [
        "consumer.deleted",
        "channel.closed",
        "channel.closed",
        "queue.deleted",
        "connection.closed",
    ]
    assert events[-2]["user_who_performed_action"] == "rmq-internal"
    assert events[-1].plain == {
        "name": NAME,
        "node": "amqpd@test",
        "pid": NAME,
        "client_properties": {"capabilities": ALL_CAPABILITIES},
        **GUEST,
    }


def test_a_connection_that_never_ran_is_neither_created_nor_closed(world: World, listener: Listener) -> None:
    client = world.raw_client()
    client.feed(PROTOCOL_HEADER)
    client.start_ok()
    client.send(0, commands.Connection.TuneOk, channel_max=1, frame_max=4096, heartbeat=0)
    client.send(0, commands.Connection.Open, virtual_host="no such")
    assert listener.heard_keys() == ["user.authentication.success"]
    client.lose()
    assert listener.heard_keys() == []


def test_a_name_that_the_client_chose_stands_in_both_events(world: World, listener: Listener) -> None:
    client = world.raw_client()
    client.feed(PROTOCOL_HEADER)
    values = {"mechanism": "PLAIN", "response": b"\0guest\0guest", "locale": "en_US"}
    client.send(0, commands.Connection.StartOk, client_properties={"connection_name": "worker-1"}, **values)
    client.send(0, commands.Connection.TuneOk, channel_max=1, frame_max=4096, heartbeat=0)
    client.send(0, commands.Connection.Open, virtual_host="/")
    client.lose()
    _, created, closed = listener.heard()
    assert (created["user_provided_name"], closed["user_provided_name"]) == ("worker-1", "worker-1")


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    ("login", "peer", "reason"),
    [
        ("guest\0wrong", "127.0.0.1", "wrong password"),
        ("nobody\0guest", "127.0.0.1", "no such user"),
        ("guest\0guest", "10.0.0.1", "this user may only connect from the broker's own machine"),
    ],
)
def test_a_refused_login_is_told_with_the_reason_that_the_client_is_not(
    world: World, listener: Listener, login: str, peer: str, reason: str, told: bool
) -> None:
    client = world.raw_client(peer)
    client.feed(PROTOCOL_HEADER)
    client.start_ok(response=b"\0" + login.encode(), capabilities=ALL_CAPABILITIES if told else {})
    client.lose()
    (event,) = listener.heard()
    name = login.partition("\0")[0]
    where = {"peer_host": peer, "connection_name": f"{peer}:40000 -> 127.0.0.1:5672"}
    assert event.key == "user.authentication.failure"
    assert event.plain == {**LOGIN, "name": name, **where, "error": reason}


def test_a_malformed_login_names_nobody(world: World, listener: Listener) -> None:
    client = world.raw_client()
    client.feed(PROTOCOL_HEADER)
    client.start_ok(response=b"guest")
    (event,) = listener.heard()
    assert event.key == "user.authentication.failure"
    assert "name" not in event.plain
    assert event["error"] == "malformed PLAIN response: not NUL user NUL password"


def test_channels_are_told(client: Client, listener: Listener) -> None:
    client.open(7)
    client.call(7, commands.Channel.Close, commands.Channel.CloseOk, reply_code=200, reply_text="")
    created, closed = listener.heard()
    assert created.key == "channel.created"
    assert created.plain == {
        "name": f"{NAME} (7)",
        "number": 7,
        "user": "guest",
        "vhost": "/",
        "connection": NAME,
        "pid": f"{NAME} (7)",
        **GUEST,
    }
    assert (closed.key, closed.plain) == ("channel.closed", {"pid": f"{NAME} (7)", **GUEST})


def test_a_channel_that_the_broker_closes_is_closed_once(client: Client, listener: Listener) -> None:
    client.send(1, commands.Queue.Declare, queue="no such queue", passive=True)
    assert client.channel_closed()[0] == 404
    assert listener.heard_keys() == ["channel.closed"]
    client.lose()
    assert listener.heard_keys() == ["connection.closed"]


def test_a_consumer_is_told_when_it_starts_and_when_it_is_cancelled(client: Client, listener: Listener) -> None:
    client.declare("q")
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=10)
    listener.heard()
    consume(client, exclusive=True, arguments={"x-priority": 5})
    client.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="tag")
    client.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="tag")
    created, deleted = listener.heard()
    which = {"consumer_tag": "tag", "queue": "q", "vhost": "/", "channel": CHANNEL}
    assert created.key == "consumer.created"
    assert created.plain == {
        **which,
        "ack_required": True,
        "exclusive": True,
        "prefetch_count": 10,
        "arguments": {"x-priority": 5},
        **GUEST,
    }
    assert (deleted.key, deleted.plain) == ("consumer.deleted", {**which, **GUEST})


@pytest.mark.parametrize("notified", [True, False])
def test_a_consumer_goes_with_its_queue_and_is_told_once(world: World, listener: Listener, notified: bool) -> None:
    client = world.raw_client()
    client.feed(PROTOCOL_HEADER)
    client.start_ok(capabilities={"consumer_cancel_notify": notified})
    client.send(0, commands.Connection.TuneOk, channel_max=1, frame_max=4096, heartbeat=0)
    client.send(0, commands.Connection.Open, virtual_host="/")
    client.send(1, commands.Channel.Open)
    client.take()
    client.declare("q")
    consume(client)
    listener.heard()
    client.send(1, commands.Queue.Delete, queue="q")
    assert listener.heard_keys() == ["consumer.deleted", "queue.deleted"]


def test_the_last_consumer_takes_an_auto_delete_queue_along(client: Client, listener: Listener) -> None:
    client.declare("q", auto_delete=True)
    consume(client)
    listener.heard()
    client.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="tag")
    consumer, queue = listener.heard()
    assert (consumer.key, queue.key) == ("consumer.deleted", "queue.deleted")
    assert queue["user_who_performed_action"] == "rmq-internal"


def test_a_refused_consumer_is_not_told(client: Client, listener: Listener) -> None:
    client.declare("q")
    consume(client, exclusive=True)
    listener.heard()
    client.send(1, commands.Basic.Consume, queue="q", consumer_tag="second")
    assert client.channel_closed()[0] == 403
    assert "consumer.created" not in listener.heard_keys()


def test_the_topology_names_the_user_who_changes_it(world: World, client: Client, listener: Listener) -> None:
    queue, exchange = {"queue": "q"}, {"exchange": "x"}
    ends = {**queue, **exchange, "routing_key": "k"}
    up = {"destination": "x", "source": "amq.topic", "routing_key": "k"}
    client.declare("q")
    client.call(1, commands.Exchange.Declare, commands.Exchange.DeclareOk, exchange_type="direct", **exchange)
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, **ends)
    client.call(1, commands.Exchange.Bind, commands.Exchange.BindOk, **up)
    client.call(1, commands.Exchange.Unbind, commands.Exchange.UnbindOk, **up)
    client.call(1, commands.Queue.Unbind, commands.Queue.UnbindOk, **ends)
    client.call(1, commands.Exchange.Delete, commands.Exchange.DeleteOk, **exchange)
    client.call(1, commands.Queue.Delete, commands.Queue.DeleteOk, **queue)
    client.declare("q")  # a declaration of what exists is no event
    client.declare("q")
    events = listener.heard()
    assert [event.key for event in events] == [
        "queue.created",
        "exchange.created",
        "binding.created",
        "binding.created",
        "binding.deleted",
        "binding.deleted",
        "exchange.deleted",
        "queue.deleted",
        "queue.created",
    ]
    assert {event["user_who_performed_action"] for event in events} == {"guest"}


def test_an_exclusive_queue_names_its_connection(client: Client, listener: Listener) -> None:
    client.declare("q", exclusive=True)
    event = listener.only("queue.created")
    assert (event["exclusive"], event["owner_pid"]) == (True, NAME)


def test_what_happened_before_anybody_listened_is_not_told(world: World, client: Client) -> None:
    client.declare("q")
    consume(client)
    client.call(1, commands.Channel.Close, commands.Channel.CloseOk, reply_code=200, reply_text="")
    queue = world.vhost.create_queue("listener", world.vhost.queue("q").spec)
    world.vhost.bind(world.vhost.exchange("amq.rabbitmq.event"), queue, "#", world.vhost.queue("q").spec.arguments)
    world.finish()
    assert queue.message_count == 1  # its own binding


def test_clients_bind_to_the_event_exchange_but_cannot_publish_to_it(client: Client) -> None:
    client.declare("q")
    ends = {"queue": "q", "exchange": "amq.rabbitmq.event", "routing_key": "queue.*"}
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, **ends)
    client.declare("another")
    client.send(1, commands.Basic.Consume, queue="q", no_ack=True)
    _, (_, event) = client.received()
    assert event.method.routing_key == "queue.created"
    client.publish(1, "amq.rabbitmq.event", "queue.created")
    text = "ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.event' in vhost '/'"
    assert client.channel_closed() == (403, text)
