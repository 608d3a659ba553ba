"""The firehose: what a copy says, seen through the protocol, and that there is none while it is off."""

from __future__ import annotations

import pytest
from pamqp import commands

from amqpd.broker.firehose import TRACE_EXCHANGE, shortened
from amqpd.broker.queues.base import QueueSpec
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from amqpd.wire.table import EMPTY_TABLE, Field, Table
from tests.builders import Client, Content, World, publish_bytes
from tests.listener import Heard, Listener

CONNECTION = "127.0.0.1:40000 -> 127.0.0.1:5672"
ORIGIN = {"node": "amqpd@test", "vhost": "/", "connection": CONNECTION, "channel": 1, "user": "guest"}
ALL_PROPERTIES = Properties.of(
    content_type="text/plain",
    content_encoding="utf-8",
    headers={"h": 1},
    delivery_mode=2,
    priority=3,
    correlation_id="c",
    reply_to="r",
    expiration="10000",
    message_id="m",
    timestamp=1_700_000_000,
    type="ty",
    user_id="guest",
    app_id="ap",
)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World) -> Client:
    client = world.client()
    client.open()
    client.declare("q")
    return client


@pytest.fixture
def listener(world: World, client: Client) -> Listener:
    """Hears everything, and the firehose is on."""
    world.vhost.set_tracing(True)
    return Listener(world, TRACE_EXCHANGE)


def bind(client: Client, queue: str, exchange: str, key: str) -> None:
    ends = {"queue": queue, "exchange": exchange, "routing_key": key}
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, **ends)


def consume(client: Client, queue: str = "q") -> None:
    values = {"queue": queue, "no_ack": True}
    client.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, **values)


def get(client: Client, queue: str = "q") -> Content:
    client.send(1, commands.Basic.Get, queue=queue, no_ack=True)
    (message,) = client.messages()
    return message


def test_a_publish_is_copied_with_what_rabbitmq_says_of_it(client: Client, listener: Listener) -> None:
    bind(client, "q", "amq.topic", "k.#")
    client.publish(1, "amq.topic", "k.1", b"to q", ALL_PROPERTIES)
    (copy,) = listener.heard()
    assert copy.key == "publish.amq.topic"
    assert (copy.message.exchange, copy.message.body) == (TRACE_EXCHANGE, b"to q")
    assert [name for name, _ in copy.message.properties.items()] == ["headers"]
    assert copy.plain == {
        "exchange_name": "amq.topic",
        "routing_keys": ["k.1"],
        "properties": {
            "app_id": "ap",
            "user_id": "guest",
            "type": "ty",
            "timestamp": 1_700_000_000,
            "message_id": "m",
            "expiration": "10000",
            "reply_to": "r",
            "correlation_id": "c",
            "priority": 3,
            "delivery_mode": 2,
            "headers": {"h": 1},
            "content_encoding": "utf-8",
            "content_type": "text/plain",
        },
        **ORIGIN,
        "routed_queues": ["q"],
    }


def test_a_delivery_is_copied_with_what_rabbitmq_says_of_it(client: Client, listener: Listener) -> None:
    consume(client)
    client.publish(1, "", "q", b"to q")
    published, delivered = listener.heard()
    assert (published.key, delivered.key) == ("publish.", "deliver.q")
    assert delivered.message.body == b"to q"
    same = {"exchange_name": "", "routing_keys": ["q"], "properties": {}, **ORIGIN}
    assert published.plain == {**same, "routed_queues": ["q"]}
    assert delivered.plain == {**same, "redelivered": 0}


def test_headers_stand_in_rabbitmqs_order_with_its_types(client: Client, listener: Listener) -> None:
    client.publish(1, "", "q", b"", Properties.of(app_id="a", priority=1, headers={}, content_type="c"))
    get(client)
    published, delivered = listener.heard()
    first = {"exchange_name": "S", "routing_keys": "A", "properties": "F", "node": "S"}
    last = {"vhost": "S", "connection": "S", "channel": "I", "user": "S"}
    assert list(published.tags.items()) == list({**first, **last, "routed_queues": "A"}.items())
    assert list(delivered.tags.items()) == list({**first, "redelivered": "I", **last}.items())
    assert properties_of(published).items() == [
        ("app_id", Field("S", "a")),
        ("priority", Field("I", 1)),
        ("headers", Field("F", EMPTY_TABLE)),
        ("content_type", Field("S", "c")),
    ]


def properties_of(copy: Heard) -> Table:
    field = copy.headers.get("properties")
    assert field is not None
    assert isinstance(field.value, Table)
    return field.value


