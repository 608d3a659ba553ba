"""The queue class: the order of the checks, the texts, and what is created, bound and deleted (RabbitMQ 4.0)."""

from __future__ import annotations

import pytest
from pamqp import base, commands

from amqpd.auth.permissions import Permission
from tests.builders import Client, World, publish_bytes

NO_QUEUE = (404, "NOT_FOUND - no previously declared queue")
LOCKED = (
    405,
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '/'. It could be originally "
    "declared on another connection or the exclusive property value does not match that of the original declaration.",
)


def restrict(world: World, configure: str = ".*", write: str = ".*", read: str = ".*") -> Client:
    """A client with channel 1 open whose permissions are these."""
    world.users.permissions.set("guest", "/", Permission(configure, write, read))
    client = world.client()
    client.open(1)
    return client


def refused(access: str, name: str, what: str = "queue") -> tuple[int, str]:
    """How a lack of permission is told."""
    return 403, f"ACCESS_REFUSED - {access} access to {what} '{name}' in vhost '/' refused for user 'guest'"


def bind(client: Client, queue: str, exchange: str = "amq.direct", routing_key: str = "") -> None:
    """Bind a queue."""
    call = (1, commands.Queue.Bind, commands.Queue.BindOk)
    client.call(*call, queue=queue, exchange=exchange, routing_key=routing_key)


@pytest.fixture
def stranger(world: World) -> Client:
    """Another connection, to which the exclusive queue "mine" does not belong."""
    owner = world.client()
    owner.open(1)
    owner.declare("mine", exclusive=True)
    bind(owner, "mine")
    stranger = world.client()
    stranger.open(1)
    return stranger


# queue.declare.


def test_a_queue_is_created_with_its_flags_and_tells_what_is_in_it(world: World, client: Client) -> None:
    client.declare("q", durable=True, auto_delete=True)
    spec = world.vhost.queues["q"].spec
    assert (spec.durable, spec.auto_delete, spec.owner) == (True, True, None)
    client.feed(publish_bytes(1, "", "q") * 2)
    client.send(1, commands.Basic.Get, queue="q")
    client.take()
    declared = client.declare("q", durable=True, auto_delete=True)
    assert (declared.queue, declared.message_count, declared.consumer_count) == ("q", 1, 0)


def test_an_exclusive_queue_is_never_durable(world: World, client: Client) -> None:
    client.declare("q", exclusive=True, durable=True)
    assert world.vhost.queues["q"].spec.durable is False
    client.declare("q", exclusive=True, durable=False)


def test_a_queue_without_a_name_is_given_one(world: World, client: Client) -> None:
    first, second = client.declare("").queue or "", client.declare("\r\n").queue or ""
    assert first.startswith("amq.gen-")
    assert len(first) == len("amq.gen-") + 22
    assert first != second
    assert {first, second} <= world.vhost.queues.keys()


@pytest.mark.parametrize("kind", ["quorum", "stream"])
def test_a_queue_that_is_to_last_needs_a_name_of_its_own(client: Client, kind: str) -> None:
    client.send(1, commands.Queue.Declare, queue="", durable=True, arguments={"x-queue-type": kind})
    text = f"PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_{kind}_queue"
    assert client.channel_closed() == (406, text)


def test_with_nowait_nothing_is_answered(world: World, client: Client) -> None:
    client.send(1, commands.Queue.Declare, queue="q", nowait=True)
    client.send(1, commands.Queue.Declare, queue="amq.rabbitmq.reply-to", nowait=True)
    client.send(1, commands.Queue.Bind, queue="q", exchange="amq.fanout", nowait=True)
    assert world.vhost.exchanges["amq.fanout"].binding_count == 1
    client.send(1, commands.Queue.Purge, queue="q", nowait=True)
    client.send(1, commands.Queue.Delete, queue="q", nowait=True)
    assert client.take() == b""
    assert "q" not in world.vhost.queues


def test_line_breaks_are_taken_out_of_names(world: World, client: Client) -> None:
    assert client.declare("a\r\nb").queue == "ab"
    bind(client, "a\nb", "amq.\rfanout")
    arguments = {"queue": "ab\n", "exchange": "amq.\nfanout"}
    client.call(1, commands.Queue.Unbind, commands.Queue.UnbindOk, **arguments)
    assert world.vhost.exchanges["amq.fanout"].binding_count == 0
    client.call(1, commands.Queue.Delete, commands.Queue.DeleteOk, queue="\nab")
    assert "ab" not in world.vhost.queues


