"""The basic class but for publish: what is answered, refused and settled (RabbitMQ 4.0)."""

from __future__ import annotations

import pytest
from pamqp import base, commands

from amqpd.auth.permissions import Permission
from amqpd.protocol.limits import Limits
from tests.builders import Client, Content, World, publish_bytes

Settling = tuple[type[base.Frame], int]
SETTLING = [
    pytest.param(commands.Basic.Ack, 80, id="ack"),
    pytest.param(commands.Basic.Nack, 120, id="nack"),
    pytest.param(commands.Basic.Reject, 90, id="reject"),
]


def fill(client: Client, count: int) -> None:
    """The queue "q" with the messages 0, 1, 2, ..."""
    client.declare("q")
    client.feed(b"".join(publish_bytes(1, "", "q", str(number).encode()) for number in range(count)))


def get(client: Client, count: int = 1) -> list[Content]:
    """Fetch from "q", to be acknowledged."""
    for _ in range(count):
        client.send(1, commands.Basic.Get, queue="q")
    return client.messages()


def consume_ok(client: Client, **arguments: object) -> str:
    """Start a consumer of an empty queue; its tag."""
    return client.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, **arguments).consumer_tag or ""


def assert_closed(client: Client, code: int, text: str, method_id: int) -> None:
    """The channel (or for 5xx the connection) was closed on account of this method of the basic class."""
    close: commands.Channel.Close | commands.Connection.Close
    if code < 500:
        close = client.receive_one(1, commands.Channel.Close)
    else:
        close = client.receive_one(0, commands.Connection.Close)
    assert (close.reply_code, close.reply_text) == (code, text)
    assert (close.class_id, close.method_id) == (60, method_id)


# basic.qos.


def test_a_prefetch_size_is_not_implemented(client: Client) -> None:
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=65_535)
    client.send(1, commands.Basic.Qos, prefetch_size=10)
    assert_closed(client, 540, "NOT_IMPLEMENTED - prefetch_size!=0 (10)", 10)


# basic.consume and cancel.


def test_a_quorum_queue_has_no_place_on_a_channel_whose_consumers_share_a_limit(client: Client) -> None:
    client.declare("q", durable=True, arguments={"x-queue-type": "quorum"})
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1, global_=True)
    client.send(1, commands.Basic.Consume, queue="q")
    assert_closed(client, 540, "NOT_IMPLEMENTED - queue 'q' in vhost '/' does not support global qos", 20)


def test_consume_ok_comes_before_the_first_delivery(client: Client) -> None:
    fill(client, 1)
    client.send(1, commands.Basic.Consume, queue="q", consumer_tag="t")
    kinds = [type(item) for _, item in client.received()]
    assert kinds == [commands.Basic.ConsumeOk, Content]


def test_with_nowait_only_the_deliveries_come(client: Client) -> None:
    fill(client, 1)
    client.send(1, commands.Basic.Consume, queue="q", consumer_tag="t", nowait=True)
    assert client.bodies() == [b"0"]
    client.send(1, commands.Basic.Cancel, consumer_tag="t", nowait=True)
    assert client.take() == b""
    assert client.declare("q").consumer_count == 0


def test_a_consumer_without_a_tag_is_given_one(client: Client) -> None:
    client.declare("q")
    first, second = consume_ok(client, queue="q"), consume_ok(client, queue="q")
    assert first.startswith("amq.ctag-")
    assert len(first) == len("amq.ctag-") + 22
    assert first != second


def test_a_tag_can_be_used_once_on_a_channel_and_again_on_another(client: Client) -> None:
    client.open(2)
    client.declare("q")
    consume_ok(client, queue="q", consumer_tag="t")
    client.call(2, commands.Basic.Consume, commands.Basic.ConsumeOk, queue="q", consumer_tag="t")
    client.send(1, commands.Basic.Consume, queue="q", consumer_tag="t")
    assert_closed(client, 530, "NOT_ALLOWED - attempt to reuse consumer tag 't'", 20)


