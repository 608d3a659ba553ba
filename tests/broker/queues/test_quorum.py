"""The quorum queue: the contract, and the rules that are its own."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from pamqp import commands

from amqpd.broker.queues.base import Queue
from amqpd.wire.properties import Properties
from amqpd.wire.table import Field
from tests.broker.queues.contract import THOROUGH, QueueMachine, StoredQueueMachine, arguments_of
from tests.broker.queues.models import ConsumerModel, QueueModel, QuorumModel, RingModel, Rules
from tests.broker.queues.takers import Taker, drained, drained_deliveries, make_queue, message
from tests.builders import Client, World


class QuorumMachine(QueueMachine):
    arguments = arguments_of(
        {"queue_type": "quorum"},
        {"delivery_limit": st.integers(0, 3), "dead_letter_strategy": st.just("at-least-once")},
    )

    def new_model(self, rules: Rules, ring: RingModel[ConsumerModel]) -> QueueModel:
        return QuorumModel(rules, ring)


TestQuorumMachine = QuorumMachine.TestCase
TestQuorumMachine.settings = THOROUGH


class StoredQuorumMachine(StoredQueueMachine, QuorumMachine):
    """On the disk, with restarts."""


TestStoredQuorumMachine = StoredQuorumMachine.TestCase
TestStoredQuorumMachine.settings = THOROUGH


LETTERS = {"dead_letter_exchange": "", "dead_letter_routing_key": "dead"}


def returned_times(queue: Queue, count: int) -> list[int]:
    """Take the head and give it back so often; returns what each delivery knew of those before it."""
    seen = []
    for _ in range(count):
        delivery = queue.get()
        if delivery is None:
            break
        seen.append(int(delivery.deliveries))
        queue.requeue(delivery)
    return seen


@pytest.mark.parametrize(
    ("arguments", "deliveries"),
    [({}, 21), ({"delivery_limit": 0}, 1), ({"delivery_limit": 3}, 4), ({"delivery_limit": -1}, 100)],
)
def test_a_message_is_delivered_once_more_than_the_limit(arguments: dict[str, object], deliveries: int) -> None:
    """Conformance rows G23, G25, M07: 20 is the default, a negative limit is none."""
    world = World()
    dead = make_queue(world, "dead")
    queue = make_queue(world, queue_type="quorum", **LETTERS, **arguments)
    queue.publish(message(b"poison"))
    assert returned_times(queue, 100) == list(range(deliveries))
    world.finish()
    died = drained_deliveries(dead)
    assert [each.message.body for each in died] == ([b"poison"] if deliveries < 100 else [])
    for each in died:
        headers = each.message.properties.headers
        assert headers is not None
        assert headers.text("x-first-death-reason") == "delivery_limit"


def test_what_is_returned_is_delivered_first_in_the_order_of_its_return() -> None:
    """Conformance row D66q: get 0 to 3, requeue 3, 1, 0."""
    queue = make_queue(World(), queue_type="quorum")
    for number in range(6):
        queue.publish(message(b"%d" % number))
    taken = [queue.get() for _ in range(4)]
    for place in (3, 1, 0):
        delivery = taken[place]
        assert delivery is not None
        queue.requeue(delivery)
    assert drained(queue) == [(b"3", True), (b"1", True), (b"0", True), (b"4", False), (b"5", False)]


def test_what_does_not_fit_a_quorum_queue_is_refused() -> None:
    world = World()
    client = world.client()
    client.open()
    arguments = {"x-queue-type": "quorum"}
    client.send(1, commands.Queue.Declare, queue="q", durable=False, arguments=arguments)
    assert client.channel_closed() == (
        406,
        "PRECONDITION_FAILED - invalid property 'non-durable' for queue 'q' in vhost '/'",
    )
    client.send(1, commands.Channel.CloseOk)
    client.open()
    client.declare("q", durable=True, arguments=arguments)
    client.send(1, commands.Queue.Delete, queue="q", if_empty=True)
    assert client.connection_closed() == (
        540,
        "NOT_IMPLEMENTED - cannot delete queue 'q' in vhost '/'. queue.delete operations with if-empty flag set are "
        "not supported by quorum queues",
    )


def test_exclusive_consumers_are_accepted_and_share_the_messages_all_the_same() -> None:
    world = World()
    queue = make_queue(world, queue_type="quorum")
    first, second = Taker("a", queue, exclusive=True), Taker("b", queue, exclusive=True)
    queue.subscribe(first)
    queue.subscribe(second)
    for number in range(4):
        queue.publish(message(b"%d" % number))
    world.finish()
    assert (first.bodies, second.bodies) == ([b"0", b"2"], [b"1", b"3"])


# From bytes to bytes.


def delivery_counts(client: Client) -> list[tuple[bytes, Field | None]]:
    """Body and x-delivery-count of the messages that came."""
    found = []
    for item in client.messages():
        headers = item.properties.headers
        found.append((item.body, None if headers is None else headers.get("x-delivery-count")))
    return found


@pytest.fixture
def client() -> Client:
    """A client with a quorum queue q that holds a message with a header."""
    client = World().client()
    client.open()
    client.declare("q", durable=True, arguments={"x-queue-type": "quorum"})
    client.publish(1, "", "q", b"m", Properties.of(content_type="text/plain", headers={"mine": 1}))
    return client


def test_from_the_second_delivery_on_a_header_counts_those_before(client: Client) -> None:
    client.send(1, commands.Basic.Consume, queue="q", consumer_tag="c", nowait=True)
    assert delivery_counts(client) == [(b"m", None)]
    for tag in (1, 2):
        client.send(1, commands.Basic.Nack, delivery_tag=tag, requeue=True)
        assert delivery_counts(client) == [(b"m", Field.long(tag))]


def test_a_fetched_message_has_the_header_too_and_its_own_headers_stay(client: Client) -> None:
    client.send(1, commands.Basic.Get, queue="q")
    client.messages()
    client.send(1, commands.Basic.Reject, delivery_tag=1, requeue=True)
    client.send(1, commands.Basic.Get, queue="q")
    (item,) = client.messages()
    assert isinstance(item.method, commands.Basic.GetOk)
    assert item.method.redelivered
    assert item.properties.content_type == "text/plain"
    headers = item.properties.headers
    assert headers is not None
    assert [name for name, _ in headers.items()] == ["mine", "x-delivery-count"]


def test_the_header_is_the_consumers_and_not_the_messages(client: Client) -> None:
    """A dead letter starts anew; nothing of the count is in it."""
    client.declare("dead")
    arguments = {"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    client.declare("other", durable=True, arguments={**arguments, "x-delivery-limit": 1})
    client.publish(1, "", "other", b"m")
    for tag in (1, 2):
        client.send(1, commands.Basic.Get, queue="other")
        assert len(client.messages()) == 1
        client.send(1, commands.Basic.Reject, delivery_tag=tag, requeue=True)
    client.send(1, commands.Basic.Get, queue="dead")
    (item,) = client.messages()
    headers = item.properties.headers
    assert headers is not None
    assert headers.get("x-delivery-count") is None
    assert headers.text("x-first-death-reason") == "delivery_limit"


def test_the_end_of_a_connection_counts_as_a_return(client: Client) -> None:
    client.send(1, commands.Basic.Get, queue="q")
    client.lose()
    other = client.world.client()
    other.open()
    other.send(1, commands.Basic.Get, queue="q")
    assert delivery_counts(other) == [(b"m", Field.long(1))]


def test_the_limit_that_a_channels_consumers_share_does_not_hold_for_quorum_queues() -> None:
    client = World().client()
    client.open()
    client.declare("q", durable=True, arguments={"x-queue-type": "quorum"})
    client.send(1, commands.Basic.Consume, queue="q", consumer_tag="c", nowait=True)
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=1, global_=True)
    for number in range(3):
        client.publish(1, "", "q", b"%d" % number)
    assert client.bodies() == [b"0", b"1", b"2"]


def test_basic_get_needs_a_queue_without_a_single_active_consumer() -> None:
    client = World().client()
    client.open()
    client.declare("q", durable=True, arguments={"x-queue-type": "quorum", "x-single-active-consumer": True})
    client.send(1, commands.Basic.Get, queue="q")
    code, text = client.channel_closed()
    assert code == 405
    assert text.startswith("RESOURCE_LOCKED - cannot obtain access to locked queue 'q' in vhost '/'. basic.get oper")
