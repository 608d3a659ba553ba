"""The exchange class: the order of the checks, the texts, and what is created, bound and deleted (RabbitMQ 4.0)."""

from __future__ import annotations

import pytest
from pamqp import base, commands

from amqpd.auth.permissions import Permission
from tests.builders import Client, World

DEFAULT = (403, "ACCESS_REFUSED - operation not permitted on the default exchange")


def declare(client: Client, exchange: str, exchange_type: str = "direct", **arguments: object) -> None:
    """Declare an exchange."""
    values = {"exchange": exchange, "exchange_type": exchange_type, **arguments}
    client.call(1, commands.Exchange.Declare, commands.Exchange.DeclareOk, **values)


def bind(client: Client, source: str, destination: str, routing_key: str = "", **arguments: object) -> None:
    """Bind an exchange to an exchange."""
    values = {"source": source, "destination": destination, "routing_key": routing_key, **arguments}
    client.call(1, commands.Exchange.Bind, commands.Exchange.BindOk, **values)


def restrict(world: World, configure: str = ".*", write: str = ".*", read: str = ".*") -> Client:
    """A client with channel 1 open whose permissions are these."""
    world.users.permissions.set("guest", "/", Permission(configure, write, read))
    client = world.client()
    client.open(1)
    return client


def refused(access: str, name: str) -> tuple[int, str]:
    """How a lack of permission is told."""
    return 403, f"ACCESS_REFUSED - {access} access to exchange '{name}' in vhost '/' refused for user 'guest'"


# exchange.declare.


@pytest.mark.parametrize("kind", ["direct", "fanout", "topic", "headers"])
def test_an_exchange_is_created_with_its_type_and_flags(world: World, client: Client, kind: str) -> None:
    declare(client, "x", kind, durable=True, auto_delete=True, internal=True)
    exchange = world.vhost.exchanges["x"]
    assert (exchange.kind, exchange.durable, exchange.auto_delete, exchange.internal) == (kind, True, True, True)


def test_with_nowait_nothing_is_answered(world: World, client: Client) -> None:
    client.send(1, commands.Exchange.Declare, exchange="x", exchange_type="fanout", nowait=True)
    client.send(1, commands.Exchange.Declare, exchange="x", passive=True, nowait=True)
    client.send(1, commands.Exchange.Bind, source="amq.fanout", destination="x", nowait=True)
    assert world.vhost.exchanges["amq.fanout"].binding_count == 1
    client.send(1, commands.Exchange.Unbind, source="amq.fanout", destination="x", nowait=True)
    assert world.vhost.exchanges["amq.fanout"].binding_count == 0
    client.send(1, commands.Exchange.Delete, exchange="x", nowait=True)
    assert client.take() == b""
    assert "x" not in world.vhost.exchanges


@pytest.mark.parametrize(("kind", "word"), [("foo", "unknown"), ("", "invalid"), ("Direct", "unknown")])
def test_an_unknown_type_is_refused_before_everything(client: Client, kind: str, word: str) -> None:
    client.send(1, commands.Exchange.Declare, exchange="", exchange_type=kind)
    assert client.channel_closed() == (406, f"PRECONDITION_FAILED - {word} exchange type '{kind}'")


@pytest.mark.parametrize("passive", [True, False])
@pytest.mark.parametrize("name", ["", "\r\n"])
def test_the_default_exchange_cannot_be_declared(client: Client, name: str, passive: bool) -> None:
    client.send(1, commands.Exchange.Declare, exchange=name, exchange_type="direct", passive=passive)
    assert client.channel_closed() == DEFAULT


def test_a_reserved_name_can_be_declared_again_but_not_created(client: Client) -> None:
    declare(client, "amq.topic", "topic", durable=True)
    client.send(1, commands.Exchange.Declare, exchange="amq.foo", exchange_type="topic")
    assert client.channel_closed() == (
        403,
        "ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'",
    )


def test_passive_sees_only_that_it_is_there(client: Client) -> None:
    declare(client, "amq.topic", "no such type", passive=True, auto_delete=True)
    client.send(1, commands.Exchange.Declare, exchange="x", passive=True)
    assert client.channel_closed() == (404, "NOT_FOUND - no exchange 'x' in vhost '/'")


