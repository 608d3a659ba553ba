"""Time in queues: messages that expire at the head, queues that nobody uses; on a clock that moves when told."""

from __future__ import annotations

import pytest
from pamqp import commands

from amqpd.broker.message import Message
from amqpd.broker.queues.base import Queue
from amqpd.broker.queues.expiry import HeadTimer, IdleTimer
from amqpd.wire.properties import Properties
from tests.broker.queues.takers import Taker, drained, make_queue, message
from tests.builders import World

TYPES = pytest.mark.parametrize("kind", ["classic", "quorum"])


def expiring(body: bytes, milliseconds: int) -> Message:
    """A message with an expiration property."""
    return message(body, Properties.of(expiration=str(milliseconds)))


def filled(world: World, *messages: Message, **arguments: object) -> Queue:
    """A queue with these messages, at the end of the turn."""
    queue = make_queue(world, **arguments)
    for each in messages:
        queue.publish(each)
    world.finish()
    return queue


def timers_of(world: World) -> int:
    """How many timers there are, cancelled ones included."""
    return len(world.timers._heap)


# Messages.


@TYPES
def test_a_queue_has_no_timer_unless_its_head_expires(kind: str) -> None:
    world = World()
    queue = filled(world, message(b"0"), expiring(b"1", 1000), queue_type=kind)
    assert timers_of(world) == 0
    queue.get()
    world.finish()
    assert timers_of(world) == 1


@TYPES
def test_messages_expire_one_after_the_other_without_anybody_looking(kind: str) -> None:
    world = World()
    queue = filled(world, expiring(b"0", 1000), expiring(b"1", 2000), message(b"2"), queue_type=kind)
    counts = []
    for _ in range(4):
        world.advance(0.75)
        counts.append(queue.message_count)
    assert counts == [3, 2, 1, 1]


@TYPES
def test_only_the_head_expires_but_nothing_expired_is_delivered(kind: str) -> None:
    """Conformance row H03."""
    world = World()
    queue = filled(world, expiring(b"0", 10_000), expiring(b"1", 1000), message(b"2"), queue_type=kind)
    world.advance(5.0)
    assert queue.message_count == 3
    assert drained(queue) == [(b"0", False), (b"2", False)]


@TYPES
def test_the_smaller_of_the_queues_ttl_and_the_messages_own_counts(kind: str) -> None:
    """Conformance row H04."""
    world = World()
    queue = filled(world, expiring(b"0", 1000), expiring(b"1", 9000), queue_type=kind, message_ttl=3000)
    world.advance(1.5)
    assert queue.message_count == 1
    world.advance(2.0)
    assert queue.message_count == 0


@TYPES
def test_a_message_without_time_is_delivered_to_who_is_ready_and_else_dropped(kind: str) -> None:
    """Conformance rows H01, H02."""
    world = World()
    queue = make_queue(world, queue_type=kind, message_ttl=0)
    taker = Taker("c", queue, credit=1)
    queue.subscribe(taker)
    for number in range(2):
        queue.publish(message(b"%d" % number))
    world.finish()
    assert (taker.bodies, queue.message_count) == ([b"0"], 0)


@TYPES
def test_a_message_that_says_itself_that_it_has_no_time_is_treated_the_same(kind: str) -> None:
    world = World()
    queue = make_queue(world, queue_type=kind)
    taker = Taker("c", queue, credit=1)
    queue.subscribe(taker)
    for number in range(2):
        queue.publish(expiring(b"%d" % number, 0))
    world.finish()
    assert (taker.bodies, queue.message_count) == ([b"0"], 0)


@TYPES
def test_a_message_without_time_counts_while_a_live_one_stands_before_it_but_is_not_delivered(kind: str) -> None:
    world = World()
    queue = filled(world, message(b"0"), expiring(b"1", 0), message(b"2"), queue_type=kind)
    assert queue.message_count == 3
    taker = Taker("c", queue)
    queue.subscribe(taker)
    world.finish()
    assert (taker.bodies, queue.message_count) == ([b"0", b"2"], 0)


def test_what_expired_behind_the_message_that_is_fetched_is_not_counted_any_more() -> None:
    """A classic queue tells in basic.get_ok how many are left, and what expired behind the head is none of them."""
    world = World()
    client = world.client()
    client.open()
    client.declare("q")
    for expiration in (None, "0", "0", None):
        client.publish(1, "", "q", properties=Properties.of(expiration=expiration))
    client.send(1, commands.Basic.Get, queue="q")
    (item,) = client.messages()
    assert isinstance(item.method, commands.Basic.GetOk)
    assert item.method.message_count == 1


@TYPES
def test_an_unsettled_message_does_not_expire_and_keeps_its_deadline_for_its_return(kind: str) -> None:
    """Conformance row H05."""
    world = World()
    queue = filled(world, expiring(b"0", 2000), expiring(b"1", 2000), queue_type=kind)
    early, late = queue.get(), queue.get()
    assert early is not None
    assert late is not None
    world.advance(1.0)
    queue.requeue(early)
    world.finish()
    assert queue.message_count == 1
    world.advance(5.0)
    assert queue.message_count == 0
    queue.requeue(late)
    world.finish()
    assert queue.message_count == 0


@TYPES
def test_a_deadline_is_fixed_when_the_message_enters(kind: str) -> None:
    world = World()
    queue = filled(world, message(b"0"), queue_type=kind, message_ttl=1000)
    world.advance(0.9)
    queue.publish(message(b"1"))
    world.finish()
    world.advance(0.2)
    assert drained(queue) == [(b"1", False)]


