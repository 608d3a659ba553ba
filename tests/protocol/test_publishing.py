"""basic.publish: the checks in RabbitMQ's order, and that what is remembered between messages never misleads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from amqpd.auth.permissions import Permission
from amqpd.protocol.limits import Limits
from amqpd.wire.frames import BODY, HEADER, frame
from amqpd.wire.methods import encode, make
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from amqpd.wire.table import Field
from tests.builders import Client, Content, World, header_bytes, publish_bytes


def fetched(client: Client, queue: str = "q") -> Content:
    """The head of a queue."""
    client.send(1, commands.Basic.Get, queue=queue, no_ack=True)
    (message,) = client.messages()
    return message


def restricted(world: World, write: str = ".*", tags: tuple[str, ...] = ()) -> Client:
    """A client of the user "other", with channel 1 open."""
    world.users.add("other", b"other", tags)
    world.users.permissions.set("other", "/", Permission(".*", write, ".*"))
    client = world.raw_client()
    client.feed(b"AMQP\x00\x00\x09\x01")
    client.start_ok(response=b"\0other\0other")
    client.send(0, commands.Connection.TuneOk, channel_max=10, frame_max=131_072)
    client.send(0, commands.Connection.Open, virtual_host="/")
    client.send(1, commands.Channel.Open)
    client.take()
    return client


# Refusals.


def test_immediate_is_not_implemented_and_checked_before_everything(client: Client) -> None:
    publish = make(commands.Basic.Publish, exchange="no exchange", immediate=True)
    client.feed(encode(1, publish) + header_bytes(1, 0))
    close = client.receive_one(0, commands.Connection.Close)
    assert (close.reply_code, close.reply_text) == (540, "NOT_IMPLEMENTED - immediate=true")
    assert (close.class_id, close.method_id) == (60, 40)


@pytest.mark.parametrize("exchange", ["", "no exchange"])
@pytest.mark.parametrize("pieces", [1, 2])
def test_a_body_above_the_limit_is_refused_when_it_has_come(exchange: str, pieces: int) -> None:
    world = World(Limits(max_message_size=10))
    client = world.client()
    client.open(1)
    step = 11 // pieces + pieces - 1
    body = [bytes(11)[start : start + step] for start in range(0, 11, step)]
    publish = encode(1, make(commands.Basic.Publish, exchange=exchange, routing_key="a queue"))
    client.feed(publish + header_bytes(1, 11) + b"".join(frame(BODY, 1, piece) for piece in body[:-1]))
    assert client.take() == b""
    client.feed(frame(BODY, 1, body[-1]))
    assert client.channel_closed() == (
        406,
        "PRECONDITION_FAILED - message size 11 is larger than configured max size 10",
    )


def test_a_body_of_the_limit_itself_is_taken() -> None:
    client = World(Limits(max_message_size=10)).client()
    client.open(1)
    client.declare("q")
    client.publish(1, "", "q", bytes(10))
    assert client.declare("q").message_count == 1


@pytest.mark.parametrize("exchange", ["there", "missing"])
def test_write_permission_is_checked_before_the_exchange_is_looked_up(world: World, exchange: str) -> None:
    client = restricted(world, write="^there$")
    client.publish(1, exchange, "key")
    if exchange == "there":
        assert client.channel_closed() == (404, "NOT_FOUND - no exchange 'there' in vhost '/'")
    else:
        text = "ACCESS_REFUSED - write access to exchange 'missing' in vhost '/' refused for user 'other'"
        assert client.channel_closed() == (403, text)


def test_an_unknown_exchange_is_not_found_with_the_ids_of_publish(client: Client) -> None:
    client.publish(1, "missing", "key")
    close = client.receive_one(1, commands.Channel.Close)
    assert (close.reply_code, close.class_id, close.method_id) == (404, 60, 40)


def test_nobody_publishes_to_an_internal_exchange(client: Client) -> None:
    client.publish(1, "amq.rabbitmq.trace", "key")
    text = "ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'"
    assert client.channel_closed() == (403, text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_integer"),
        ("abc", "no_integer"),
        (" 1", "no_integer"),
        ("1.5", '{leftover_string,".5"}'),
        ("-1", "{value_negative,-1}"),
        ("315360000001", "{value_too_large,315360000001}"),
    ],
)
def test_an_expiration_is_a_number_of_milliseconds_up_to_ten_years(client: Client, text: str, reason: str) -> None:
    client.publish(1, "", "nowhere", b"", Properties.of(expiration=text))
    assert client.channel_closed() == (406, f"PRECONDITION_FAILED - invalid expiration '{text}': {reason}")


@pytest.mark.parametrize("text", ["0", "1000", "+5", "315360000000"])
def test_a_right_expiration_is_taken(client: Client, text: str) -> None:
    client.publish(1, "", "nowhere", b"", Properties.of(expiration=text))
    assert client.take() == b""


@pytest.mark.parametrize("name", ["CC", "BCC"])
def test_the_sender_s_further_keys_are_an_array(client: Client, name: str) -> None:
    client.publish(1, "", "nowhere", b"", Properties.of(headers={name: "q"}))
    text = f'PRECONDITION_FAILED - invalid message: {{unacceptable_type_in_header,"{name}",longstr}}'
    assert client.channel_closed() == (406, text)


@pytest.mark.parametrize("claimed", ["other", ""])
def test_a_user_id_is_the_sender_s_own(client: Client, claimed: str) -> None:
    client.publish(1, "", "nowhere", b"", Properties.of(user_id=claimed))
    text = f"PRECONDITION_FAILED - user_id property set to '{claimed}' but authenticated user was 'guest'"
    assert client.channel_closed() == (406, text)


def test_a_right_user_id_is_taken_and_an_impersonator_may_use_any(world: World, client: Client) -> None:
    client.publish(1, "", "nowhere", b"", Properties.of(user_id="guest"))
    assert client.take() == b""
    impersonator = restricted(world, tags=("impersonator",))
    impersonator.publish(1, "", "nowhere", b"", Properties.of(user_id="guest"))
    assert impersonator.take() == b""


def test_the_reply_address_needs_a_reply_consumer_on_this_channel(client: Client) -> None:
    client.publish(1, "", "nowhere", b"", Properties.of(reply_to="amq.rabbitmq.reply-to"))
    assert client.channel_closed() == (406, "PRECONDITION_FAILED - fast reply consumer does not exist")


def test_any_other_reply_to_is_the_client_s_business(client: Client) -> None:
    client.declare("q")
    client.publish(1, "", "q", b"", Properties.of(reply_to="my own queue"))
    assert fetched(client).properties.reply_to == "my own queue"


REPLY = Properties.of(reply_to="amq.rabbitmq.reply-to", expiration="x", headers={"CC": 1}, user_id="x")


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        (REPLY, "fast reply consumer does not exist"),
        (REPLY.replaced(reply_to=None), "invalid expiration 'x': no_integer"),
        (
            REPLY.replaced(reply_to=None, expiration=None),
            'invalid message: {unacceptable_type_in_header,"CC",signedint}',
        ),
        (
            REPLY.replaced(reply_to=None, expiration=None, headers=None),
            "user_id property set to 'x' but authenticated user was 'guest'",
        ),
    ],
    ids=["reply_to", "expiration", "CC", "user_id"],
)
def test_properties_are_checked_in_rabbitmq_s_order(client: Client, properties: Properties, text: str) -> None:
    client.publish(1, "", "nowhere", b"", properties)
    assert client.channel_closed() == (406, f"PRECONDITION_FAILED - {text}")


def test_the_exchange_is_looked_up_before_the_properties_are_decoded(client: Client) -> None:
    client.feed(encode(1, make(commands.Basic.Publish, exchange="missing")))
    client.feed(frame(HEADER, 1, b"\x00\x3c\x00\x00" + bytes(8) + b"\xff\xff"))
    assert client.channel_closed()[0] == 404


def test_undecodable_properties_are_an_internal_error(client: Client) -> None:
    client.feed(encode(1, make(commands.Basic.Publish, routing_key="a queue")))
    client.feed(frame(HEADER, 1, b"\x00\x3c\x00\x00" + bytes(8) + b"\xff\xff"))
    assert client.connection_closed() == (541, "INTERNAL_ERROR")


# Delivery.


@pytest.mark.parametrize("mandatory", [True, False])
def test_only_a_mandatory_message_that_nobody_takes_comes_back(client: Client, mandatory: bool) -> None:
    client.publish(1, "", "nowhere", b"body", Properties.of(message_id="m"), mandatory=mandatory)
    returned = client.messages()
    assert len(returned) == mandatory
    for message in returned:
        assert isinstance(message.method, commands.Basic.Return)
        assert (message.method.reply_code, message.method.reply_text) == (312, "NO_ROUTE")
        assert (message.method.exchange, message.method.routing_key) == ("", "nowhere")
        assert (message.properties.message_id, message.body) == ("m", b"body")


def test_a_mandatory_message_that_somebody_takes_does_not_come_back(client: Client) -> None:
    client.declare("q")
    client.publish(1, "", "q", b"body", mandatory=True)
    assert client.take() == b""


def test_a_mandatory_message_without_a_body_comes_back_as_it_was(client: Client) -> None:
    client.publish(1, "", "nowhere", mandatory=True)
    assert client.bodies() == [b""]


def test_further_keys_route_each_queue_gets_one_copy_and_bcc_stays_here(client: Client) -> None:
    for name in ("q", "cc", "bcc"):
        client.declare(name)
    headers = {"CC": ["cc", "q", 5], "BCC": ["bcc", "cc"], "kept": 1}
    client.publish(1, "", "q", b"body", Properties.of(headers=headers))
    for name in ("q", "cc", "bcc"):
        assert client.declare(name).message_count == 1
        table = fetched(client, name).properties.headers
        assert table is not None
        assert [key for key, _ in table.items()] == ["CC", "kept"]


def test_bcc_is_removed_from_a_returned_message_too(client: Client) -> None:
    headers = {"BCC": ["nowhere either"]}
    client.publish(1, "", "nowhere", b"", Properties.of(headers=headers), mandatory=True)
    (returned,) = client.messages()
    assert returned.properties.headers is not None
    assert "BCC" not in returned.properties.headers


def test_headers_without_further_keys_change_nothing(client: Client) -> None:
    client.declare("q")
    properties = Properties.of(headers={"x": Field("L", 1)})
    client.publish(1, "", "q", b"body", properties)
    assert fetched(client).properties.raw == properties.raw


def test_reserved_property_flags_do_not_reach_consumers(client: Client) -> None:
    client.declare("q")
    header = frame(HEADER, 1, b"\x00\x3c\x00\x00" + bytes(8) + b"\x80\x03\x01x")
    client.feed(encode(1, make(commands.Basic.Publish, routing_key="q")) + header)
    assert fetched(client).properties.raw == b"\x80\x00\x01x"


def test_a_headers_exchange_looks_at_every_message(client: Client) -> None:
    client.declare("q")
    client.call(
        1,
        commands.Queue.Bind,
        commands.Queue.BindOk,
        queue="q",
        exchange="amq.headers",
        arguments={"a": "yes"},
    )
    for value in ("yes", "no", "yes", None):
        properties = Properties.of(headers={"a": value}) if value else EMPTY_PROPERTIES
        client.publish(1, "amq.headers", "key", b"", properties)
    assert client.declare("q").message_count == 2


def test_octets_that_are_no_text_route_and_arrive_unchanged(client: Client) -> None:
    client.declare("q")
    arguments = {"queue": "q", "exchange": "amq.fanout"}
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, **arguments)
    client.publish(1, "amq.fanout", "\udcff\udc80")
    client.send(1, commands.Basic.Get, queue="q", no_ack=True)
    assert b"\x0aamq.fanout\x02\xff\x80" in client.take()


# What is remembered from one message to the next.


def test_a_change_of_bindings_or_queues_counts_from_the_next_message_on(client: Client) -> None:
    binding = {"queue": "q", "exchange": "amq.direct", "routing_key": "key"}
    client.declare("q")
    client.publish(1, "amq.direct", "key")
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, **binding)
    client.publish(1, "amq.direct", "key")
    client.call(1, commands.Queue.Unbind, commands.Queue.UnbindOk, **binding)
    client.publish(1, "amq.direct", "key")
    client.publish(1, "", "q")
    assert client.declare("q").message_count == 2
    client.call(1, commands.Queue.Delete, commands.Queue.DeleteOk, queue="q")
    client.publish(1, "", "q", mandatory=True)
    assert len(client.messages()) == 1
    client.declare("q")
    client.publish(1, "", "q")
    assert client.declare("q").message_count == 1


def test_a_deleted_exchange_is_missed_by_the_next_message(client: Client) -> None:
    arguments = {"exchange": "x", "exchange_type": "fanout"}
    client.call(1, commands.Exchange.Declare, commands.Exchange.DeclareOk, **arguments)
    client.publish(1, "x", "key")
    client.call(1, commands.Exchange.Delete, commands.Exchange.DeleteOk, exchange="x")
    client.publish(1, "x", "key")
    assert client.channel_closed()[0] == 404


NAMES = ["q0", "q1", "a longer queue name", "nowhere"]
messages = st.tuples(
    st.sampled_from(NAMES),
    st.binary(max_size=20),
    st.sampled_from(
        [
            EMPTY_PROPERTIES,
            Properties.of(delivery_mode=2),
            Properties.of(headers={"CC": ["q0"]}),
            Properties.of(headers={"BCC": ["q1"], "a": 1}),
            Properties.of(user_id="guest", message_id="m"),
        ]
    ),
)


@given(st.lists(messages, max_size=12))
def test_any_mixture_of_routes_and_properties_ends_in_the_right_queues(
    script: list[tuple[str, bytes, Properties]],
) -> None:
    """Against a model that remembers nothing."""
    world = World()
    client = world.client()
    client.open(1)
    expected: dict[str, list[tuple[str, bytes]]] = {name: [] for name in NAMES[:3]}
    for name in expected:
        client.declare(name)
    for key, body, properties in script:
        targets = {key}
        if properties.headers is not None:
            targets.add("q0" if "CC" in properties.headers else "q1")
        for name in targets & expected.keys():
            expected[name].append((key, body))
    client.feed(b"".join(publish_bytes(1, "", key, body, properties) for key, body, properties in script))
    for name, contents in expected.items():
        client.send(1, commands.Basic.Consume, queue=name, no_ack=True)
        got = [item for _, item in client.received() if isinstance(item, Content)]
        assert [(getattr(item.method, "routing_key", ""), item.body) for item in got] == contents
    assert world.observer.crashes == []
