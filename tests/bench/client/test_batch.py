"""A batch is messages as any client would send them."""

from __future__ import annotations

import pytest

from amqpd.bench.client.batch import LARGE, Batch
from tests.builders import Client, World

RUN = 7
MOMENT = 0x1122334455667788


def batch(size: int, frame_max: int = 131_072, most: int = 3, persistent: bool = False) -> Batch:
    return Batch(1, "", "q", RUN, size, persistent, False, frame_max, most)


def consuming(frame_max: int = 131_072) -> Client:
    client = World().client(frame_max=frame_max)
    client.open()
    client.declare("q")
    return client


@pytest.mark.parametrize("size", [0, 1, 15, 16, 100, 5_000, 70_000, 200_000])
@pytest.mark.parametrize("frame_max", [4_096, 131_072])
def test_the_broker_gets_messages_of_this_size_with_run_and_moment(size: int, frame_max: int) -> None:
    client = consuming(frame_max)
    made = batch(size, frame_max)
    client.feed(made.stamped(made.most, MOMENT))
    queue = client.world.vhost.queue("q")
    bodies = [delivery.message.body for _ in range(made.most) if (delivery := queue.get()) is not None]
    stamp = RUN.to_bytes(8, "big") + MOMENT.to_bytes(8, "big")
    assert bodies == [stamp + b"x" * (size - 16) if size >= 16 else b"x" * size] * int(made.most)
    assert queue.get() is None


def test_fewer_can_be_taken_and_each_call_has_its_own_moment() -> None:
    made = batch(16)
    first, second = made.stamped(1, 1), made.stamped(3, 2)
    assert len(second) == 3 * len(first)
    assert first.count((1).to_bytes(8, "big") + b"\xce") == 1
    assert second.count((2).to_bytes(8, "big") + b"\xce") == 3


def test_persistence_is_a_property() -> None:
    client = consuming()
    client.feed(batch(16, persistent=True).stamped(1, 0) + batch(16).stamped(1, 0))
    queue = client.world.vhost.queue("q")
    found = [delivery.message.properties.delivery_mode for _ in "12" if (delivery := queue.get()) is not None]
    assert found == [2, None]


def test_a_batch_is_no_larger_than_a_write_should_be() -> None:
    assert batch(100, most=10**6).most == LARGE // (len(batch(100).stamped(1, 0)))
    assert batch(200_000, most=10**6).most == 1
