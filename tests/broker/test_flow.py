"""Congestion: when publishers are held, and for how long at most; then the same from bytes to bytes."""

from __future__ import annotations

import gc

from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from amqpd.broker.flow import HOLD_ABOVE, HOLD_SECONDS, RELEASE_BELOW, Congestion
from amqpd.wire.methods import encode, make
from amqpd.wire.output import FULL, Output
from tests.broker.queues.takers import HeldPublisher
from tests.builders import Client, Content, FakeWire, World, is_read, publish_bytes

HIGH_WATER = 1024 * 1024  # octets that a socket of these tests buffers
MIDDLE = (HOLD_ABOVE + RELEASE_BELOW) // 2


def congested(world: World) -> tuple[Congestion, HeldPublisher]:
    """A crowded queue's congestion, and the publisher it holds."""
    congestion, publisher = Congestion(world.context), HeldPublisher()
    assert congestion.check(HOLD_ABOVE + 1, True)
    congestion.hold(publisher)
    assert publisher.holds == 1
    return congestion, publisher


def test_a_queue_is_crowded_above_the_upper_mark_and_stays_so_until_below_the_lower_one() -> None:
    congestion = Congestion(World().context)
    sizes = [MIDDLE, HOLD_ABOVE, HOLD_ABOVE + 1, MIDDLE, RELEASE_BELOW, RELEASE_BELOW - 1, MIDDLE, HOLD_ABOVE + 1]
    assert [congestion.check(size, True) for size in sizes] == [False, False, True, True, True, False, False, True]


def test_a_queue_without_consumers_is_never_crowded() -> None:
    congestion = Congestion(World().context)
    assert not congestion.check(10 * HOLD_ABOVE, False)


def test_publishers_of_a_calm_queue_are_not_held() -> None:
    congestion, publisher = Congestion(World().context), HeldPublisher()
    congestion.hold(publisher)
    assert publisher.holds == 0


def test_publishers_are_released_when_the_queue_has_drained() -> None:
    congestion, publisher = congested(World())
    congestion.check(RELEASE_BELOW, True)
    assert publisher.holds == 1
    congestion.check(RELEASE_BELOW - 1, True)
    assert publisher.holds == 0


def test_publishers_are_released_when_nobody_consumes_any_more() -> None:
    congestion, publisher = congested(World())
    assert not congestion.check(HOLD_ABOVE + 1, False)
    assert publisher.holds == 0


def test_a_publisher_is_held_once_however_much_it_publishes() -> None:
    congestion, publisher = congested(World())
    congestion.hold(publisher)
    assert publisher.holds == 1


def test_a_publisher_that_must_not_be_held_is_asked_again_next_time() -> None:
    congestion = Congestion(World().context)
    publisher = HeldPublisher(consumes=True)
    congestion.check(HOLD_ABOVE + 1, True)
    congestion.hold(publisher)
    assert publisher.holds == 0
    publisher.consumes = False
    congestion.hold(publisher)
    assert publisher.holds == 1


def test_a_slow_consumer_stops_its_publishers_for_a_bounded_time_only() -> None:
    world = World()
    _, publisher = congested(world)
    world.advance(HOLD_SECONDS * 0.9)
    assert publisher.holds == 1
    world.advance(HOLD_SECONDS * 0.1)
    assert publisher.holds == 0


def test_while_the_consumer_is_slow_publishers_rest_and_are_not_held_again() -> None:
    world = World()
    congestion, publisher = congested(world)
    world.advance(HOLD_SECONDS)
    for rests, size in enumerate((HOLD_ABOVE + 1, 10 * HOLD_ABOVE, MIDDLE, HOLD_ABOVE + 1), 1):
        assert congestion.check(size, True)
        congestion.hold(publisher)
        assert (publisher.holds, publisher.rests) == (0, rests)


def test_even_a_publisher_that_must_not_be_held_rests() -> None:
    """A rest is short: its acknowledgements come through all the same."""
    world = World()
    congestion, _ = congested(world)
    world.advance(HOLD_SECONDS)
    publisher = HeldPublisher(consumes=True)
    congestion.hold(publisher)
    assert (publisher.holds, publisher.rests) == (0, 1)


