"""What a client sees when it asks for something wrong: the exact reply codes and texts, of channels and connections."""

from __future__ import annotations

from collections.abc import Callable

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import (
    AuthenticationError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from interop.broker import Broker
from interop.clients.conftest import Connect
from interop.names import unique

LOCKED = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{0}' in vhost '/'."
    " It could be originally declared on another connection or the exclusive property value does not match"
    " that of the original declaration."
)
Misuse = Callable[[BlockingChannel, str], object]

# Each misuse gets a channel and the name of a non-durable queue with one message; {0} in the text is that name.
CHANNEL_ERRORS: dict[str, tuple[int, str, Misuse]] = {
    "passive declare of a missing queue": (
        404,
        "NOT_FOUND - no queue '{0}?' in vhost '/'",
        lambda channel, queue: channel.queue_declare(queue + "?", passive=True),
    ),
    "passive declare of a missing exchange": (
        404,
        "NOT_FOUND - no exchange '{0}' in vhost '/'",
        lambda channel, queue: channel.exchange_declare(queue, passive=True),
    ),
    "publish to a missing exchange": (
        404,
        "NOT_FOUND - no exchange '{0}' in vhost '/'",
        lambda channel, queue: (channel.basic_publish(queue, "", b""), channel.queue_declare(queue, passive=True)),
    ),
    "consume from a missing queue": (
        404,
        "NOT_FOUND - no queue '{0}?' in vhost '/'",
        lambda channel, queue: channel.basic_consume(queue + "?", lambda *_: None),
    ),
    "get from a missing queue": (
        404,
        "NOT_FOUND - no queue '{0}?' in vhost '/'",
        lambda channel, queue: channel.basic_get(queue + "?"),
    ),
    "bind a queue to a missing exchange": (
        404,
        "NOT_FOUND - no exchange 'nowhere' in vhost '/'",
        lambda channel, queue: channel.queue_bind(queue, "nowhere", "key"),
    ),
    "declare again with another durability": (
        406,
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{0}' in vhost '/':"
        " received 'true' but current is 'false'",
        lambda channel, queue: channel.queue_declare(queue, durable=True),
    ),
    "declare again as auto-delete": (
        406,
        "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue '{0}' in vhost '/':"
        " received 'true' but current is 'false'",
        lambda channel, queue: channel.queue_declare(queue, auto_delete=True),
    ),
    "declare again as exclusive": (405, LOCKED, lambda channel, queue: channel.queue_declare(queue, exclusive=True)),
    "declare an exchange again with another type": (
        406,
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.direct' in vhost '/':"
        " received 'topic' but current is 'direct'",
        lambda channel, _queue: channel.exchange_declare("amq.direct", "topic", durable=True),
    ),
    "declare a queue with a reserved name": (
        403,
        "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
        lambda channel, _queue: channel.queue_declare("amq.mine"),
    ),
    "declare an exchange with a reserved name": (
        403,
        "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
        lambda channel, _queue: channel.exchange_declare("amq.mine"),
    ),
    "bind to the default exchange": (
        403,
        "ACCESS_REFUSED - operation not permitted on the default exchange",
        lambda channel, queue: channel.queue_bind(queue, "", "key"),
    ),
    "delete a queue that is not empty": (
        406,
        "PRECONDITION_FAILED - queue '{0}' in vhost '/' not empty",
        lambda channel, queue: channel.queue_delete(queue, if_empty=True),
    ),
    "delete a queue in use": (
        406,
        "PRECONDITION_FAILED - queue '{0}' in vhost '/' in use",
        lambda channel, queue: (
            channel.basic_consume(queue, lambda *_: None),
            channel.queue_delete(queue, if_unused=True),
        ),
    ),
    "acknowledge an unknown delivery": (
        406,
        "PRECONDITION_FAILED - unknown delivery tag 99",
        lambda channel, queue: (channel.basic_ack(99), channel.queue_declare(queue, passive=True)),
    ),
    "acknowledge twice": (
        406,
        "PRECONDITION_FAILED - unknown delivery tag 1",
        lambda channel, queue: (
            channel.basic_get(queue),
            channel.basic_ack(1),
            channel.basic_reject(1),
            channel.basic_get(queue),
        ),
    ),
    "confirms on a transactional channel": (
        406,
        "PRECONDITION_FAILED - cannot switch from tx to confirm mode",
        lambda channel, _queue: (channel.tx_select(), channel.confirm_delivery()),
    ),
    "a transaction on a confirming channel": (
        406,
        "PRECONDITION_FAILED - cannot switch from confirm to tx mode",
        lambda channel, _queue: (channel.confirm_delivery(), channel.tx_select()),
    ),
    "commit without a transaction": (
        406,
        "PRECONDITION_FAILED - channel is not transactional",
        lambda channel, _queue: channel.tx_commit(),
    ),
    "consume exclusively beside another consumer": (
        403,
        "ACCESS_REFUSED - queue '{0}' in vhost '/' in exclusive use",
        lambda channel, queue: (
            channel.basic_consume(queue, lambda *_: None),
            channel.basic_consume(queue, lambda *_: None, exclusive=True),
        ),
    ),
    "an expiration that is no number": (
        406,
        "PRECONDITION_FAILED - invalid expiration 'soon': no_integer",
        lambda channel, queue: (
            channel.basic_publish("", queue, b"", pika.BasicProperties(expiration="soon")),
            channel.queue_declare(queue, passive=True),
        ),
    ),
    "a message in somebody else's name": (
        406,
        "PRECONDITION_FAILED - user_id property set to 'mallory' but authenticated user was 'guest'",
        lambda channel, queue: (
            channel.basic_publish("", queue, b"", pika.BasicProperties(user_id="mallory")),
            channel.queue_declare(queue, passive=True),
        ),
    ),
}


