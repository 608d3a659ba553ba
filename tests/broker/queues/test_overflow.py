"""Length limits: what counts, what gives way, and what the publisher is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from amqpd.broker.arguments import QueueArguments
from amqpd.broker.queues.base import Queue
from amqpd.broker.queues.delivery import Delivery
from amqpd.broker.queues.overflow import Limit
from amqpd.broker.settings import effective_settings
from amqpd.wire.table import Table
from tests.broker.queues.takers import Taker, accepts, drained, drained_deliveries, make_queue, message
from tests.builders import Client, World, publish_bytes

TYPES = pytest.mark.parametrize("kind", ["classic", "quorum"])


def limit_of(**arguments: object) -> Limit:
    """The limit that a classic queue's arguments make."""
    table = Table.of({"x-" + key.replace("_", "-"): value for key, value in arguments.items()})
    return effective_settings("classic", QueueArguments.of(table), None, None).limit


def filled(queue: Queue, *bodies: bytes) -> list[bool]:
    """Publish these; returns which were taken."""
    return [accepts(queue, message(body)) for body in bodies]


def bodies(queue: Queue) -> list[bytes]:
    """The bodies of everything that is ready, which is taken out."""
    return [body for body, _ in drained(queue)]


@given(st.none() | st.integers(0, 10), st.none() | st.integers(0, 10), st.integers(0, 11), st.integers(0, 11))
def test_either_limit_counts_and_none_is_no_limit(
    max_length: int | None, max_bytes: int | None, messages: int, octets: int
) -> None:
    arguments = {"max_length": max_length, "max_length_bytes": max_bytes}
    limit = limit_of(**{key: value for key, value in arguments.items() if value is not None})
    too_many = max_length is not None and messages > max_length
    too_much = max_bytes is not None and octets > max_bytes
    assert limit.exceeded(messages, octets) == (too_many or too_much)
    assert limit.any == (max_length is not None or max_bytes is not None)


@pytest.mark.parametrize(("messages", "octets", "eased"), [(8, 80, True), (9, 80, False), (8, 81, False), (0, 0, True)])
def test_there_is_room_again_at_four_fifths_of_both_limits(messages: int, octets: int, eased: bool) -> None:
    assert limit_of(max_length=10, max_length_bytes=100).eased(messages, octets) == eased


@pytest.mark.parametrize(
    ("overflow", "drops", "rejects", "buries"),
    [
        (None, True, False, False),
        ("drop-head", True, False, False),
        ("reject-publish", False, True, False),
        ("reject-publish-dlx", False, True, True),
    ],
)
def test_overflow_says_what_gives_way(overflow: str | None, drops: bool, rejects: bool, buries: bool) -> None:
    limit = limit_of(max_length=1) if overflow is None else limit_of(max_length=1, overflow=overflow)
    assert (limit.drops, limit.rejects, limit.buries) == (drops, rejects, buries)


def test_without_a_limit_nothing_gives_way() -> None:
    limit = limit_of(overflow="reject-publish")
    assert (limit.any, limit.drops, limit.rejects) == (False, False, False)


@TYPES
def test_the_head_is_dropped_and_unsettled_messages_do_not_count(kind: str) -> None:
    """Conformance row H06."""
    queue = make_queue(World(), queue_type=kind, max_length=2)
    filled(queue, b"0")
    assert queue.get() is not None
    filled(queue, b"1", b"2", b"3")
    assert bodies(queue) == [b"2", b"3"]


def test_requeued_messages_are_dropped_if_they_are_too_many() -> None:
    """Conformance row H06: the oldest, that is those that came back."""
    queue = make_queue(World(), max_length=2)
    filled(queue, b"0", b"1")
    taken = [queue.get(), queue.get()]
    filled(queue, b"2", b"3")
    for delivery in taken:
        assert delivery is not None
        queue.requeue(delivery)
    assert bodies(queue) == [b"2", b"3"]


def test_a_requeued_message_that_is_too_many_is_dropped_before_a_consumer_can_take_it_again() -> None:
    world = World()
    queue = make_queue(world, max_length=1)
    taker = Taker("c", queue, credit=2)
    queue.subscribe(taker)
    filled(queue, b"0", b"1", b"2")
    for delivery in list(taker.deliveries):
        queue.requeue(delivery)
        taker.settled()
    world.finish()
    assert taker.bodies == [b"0", b"1", b"2"]