def test_a_stream_of_expiring_messages_leaves_one_timer_and_not_one_for_each() -> None:
    world = World()
    queue = make_queue(world, message_ttl=1000)
    for _ in range(100):
        queue.publish(message(b""))
        world.advance(0.001)
        assert queue.get() is not None
        world.finish()
    assert timers_of(world) <= 2


def test_a_head_timer_that_is_set_is_not_set_again_for_a_later_deadline() -> None:
    world, due = World(), []
    timer = HeadTimer(world.context, lambda: due.append(world.clock.monotonic()))
    start = int(world.context.now())
    timer.wait_for(start + 2000)
    timer.wait_for(start + 3000)
    timer.wait_for(0)
    world.advance(2.5)
    assert due == [2.0]


def test_a_head_timer_waits_for_an_earlier_deadline_instead() -> None:
    world, due = World(), []
    timer = HeadTimer(world.context, lambda: due.append(world.clock.monotonic()))
    start = int(world.context.now())
    timer.wait_for(start + 2000)
    timer.wait_for(start + 1000)
    world.advance(5.0)
    assert due == [1.0]
    timer.wait_for(start + 1000)  # has passed
    world.advance(0.0)
    assert due == [1.0, 5.0]


def test_a_stopped_head_timer_calls_nobody() -> None:
    world, due = World(), []
    timer = HeadTimer(world.context, lambda: due.append(1))
    timer.wait_for(int(world.context.now()) + 1000)
    timer.stop()
    world.advance(5.0)
    assert due == []
    assert world.timers.next_deadline() is None


# Queues.


class Idler:
    """An idle timer, and the moments at which it found that the time was over."""

    def __init__(self, world: World) -> None:
        self.busy = False
        self.found: list[float] = []
        self.timer = IdleTimer(world.context, lambda: self.busy, lambda: self.found.append(world.clock.monotonic()))


def test_the_time_without_use_starts_anew_with_each_use() -> None:
    world = World()
    idler = Idler(world)
    idler.timer.set(1000)
    for _ in range(3):
        world.advance(0.75)
        idler.timer.used()
    world.advance(0.9)
    assert idler.found == []
    world.advance(0.2)
    assert idler.found == [3.25]
    assert world.timers.next_deadline() is None


def test_use_is_noted_without_a_timer_of_its_own() -> None:
    world = World()
    idler = Idler(world)
    idler.timer.set(1000)
    for _ in range(1000):
        idler.timer.used()
    assert timers_of(world) == 1


def test_what_is_busy_is_used_all_the_time() -> None:
    world = World()
    idler = Idler(world)
    idler.timer.set(1000)
    idler.busy = True
    world.advance(9.5)
    idler.busy = False
    idler.timer.used()  # its last consumer has left
    world.advance(0.9)
    assert idler.found == []
    world.advance(0.2)
    assert idler.found == [10.5]


@pytest.mark.parametrize("stop", ["stop", "set"])
def test_a_stopped_idle_timer_calls_nobody(stop: str) -> None:
    world = World()
    idler = Idler(world)
    idler.timer.set(1000)
    if stop == "stop":
        idler.timer.stop()
    else:
        idler.timer.set(None)
    idler.timer.used()
    world.advance(5.0)
    assert idler.found == []


@TYPES
def test_a_queue_that_nobody_uses_goes_with_its_messages_and_without_dead_letters(kind: str) -> None:
    """Conformance rows D64, D65: neither publishing nor unsettled messages are use."""
    world = World()
    dead = make_queue(world, "dead")
    letters = {"dead_letter_exchange": "", "dead_letter_routing_key": "dead"}
    queue = filled(world, message(b"0"), message(b"1"), queue_type=kind, expires=1000, **letters)
    assert queue.get() is not None
    world.advance(0.75)
    queue.publish(message(b"2"))
    world.advance(0.5)
    assert list(world.vhost.queues) == ["dead"]
    assert queue.deleted
    assert dead.message_count == 0


@TYPES
def test_basic_get_is_use_even_if_nothing_is_there(kind: str) -> None:
    world = World()
    queue = make_queue(world, queue_type=kind, expires=1000)
    world.advance(0.75)
    assert queue.get() is None
    world.advance(0.75)
    assert not queue.deleted
    world.advance(0.5)
    assert queue.deleted


@pytest.mark.parametrize(("kind", "renews"), [("classic", True), ("quorum", False)])
@pytest.mark.parametrize("passive", [True, False])
def test_a_declaration_renews_the_time_of_classic_queues_only(kind: str, renews: bool, passive: bool) -> None:
    world = World()
    client = world.client()
    client.open()
    arguments = {"x-expires": 1000, "x-queue-type": kind}
    client.declare("q", durable=True, arguments=arguments)
    world.advance(0.75)
    client.declare("q", durable=True, arguments=arguments, passive=passive)
    world.advance(0.5)
    assert ("q" in world.vhost.queues) == renews


@TYPES
def test_a_queue_with_consumers_is_in_use_and_its_time_starts_when_the_last_has_left(kind: str) -> None:
    world = World()
    queue = make_queue(world, queue_type=kind, expires=1000)
    taker = Taker("c", queue)
    queue.subscribe(taker)
    world.advance(10.25)
    queue.unsubscribe(taker)
    world.advance(0.9)
    assert not queue.deleted
    world.advance(0.2)
    assert queue.deleted
    assert world.timers.next_deadline() is None


def test_a_consumer_is_not_told_of_an_expired_queue_because_there_is_none() -> None:
    """Only a queue without consumers expires; to others it is as if it never was."""
    world = World()
    client = world.client()
    client.open()
    client.declare("q", arguments={"x-expires": 1000})
    world.advance(1.0)
    assert client.take() == b""
    client.send(1, commands.Basic.Consume, queue="q")
    assert client.channel_closed() == (404, "NOT_FOUND - no queue 'q' in vhost '/'")
