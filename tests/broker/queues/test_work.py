"""What classic and quorum queues do alike: taking, settling, dying."""

from __future__ import annotations

import pytest

from amqpd.broker.flow import HOLD_ABOVE
from amqpd.broker.queues.base import Queue
from amqpd.wire.properties import Properties
from amqpd.wire.table import EMPTY_TABLE
from tests.broker.queues.takers import Taker, drained_deliveries, make_queue, message
from tests.builders import World

TYPES = pytest.mark.parametrize("kind", ["classic", "quorum"])


def queue_and_dead(kind: str, **arguments: object) -> tuple[World, Queue, Queue]:
    """A queue with a message, and the queue that takes its dead letters."""
    world = World()
    dead = make_queue(world, "dead")
    letters = {"dead_letter_exchange": "", "dead_letter_routing_key": "dead"}
    queue = make_queue(world, queue_type=kind, **letters, **arguments)
    queue.publish(message(b"m"))
    return world, queue, dead


def reasons(dead: Queue) -> list[str | None]:
    """Of what the letters in a queue died; they are taken out."""
    tables = [delivery.message.properties.headers or EMPTY_TABLE for delivery in drained_deliveries(dead)]
    return [table.text("x-first-death-reason") for table in tables]


@TYPES
def test_an_acknowledged_message_is_gone(kind: str) -> None:
    world, queue, dead = queue_and_dead(kind)
    delivery = queue.get()
    assert delivery is not None
    queue.acknowledge(delivery)
    world.finish()
    assert (queue.message_count, dead.message_count) == (0, 0)


@TYPES
def test_each_way_to_die_has_its_reason(kind: str) -> None:
    world, queue, dead = queue_and_dead(kind, max_length=2, message_ttl=1000)
    delivery = queue.get()
    assert delivery is not None
    queue.reject(delivery)
    for _ in range(3):
        queue.publish(message(b"m"))
    world.finish()
    assert reasons(dead) == ["rejected", "maxlen"]
    world.advance(1.5)
    assert reasons(dead) == ["expired", "expired"]


@TYPES
def test_purged_and_deleted_messages_are_no_dead_letters(kind: str) -> None:
    world, queue, dead = queue_and_dead(kind)
    assert queue.purge() == 1
    for _ in range(2):
        queue.publish(message(b"m"))
    delivery = queue.get()
    assert delivery is not None
    world.vhost.delete_queue(queue)
    queue.reject(delivery)
    world.finish()
    assert dead.message_count == 0


@TYPES
def test_without_a_dead_letter_exchange_the_dead_are_gone(kind: str) -> None:
    world = World()
    queue = make_queue(world, queue_type=kind, max_length=0)
    queue.publish(message(b"m"))
    world.finish()
    assert (queue.message_count, world.turn.idle) == (0, True)


@TYPES
def test_a_consumer_gets_no_message_that_expired_while_it_stood_behind_another(kind: str) -> None:
    world, queue, dead = queue_and_dead(kind, message_ttl=1000)
    taker = Taker("c", queue, credit=1)
    world.clock.advance(2.0)  # before any timer could run
    queue.subscribe(taker)
    world.finish()
    assert (taker.bodies, dead.message_count) == ([], 1)


@TYPES
def test_what_expired_behind_the_head_is_not_handed_out_with_it(kind: str) -> None:
    """A consumer with credit for everything gets the others only."""
    world, queue, dead = queue_and_dead(kind)
    queue.publish(message(b"expiring", Properties.of(expiration="1000")))
    queue.publish(message(b"last"))
    world.finish()
    world.advance(2.0)
    assert queue.message_count == 3
    taker = Taker("c", queue)
    queue.subscribe(taker)
    world.finish()
    assert (taker.bodies, reasons(dead)) == ([b"m", b"last"], ["expired"])


@TYPES
def test_a_crowded_queue_that_expires_lets_its_publishers_go(kind: str) -> None:
    """Whatever empties a queue, congestion has to hear of it."""
    world = World()
    queue = make_queue(world, queue_type=kind, message_ttl=100)
    queue.subscribe(Taker("c", queue, credit=1))
    for _ in range(HOLD_ABOVE + 2):
        queue.publish(message(b""))
    world.finish()
    assert queue.crowded
    world.advance(0.2)
    assert (queue.crowded, queue.message_count) == (False, 0)