@pytest.mark.parametrize("replies_first", [True, False])
def test_a_reply_consumer_shares_the_tags_of_its_channel(client: Client, replies_first: bool) -> None:
    client.declare("q")
    queues = ["q", "amq.rabbitmq.reply-to"]
    if replies_first:
        queues.reverse()
    consume_ok(client, queue=queues[0], consumer_tag="t", no_ack=True)
    client.send(1, commands.Basic.Consume, queue=queues[1], consumer_tag="t", no_ack=True)
    assert_closed(client, 530, "NOT_ALLOWED - attempt to reuse consumer tag 't'", 20)


def test_a_cancelled_tag_is_free(client: Client) -> None:
    client.declare("q")
    for _ in range(2):
        consume_ok(client, queue="q", consumer_tag="t")
        cancelled = client.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="t")
        assert cancelled.consumer_tag == "t"


def test_cancelling_what_is_not_there_is_answered_too(client: Client) -> None:
    client.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="unknown")
    consume_ok(client, queue="amq.rabbitmq.reply-to", no_ack=True, consumer_tag="t")
    client.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="unknown")
    assert client.connection.channels._by_number[1].reply_queue is not None


def test_after_cancel_ok_nothing_is_delivered_and_what_was_can_be_settled(client: Client) -> None:
    fill(client, 1)
    client.send(1, commands.Basic.Consume, queue="q", consumer_tag="t")
    client.take()
    client.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="t")
    client.publish(1, "", "q")
    client.send(1, commands.Basic.Ack, delivery_tag=1)
    assert client.take() == b""
    assert client.declare("q").message_count == 1


def test_the_last_cancel_deletes_an_auto_delete_queue(world: World, client: Client) -> None:
    client.declare("q", auto_delete=True)
    for tag in ("a", "b"):
        consume_ok(client, queue="q", consumer_tag=tag)
    client.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="a")
    assert "q" in world.vhost.queues
    client.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="b")
    assert "q" not in world.vhost.queues


def test_a_missing_queue_is_not_found(client: Client) -> None:
    client.send(1, commands.Basic.Consume, queue="missing")
    assert_closed(client, 404, "NOT_FOUND - no queue 'missing' in vhost '/'", 20)


@pytest.mark.parametrize(("command", "method_id"), [(commands.Basic.Consume, 20), (commands.Basic.Get, 70)])
def test_consuming_and_fetching_need_read_permission(world: World, command: type[base.Frame], method_id: int) -> None:
    world.users.permissions.set("guest", "/", Permission(".*", ".*", "^r$"))
    client = world.client()
    client.open(1)
    client.declare("q")
    client.send(1, command, queue="q")
    text = "ACCESS_REFUSED - read access to queue 'q' in vhost '/' refused for user 'guest'"
    assert_closed(client, 403, text, method_id)


@pytest.mark.parametrize("first_is_exclusive", [True, False])
def test_an_exclusive_consumer_is_the_only_one_but_others_may_fetch(client: Client, first_is_exclusive: bool) -> None:
    fill(client, 1)
    client.send(1, commands.Basic.Get, queue="q", no_ack=True)
    client.take()
    consume_ok(client, queue="q", exclusive=first_is_exclusive)
    client.call(1, commands.Basic.Get, commands.Basic.GetEmpty, queue="q")
    client.send(1, commands.Basic.Consume, queue="q", exclusive=not first_is_exclusive)
    assert_closed(client, 403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use", 20)


def test_a_priority_is_an_integer(client: Client) -> None:
    client.declare("q")
    consume_ok(client, queue="q", arguments={"x-priority": -5, "anything": "else"})
    client.send(1, commands.Basic.Consume, queue="q", arguments={"x-priority": "high"})
    text = (
        "PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' in vhost '/': \"expected integer, got longstr\""
    )
    assert_closed(client, 406, text, 20)


def test_higher_priorities_are_served_while_they_have_credit(client: Client) -> None:
    client.declare("q")
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=2)
    consume_ok(client, queue="q", consumer_tag="low", arguments={"x-priority": -1})
    consume_ok(client, queue="q", consumer_tag="high", arguments={"x-priority": 1})
    client.feed(publish_bytes(1, "", "q") * 3)
    tags = [getattr(message.method, "consumer_tag", "") for message in client.messages()]
    assert tags == ["high", "high", "low"]