@pytest.mark.parametrize(
    ("change", "argument", "received", "current"),
    [
        ({"exchange_type": "fanout", "durable": True}, "type", "fanout", "direct"),
        ({"durable": True, "auto_delete": True}, "durable", "true", "false"),
        ({"auto_delete": True, "internal": True}, "auto_delete", "true", "false"),
        ({"internal": True, "arguments": {"alternate-exchange": "ae"}}, "internal", "true", "false"),
    ],
)
def test_the_first_difference_to_what_exists_is_named(
    client: Client, change: dict[str, object], argument: str, received: str, current: str
) -> None:
    declare(client, "x")
    client.send(1, commands.Exchange.Declare, **({"exchange": "x", "exchange_type": "direct"} | change))
    assert client.channel_closed() == (
        406,
        f"PRECONDITION_FAILED - inequivalent arg '{argument}' for exchange 'x' in vhost '/': "
        f"received '{received}' but current is '{current}'",
    )


@pytest.mark.parametrize(("kind", "other"), [("direct", "x-random"), ("x-random", "direct")])
def test_a_type_that_is_more_than_a_word_is_quoted_twice(client: Client, kind: str, other: str) -> None:
    """In RabbitMQ it is an Erlang atom, and the text has quotes of its own around it."""
    declare(client, "x", kind)
    client.send(1, commands.Exchange.Declare, exchange="x", exchange_type=other)
    quoted = {"direct": "'direct'", "x-random": "''x-random''"}
    assert client.channel_closed() == (
        406,
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': "
        f"received {quoted[other]} but current is {quoted[kind]}",
    )


def test_an_alternate_exchange_on_one_side_only_is_a_difference(client: Client) -> None:
    declare(client, "x")
    arguments = {"alternate-exchange": "ae"}
    client.send(1, commands.Exchange.Declare, exchange="x", exchange_type="direct", arguments=arguments)
    assert client.channel_closed() == (
        406,
        "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'x' in vhost '/': "
        "received the value 'ae' of type 'longstr' but current is none",
    )


def test_the_same_declaration_twice_is_fine_and_unknown_arguments_do_not_count(client: Client) -> None:
    declare(client, "x", arguments={"alternate-exchange": "ae", "foo": 1})
    declare(client, "x", arguments={"alternate-exchange": "ae", "foo": 2})


def test_an_alternate_exchange_is_named_by_a_string(client: Client) -> None:
    arguments = {"alternate-exchange": 1}
    client.send(1, commands.Exchange.Declare, exchange="x", exchange_type="direct", arguments=arguments)
    assert client.channel_closed() == (
        406,
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x' in vhost '/'",
    )


def test_declaring_needs_configure_permission(world: World) -> None:
    client = restrict(world, configure="^y$")
    declare(client, "y")
    client.send(1, commands.Exchange.Declare, exchange="x", exchange_type="direct")
    assert client.channel_closed() == refused("configure", "x")


@pytest.mark.parametrize(
    ("permission", "access", "name"), [({"read": "^ae$"}, "read", "x"), ({"write": "^x$"}, "write", "ae")]
)
def test_an_alternate_exchange_needs_read_here_and_write_there(
    world: World, permission: dict[str, str], access: str, name: str
) -> None:
    client = restrict(world, **permission)
    arguments = {"alternate-exchange": "ae"}
    client.send(1, commands.Exchange.Declare, exchange="x", exchange_type="direct", arguments=arguments)
    assert client.channel_closed() == refused(access, name)


def test_line_breaks_are_taken_out_of_names(world: World, client: Client) -> None:
    declare(client, "a\r\nb")
    declare(client, "ab", passive=True)
    bind(client, "amq.\nfanout", "a\rb")
    client.call(1, commands.Exchange.Unbind, commands.Exchange.UnbindOk, source="amq.\nfanout", destination="a\rb")
    assert world.vhost.exchanges["amq.fanout"].binding_count == 0
    client.call(1, commands.Exchange.Delete, commands.Exchange.DeleteOk, exchange="\nab")
    assert "ab" not in world.vhost.exchanges


# exchange.delete.


def test_a_deleted_exchange_is_gone_and_deleting_a_missing_one_is_fine(world: World, client: Client) -> None:
    declare(client, "x")
    for _ in range(2):
        client.call(1, commands.Exchange.Delete, commands.Exchange.DeleteOk, exchange="x", if_unused=True)
        assert "x" not in world.vhost.exchanges


