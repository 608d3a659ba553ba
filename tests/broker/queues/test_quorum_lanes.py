"""The order of a quorum queue: returned messages, then two of high priority to one of normal priority."""

from __future__ import annotations

import pytest

from amqpd.broker.message import Message
from amqpd.broker.queues.quorum_lanes import QuorumLanes
from amqpd.wire.properties import Properties
from tests.broker.queues.takers import memory_room, message


def lanes(names: str) -> QuorumLanes:
    """Messages whose bodies are these letters; capitals are of high priority."""
    filled = QuorumLanes(memory_room())
    for name in names:
        filled.append(message(name.encode(), Properties.of(priority=9 if name.isupper() else None)), 0)
    return filled


def taken(filled: QuorumLanes, count: int = 100) -> str:
    """The letters of so many messages in the order in which they leave."""
    names = ""
    while len(names) < count and (head := filled.take()) is not None:
        names += head.body.decode()
    return names


@pytest.mark.parametrize(
    ("published", "delivered"),
    [
        ("aAbBcCdD", "ABaCDbcd"),
        ("ABCDE", "ABCDE"),
        ("abc", "abc"),
        ("aABC", "ABaC"),
        ("Aabc", "Aabc"),
        ("", ""),
    ],
)
def test_two_of_high_priority_leave_for_one_of_normal(published: str, delivered: str) -> None:
    """Conformance row M15."""
    assert taken(lanes(published)) == delivered


@pytest.mark.parametrize(("priority", "is_high"), [(None, False), (0, False), (4, False), (5, True), (255, True)])
def test_priorities_above_4_are_high(priority: int | None, is_high: bool) -> None:
    filled = lanes("a")
    filled.append(message(b"b", Properties.of(priority=priority)), 0)
    assert taken(filled) == ("ba" if is_high else "ab")


def test_returned_messages_leave_first_in_the_order_of_their_return() -> None:
    """Conformance row D66q: get 0 to 3, requeue 3, 1, 0. Priorities do not count any more."""
    filled = lanes("abcDef")
    out: list[tuple[Message, int]] = []
    for _ in range(4):
        head = filled.take()
        assert head is not None
        out.append((head, int(filled.position)))
    for place in (3, 1, 0):
        filled.put_back(out[place][0], out[place][1], 1, 0)
    assert taken(filled) == "caDef"


def test_a_returned_message_does_not_count_in_the_row() -> None:
    filled = lanes("ABCDab")
    assert taken(filled, 1) == "A"
    head = filled.take()
    assert head is not None
    assert taken(filled, 1) == "a"
    filled.put_back(head, 1, 1, 0)
    assert taken(filled) == "BCDb"


def test_the_deadline_of_the_head_is_that_of_the_message_that_leaves_next() -> None:
    filled = QuorumLanes(memory_room())
    assert filled.head_deadline() == 0
    filled.append(message(b"a"), 10)
    assert filled.head_deadline() == 10
    filled.append(message(b"A", Properties.of(priority=9)), 20)
    assert filled.head_deadline() == 20
    filled.put_back(message(b"r"), 7, 1, 30)
    assert filled.head_deadline() == 30