def test_a_limit_of_consumers_is_kept() -> None:
    client = World(Limits(consumer_max=1)).client()
    client.open(1)
    client.declare("q")
    consume_ok(client, queue="q")
    client.send(1, commands.Basic.Consume, queue="q")
    assert_closed(client, 530, "NOT_ALLOWED - reached maximum (1) of consumers per channel", 20)


def test_replies_cannot_be_acknowledged(client: Client) -> None:
    client.send(1, commands.Basic.Consume, queue="amq.rabbitmq.reply-to")
    assert_closed(client, 406, "PRECONDITION_FAILED - reply consumer cannot acknowledge", 20)


@pytest.mark.parametrize("arguments", [{"no_ack": True}, {"no_ack": False}, {"no_ack": True, "consumer_tag": "t"}])
def test_a_channel_has_one_reply_consumer(client: Client, arguments: dict[str, object]) -> None:
    consume_ok(client, queue="amq.rabbitmq.reply-to", no_ack=True, consumer_tag="t")
    client.send(1, commands.Basic.Consume, queue="amq.rabbitmq.reply-to", **arguments)
    assert_closed(client, 406, "PRECONDITION_FAILED - reply consumer already set", 20)


def test_an_answer_to_a_cancellation_is_taken(client: Client) -> None:
    client.declare("q")
    consume_ok(client, queue="q", consumer_tag="t")
    client.send(1, commands.Queue.Delete, queue="q")
    client.take()
    client.send(1, commands.Basic.CancelOk, consumer_tag="t")
    assert client.take() == b""


# basic.get.


def test_an_empty_queue_has_nothing(client: Client) -> None:
    client.declare("q")
    assert client.call(1, commands.Basic.Get, commands.Basic.GetEmpty, queue="q").cluster_id == ""


def test_a_message_is_fetched_with_the_number_of_those_left(client: Client) -> None:
    fill(client, 3)
    (message,) = get(client)
    method = message.method
    assert isinstance(method, commands.Basic.GetOk)
    assert (method.delivery_tag, method.redelivered, method.message_count) == (1, False, 2)
    assert (method.exchange, method.routing_key, message.body) == ("", "q", b"0")


def test_what_was_fetched_without_acknowledgement_is_gone(client: Client) -> None:
    fill(client, 1)
    client.send(1, commands.Basic.Get, queue="q", no_ack=True)
    client.messages()
    client.call(1, commands.Channel.Close, commands.Channel.CloseOk)
    client.open(1)
    assert client.declare("q").message_count == 0


@pytest.mark.parametrize("name", ["missing", "amq.rabbitmq.reply-to", "amq.rabbitmq.reply-to.gone"])
def test_nothing_is_fetched_from_what_is_no_queue(client: Client, name: str) -> None:
    client.send(1, commands.Basic.Get, queue=name)
    assert_closed(client, 404, f"NOT_FOUND - no queue '{name}' in vhost '/'", 70)


# ack, nack, reject.


