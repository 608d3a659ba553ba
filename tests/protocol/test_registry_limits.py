"""Limits on connections and channels, and the connections of users that are deleted."""

from __future__ import annotations

import pytest
from pamqp import commands

from amqpd.auth.permissions import Permission
from tests.builders import Client, World


@pytest.fixture
def world() -> World:
    """A broker with two users who may do everything, in two virtual hosts."""
    world = World()
    world.broker.create_vhost("other")
    for name in ("anna", "ben"):
        world.users.add(name, name.encode())
        for vhost in ("/", "other"):
            world.users.permissions.set(name, vhost, Permission(".*", ".*", ".*"))
    return world


def connect(world: World, user: str, vhost: str = "/") -> Client:
    client = world.raw_client()
    client.handshake(user=user, vhost=vhost)
    return client


def refusal(world: World, user: str, vhost: str = "/") -> str:
    """What somebody is told who may not open a virtual host."""
    client = world.raw_client()
    client.log_in(user)
    client.send(0, commands.Connection.Open, virtual_host=vhost)
    close = client.receive_one(0, commands.Connection.Close)
    assert (close.reply_code, close.class_id, close.method_id) == (530, 10, 40)
    return str(close.reply_text)


def test_a_virtual_host_takes_as_many_connections_as_its_limit_says(world: World) -> None:
    other = world.broker.vhosts["other"]
    world.broker.limits.set_one(other, "max-connections", 1)
    first = connect(world, "anna", "other")
    text = "NOT_ALLOWED - access to vhost 'other' refused for user '{}': connection limit (1) is reached"
    assert refusal(world, "ben", "other") == text.format("ben")
    assert refusal(world, "guest", "other") == text.format("guest"), "before permissions are looked at"
    connect(world, "ben")
    first.connection.lost("gone")
    connect(world, "ben", "other")


def test_a_user_has_as_many_connections_as_its_limit_says(world: World) -> None:
    world.users.set_limits("anna", {"max-connections": 1})
    first = connect(world, "anna")
    text = "NOT_ALLOWED - connection refused for user 'anna': user connection limit (1) is reached"
    assert refusal(world, "anna", "other") == text
    connect(world, "ben")
    first.send(0, commands.Connection.Close, reply_code=200, reply_text="", class_id=0, method_id=0)
    connect(world, "anna", "other")


def test_a_limit_of_zero_lets_nobody_in_and_a_negative_one_everybody(world: World) -> None:
    other = world.broker.vhosts["other"]
    world.broker.limits.set_one(other, "max-connections", 0)
    assert "connection limit (0) is reached" in refusal(world, "anna", "other")
    world.broker.limits.set_one(other, "max-connections", -1)
    connect(world, "anna", "other")
    world.users.set_limits("anna", {"max-connections": 0})
    assert "user connection limit (0) is reached" in refusal(world, "anna")
    world.users.set_limits("anna", {"max-connections": -5})
    connect(world, "anna")


def test_a_limit_below_what_there_is_closes_nothing(world: World) -> None:
    clients = [connect(world, "anna", "other") for _ in range(3)]
    world.broker.limits.set_one(world.broker.vhosts["other"], "max-connections", 1)
    world.users.set_limits("anna", {"max-connections": 1, "max-channels": 1})
    for client in clients[:1]:
        client.open(1)
    assert all(client.take() == b"" for client in clients)


def test_a_users_channels_are_counted_on_all_connections(world: World) -> None:
    world.users.set_limits("anna", {"max-channels": 2})
    first, second = connect(world, "anna"), connect(world, "anna", "other")
    first.open(1)
    second.open(1)
    second.send(2, commands.Channel.Open)
    close = second.receive_one(0, commands.Connection.Close)
    assert (close.reply_code, close.class_id, close.method_id) == (530, 0, 0)
    text = "number of channels opened for user 'anna' has reached the maximum allowed user limit of (2)"
    assert close.reply_text == f"NOT_ALLOWED - {text}"
    first.open(2)


def test_the_connections_of_a_deleted_user_are_closed_and_told_why(world: World) -> None:
    gone, stays = connect(world, "anna"), connect(world, "ben")
    gone.open(1)
    world.users.delete("anna")
    world.finish()
    close = gone.receive_one(0, commands.Connection.Close)
    assert (close.reply_code, close.reply_text) == (320, "CONNECTION_FORCED - user 'anna' is deleted")
    stays.open(1)
    connections = world.services.connections
    assert (connections.of_user("anna"), connections.of_user("ben"), connections.channels_of_user("ben")) == (0, 1, 1)


def test_a_user_who_is_deleted_between_login_and_open_does_not_get_in(world: World) -> None:
    client = world.raw_client()
    client.log_in("anna")
    world.users.delete("anna")
    client.send(0, commands.Connection.Open, virtual_host="/")
    close = client.receive_one(0, commands.Connection.Close)
    assert close.reply_text == "NOT_ALLOWED - access to vhost '/' refused for user 'anna'"


def test_queues_of_a_virtual_host_are_counted_too(world: World) -> None:
    world.broker.limits.set_one(world.vhost, "max-queues", 1)
    client = connect(world, "anna")
    client.open(1)
    client.send(1, commands.Queue.Declare, queue="q")
    client.receive_one(1, commands.Queue.DeclareOk)
    client.send(1, commands.Queue.Declare, queue="q")
    client.receive_one(1, commands.Queue.DeclareOk)
    arguments = {"x-dead-letter-exchange": 1}
    client.send(1, commands.Queue.Declare, queue="r", arguments=arguments)  # the limit is looked at first
    close = client.receive_one(1, commands.Channel.Close)
    text = "PRECONDITION_FAILED - cannot declare queue 'r': queue limit in vhost '/' (1) is reached"
    assert (close.reply_code, close.reply_text) == (406, text)
