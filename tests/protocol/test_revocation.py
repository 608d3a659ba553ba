"""Permissions that change while a connection is open: they count from the next operation on."""

from __future__ import annotations

import pytest
from pamqp import base, commands

from amqpd.auth.permissions import Access, Permission
from amqpd.auth.topics import TopicPermission
from amqpd.errors import AccessRefused
from amqpd.protocol.session import MOST_REMEMBERED
from amqpd.wire.properties import Properties
from amqpd.wire.table import Table
from tests.builders import Client, World

ALL = Permission(".*", ".*", ".*")


def refusal(client: Client, channel: int = 1) -> str:
    close = client.receive_one(channel, commands.Channel.Close)
    assert close.reply_code == 403
    return str(close.reply_text)


def test_a_publisher_on_a_route_that_is_known_is_refused_as_soon_as_it_may_not_write(
    world: World, client: Client
) -> None:
    client.send(1, commands.Queue.Declare, queue="q")
    client.publish(1, "", "q", b"1")
    client.publish(1, "", "q", b"2")
    client.take()
    world.users.permissions.set("guest", "/", Permission(".*", "^nothing$", ".*"))
    client.publish(1, "", "q", b"3")
    text = "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'guest'"
    assert refusal(client) == text
    assert world.vhost.queues["q"].message_count == 2


def test_a_permission_that_comes_back_counts_at_once_too(world: World, client: Client) -> None:
    client.send(1, commands.Queue.Declare, queue="q")
    client.take()
    world.users.permissions.clear("guest", "/")
    client.publish(1, "", "q", b"1")
    refusal(client)
    client.open(2)
    world.users.permissions.set("guest", "/", ALL)
    client.publish(2, "", "q", b"2")
    assert world.vhost.queues["q"].message_count == 1


OPERATIONS: list[tuple[str, type[base.Frame], dict[str, object]]] = [
    ("configure access to queue 'q'", commands.Queue.Declare, {"queue": "q"}),
    ("read access to queue 'q'", commands.Basic.Get, {"queue": "q"}),
    ("write access to queue 'q'", commands.Queue.Bind, {"queue": "q", "exchange": "amq.topic", "routing_key": "k"}),
]


@pytest.mark.parametrize(("text", "command", "arguments"), OPERATIONS)
def test_whoever_did_it_before_may_not_do_it_again(
    world: World, client: Client, text: str, command: type[base.Frame], arguments: dict[str, object]
) -> None:
    client.send(1, commands.Queue.Declare, queue="q")
    client.send(1, command, **arguments)
    client.take()
    world.users.permissions.clear("guest", "/")
    client.send(1, command, **arguments)
    assert refusal(client) == f"ACCESS_REFUSED - {text} in vhost '/' refused for user 'guest'"


def test_a_consumer_that_has_begun_goes_on(world: World, client: Client) -> None:
    """As in RabbitMQ: reading is checked when it begins."""
    client.send(1, commands.Queue.Declare, queue="q")
    client.send(1, commands.Basic.Consume, queue="q", consumer_tag="c", no_ack=True)
    client.take()
    world.users.permissions.set("guest", "/", Permission("", ".*", ""))
    client.publish(1, "", "q", b"m")
    assert [content.body for content in client.messages()] == [b"m"]


def test_the_permissions_of_others_and_elsewhere_change_nothing(world: World, client: Client) -> None:
    client.send(1, commands.Queue.Declare, queue="q")
    client.take()
    world.broker.create_vhost("other")
    world.users.permissions.set("guest", "other", Permission("", "", ""))
    world.users.permissions.set("somebody", "/", Permission("", "", ""))
    client.publish(1, "", "q", b"1")
    assert client.take() == b""
    assert world.vhost.queues["q"].message_count == 1


def test_a_user_who_is_put_anew_keeps_what_it_may_do(world: World, client: Client) -> None:
    world.users.add("guest", b"another")
    client.send(1, commands.Queue.Declare, queue="q")
    client.receive_one(1, commands.Queue.DeclareOk)


def test_a_topic_permission_counts_from_the_next_publish_on(world: World, client: Client) -> None:
    client.publish(1, "amq.topic", "a.b", b"1")
    world.users.topic_permissions.set("guest", "/", "amq.topic", TopicPermission("^b", ".*"))
    client.publish(1, "amq.topic", "b.a", b"2")
    assert client.take() == b""
    client.publish(1, "amq.topic", "a.b", b"3")
    text = "write access to topic 'a.b' in exchange 'amq.topic' in vhost '/' refused for user 'guest'"
    assert refusal(client) == f"ACCESS_REFUSED - {text}"
    client.open(2)
    world.users.topic_permissions.clear("guest", "/", "amq.topic")
    client.publish(2, "amq.topic", "a.b", b"4")
    assert client.take() == b""


@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_every_key_of_a_message_is_held_against_the_topic_permission(world: World, client: Client, header: str) -> None:
    world.users.topic_permissions.set("guest", "/", "amq.topic", TopicPermission("^a", ".*"))
    client.publish(1, "amq.topic", "a", b"1", Properties.of(headers=Table.of({header: ["ab"]})))
    assert client.take() == b""
    client.publish(1, "amq.topic", "a", b"2", Properties.of(headers=Table.of({header: ["ab", "b"]})))
    text = "write access to topic 'b' in exchange 'amq.topic' in vhost '/' refused for user 'guest'"
    assert refusal(client) == f"ACCESS_REFUSED - {text}"


def test_a_refused_message_reaches_no_queue(world: World, client: Client) -> None:
    client.send(1, commands.Queue.Declare, queue="q")
    client.send(1, commands.Queue.Bind, queue="q", exchange="amq.topic", routing_key="#")
    client.take()
    world.users.topic_permissions.set("guest", "/", "amq.topic", TopicPermission("^a", ".*"))
    client.publish(1, "amq.topic", "b", b"1")
    refusal(client)
    assert world.vhost.queues["q"].message_count == 0


def test_what_a_session_remembers_is_bounded(world: World, client: Client) -> None:
    session = client.connection.session
    assert session is not None
    for number in range(3 * MOST_REMEMBERED):
        session.check_queue(Access.READ, f"q{number}")
        assert sum(len(names) for names in session._granted.values()) <= MOST_REMEMBERED
    world.users.permissions.clear("guest", "/")
    for number in range(3 * MOST_REMEMBERED):
        with pytest.raises(AccessRefused):
            session.check_queue(Access.READ, f"q{number}")
