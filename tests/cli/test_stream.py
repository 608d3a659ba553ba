"""amqpd stream: what it shows and does."""

from __future__ import annotations

import json
import socket

import pytest

from amqpd.broker.queues.stream.queue import StreamQueue
from amqpd.cli.stream import with_zone
from amqpd.wire.table import Field
from tests.cli.conftest import STREAM, Running

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")


@pytest.fixture
def running(running: Running) -> Running:
    """With a stream of 2,000 messages, and two cursors."""
    running.says("super-stream", "add", "orders", "--partitions", "2")
    running.publish(STREAM, 2000)
    stream = running.world.vhost.queue(STREAM)
    assert isinstance(stream, StreamQueue)
    running.do(lambda: stream.reset_cursor("billing", Field("l", 1200)))
    running.do(lambda: stream.reset_cursor("audit\x1b", Field("S", "first")))
    return running


def test_cursors_are_shown_as_a_table(running: Running) -> None:
    assert running.says("stream", "cursors").splitlines() == [
        "STREAM    CURSOR     OFFSET  FIRST   NEXT  BEHIND",
        "orders-0  audit\\x1b       0      0  2,000   2,000",
        "orders-0  billing     1,200      0  2,000     800",
    ]
    assert running.says("stream", "cursors", STREAM) == running.says("stream", "cursors")


def test_cursors_are_shown_to_programs(running: Running) -> None:
    shown = json.loads(running.says("stream", "cursors", "--json"))
    facts = {"stream": STREAM, "first_offset": 0, "next_offset": 2000}
    assert shown == [{**facts, "cursor": "audit\x1b", "offset": 0}, {**facts, "cursor": "billing", "offset": 1200}]
    assert json.loads(running.says("stream", "cursors", "orders-1", "--json")) == []


def test_no_cursors_are_a_sentence(running: Running) -> None:
    assert running.says("stream", "cursors", "orders-1") == "There are no cursors in stream 'orders-1'.\n"
    running.do(lambda: running.world.broker.create_vhost("other"))
    assert running.says("stream", "cursors", "--vhost", "other") == "There are no cursors in virtual host 'other'.\n"


@pytest.mark.parametrize(
    ("offset", "expected"), [("first", 0), ("last", 1999), ("next", 2000), ("7", 7), ("100s", 1900), ("1Y", 0)]
)
def test_a_cursor_is_moved_to_wherever_a_consumer_could_start(running: Running, offset: str, expected: int) -> None:
    said = running.says("stream", "reset-cursor", STREAM, "billing", offset)
    assert said == f"Cursor 'billing' of stream '{STREAM}' stands at offset {expected:,} now.\n"
    shown = json.loads(running.says("stream", "cursors", "--json"))
    assert shown[1]["offset"] == expected
    answer = running.says("stream", "reset-cursor", STREAM, "new", offset, "--json")
    assert json.loads(answer) == {"stream": STREAM, "cursor": "new", "offset": expected}


def test_a_time_without_a_zone_is_one_of_this_machine() -> None:
    assert with_zone("2026-11-23T08:30:00+01:00") == "2026-11-23T08:30:00+01:00"
    local = with_zone("2026-11-23T08:30:00")
    assert local.startswith("2026-11-23T08:30:00")
    assert len(local) > len("2026-11-23T08:30:00")


@pytest.mark.parametrize("offset", ["first", "20261123", "1h", "", "2026-11", "9999-12-31x"])
def test_what_is_no_time_is_sent_as_it_is(offset: str) -> None:
    assert with_zone(offset) == offset


def test_a_cursor_is_deleted(running: Running) -> None:
    said = running.says("stream", "delete-cursor", STREAM, "billing")
    assert said == f"Cursor 'billing' of stream '{STREAM}' is deleted.\n"
    assert "billing" not in running.says("stream", "cursors")
    assert running.refuses("stream", "delete-cursor", STREAM, "billing").startswith("There is no cursor 'billing'")


def test_what_cannot_be_is_one_sentence_with_the_way_out(running: Running) -> None:
    assert running.refuses("stream", "cursors", "nope") == (
        "There is no queue 'nope' in vhost '/'; is the name right, and the virtual host?"
    )
    assert running.refuses("stream", "reset-cursor", STREAM, "billing", "soon").startswith(
        "'soon' is no place in a stream; give first, last, next, "
    )
