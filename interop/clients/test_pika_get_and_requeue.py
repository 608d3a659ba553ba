"""basic.get, and what becomes of messages that are acknowledged, rejected, requeued or recovered."""

from __future__ import annotations

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from interop.clients.conftest import Connect
from interop.clients.pika_reading import get, ready_messages, receive
from interop.names import unique
from interop.waiting import eventually


@pytest.fixture
def queue(channel: BlockingChannel) -> str:
    """An exclusive queue with the messages 0 to 4."""
    name = unique("get")
    channel.queue_declare(name, exclusive=True)
    for number in range(5):
        channel.basic_publish("", name, b"%d" % number)
    return name


def remaining(channel: BlockingChannel, queue: str) -> list[tuple[bytes, bool]]:
    """Return body and redelivered flag of all messages of `queue`, taking them."""
    found: list[tuple[bytes, bool]] = []
    while (message := channel.basic_get(queue, auto_ack=True))[0] is not None:
        found.append((message[2], message[0].redelivered))
    return found


def test_get_counts_what_is_left_and_ends_empty(channel: BlockingChannel, queue: str) -> None:
    messages = [get(channel, queue) for _ in range(5)]
    assert [message.method.message_count for message in messages] == [4, 3, 2, 1, 0]
    assert [message.method.delivery_tag for message in messages] == [1, 2, 3, 4, 5]
    assert [message.body for message in messages] == [b"0", b"1", b"2", b"3", b"4"]
    assert channel.basic_get(queue) == (None, None, None)
    channel.basic_ack(0, multiple=True)
    assert remaining(channel, queue) == []


def test_nack_with_requeue_puts_messages_back_in_their_old_places(channel: BlockingChannel, queue: str) -> None:
    tags = [get(channel, queue).method.delivery_tag for _ in range(3)]
    channel.basic_nack(tags[1], requeue=True)
    channel.basic_nack(tags[0], requeue=True)
    channel.basic_nack(tags[2], requeue=True)
    redelivered = [(b"0", True), (b"1", True), (b"2", True)]
    assert remaining(channel, queue) == [*redelivered, (b"3", False), (b"4", False)]


def test_nack_of_many_requeues_all_up_to_the_tag(channel: BlockingChannel, queue: str) -> None:
    tags = [get(channel, queue).method.delivery_tag for _ in range(4)]
    channel.basic_nack(tags[2], multiple=True, requeue=True)
    channel.basic_ack(tags[3])
    assert remaining(channel, queue) == [(b"0", True), (b"1", True), (b"2", True), (b"4", False)]


def test_reject_without_requeue_drops(channel: BlockingChannel, queue: str) -> None:
    channel.basic_reject(get(channel, queue).method.delivery_tag, requeue=False)
    channel.basic_reject(get(channel, queue).method.delivery_tag, requeue=True)
    assert [body for body, _ in remaining(channel, queue)] == [b"1", b"2", b"3", b"4"]


def test_recover_returns_everything_unacknowledged(channel: BlockingChannel, queue: str) -> None:
    for _ in range(2):
        get(channel, queue)
    channel.basic_recover(requeue=True)
    assert remaining(channel, queue)[:3] == [(b"0", True), (b"1", True), (b"2", False)]


def test_closing_the_channel_requeues_in_order(connect: Connect) -> None:
    connection = connect()
    first, second = connection.channel(), connection.channel()
    name = unique("get")
    first.queue_declare(name, exclusive=True)
    for number in range(3):
        first.basic_publish("", name, b"%d" % number)
    receive(first, name, 2, auto_ack=False)
    first.close()
    eventually(lambda: ready_messages(second, name) == 3, "all three are back")
    assert [body for body, _ in remaining(second, name)] == [b"0", b"1", b"2"]


def test_purge_and_delete_tell_how_many_went(channel: BlockingChannel, queue: str) -> None:
    get(channel, queue)  # unacknowledged: out of reach of a purge
    assert channel.queue_purge(queue).method.message_count == 4
    channel.basic_publish("", queue, b"late")
    assert channel.queue_delete(queue).method.message_count == 1