@TYPES
def test_what_is_beyond_the_limit_dies_of_that_even_if_it_has_no_time_either(kind: str) -> None:
    world = World()
    dead = make_queue(world, "dead")
    letters = {"dead_letter_exchange": "", "dead_letter_routing_key": "dead"}
    filled(make_queue(world, queue_type=kind, max_length=0, message_ttl=0, **letters), b"0")
    world.finish()
    (letter,) = drained_deliveries(dead)
    headers = letter.message.properties.headers
    assert headers is not None
    assert headers.text("x-first-death-reason") == "maxlen"


@TYPES
def test_a_message_that_is_larger_than_the_limit_empties_the_queue(kind: str) -> None:
    """Conformance row H07: itself included. Only bodies count."""
    queue = make_queue(World(), queue_type=kind, max_length_bytes=10)
    filled(queue, b"12345", b"67890")
    assert queue.message_count == 2
    filled(queue, b"x" * 11)
    assert queue.message_count == 0


def test_with_room_for_none_a_message_reaches_only_who_is_ready() -> None:
    """Conformance row H08."""
    queue = make_queue(World(), max_length=0)
    taker = Taker("c", queue, credit=1)
    queue.subscribe(taker)
    assert filled(queue, b"0", b"1") == [True, True]
    assert (taker.bodies, queue.message_count) == ([b"0"], 0)


def test_a_full_classic_queue_refuses_the_new_message() -> None:
    queue = make_queue(World(), max_length=2, overflow="reject-publish")
    assert filled(queue, b"0", b"1", b"2") == [True, True, False]
    assert queue.get() is not None
    assert filled(queue, b"3", b"4") == [True, False]
    assert bodies(queue) == [b"1", b"3"]


def test_what_goes_straight_to_a_consumer_is_not_refused() -> None:
    """Conformance row H09."""
    queue = make_queue(World(), max_length=1, overflow="reject-publish")
    taker = Taker("c", queue, credit=3)
    queue.subscribe(taker)
    assert filled(queue, b"0", b"1", b"2", b"3", b"4") == [True, True, True, True, False]
    assert taker.bodies == [b"0", b"1", b"2"]


@pytest.mark.parametrize("limit", [{"max_length": 0}, {"max_length_bytes": 2}])
def test_what_would_not_fit_even_into_the_empty_queue_is_refused_although_a_consumer_is_ready(
    limit: dict[str, object],
) -> None:
    queue = make_queue(World(), overflow="reject-publish", **limit)
    taker = Taker("c", queue)
    queue.subscribe(taker)
    assert filled(queue, b"too large") == [False]
    assert taker.bodies == []


def test_a_refused_message_is_dead_lettered_if_the_queue_is_told_so() -> None:
    """Conformance row H10."""
    world = World()
    dead = make_queue(world, "dead")
    letters = {"dead_letter_exchange": "", "dead_letter_routing_key": "dead"}
    queue = make_queue(world, max_length=1, overflow="reject-publish-dlx", **letters)
    assert filled(queue, b"0", b"1") == [True, False]
    world.finish()
    assert (bodies(queue), bodies(dead)) == ([b"0"], [b"1"])


def test_a_quorum_queue_refuses_once_the_limit_was_passed_and_until_it_has_eased() -> None:
    """Conformance rows H11, N03."""
    queue = make_queue(World(), queue_type="quorum", max_length=5, overflow="reject-publish")
    assert filled(queue, *[b"m"] * 8) == [True] * 6 + [False] * 2
    outcomes = []
    for _ in range(3):
        assert queue.get() is not None
        outcomes += filled(queue, b"n")
    # 5 left: refused; 4 left, which is four fifths: taken; then 5 in it are within the limit.
    assert outcomes == [False, True, True]


def fetched(queue: Queue, count: int) -> list[Delivery]:
    """Take so many messages."""
    deliveries = [queue.get() for _ in range(count)]
    return [delivery for delivery in deliveries if delivery is not None]


def test_what_comes_back_to_a_quorum_queue_can_pass_the_limit_too() -> None:
    world = World()
    queue = make_queue(world, queue_type="quorum", max_length=5, overflow="reject-publish")
    filled(queue, *[b"m"] * 4)
    held = fetched(queue, 2)
    assert filled(queue, *[b"n"] * 3) == [True] * 3  # 5 are ready
    queue.requeue(held.pop())
    assert filled(queue, b"n") == [False]
    queue.requeue(held.pop())
    world.finish()
    fetched(queue, 2)
    assert filled(queue, b"n") == [False], "5 are within the limit, but not below four fifths of it"
    fetched(queue, 1)
    assert filled(queue, b"n") == [True]