@pytest.mark.parametrize("exists", [True, False])
def test_a_reserved_name_is_refused_even_of_a_queue_that_exists(client: Client, exists: bool) -> None:
    name = client.declare("").queue or "" if exists else "amq.foo"
    client.send(1, commands.Queue.Declare, queue=name)
    assert client.channel_closed() == (
        403,
        f"ACCESS_REFUSED - queue name '{name}' contains reserved prefix 'amq.*'",
    )


@pytest.mark.parametrize("name", ["missing", ""])
def test_passive_needs_the_queue_to_be_there(client: Client, name: str) -> None:
    client.send(1, commands.Queue.Declare, queue=name, passive=True)
    assert client.channel_closed() == (404, f"NOT_FOUND - no queue '{name}' in vhost '/'")


def test_passive_sees_only_that_it_is_there(client: Client) -> None:
    name = client.declare("").queue or ""
    assert client.declare(name, passive=True, durable=True, arguments={"x-max-length": "no"}).queue == name


@pytest.mark.parametrize(
    ("change", "argument"),
    [({"durable": True, "auto_delete": True}, "durable"), ({"auto_delete": True}, "auto_delete")],
)
def test_the_first_difference_to_what_exists_is_named(client: Client, change: dict[str, object], argument: str) -> None:
    client.declare("q")
    client.send(1, commands.Queue.Declare, queue="q", **change)
    assert client.channel_closed() == (
        406,
        f"PRECONDITION_FAILED - inequivalent arg '{argument}' for queue 'q' in vhost '/': "
        "received 'true' but current is 'false'",
    )


@pytest.mark.parametrize("exclusive", [True, False])
def test_another_exclusive_flag_is_told_as_a_lock(client: Client, exclusive: bool) -> None:
    client.declare("mine", exclusive=exclusive)
    client.send(1, commands.Queue.Declare, queue="mine", exclusive=not exclusive)
    assert client.channel_closed() == LOCKED


def test_arguments_are_checked_when_the_queue_is_created_and_compared_when_it_exists(client: Client) -> None:
    client.declare("q", arguments={"x-max-length": 5})
    client.send(1, commands.Queue.Declare, queue="q", arguments={"x-max-length": 6})
    assert client.channel_closed() == (
        406,
        "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': "
        "received '6' but current is '5'",
    )


def test_declaring_needs_configure_permission(world: World) -> None:
    client = restrict(world, configure="^y$")
    client.declare("y")
    client.send(1, commands.Queue.Declare, queue="x")
    assert client.channel_closed() == refused("configure", "x")


def test_the_name_that_a_queue_is_given_needs_permission_too(world: World) -> None:
    client = restrict(world, configure="^y$")
    client.send(1, commands.Queue.Declare)
    code, text = client.channel_closed()
    assert code == 403
    assert "configure access to queue 'amq.gen-" in text


@pytest.mark.parametrize(
    ("permission", "expected"),
    [
        ({"read": "^x$"}, refused("read", "q")),
        ({"write": "^q$"}, refused("write", "dlx", "exchange")),
    ],
)
def test_dead_lettering_needs_read_here_and_write_there(
    world: World, permission: dict[str, str], expected: tuple[int, str]
) -> None:
    client = restrict(world, **permission)
    client.send(1, commands.Queue.Declare, queue="q", arguments={"x-dead-letter-exchange": "dlx"})
    assert client.channel_closed() == expected


def test_a_dead_letter_exchange_is_named_by_a_string(client: Client) -> None:
    client.declare("fine", arguments={"x-dead-letter-exchange": ""})
    client.send(1, commands.Queue.Declare, queue="q", arguments={"x-dead-letter-exchange": 1})
    assert client.channel_closed() == (
        406,
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
    )


# Exclusive queues of others.


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (commands.Queue.Declare, {}),
        (commands.Queue.Declare, {"passive": True}),
        (commands.Queue.Declare, {"exclusive": True}),
        (commands.Queue.Bind, {"exchange": "amq.direct"}),
        (commands.Queue.Unbind, {"exchange": "amq.direct"}),
        (commands.Queue.Purge, {}),
        (commands.Queue.Delete, {}),
        (commands.Basic.Get, {}),
        (commands.Basic.Consume, {}),
    ],
)
def test_the_exclusive_queue_of_another_connection_is_locked(
    stranger: Client, command: type[base.Frame], arguments: dict[str, object]
) -> None:
    stranger.send(1, command, queue="mine", **arguments)
    assert stranger.channel_closed() == LOCKED


def test_it_can_be_published_to_and_a_missing_binding_of_it_removed(world: World, stranger: Client) -> None:
    stranger.publish(1, "", "mine")
    assert world.vhost.queues["mine"].message_count == 1
    arguments = {"queue": "mine", "exchange": "amq.direct", "routing_key": "no such binding"}
    stranger.call(1, commands.Queue.Unbind, commands.Queue.UnbindOk, **arguments)