def test_nobody_rests_for_a_queue_that_is_merely_crowded_or_calm_again() -> None:
    world = World()
    congestion, publisher = congested(world)
    assert publisher.rests == 0
    world.advance(HOLD_SECONDS)
    assert not congestion.check(RELEASE_BELOW - 1, True)
    congestion.hold(publisher)
    assert (publisher.holds, publisher.rests) == (0, 0)


def test_once_a_slow_consumer_has_caught_up_the_queue_may_be_crowded_again() -> None:
    world = World()
    congestion, publisher = congested(world)
    world.advance(HOLD_SECONDS)
    congestion.check(RELEASE_BELOW - 1, True)
    assert congestion.check(HOLD_ABOVE + 1, True)
    congestion.hold(publisher)
    assert publisher.holds == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, RELEASE_BELOW - 1, RELEASE_BELOW, HOLD_ABOVE, HOLD_ABOVE + 1]),
            st.booleans(),
            st.integers(0, 2),
            st.sampled_from([0.0, HOLD_SECONDS / 2, HOLD_SECONDS]),
        )
    )
)
def test_whatever_happens_nobody_is_held_longer_than_the_bound_or_twice(
    steps: list[tuple[int, bool, int, float]],
) -> None:
    world = World()
    congestion = Congestion(world.context)
    publishers = [HeldPublisher(), HeldPublisher(), HeldPublisher(consumes=True)]
    for size, has_consumers, who, seconds in steps:
        congestion.check(size, has_consumers)
        congestion.hold(publishers[who])
        assert all(publisher.holds in (0, 1) for publisher in publishers)
        assert publishers[2].holds == 0
        world.advance(seconds)
    world.advance(HOLD_SECONDS)
    assert [publisher.holds for publisher in publishers] == [0, 0, 0]


# From bytes to bytes.


def consuming(world: World, prefetch: int = 10, queue: str = "q") -> Client:
    """A client that consumes from a queue of its making."""
    client = world.client()
    client.open()
    client.declare(queue)
    client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=prefetch)
    client.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, queue=queue, consumer_tag="c")
    return client


def publishing(world: World) -> Client:
    """A client with an open channel."""
    client = world.client()
    client.open()
    return client


def ack_all(client: Client) -> None:
    """Acknowledge what came."""
    last = [item.method for item in client.messages() if isinstance(item.method, commands.Basic.Deliver)]
    client.send(1, commands.Basic.Ack, delivery_tag=last[-1].delivery_tag, multiple=True)


def test_a_fast_publisher_is_held_and_released_when_the_consumer_has_drained_the_queue() -> None:
    world = World()
    consumer, publisher = consuming(world, prefetch=1000), publishing(world)
    for _ in range(2):
        publisher.feed(publish_bytes(1, "", "q", b"m") * (HOLD_ABOVE + 1001))
    assert not is_read(publisher)
    while not is_read(publisher):
        ack_all(consumer)
    assert world.vhost.queue("q").message_count < RELEASE_BELOW
    assert world.clock.monotonic() == 0.0, "not released by the timer"


def test_a_publisher_is_held_for_a_bounded_time_if_the_consumer_does_nothing() -> None:
    world = World()
    consuming(world)
    publisher = publishing(world)
    for _ in range(2):
        publisher.feed(publish_bytes(1, "", "q", b"m") * (HOLD_ABOVE + 11))
    assert not is_read(publisher)
    world.advance(HOLD_SECONDS)
    assert is_read(publisher)
    publisher.feed(publish_bytes(1, "", "q", b"m") * 100)
    assert is_read(publisher)


def test_a_connection_that_consumes_is_never_held() -> None:
    world = World()
    both = consuming(world)
    for _ in range(3):
        both.feed(publish_bytes(1, "", "q", b"m") * HOLD_ABOVE)
    assert world.vhost.queue("q").crowded
    assert is_read(both)


def test_a_connection_with_unsettled_messages_is_never_held() -> None:
    """It may have fetched them with basic.get: its acknowledgements must come through."""
    world = World()
    consuming(world)
    client = publishing(world)
    client.declare("other")
    client.publish(1, "", "other", b"m")
    client.send(1, commands.Basic.Get, queue="other")
    for _ in range(3):
        client.feed(publish_bytes(1, "", "q", b"m") * HOLD_ABOVE)
    assert world.vhost.queue("q").crowded
    assert is_read(client)


