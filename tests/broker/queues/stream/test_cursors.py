"""Cursors in use: only who holds one moves it."""

from __future__ import annotations

import pytest

from amqpd.broker.arguments import QueueArguments
from amqpd.broker.queues.stream.cursors import CursorsInUse
from amqpd.broker.queues.stream.reader import Reader
from amqpd.broker.queues.stream.store import StreamStore
from amqpd.broker.settings import QueueSettings
from amqpd.wire.table import EMPTY_TABLE
from tests.broker.queues.takers import Taker, make_queue
from tests.builders import World


@pytest.fixture
def cursors() -> CursorsInUse:
    world = World()
    store = world.storage.stream_store(
        "", QueueSettings("stream", QueueArguments.of(EMPTY_TABLE), {}), lambda: None, lambda error: None
    )
    assert isinstance(store, StreamStore)
    return CursorsInUse(store)


def reader(place: int) -> Reader:
    """One that has been given everything before a place, and has the cursor's name."""
    queue = make_queue(World())
    return Reader(Taker("c", queue), place, None, "name", None)


def test_the_holder_moves_its_cursor_by_settling(cursors: CursorsInUse) -> None:
    holder = reader(5)
    cursors.move("name", 5)
    cursors.hand_to("name", holder)
    assert cursors.holder("name") is holder
    before = cursors.place("name")
    cursors.settled(holder, 5)
    assert cursors.place("name") == holder.place
    assert cursors.all() == {"name": holder.place}
    assert before == 5


@pytest.mark.parametrize("another", [False, True])
def test_what_is_settled_late_does_not_count(cursors: CursorsInUse, another: bool) -> None:
    """By one who has it no more, whoever has it now."""
    late = reader(5)
    cursors.move("name", 5)
    cursors.hand_to("name", late)
    if another:
        cursors.hand_to("name", reader(5))
    else:
        cursors.free("name")
    cursors.move("name", 40)
    cursors.settled(late, 5)
    assert cursors.place("name") == 40


def test_a_removed_cursor_has_neither_place_nor_holder(cursors: CursorsInUse) -> None:
    cursors.move("name", 5)
    cursors.hand_to("name", reader(5))
    assert cursors.remove("name")
    assert not cursors.remove("name")
    assert cursors.holder("name") is None
    assert cursors.place("name") == -1