@pytest.mark.parametrize(("command", "method_id"), SETTLING)
@pytest.mark.parametrize("tag", [0, 2, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_tag_that_was_not_delivered_is_unknown(
    client: Client, command: type[base.Frame], method_id: int, tag: int
) -> None:
    fill(client, 1)
    get(client)
    client.send(1, command, delivery_tag=tag)
    assert_closed(client, 406, f"PRECONDITION_FAILED - unknown delivery tag {tag}", method_id)


@pytest.mark.parametrize(("command", "method_id"), SETTLING)
def test_a_tag_can_be_settled_once(client: Client, command: type[base.Frame], method_id: int) -> None:
    fill(client, 1)
    get(client)
    for _ in range(2):
        client.send(1, command, delivery_tag=1)
    assert_closed(client, 406, "PRECONDITION_FAILED - unknown delivery tag 1", method_id)


@pytest.mark.parametrize(("command", "method_id"), SETTLING[:2])
def test_several_are_settled_up_to_a_tag_which_must_be_unsettled_itself(
    client: Client, command: type[base.Frame], method_id: int
) -> None:
    fill(client, 5)
    get(client, 5)
    client.send(1, command, delivery_tag=2)
    client.send(1, command, delivery_tag=4, multiple=True)
    assert client.take() == b""
    client.send(1, command, delivery_tag=3, multiple=True)
    assert_closed(client, 406, "PRECONDITION_FAILED - unknown delivery tag 3", method_id)
    client.send(1, commands.Channel.CloseOk)
    client.open(1)
    assert client.declare("q").message_count == 1


@pytest.mark.parametrize("command", [commands.Basic.Ack, commands.Basic.Nack])
@pytest.mark.parametrize("count", [0, 3])
def test_tag_0_with_multiple_is_everything_and_never_an_error(
    client: Client, command: type[base.Frame], count: int
) -> None:
    fill(client, count)
    get(client, count)
    client.send(1, command, delivery_tag=0, multiple=True)
    client.call(1, commands.Channel.Close, commands.Channel.CloseOk)
    client.open(1)
    assert client.declare("q").message_count == 0


@pytest.mark.parametrize("command", [commands.Basic.Nack, commands.Basic.Reject])
@pytest.mark.parametrize("requeue", [True, False])
def test_a_refused_message_returns_to_its_place_or_is_dropped(
    client: Client, command: type[base.Frame], requeue: bool
) -> None:
    fill(client, 3)
    get(client, 2)
    client.send(1, command, delivery_tag=2, requeue=requeue)
    client.send(1, command, delivery_tag=1, requeue=requeue)
    fetched = get(client, 3 if requeue else 1)
    flags = [getattr(message.method, "redelivered", None) for message in fetched]
    assert [message.body for message in fetched] == ([b"0", b"1", b"2"] if requeue else [b"2"])
    assert flags == ([True, True, False] if requeue else [False])


# basic.recover.


def test_recover_ok_comes_before_the_redeliveries(client: Client) -> None:
    fill(client, 2)
    client.send(1, commands.Basic.Consume, queue="q")
    client.take()
    client.send(1, commands.Basic.Recover, requeue=True)
    items = [item for _, item in client.received()]
    assert isinstance(items[0], commands.Basic.RecoverOk)
    redelivered = [item for item in items[1:] if isinstance(item, Content)]
    told = [
        (getattr(item.method, "delivery_tag", 0), getattr(item.method, "redelivered", False)) for item in redelivered
    ]
    assert told == [(3, True), (4, True)]
    assert [item.body for item in redelivered] == [b"0", b"1"]


def test_the_asynchronous_form_is_not_answered(client: Client) -> None:
    fill(client, 1)
    get(client)
    client.send(1, commands.Basic.RecoverAsync, requeue=True)
    assert client.take() == b""
    assert client.declare("q").message_count == 1


@pytest.mark.parametrize(("command", "method_id"), [(commands.Basic.Recover, 110), (commands.Basic.RecoverAsync, 100)])
def test_recovering_to_the_same_consumer_is_not_implemented(
    client: Client, command: type[base.Frame], method_id: int
) -> None:
    client.send(1, command, requeue=False)
    assert_closed(client, 540, "NOT_IMPLEMENTED - requeue=false", method_id)