# The last declared queue.


def test_an_empty_name_means_the_queue_that_the_channel_declared_last(client: Client) -> None:
    client.declare("other")
    client.declare("q")
    client.declare("other", passive=True)
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, exchange="amq.direct")
    client.publish(1, "amq.direct", "other")
    client.publish(1, "amq.direct", "other")
    client.send(1, commands.Basic.Get, no_ack=True)
    assert len(client.messages()) == 1
    assert client.call(1, commands.Queue.Purge, commands.Queue.PurgeOk).message_count == 1
    client.call(1, commands.Queue.Unbind, commands.Queue.UnbindOk, exchange="amq.direct")
    client.publish(1, "amq.direct", "other")
    client.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk)
    assert client.declare("other").consumer_count == 1
    client.send(1, commands.Queue.Delete)
    assert client.world.vhost.queues.keys() == {"q"}


def test_a_named_queue_keeps_its_empty_key_in_bind(client: Client) -> None:
    client.declare("q")
    bind(client, "q")
    client.publish(1, "amq.direct", "q")
    assert client.declare("q").message_count == 0
    client.publish(1, "amq.direct", "")
    assert client.declare("q").message_count == 1


def test_it_is_remembered_when_the_queue_is_gone(client: Client) -> None:
    client.declare("q")
    client.call(1, commands.Queue.Delete, commands.Queue.DeleteOk)
    client.send(1, commands.Queue.Purge)
    assert client.channel_closed() == (404, "NOT_FOUND - no queue 'q' in vhost '/'")


@pytest.mark.parametrize(
    "command",
    [
        commands.Queue.Bind,
        commands.Queue.Unbind,
        commands.Queue.Purge,
        commands.Queue.Delete,
        commands.Basic.Get,
        commands.Basic.Consume,
    ],
)
def test_each_channel_has_its_own_and_none_at_first(client: Client, command: type[base.Frame]) -> None:
    client.declare("q")
    client.open(2)
    client.send(2, command)
    assert client.channel_closed(2) == NO_QUEUE


def test_publish_does_not_know_it(client: Client) -> None:
    client.declare("q")
    client.publish(1, "", "")
    assert client.declare("q").message_count == 0


# queue.bind and unbind.


def test_a_binding_leads_messages_here_until_it_is_removed(client: Client) -> None:
    client.declare("q")
    for _ in range(2):
        bind(client, "q", routing_key="key")
    client.publish(1, "amq.direct", "key")
    unbinding = {"queue": "q", "exchange": "amq.direct", "routing_key": "key"}
    for _ in range(2):
        client.call(1, commands.Queue.Unbind, commands.Queue.UnbindOk, **unbinding)
    client.publish(1, "amq.direct", "key")
    assert client.declare("q").message_count == 1


def test_the_same_key_with_other_arguments_is_another_binding(world: World, client: Client) -> None:
    client.declare("q")
    for number in (1, 2):
        client.call(
            1,
            commands.Queue.Bind,
            commands.Queue.BindOk,
            queue="q",
            exchange="amq.direct",
            routing_key="key",
            arguments={"n": number},
        )
    assert world.vhost.exchanges["amq.direct"].binding_count == 2
    client.publish(1, "amq.direct", "key")
    assert client.declare("q").message_count == 1


@pytest.mark.parametrize(
    ("exchange", "queue", "text"),
    [
        ("nope", "nope2", "no exchange 'nope' in vhost '/'"),
        ("amq.direct", "nope2", "no queue 'nope2' in vhost '/'"),
        ("amq.direct", "amq.rabbitmq.reply-to", "no queue 'amq.rabbitmq.reply-to' in vhost '/'"),
    ],
)
def test_a_missing_end_is_not_found_the_source_first(client: Client, exchange: str, queue: str, text: str) -> None:
    client.call(1, commands.Queue.Unbind, commands.Queue.UnbindOk, queue=queue, exchange=exchange)
    client.send(1, commands.Queue.Bind, queue=queue, exchange=exchange)
    assert client.channel_closed() == (404, f"NOT_FOUND - {text}")


@pytest.mark.parametrize("command", [commands.Queue.Bind, commands.Queue.Unbind])
def test_the_default_exchange_has_no_bindings_of_clients(client: Client, command: type[base.Frame]) -> None:
    client.send(1, command, queue="q", exchange="")
    assert client.channel_closed() == (403, "ACCESS_REFUSED - operation not permitted on the default exchange")


