"""Counters: every message counted once, where it happened; what is gone stays in the totals."""

from __future__ import annotations

import random

import pytest
from pamqp import commands

from amqpd.broker.counters import NO_BOUND, SIZE_BOUNDS, Sizes, Traffic, size_class, size_range
from amqpd.broker.queues.base import Queue
from amqpd.wire.properties import Properties
from tests.builders import Client, Content, World, publish_bytes


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World) -> Client:
    client = world.client()
    client.open()
    client.declare("q")
    return client


def consume(client: Client, queue: str = "q", tag: str = "c", channel: int = 1, no_ack: bool = False) -> None:
    client.send(channel, commands.Basic.Consume, queue=queue, consumer_tag=tag, no_ack=no_ack)


def facts(traffic: Traffic) -> dict[str, int]:
    """What is not zero."""
    return {name: value for name, value in {**traffic.publish_side(), **traffic.deliver_side()}.items() if value}


def sizes_of(world: World) -> Sizes:
    for connection in world.services.connections.all():
        for channel in connection.channels.all():
            channel.publishing.count_sizes()
    return world.context.counters.sizes


def queue_of(world: World, name: str = "q") -> Queue:
    return world.vhost.queues[name]


def test_one_read_with_many_messages_is_counted_everywhere(world: World, client: Client) -> None:
    client.feed(publish_bytes(1, "", "q", b"12345") * 100)
    assert facts(queue_of(world).traffic()) == {"publish": 100}
    default = world.vhost.exchanges[""].traffic
    assert (default.publish_in, default.publish_out) == (100, 100)
    assert facts(world.vhost.totals.traffic()) == {"publish": 100}
    assert world.vhost.totals.traffic().routed == 100


def test_an_exchange_counts_what_comes_in_and_every_copy(world: World, client: Client) -> None:
    client.declare("r")
    for queue in ("q", "r"):
        client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue=queue, exchange="amq.fanout", routing_key="")
    client.feed(publish_bytes(1, "amq.fanout", "a") * 3 + publish_bytes(1, "amq.direct", "b") * 2)
    fanout, direct = world.vhost.exchanges["amq.fanout"].traffic, world.vhost.exchanges["amq.direct"].traffic
    assert (fanout.publish_in, fanout.publish_out) == (3, 6)
    assert (direct.publish_in, direct.publish_out) == (2, 0)
    assert facts(world.vhost.totals.traffic()) == {"publish": 5, "drop_unroutable": 2}
    assert facts(queue_of(world, "r").traffic()) == {"publish": 3}


def test_channels_that_take_turns_within_a_read_are_all_counted(world: World, client: Client) -> None:
    client.open(2)
    client.feed((publish_bytes(1, "", "q") + publish_bytes(2, "", "q")) * 5)
    assert [channel.publishing.published for channel in client.connection.channels.all()] == [5, 5]
    assert queue_of(world).traffic().publish == 10


