"""A consumer counts what arrives, how old it is, and acknowledges as it was told."""

from __future__ import annotations

import pytest
from pamqp import commands

from amqpd.bench.client.histogram import Histogram
from tests.bench.joined import QUEUE, RUN, Joined, consumer_in, world_with_queue
from tests.builders import World


def publish(world: World, *bodies: bytes) -> None:
    client = world.client()
    client.open()
    for body in bodies:
        client.publish(1, "", QUEUE, body)


def stamped(moment: int, run: int = RUN, more: int = 0) -> bytes:
    return run.to_bytes(8, "big") + moment.to_bytes(8, "big") + bytes(more)


@pytest.mark.parametrize("cut", [0, 1, 13])
def test_it_counts_messages_and_octets_however_they_are_cut(cut: int) -> None:
    world = world_with_queue()
    consumer = consumer_in(world)
    peer = Joined(world, consumer, cut=cut)
    assert consumer.ready
    publish(world, b"", b"abc", stamped(0, more=300_000))
    peer.run()
    assert (consumer.delivered, consumer.octets) == (3, 300_019)


def test_the_age_of_its_runs_messages_is_recorded_and_no_other() -> None:
    world = world_with_queue()
    ages = Histogram()
    peer = Joined(world, consumer_in(world, ages))
    world.clock.advance(0.000_000_2)
    publish(world, stamped(50), stamped(50), stamped(80, more=4), stamped(0, run=1), b"short")
    peer.run()
    assert ages.entries() == [(120, 1), (150, 2)]


@pytest.mark.parametrize(("every", "unsettled"), [(1, 0), (3, 1), (10, 7)])
def test_every_so_many_deliveries_are_acknowledged(every: int, unsettled: int) -> None:
    world = world_with_queue()
    consumer = consumer_in(world, ack_every=every)
    peer = Joined(world, consumer)
    publish(world, *[b"m"] * 7)
    peer.run()
    assert ready_after_loss(peer) == unsettled


def test_the_rest_is_acknowledged_at_the_end() -> None:
    world = world_with_queue()
    consumer = consumer_in(world, ack_every=10)
    peer = Joined(world, consumer)
    publish(world, *[b"m"] * 7)
    peer.run()
    consumer.acknowledge_rest()
    peer.run()
    assert ready_after_loss(peer) == 0


def ready_after_loss(peer: Joined) -> int:
    """Messages that return to the queue when the consumer goes."""
    peer.broker.lose()
    client = peer.world.client()
    client.open()
    return client.call(1, commands.Queue.Declare, commands.Queue.DeclareOk, queue=QUEUE, passive=True).message_count


def test_prefetch_bounds_what_comes() -> None:
    world = world_with_queue()
    consumer = consumer_in(world, prefetch=5, ack_every=10)
    peer = Joined(world, consumer)
    publish(world, *[b"m"] * 7)
    peer.run()
    assert consumer.delivered == 5


def test_a_queue_that_is_deleted_is_a_sentence() -> None:
    world = world_with_queue()
    peer = Joined(world, consumer_in(world))
    client = world.client()
    client.open()
    client.call(1, commands.Queue.Delete, commands.Queue.DeleteOk, queue=QUEUE)
    peer.run()
    assert peer.session.fault == (
        "The broker cancelled the consumer of 'q': somebody deleted the queue during the run."
    )