@pytest.mark.parametrize("misuse", CHANNEL_ERRORS)
def test_a_misuse_closes_the_channel_and_leaves_the_connection(connect: Connect, misuse: str) -> None:
    code, text, act = CHANNEL_ERRORS[misuse]
    connection = connect()
    witness, channel = connection.channel(), connection.channel()
    queue = unique("misused")
    witness.queue_declare(queue)
    witness.confirm_delivery()  # the message is there before the other channel acts
    witness.basic_publish("", queue, b"message")
    with pytest.raises(ChannelClosedByBroker) as closed:
        act(channel, queue)
    assert (closed.value.reply_code, closed.value.reply_text) == (code, text.format(queue))
    assert channel.is_closed
    witness.queue_delete(queue)  # the other channel still works


def test_anothers_exclusive_queue_is_locked(connect: Connect) -> None:
    queue = unique("mine")
    connect().channel().queue_declare(queue, exclusive=True)
    with pytest.raises(ChannelClosedByBroker) as closed:
        connect().channel().basic_get(queue)
    assert (closed.value.reply_code, closed.value.reply_text) == (405, LOCKED.format(queue))


def test_prefetch_in_octets_is_not_implemented(channel: BlockingChannel) -> None:
    with pytest.raises(ConnectionClosedByBroker) as closed:
        channel.basic_qos(prefetch_size=1000)
    assert (closed.value.reply_code, closed.value.reply_text) == (540, "NOT_IMPLEMENTED - prefetch_size!=0 (1000)")


def test_a_wrong_password_is_refused(connect: Connect) -> None:
    with pytest.raises(ProbableAuthenticationError, match="403") as refused:
        connect(credentials=pika.PlainCredentials("guest", "wrong"))
    assert "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN" in str(refused.value)


def test_a_missing_vhost_is_refused(connect: Connect) -> None:
    with pytest.raises(ProbableAccessDeniedError, match="530") as refused:
        connect(virtual_host="nowhere")
    assert "NOT_ALLOWED - vhost nowhere not found" in str(refused.value)


def test_an_unknown_mechanism_is_not_offered(broker: Broker) -> None:
    parameters = pika.URLParameters(broker.url)
    parameters.credentials = pika.credentials.ExternalCredentials()
    with pytest.raises(AuthenticationError):
        pika.BlockingConnection(parameters)
