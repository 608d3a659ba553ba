"""Consumer utilisation: the share of the last seconds in which messages could leave as they came."""

from __future__ import annotations

import pytest
from pamqp import commands

from amqpd.broker.queues.utilisation import MEMORY, Utilisation
from amqpd.clock import ManualClock
from tests.builders import World, publish_bytes


def test_it_moves_towards_the_state_that_lasts() -> None:
    clock = ManualClock()
    found = Utilisation(clock)
    assert found.share() == 1.0
    found.change(False)
    clock.advance(MEMORY)
    assert found.share() == pytest.approx(0.368, abs=0.001)
    clock.advance(10 * MEMORY)
    assert found.share() == pytest.approx(0.0, abs=0.001)
    found.change(True)
    clock.advance(MEMORY)
    assert found.share() == pytest.approx(0.632, abs=0.001)


def test_a_queue_whose_consumer_has_no_credit_is_not_used_well() -> None:
    world = World()
    client = world.client()
    client.open()
    client.declare("q")
    queue = world.vhost.queues["q"]
    assert queue.utilisation == 0.0
    client.send(1, commands.Basic.Qos, prefetch_count=1)
    client.send(1, commands.Basic.Consume, queue="q", consumer_tag="c")
    client.feed(publish_bytes(1, "", "q"))
    assert queue.utilisation == 1.0
    client.feed(publish_bytes(1, "", "q"))
    world.advance(60)
    assert queue.utilisation == pytest.approx(0.0, abs=0.001)
    client.send(1, commands.Basic.Ack, delivery_tag=1)
    world.advance(60)
    assert queue.utilisation == pytest.approx(1.0, abs=0.001)