@pytest.mark.parametrize("name", ["amq.direct", "amq.nope"])
def test_system_exchanges_stay_and_that_is_checked_before_permissions(world: World, name: str) -> None:
    client = restrict(world, configure="")
    client.send(1, commands.Exchange.Delete, exchange=name)
    text = f"ACCESS_REFUSED - deletion of system exchange '{name}' in vhost '/' not allowed"
    assert client.channel_closed() == (403, text)


def test_the_default_exchange_cannot_be_deleted(client: Client) -> None:
    client.send(1, commands.Exchange.Delete, exchange="")
    assert client.channel_closed() == DEFAULT


def test_deleting_needs_configure_permission_even_of_what_is_missing(world: World) -> None:
    client = restrict(world, configure="")
    client.send(1, commands.Exchange.Delete, exchange="x")
    assert client.channel_closed() == refused("configure", "x")


def test_only_the_source_of_a_binding_is_in_use(client: Client) -> None:
    declare(client, "source")
    declare(client, "destination")
    bind(client, "source", "destination")
    client.send(1, commands.Exchange.Delete, exchange="source", if_unused=True)
    assert client.channel_closed() == (406, "PRECONDITION_FAILED - exchange 'source' in vhost '/' in use")
    client.send(1, commands.Channel.CloseOk)
    client.open(1)
    client.call(1, commands.Exchange.Delete, commands.Exchange.DeleteOk, exchange="destination", if_unused=True)


def test_auto_delete_exchanges_go_with_their_last_binding_up_to_the_first(world: World, client: Client) -> None:
    for name in ("a", "b", "c"):
        declare(client, name, "fanout", auto_delete=True)
    bind(client, "a", "b")
    bind(client, "b", "c")
    client.call(1, commands.Exchange.Delete, commands.Exchange.DeleteOk, exchange="c")
    assert not {"a", "b", "c"} & world.vhost.exchanges.keys()


# exchange.bind and unbind.


def test_a_binding_leads_messages_on_until_it_is_removed(client: Client) -> None:
    declare(client, "a", "fanout")
    client.declare("q")
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue="q", exchange="a")
    for _ in range(2):
        bind(client, "amq.direct", "a", "key")
    client.publish(1, "amq.direct", "key")
    unbinding = {"source": "amq.direct", "destination": "a", "routing_key": "key"}
    for _ in range(2):
        client.call(1, commands.Exchange.Unbind, commands.Exchange.UnbindOk, **unbinding)
    client.publish(1, "amq.direct", "key")
    assert client.declare("q").message_count == 1


@pytest.mark.parametrize(
    ("source", "destination", "missing"),
    [("nope", "nope2", "nope"), ("amq.direct", "nope2", "nope2"), ("nope", "amq.direct", "nope")],
)
def test_a_missing_end_is_not_found_the_source_first(
    client: Client, source: str, destination: str, missing: str
) -> None:
    client.call(1, commands.Exchange.Unbind, commands.Exchange.UnbindOk, source=source, destination=destination)
    client.send(1, commands.Exchange.Bind, source=source, destination=destination)
    assert client.channel_closed() == (404, f"NOT_FOUND - no exchange '{missing}' in vhost '/'")


@pytest.mark.parametrize("command", [commands.Exchange.Bind, commands.Exchange.Unbind])
@pytest.mark.parametrize("ends", [("", "amq.direct"), ("amq.direct", ""), ("", "")])
def test_the_default_exchange_is_no_end_of_a_binding(
    client: Client, command: type[base.Frame], ends: tuple[str, str]
) -> None:
    client.send(1, command, source=ends[0], destination=ends[1])
    assert client.channel_closed() == DEFAULT


@pytest.mark.parametrize("command", [commands.Exchange.Bind, commands.Exchange.Unbind])
@pytest.mark.parametrize(
    ("permission", "access", "name"),
    [
        ({"write": ""}, "write", "nope"),
        ({"read": ""}, "read", "amq.direct"),
        ({"write": "", "read": ""}, "write", "nope"),
    ],
)
def test_binding_needs_write_on_the_destination_then_read_on_the_source(
    world: World, command: type[base.Frame], permission: dict[str, str], access: str, name: str
) -> None:
    client = restrict(world, **permission)
    client.send(1, command, source="amq.direct", destination="nope")
    assert client.channel_closed() == refused(access, name)


def test_what_the_type_refuses_is_refused(client: Client) -> None:
    client.send(1, commands.Exchange.Bind, source="amq.headers", destination="amq.direct", arguments={"x-match": "foo"})
    assert client.channel_closed()[0] == 406