def test_a_quorum_queue_that_has_eased_takes_publishes_whatever_comes_back_within_the_limit() -> None:
    world = World()
    queue = make_queue(world, queue_type="quorum", max_length=5, overflow="reject-publish")
    assert filled(queue, *[b"m"] * 7) == [True] * 6 + [False]
    taker = Taker("c", queue, credit=2)
    queue.subscribe(taker)
    world.finish()  # 4 are ready: eased
    taker.stopped = True
    queue.requeue(taker.deliveries.pop())
    assert filled(queue, b"n") == [True]


def test_what_a_consumer_of_a_quorum_queue_gets_back_at_once_passes_no_limit() -> None:
    world = World()
    queue = make_queue(world, queue_type="quorum", max_length=5, overflow="reject-publish")
    taker = Taker("c", queue, credit=1)
    queue.subscribe(taker)
    assert filled(queue, *[b"m"] * 6) == [True] * 6  # 5 are ready, 1 is with the consumer
    queue.requeue(taker.deliveries.pop())
    taker.settled()
    assert filled(queue, b"n", b"n") == [True, False]


def test_a_quorum_queue_whose_limit_is_lifted_refuses_no_longer() -> None:
    world = World()
    queue = make_queue(world, queue_type="quorum", max_length=0, overflow="reject-publish")
    assert filled(queue, b"0", b"1") == [True, False]
    arguments = Table.of({"x-queue-type": "quorum", "x-overflow": "reject-publish"})
    queue.apply(effective_settings("quorum", QueueArguments.of(arguments), None, None))
    assert filled(queue, b"2") == [True]


def test_a_quorum_queue_drops_the_head_where_it_should_bury_the_new_message() -> None:
    queue = make_queue(World(), queue_type="quorum", max_length=1, overflow="reject-publish-dlx")
    assert filled(queue, b"0", b"1") == [True, True]
    assert bodies(queue) == [b"1"]


# From bytes to bytes.


def confirming(world: World) -> Client:
    """A client whose channel 1 is in confirm mode."""
    client = world.client()
    client.open()
    client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
    return client


def outcomes(client: Client) -> list[tuple[str, int, bool]]:
    """The confirms that came: ack or nack, number, multiple."""
    found = []
    for _, item in client.received():
        assert isinstance(item, commands.Basic.Ack | commands.Basic.Nack)
        word = "ack" if isinstance(item, commands.Basic.Ack) else "nack"
        found.append((word, item.delivery_tag or 0, bool(item.multiple)))
    return found


def test_refused_publishes_are_nacked_and_the_others_acked() -> None:
    client = confirming(World())
    client.declare("q", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    client.publish(1, "", "q", b"0")
    assert outcomes(client) == [("ack", 1, False)]
    client.publish(1, "", "q", b"1")
    assert [word for word, _, _ in outcomes(client)] == ["nack"]
    client.call(1, commands.Queue.Purge, commands.Queue.PurgeOk, queue="q")
    client.publish(1, "", "q", b"2")
    assert outcomes(client) == [("ack", 3, False)]


def test_in_one_read_no_confirm_covers_a_publish_with_another_outcome() -> None:
    client = confirming(World())
    client.declare("q", arguments={"x-max-length": 2, "x-overflow": "reject-publish"})
    client.feed(publish_bytes(1, "", "q") * 4 + publish_bytes(1, "", "elsewhere"))
    assert [(word, number) for word, number, _ in outcomes(client)] == [("ack", 2), ("nack", 4), ("ack", 5)]


def test_one_queue_that_refuses_is_enough_for_a_nack_and_the_other_has_the_message() -> None:
    world = World()
    client = confirming(world)
    client.declare("full", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    client.declare("free")
    for name in ("full", "free"):
        client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue=name, exchange="amq.fanout")
    client.publish(1, "amq.fanout", "", b"0")
    assert [word for word, _, _ in outcomes(client)] == ["nack"]
    assert [world.vhost.queue(name).message_count for name in ("full", "free")] == [0, 1]


def test_without_confirms_a_refused_message_is_dropped_silently() -> None:
    world = World()
    client = world.client()
    client.open()
    client.declare("q", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    client.publish(1, "", "q", b"0", mandatory=True)
    assert client.take() == b""
    assert world.vhost.queue("q").message_count == 0
