"""Publisher confirms, returned messages and transactions with pika's blocking adapter."""

from __future__ import annotations

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import UnroutableError

from interop.clients.conftest import Connect
from interop.clients.pika_reading import get, ready_messages
from interop.names import unique
from interop.waiting import eventually


def test_every_publish_of_a_confirming_channel_waits_for_its_ack(channel: BlockingChannel) -> None:
    queue = unique("confirmed")
    channel.queue_declare(queue, durable=True)
    channel.confirm_delivery()
    for number in range(50):
        channel.basic_publish("", queue, b"%d" % number, pika.BasicProperties(delivery_mode=2), mandatory=True)
    assert ready_messages(channel, queue) == 50
    channel.queue_delete(queue)


def test_an_unroutable_mandatory_message_comes_back(channel: BlockingChannel) -> None:
    channel.confirm_delivery()
    properties = pika.BasicProperties(content_type="text/plain", headers={"try": 1})
    with pytest.raises(UnroutableError) as unroutable:
        channel.basic_publish("amq.direct", "no such key", b"come back", properties, mandatory=True)
    (returned,) = unroutable.value.messages
    assert (returned.method.reply_code, returned.method.reply_text) == (312, "NO_ROUTE")
    assert (returned.method.exchange, returned.method.routing_key) == ("amq.direct", "no such key")
    assert (returned.body, returned.properties.headers) == (b"come back", {"try": 1})


def test_an_unroutable_message_that_is_not_mandatory_is_confirmed(channel: BlockingChannel) -> None:
    channel.confirm_delivery()
    channel.basic_publish("amq.direct", "no such key", b"forget me")


def test_a_transaction_shows_its_messages_at_commit(connect: Connect) -> None:
    channel, other = connect().channel(), connect().channel()
    queue = unique("tx")
    other.queue_declare(queue)
    channel.tx_select()
    for number in range(3):
        channel.basic_publish("", queue, b"%d" % number)
    channel.queue_declare(queue, passive=True)  # everything before it has been processed
    assert other.basic_get(queue) == (None, None, None)
    channel.tx_commit()
    assert [get(other, queue, auto_ack=True).body for _ in range(3)] == [b"0", b"1", b"2"]
    other.queue_delete(queue)


def test_a_rollback_forgets_messages_and_acknowledgements(channel: BlockingChannel) -> None:
    queue = unique("tx")
    channel.queue_declare(queue)
    channel.basic_publish("", queue, b"before")
    channel.tx_select()
    channel.basic_publish("", queue, b"in the transaction")
    delivery = get(channel, queue)
    channel.basic_ack(delivery.method.delivery_tag)
    channel.tx_rollback()
    assert channel.basic_get(queue) == (None, None, None)
    channel.basic_ack(delivery.method.delivery_tag)  # the tag lives on: the rolled back acknowledgement never happened
    channel.tx_commit()
    channel.queue_delete(queue)


def test_acknowledgements_count_at_commit_only(connect: Connect) -> None:
    channel, other = connect().channel(), connect().channel()
    queue = unique("tx")
    other.queue_declare(queue)
    other.confirm_delivery()
    other.basic_publish("", queue, b"work")
    channel.tx_select()
    channel.basic_ack(get(channel, queue).method.delivery_tag)
    channel.close()  # no commit
    eventually(lambda: ready_messages(other, queue) == 1, "the message is back")
    redelivered = get(other, queue, auto_ack=True)
    assert (redelivered.body, redelivered.method.redelivered) == (b"work", True)
    other.queue_delete(queue)
