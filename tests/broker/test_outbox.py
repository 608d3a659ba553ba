"""Messages that the broker makes itself wait for the end of the turn."""

from __future__ import annotations

from amqpd.broker.message import make_message
from amqpd.broker.outbox import Outbox, table_of
from amqpd.wire.properties import EMPTY_PROPERTIES
from amqpd.wire.table import EMPTY_TABLE, Field, Table
from tests.builders import World
from tests.listener import Listener


def deep(levels: int) -> Table:
    """Tables inside each other."""
    table = EMPTY_TABLE
    for _ in range(levels - 1):
        table = Table.of({"a": table})
    return table


def test_messages_are_published_in_order_under_their_own_keys_when_the_turn_ends() -> None:
    world = World()
    listener = Listener(world, "amq.topic", "k.*")
    outbox = Outbox(world.vhost, world.vhost.exchange("amq.topic"))
    for key in ("k.1", "other", "k.2"):
        outbox.put(make_message("some exchange", key, EMPTY_PROPERTIES, b"body"))
    assert listener.queue.message_count == 0
    heard = listener.heard()
    assert [message.key for message in heard] == ["k.1", "k.2"]
    assert {message.message.exchange for message in heard} == {"some exchange"}


def test_a_queue_that_refuses_messages_does_not_keep_others_from_them() -> None:
    world = World()
    listener = Listener(world, "amq.fanout", "")
    listener.queue.deleted = True  # as if it were going while messages are on their way
    outbox = Outbox(world.vhost, world.vhost.exchange("amq.fanout"))
    outbox.put(make_message("", "k", EMPTY_PROPERTIES, b""))
    world.finish()
    assert world.turn.idle


def test_tables_too_deep_to_be_nested_once_more_are_shown_empty_and_all_else_stays() -> None:
    fields = {"table": Field("F", deep(64)), "text": Field.of("a")}
    assert table_of(fields) == Table.of({"table": {}, "text": "a"})
    fields["table"] = Field("F", deep(63))
    assert table_of(fields).get("table") == fields["table"]
