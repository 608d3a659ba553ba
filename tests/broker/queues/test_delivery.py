"""What a delivery tells of itself."""

from __future__ import annotations

import pytest

from amqpd.broker.queues.delivery import Delivery
from tests.broker.queues.takers import make_queue, message
from tests.builders import World


@pytest.mark.parametrize(("deliveries", "redelivered"), [(0, False), (1, True), (7, True)])
def test_a_delivery_is_redelivered_unless_it_is_the_first(deliveries: int, redelivered: bool) -> None:
    delivery = Delivery(make_queue(World()), message(b""), 3, deliveries, 0, None)
    assert delivery.redelivered == redelivered


def test_a_fetched_message_belongs_to_no_consumer_and_has_no_tag_yet() -> None:
    queue = make_queue(World())
    queue.publish(message(b"m"))
    delivery = queue.get()
    assert delivery is not None
    assert (delivery.queue, delivery.consumer, delivery.tag, delivery.redelivered) == (queue, None, 0, False)