def test_a_get_is_copied_and_tells_of_redelivery(client: Client, listener: Listener) -> None:
    client.publish(1, "", "q", b"a")
    client.send(1, commands.Basic.Get, queue="q")
    client.messages()
    client.send(1, commands.Basic.Reject, delivery_tag=1, requeue=True)
    get(client)
    copies = [copy for copy in listener.heard() if copy.key == "deliver.q"]
    assert [copy["redelivered"] for copy in copies] == [0, 1]


def test_each_of_several_deliveries_and_publishes_is_copied(client: Client, listener: Listener) -> None:
    consume(client)
    for body in (b"a", b"b", b"c"):
        client.publish(1, "", "q", body)
    heard = [(copy.key, copy.message.body) for copy in listener.heard()]
    assert heard == [(key, body) for body in (b"a", b"b", b"c") for key in ("publish.", "deliver.q")]
    assert client.bodies() == [b"a", b"b", b"c"]


def test_a_firehose_that_is_off_copies_nothing(world: World, client: Client) -> None:
    listener = Listener(world, TRACE_EXCHANGE)
    consume(client)
    client.publish(1, "", "q", b"a")
    assert client.bodies() == [b"a"]
    client.declare("other")
    client.publish(1, "", "other", b"b")
    assert get(client, "other").body == b"b"
    assert listener.heard() == []


def test_it_can_be_switched_between_two_messages_of_a_kind(world: World, client: Client) -> None:
    """Publisher and consumer remember what messages of one route have in common; the switch must reach both."""
    listener = Listener(world, TRACE_EXCHANGE)
    consume(client)
    for on in (False, True, False, True, True, False):
        world.vhost.set_tracing(on)
        for body in (b"a", b"b"):
            client.publish(1, "", "q", body)
        copies = [(key, body) for body in (b"a", b"b") for key in ("publish.", "deliver.q")]
        assert [(copy.key, copy.message.body) for copy in listener.heard()] == (copies if on else [])
    assert client.bodies() == [b"a", b"b"] * 6


def test_routes_are_remembered_while_it_is_off_and_only_then(world: World, client: Client) -> None:
    """A binding is removed behind the virtual host's back: who has the route in memory does not notice."""
    vhost = world.vhost
    exchange, queue = vhost.exchange("amq.direct"), vhost.queue("q")
    for on, arrived in ((True, 1), (False, 3)):
        vhost.bind(exchange, queue, "k", EMPTY_TABLE)
        vhost.set_tracing(on)
        queue.purge()
        client.publish(1, "amq.direct", "k")
        exchange.unbind(queue, "k", EMPTY_TABLE)
        for _ in range(2):
            client.publish(1, "amq.direct", "k")
        assert queue.message_count == arrived


def test_without_a_listener_no_copy_is_made(world: World, client: Client) -> None:
    """A copy would be work for the turn; a publish without a route is none."""
    world.vhost.set_tracing(True)
    client.connection.receive(publish_bytes(1, "", "no such queue", b"a"))
    assert world.turn.idle
    Listener(world, TRACE_EXCHANGE)
    client.connection.receive(publish_bytes(1, "", "no such queue", b"a"))
    assert not world.turn.idle


def test_copies_are_not_copied(world: World, client: Client, listener: Listener) -> None:
    client.declare("copies")
    world.vhost.bind(world.vhost.exchange(TRACE_EXCHANGE), world.vhost.queue("copies"), "#", EMPTY_TABLE)
    client.publish(1, "", "q", b"a")
    assert get(client, "copies").body == b"a"
    consume(client, "copies")
    client.publish(1, "", "q", b"b")
    assert client.bodies() == [b"b"]
    assert listener.heard_keys() == ["publish.", "publish."]


def test_a_queue_that_takes_the_copies_of_its_own_deliveries_ends(world: World, client: Client) -> None:
    world.vhost.set_tracing(True)
    world.vhost.bind(world.vhost.exchange(TRACE_EXCHANGE), world.vhost.queue("q"), "#", EMPTY_TABLE)
    consume(client)
    client.publish(1, "", "q", b"a")
    assert client.bodies() == [b"a"] * 3  # the message, the copy of its publish, the copy of its delivery


def test_additional_keys_are_shown_but_not_the_header_with_the_blind_ones(client: Client, listener: Listener) -> None:
    client.declare("blind")
    client.publish(1, "", "q", b"a", Properties.of(headers={"CC": ["copy"], "BCC": ["blind"]}))
    (published,) = listener.heard()
    assert published["routing_keys"] == ["q", "copy", "blind"]
    assert published["routed_queues"] == ["q", "blind"]
    assert published["properties"] == {"headers": {"CC": ["copy"]}}
    get(client)
    (delivered,) = listener.heard()
    assert delivered["routing_keys"] == ["q", "copy"]