@pytest.mark.parametrize("command", [commands.Queue.Bind, commands.Queue.Unbind])
@pytest.mark.parametrize(
    ("permission", "expected"),
    [
        ({"write": "", "read": ""}, refused("write", "q")),
        ({"read": ""}, refused("read", "amq.direct", "exchange")),
    ],
)
def test_binding_needs_write_on_the_queue_then_read_on_the_exchange(
    world: World, command: type[base.Frame], permission: dict[str, str], expected: tuple[int, str]
) -> None:
    client = restrict(world, **permission)
    client.send(1, command, queue="q", exchange="amq.direct")
    assert client.channel_closed() == expected


def test_what_the_type_refuses_is_refused(client: Client) -> None:
    client.declare("q")
    client.send(1, commands.Queue.Bind, queue="q", exchange="amq.headers", arguments={"x-match": "foo"})
    assert client.channel_closed()[0] == 406


# queue.purge and delete.


def test_a_purge_drops_what_is_ready_and_leaves_the_rest(client: Client) -> None:
    client.declare("q")
    client.feed(publish_bytes(1, "", "q") * 3)
    client.send(1, commands.Basic.Get, queue="q")
    client.take()
    assert client.call(1, commands.Queue.Purge, commands.Queue.PurgeOk, queue="q").message_count == 2
    client.send(1, commands.Basic.Nack, delivery_tag=1, requeue=True)
    assert client.declare("q").message_count == 1


def test_purging_needs_read_permission(world: World) -> None:
    client = restrict(world, read="")
    client.send(1, commands.Queue.Purge, queue="q")
    assert client.channel_closed() == refused("read", "q")


def test_a_delete_tells_how_many_were_ready_and_a_missing_queue_had_none(world: World, client: Client) -> None:
    client.declare("q")
    bind(client, "q")
    client.feed(publish_bytes(1, "", "q") * 2)
    call = (1, commands.Queue.Delete, commands.Queue.DeleteOk)
    assert client.call(*call, queue="q").message_count == 2
    assert "q" not in world.vhost.queues
    assert world.vhost.exchanges["amq.direct"].binding_count == 0
    assert client.call(*call, queue="q", if_unused=True, if_empty=True).message_count == 0


def test_if_unused_is_checked_before_if_empty(client: Client) -> None:
    client.declare("q")
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1)
    client.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, queue="q")
    client.feed(publish_bytes(1, "", "q") * 2)
    client.take()
    client.send(1, commands.Queue.Delete, queue="q", if_unused=True, if_empty=True)
    assert client.channel_closed() == (406, "PRECONDITION_FAILED - queue 'q' in vhost '/' in use")


@pytest.mark.parametrize("unsettled", [True, False])
def test_if_empty_counts_what_is_ready(client: Client, unsettled: bool) -> None:
    client.declare("q")
    client.publish(1, "", "q")
    if unsettled:
        client.send(1, commands.Basic.Get, queue="q")
        client.take()
        client.call(1, commands.Queue.Delete, commands.Queue.DeleteOk, queue="q", if_empty=True)
    else:
        client.send(1, commands.Queue.Delete, queue="q", if_empty=True)
        assert client.channel_closed() == (406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty")


def test_deleting_needs_configure_permission_even_of_what_is_missing(world: World) -> None:
    client = restrict(world, configure="")
    client.send(1, commands.Queue.Delete, queue="q")
    assert client.channel_closed() == refused("configure", "q")


# Names of direct reply-to.


@pytest.mark.parametrize("passive", [True, False])
def test_the_pseudo_queue_can_be_asked_for_and_deleted_without_effect(client: Client, passive: bool) -> None:
    declared = client.declare("amq.rabbitmq.reply-to", passive=passive)
    assert (declared.message_count, declared.consumer_count) == (0, 1)
    name = "amq.rabbitmq.reply-to"
    assert client.call(1, commands.Queue.Delete, commands.Queue.DeleteOk, queue=name).message_count == 0


def test_an_address_is_there_while_its_requester_is(world: World, client: Client) -> None:
    call = (1, commands.Basic.Consume, commands.Basic.ConsumeOk)
    client.call(*call, queue="amq.rabbitmq.reply-to", no_ack=True, consumer_tag="t")
    channels = client.connection.channels._by_number
    address = channels[1].reply_address()
    other = world.client()
    other.open(1)
    assert other.declare(address).consumer_count == 1
    client.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="t")
    other.send(1, commands.Queue.Declare, queue=address)
    assert other.channel_closed() == (404, f"NOT_FOUND - no queue '{address}' in vhost '/'")
