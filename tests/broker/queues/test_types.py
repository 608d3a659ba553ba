"""The queue types: each is known under its own name."""

from __future__ import annotations

from amqpd.broker.queues.types import QUEUE_TYPES


def test_a_type_is_known_under_the_name_that_x_queue_type_gives_it() -> None:
    assert {name: cls.kind for name, cls in QUEUE_TYPES.items()} == {
        name: name for name in ("classic", "quorum", "stream")
    }