def test_an_unroutable_message_and_one_by_headers_are_copied(client: Client, listener: Listener) -> None:
    bind(client, "q", "amq.headers", "")
    client.publish(1, "amq.headers", "k", b"a", Properties.of(headers={"a": 1}))
    client.publish(1, "amq.direct", "nowhere", b"b", mandatory=True)
    assert [(copy.key, copy["routed_queues"]) for copy in listener.heard()] == [
        ("publish.amq.headers", ["q"]),
        ("publish.amq.direct", []),
    ]


def test_a_publish_is_copied_when_it_comes_not_when_its_transaction_is_committed(
    client: Client, listener: Listener
) -> None:
    client.call(1, commands.Tx.Select, commands.Tx.SelectOk)
    client.publish(1, "", "q", b"a")
    assert listener.heard_keys() == ["publish."]
    client.call(1, commands.Tx.Commit, commands.Tx.CommitOk)
    assert listener.heard_keys() == []


def test_a_refused_publish_is_not_copied(client: Client, listener: Listener) -> None:
    client.publish(1, "", "q", b"a", Properties.of(user_id="another"))
    assert client.channel_closed()[0] == 406
    assert listener.heard() == []


def test_replies_are_published_to_no_queue_and_their_delivery_is_not_copied(
    world: World, client: Client, listener: Listener
) -> None:
    consume(client, "amq.rabbitmq.reply-to")
    client.publish(1, "", "q", b"request", Properties.of(reply_to="amq.rabbitmq.reply-to"))
    request = get(client)
    listener.heard()
    client.publish(1, "", request.properties.reply_to or "", b"reply")
    assert client.bodies() == [b"reply"]
    (copy,) = listener.heard()
    assert (copy.key, copy["routed_queues"]) == ("publish.", [])


def test_what_has_to_wait_is_published_to_no_queue_yet(client: Client, listener: Listener) -> None:
    arguments = {"x-delayed-type": "fanout"}
    values = {"exchange": "later", "exchange_type": "x-delayed-message", "arguments": arguments}
    client.call(1, commands.Exchange.Declare, commands.Exchange.DeclareOk, **values)
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue="q", exchange="later")
    for delay in (1000, 0):
        client.publish(1, "later", "", b"a", Properties.of(headers={"x-delay": delay}))
    assert [copy["routed_queues"] for copy in listener.heard()] == [[], ["q"]]


def test_a_counting_queue_shows_the_count_in_the_copy_too(world: World, client: Client, listener: Listener) -> None:
    client.declare("quorum", durable=True, arguments={"x-queue-type": "quorum"})
    client.publish(1, "", "quorum", b"a")
    client.send(1, commands.Basic.Get, queue="quorum")
    client.messages()
    client.send(1, commands.Basic.Reject, delivery_tag=1, requeue=True)
    get(client, "quorum")
    assert listener.heard()[-1]["properties"] == {"headers": {"x-delivery-count": 1}}


def test_every_virtual_host_has_a_firehose_of_its_own(world: World, client: Client) -> None:
    other = world.broker.create_vhost("other")
    other.set_tracing(True)
    listener = Listener(world, TRACE_EXCHANGE, vhost=other)
    client.publish(1, "", "q", b"a")
    assert listener.heard() == []
    assert (world.vhost.firehose.on, other.firehose.on) == (False, True)


def test_headers_too_deep_to_be_shown_are_left_out(client: Client, listener: Listener) -> None:
    deep: dict[str, object] = {}
    for _ in range(63):
        deep = {"a": deep}
    client.publish(1, "", "q", b"a", Properties.of(headers=deep, app_id="a"))
    (copy,) = listener.heard()
    assert copy["properties"] == {"app_id": "a", "headers": {}}


def test_the_dead_leave_their_history_out_of_the_copy(world: World, client: Client, listener: Listener) -> None:
    """A copy is a message of its own: what its original died of must not end its way through another dead-lettering."""
    arguments = Table.of({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"})
    world.vhost.create_queue("dying", QueueSpec(False, None, False, arguments))
    client.publish(1, "", "dying", b"a")
    client.send(1, commands.Basic.Get, queue="dying")
    client.messages()
    client.send(1, commands.Basic.Reject, delivery_tag=1, requeue=False)
    get(client)
    copy = listener.heard()[-1]
    assert copy.key == "deliver.q"
    assert copy.message.deaths is None


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127 + "x"])
def test_a_name_that_leaves_no_room_for_the_prefix_is_cut(client: Client, listener: Listener, name: str) -> None:
    values = {"exchange": name, "exchange_type": "fanout"}
    client.call(1, commands.Exchange.Declare, commands.Exchange.DeclareOk, **values)
    client.publish(1, name, "", b"a", EMPTY_PROPERTIES)
    (copy,) = listener.heard()
    assert copy.key == shortened("publish." + name)
    assert len(copy.key.encode("utf-8", "surrogateescape")) == 255
    assert copy["exchange_name"] == name