def test_a_message_of_many_frames_on_a_channel_that_was_not_the_last_is_counted(world: World, client: Client) -> None:
    client.open(2)
    small = world.client(frame_max=4096)
    small.open()
    small.feed(publish_bytes(1, "", "q", b"y" * 9000, frame_max=4096))
    assert world.vhost.exchanges[""].traffic.publish_in == 1
    assert sizes_of(world).counts == [0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert sizes_of(world).octets == 9000


def test_unroutable_messages_are_dropped_or_returned(world: World, client: Client) -> None:
    client.publish(1, "", "nowhere")
    client.publish(1, "", "nowhere", mandatory=True)
    assert facts(world.vhost.totals.traffic()) == {"publish": 2, "return_unroutable": 1, "drop_unroutable": 1}


def test_messages_with_headers_are_counted_too(world: World, client: Client) -> None:
    client.feed(publish_bytes(1, "", "q", b"", Properties.of(headers={"CC": ["q", "nowhere"]})) * 2)
    assert world.vhost.exchanges[""].traffic.publish_out == 2
    assert facts(world.vhost.totals.traffic()) == {"publish": 2}


def test_confirms_count_what_was_confirmed_and_not_what_was_refused(world: World, client: Client) -> None:
    client.declare("full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
    client.feed(publish_bytes(1, "", "full") * 3)
    traffic = world.vhost.totals.traffic()
    assert facts(traffic) == {"publish": 3, "confirm": 1}
    assert traffic.confirmable == 3


def test_consumers_are_counted_with_and_without_acknowledgement(world: World, client: Client) -> None:
    client.feed(publish_bytes(1, "", "q", b"abc") * 4)
    consume(client)
    queue = queue_of(world)
    assert facts(queue.traffic()) == {"publish": 4, "deliver": 4, "deliver_get": 4}
    assert (queue.unacknowledged, queue.unacknowledged_octets) == (4, 12)
    client.send(1, commands.Basic.Ack, delivery_tag=1)
    client.send(1, commands.Basic.Ack, delivery_tag=3, multiple=True)
    assert (queue.unacknowledged, queue.unacknowledged_octets, queue.traffic().ack) == (1, 3, 3)
    client.send(1, commands.Basic.Cancel, consumer_tag="c")
    client.send(1, commands.Basic.Nack, delivery_tag=4, requeue=True)
    assert (queue.unacknowledged, queue.unacknowledged_octets, queue.message_count) == (0, 0, 1)
    consume(client, no_ack=True)
    expected = {"publish": 4, "deliver": 4, "deliver_no_ack": 1, "deliver_get": 5, "redeliver": 1, "ack": 3}
    assert facts(queue.traffic()) == expected
    assert (queue.unacknowledged, queue.unacknowledged_octets) == (0, 0)
    assert facts(client.connection.channels.all()[0].traffic()) == expected


def test_basic_get_is_counted_by_what_it_found(world: World, client: Client) -> None:
    client.feed(publish_bytes(1, "", "q", b"abc") * 2)
    for no_ack in (False, True, True):
        client.send(1, commands.Basic.Get, queue="q", no_ack=no_ack)
    queue = queue_of(world)
    expected = {"publish": 2, "get": 1, "get_no_ack": 1, "get_empty": 1, "deliver_get": 2}
    assert facts(queue.traffic()) == expected
    assert (queue.unacknowledged, queue.unacknowledged_octets) == (1, 3)
    client.send(1, commands.Basic.Reject, delivery_tag=1, requeue=True)
    client.send(1, commands.Basic.Get, queue="q")
    assert facts(queue.traffic()) == {**expected, "get": 2, "deliver_get": 3, "redeliver": 1}
    assert facts(world.vhost.totals.traffic()) == facts(queue.traffic())


def test_what_a_closed_channel_counted_stays_in_the_totals(world: World, client: Client) -> None:
    client.feed(publish_bytes(1, "", "q") * 3)
    consume(client)
    client.send(1, commands.Basic.Ack, delivery_tag=1)
    before = facts(world.vhost.totals.traffic())
    client.take()
    client.call(1, commands.Channel.Close, commands.Channel.CloseOk, reply_code=200)
    assert facts(world.vhost.totals.traffic()) == before
    assert queue_of(world).unacknowledged == 0
    client.open(2)
    client.publish(2, "", "q")
    client.lose()
    assert world.vhost.totals.traffic().publish == 4


def test_what_a_deleted_queue_counted_stays_with_its_type(world: World, client: Client) -> None:
    client.feed(publish_bytes(1, "", "q") * 3)
    consume(client)
    client.send(1, commands.Queue.Delete, queue="q")
    assert facts(world.vhost.deleted_queues["classic"]) == {"publish": 3, "deliver": 3, "deliver_get": 3}
    assert world.vhost.totals.traffic().deliver == 3


@pytest.mark.parametrize("arguments", [{}, {"x-max-priority": 3}, {"x-queue-type": "quorum"}])
def test_every_order_of_messages_knows_what_entered(world: World, client: Client, arguments: dict[str, object]) -> None:
    client.declare("r", durable=True, arguments=arguments)
    queue = queue_of(world, "r")
    for priority in (0, 9, 2):
        client.publish(1, "", "r", properties=Properties.of(priority=priority))
    client.send(1, commands.Basic.Get, queue="r")
    client.send(1, commands.Basic.Nack, delivery_tag=1, requeue=True)
    assert queue.traffic().publish == 3
    client.send(1, commands.Queue.Purge, queue="r")
    client.publish(1, "", "r")
    assert queue.traffic().publish == 4


def test_churn_counts_what_comes_and_goes(world: World, client: Client) -> None:
    client.declare("q")
    client.send(1, commands.Queue.Delete, queue="q")
    other = world.client()
    other.open()
    other.lose()
    assert world.context.counters.churn.as_dict() == {
        "connection_created": 2,
        "connection_closed": 1,
        "channel_created": 2,
        "channel_closed": 1,
        "queue_declared": 2,
        "queue_created": 1,
        "queue_deleted": 1,
    }


def test_a_connection_counts_octets_and_pieces(client: Client) -> None:
    connection = client.connection
    received, reads = connection.received, connection.reads
    sent, writes = connection.output.sent, connection.output.writes
    client.send(1, commands.Basic.Get, queue="q")
    assert (connection.received - received, connection.reads - reads) == (8 + 4 + 5, 1)
    assert (connection.output.sent - sent, connection.output.writes - writes) == (8 + 5, 1)
    assert connection.output.pending == 0


def test_sizes_go_into_the_class_that_they_belong_to(world: World, client: Client) -> None:
    for size in (0, 100, 101, 1000, 1001, 5, 7):
        client.publish(1, "", "q", b"s" * size)
    assert sizes_of(world).counts[:3] == [4, 2, 1]
    assert sizes_of(world).octets == 2214


def test_sizes_that_a_closed_channel_counted_stay(world: World, client: Client) -> None:
    client.publish(1, "", "q", b"s" * 300)
    client.lose()
    assert world.context.counters.sizes.counts[1] == 1
    assert world.context.counters.sizes.octets == 300


def test_classes_of_sizes_are_seamless() -> None:
    for place, bound in enumerate(SIZE_BOUNDS):
        assert (size_class(bound), size_class(bound + 1)) == (place, place + 1)
        assert size_range(place)[1] == bound
        assert size_range(place + 1)[0] == bound + 1
    assert size_range(0)[0] == 0
    assert size_range(len(SIZE_BOUNDS))[1] == NO_BOUND


class Model:
    """A client that notes what it does and what it sees, beside a broker that counts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = World()
        self.client = self.world.client()
        self.client.open()
        for queue in ("a", "b"):
            self.client.declare(queue)
            bind = {"queue": queue, "exchange": "amq.fanout", "routing_key": ""}
            self.client.call(1, commands.Queue.Bind, commands.Queue.BindOk, **bind)
        self.client.send(1, commands.Basic.Qos, prefetch_count=5)
        self.client.take()
        self.seen = dict.fromkeys(facts_of_all(), 0)
        self.open: dict[int, int] = {}  # octets of unsettled deliveries by tag
        self.consumers: dict[str, bool] = {}

    def step(self) -> None:
        """Do something, and take in what comes of it."""
        self.random.choice([self.publish, self.get, self.consume, self.cancel, self.settle])()
        for _, item in self.client.received():
            if isinstance(item, Content):
                self.note(item)
            elif isinstance(item, commands.Basic.GetEmpty):
                self.seen["get_empty"] += 1

    def publish(self) -> None:
        exchange, key = self.random.choice([("", "a"), ("", "b"), ("amq.fanout", ""), ("amq.direct", "z")])
        count = self.random.randint(1, 7)
        self.client.feed(publish_bytes(1, exchange, key, b"." * self.random.choice([1, 2, 150])) * count)
        self.seen["publish"] += count
        if exchange == "amq.direct":
            self.seen["drop_unroutable"] += count

    def get(self) -> None:
        self.client.send(1, commands.Basic.Get, queue=self.random.choice("ab"), no_ack=self.random.random() < 0.5)

    def consume(self) -> None:
        tag = f"t{len(self.seen)}{self.random.random()}"
        self.consumers[tag] = self.random.random() < 0.5
        consume(self.client, self.random.choice("ab"), tag, no_ack=self.consumers[tag])

    def cancel(self) -> None:
        if self.consumers:
            tag = self.random.choice(list(self.consumers))
            self.client.send(1, commands.Basic.Cancel, consumer_tag=tag)

    def settle(self) -> None:
        if not self.open:
            return
        tag = self.random.choice(list(self.open))
        if self.random.random() < 0.6:
            multiple = self.random.random() < 0.3
            done = [open_tag for open_tag in self.open if open_tag == tag or (multiple and open_tag < tag)]
            self.seen["ack"] += len(done)
            self.client.send(1, commands.Basic.Ack, delivery_tag=tag, multiple=multiple)
        else:
            done = [tag]
            self.client.send(1, commands.Basic.Reject, delivery_tag=tag, requeue=self.random.random() < 0.5)
        for settled in done:
            del self.open[settled]

    def note(self, item: Content) -> None:
        method = item.method
        no_ack = False
        if isinstance(method, commands.Basic.Deliver):
            no_ack = self.consumers[method.consumer_tag]
            self.seen["deliver_no_ack" if no_ack else "deliver"] += 1
        elif isinstance(method, commands.Basic.GetOk):
            no_ack = method.delivery_tag not in self.unsettled_tags()
            self.seen["get_no_ack" if no_ack else "get"] += 1
        assert isinstance(method, commands.Basic.Deliver | commands.Basic.GetOk)
        self.seen["deliver_get"] += 1
        self.seen["redeliver"] += bool(method.redelivered)
        if not no_ack:
            self.open[method.delivery_tag] = len(item.body)

    def unsettled_tags(self) -> set[int]:
        ledger = self.client.connection.channels.all()[0].ledger
        return {entry.tag for chunk in ledger._chunks.values() for entry in chunk.entries if entry is not None}


def facts_of_all() -> dict[str, int]:
    return {**Traffic().publish_side(), **Traffic().deliver_side()}


@pytest.mark.parametrize("seed", range(30))
def test_whatever_a_client_does_the_counters_say_what_it_saw(seed: int) -> None:
    model = Model(seed)
    queues = [queue_of(model.world, name) for name in ("a", "b")]
    for _ in range(120):
        model.step()
        totals = model.world.vhost.totals.traffic()
        assert {**totals.publish_side(), **totals.deliver_side()} == model.seen
        assert sum(queue.unacknowledged for queue in queues) == len(model.open)
        assert sum(queue.unacknowledged_octets for queue in queues) == sum(model.open.values())
        for name, value in totals.deliver_side().items():
            assert sum(queue.traffic().deliver_side()[name] for queue in queues) == value
        assert sum(int(queue.traffic().publish) for queue in queues) == totals.routed


def test_the_timestamp_of_the_head_is_told_while_it_is_in_memory(world: World, client: Client) -> None:
    queue = queue_of(world)
    assert queue.head_timestamp is None
    for timestamp in (1_700_000_000, 1_700_000_009):
        client.publish(1, "", "q", properties=Properties.of(timestamp=timestamp))
    assert queue.head_timestamp == 1_700_000_000
    client.send(1, commands.Basic.Get, queue="q")
    assert queue.head_timestamp == 1_700_000_009
    client.send(1, commands.Basic.Nack, delivery_tag=1, requeue=True)
    assert queue.head_timestamp == 1_700_000_000


def test_octets_of_connections_that_are_closed_stay(world: World, client: Client) -> None:
    other = world.client()
    received, sent = other.connection.received, other.connection.output.sent
    other.lose()
    closed = world.context.counters.closed
    assert (closed.recv_oct, closed.send_oct) == (received, sent)
    assert closed.recv_cnt > 0
    assert closed.send_cnt > 0