def test_without_a_consumer_a_queue_may_grow() -> None:
    world = World()
    publisher = publishing(world)
    publisher.declare("q")
    for _ in range(3):
        publisher.feed(publish_bytes(1, "", "q", b"m") * HOLD_ABOVE)
    assert is_read(publisher)


def test_what_a_held_publisher_had_sent_already_is_still_published() -> None:
    world = World()
    consuming(world)
    publisher = publishing(world)
    publisher.feed(publish_bytes(1, "", "q", b"m") * (HOLD_ABOVE + 11))
    publisher.feed(publish_bytes(1, "", "q", b"m") * 7)
    assert not is_read(publisher)
    assert world.vhost.queue("q").message_count == HOLD_ABOVE + 8


def test_a_held_publisher_that_is_gone_is_no_trouble_when_the_queue_has_drained() -> None:
    world = World()
    consuming(world)
    publisher = publishing(world)
    for _ in range(2):
        publisher.feed(publish_bytes(1, "", "q", b"m") * (HOLD_ABOVE + 11))
    publisher.lose()
    world.advance(HOLD_SECONDS)
    assert world.observer.crashes == []


class SlowWire(FakeWire):
    """A socket whose peer reads when the test says so: above HIGH_WATER octets it asks for no more."""

    def __init__(self) -> None:
        super().__init__()
        self.output: Output | None = None
        self.read = 0

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.output is not None and self.unread > HIGH_WATER:
            self.output.stall()

    @property
    def unread(self) -> int:
        return len(self.written) - self.read

    def read_all(self) -> None:
        self.read = len(self.written)
        if self.output is not None and self.output.stalled:
            self.output.unstall()


def test_a_slow_reader_gets_bounded_output_and_the_queue_keeps_the_rest() -> None:
    world, wire = World(), SlowWire()
    reader, publisher = Client(world, wire=wire), publishing(world)
    reader.handshake()
    reader.open()
    reader.declare("q")
    reader.call(1, commands.Basic.Consume, commands.Basic.ConsumeOk, queue="q", no_ack=True)
    wire.output = reader.connection.output
    wire.read_all()
    bodies = [b"%d" % number + bytes(16 * 1024) for number in range(500)]
    for body in bodies:
        publisher.feed(publish_bytes(1, "", "q", body))
        assert wire.unread + reader.connection.output.size <= HIGH_WATER + FULL
    queue = world.vhost.queue("q")
    assert queue.message_count > 400
    while queue.message_count:
        wire.read_all()
        world.finish()
        assert wire.unread <= HIGH_WATER + 2 * FULL
    assert reader.bodies() == bodies


def test_one_turn_writes_at_most_what_makes_an_output_full() -> None:
    """A backlog of 12 MiB meets a new consumer; the socket takes it in portions, and all of it arrives."""
    world = World()
    client = publishing(world)
    client.declare("q")
    body = bytes(64 * 1024)
    for _ in range(200):
        client.publish(1, "", "q", body)
    client.connection.receive(encode(1, make(commands.Basic.Consume, queue="q", no_ack=True, nowait=True)))
    turns, seen = 0, 0
    while not world.turn.idle:
        world.turn.finish()
        fresh, seen = len(client.wire.written) - seen, len(client.wire.written)
        assert fresh <= FULL + 2 * len(body) or turns == 0
        turns += 1
    assert turns >= 200 * len(body) / (FULL + 2 * len(body))
    assert sum(isinstance(item, Content) for _, item in client.received()) == 200


def test_a_thousand_idle_connections_cost_a_bounded_number_of_objects() -> None:
    """And nothing of them remains once they are gone."""
    world = World()
    world.client().open()
    gc.collect()
    before = len(gc.get_objects())
    clients = [world.client(heartbeat=60) for _ in range(1000)]
    for client in clients:
        client.open()
        client.wire.written = b""
    gc.collect()
    assert (len(gc.get_objects()) - before) / 1000 < 100
    for client in clients:
        client.lose()
    del client
    clients.clear()
    world.advance(120.0)
    world.observer.events.clear()
    gc.collect()
    assert len(gc.get_objects()) - before < 50
