"""Publish and subscribe with pika: one message to many queues, through every kind of exchange."""

from __future__ import annotations

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exchange_type import ExchangeType

from interop.clients.conftest import Connect
from interop.clients.pika_reading import receive
from interop.names import unique


def declare_exchange(channel: BlockingChannel, kind: ExchangeType | str, **options: object) -> str:
    name = unique(kind if isinstance(kind, str) else kind.value)
    channel.exchange_declare(name, kind, auto_delete=True, **options)
    return name


def subscribe(channel: BlockingChannel, exchange: str, *keys: str) -> str:
    """Bind a new exclusive queue to `exchange` and return its name, which the broker chose."""
    queue: str = channel.queue_declare("", exclusive=True).method.queue
    for key in keys:
        channel.queue_bind(queue, exchange, key)
    return queue


def bodies(channel: BlockingChannel, queue: str) -> list[str]:
    """Drain `queue` with basic.get."""
    found: list[str] = []
    while (message := channel.basic_get(queue, auto_ack=True))[0] is not None:
        found.append(message[2].decode())
    return found


def test_fanout_copies_every_message_to_every_subscriber(connect: Connect) -> None:
    publisher, first, second = (connect().channel() for _ in range(3))
    logs = declare_exchange(publisher, ExchangeType.fanout)
    inboxes = [(first, subscribe(first, logs, "")), (second, subscribe(second, logs, "ignored key"))]
    for line in ("one", "two", "three"):
        publisher.basic_publish(logs, "whatever", line.encode())
    for channel, queue in inboxes:
        assert queue.startswith("amq.gen-")
        assert [message.body for message in receive(channel, queue, 3)] == [b"one", b"two", b"three"]


def test_direct_logs_reach_those_who_bound_the_severity(channel: BlockingChannel) -> None:
    logs = declare_exchange(channel, ExchangeType.direct)
    disk = subscribe(channel, logs, "error")
    screen = subscribe(channel, logs, "info", "warning", "error")
    channel.confirm_delivery()
    for severity in ("info", "error", "debug", "warning"):
        channel.basic_publish(logs, severity, severity.encode())
    assert bodies(channel, disk) == ["error"]
    assert bodies(channel, screen) == ["info", "error", "warning"]


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("#", ["kern.critical", "kern", "app.web.info", "", "app..info"]),
        ("*", ["kern"]),
        ("kern.*", ["kern.critical"]),
        ("*.critical", ["kern.critical"]),
        ("app.#", ["app.web.info", "app..info"]),
        ("kern.#", ["kern.critical", "kern"]),
        ("#.info", ["app.web.info", "app..info"]),
        ("app.*.info", ["app.web.info", "app..info"]),
        ("app.#.web.#.info", ["app.web.info"]),
        ("kern.critical", ["kern.critical"]),
        ("kern.crit*", []),
    ],
)
def test_topic_logs_reach_those_whose_pattern_matches(
    channel: BlockingChannel, pattern: str, matches: list[str]
) -> None:
    logs = declare_exchange(channel, ExchangeType.topic)
    queue = subscribe(channel, logs, pattern)
    channel.confirm_delivery()
    for key in ("kern.critical", "kern", "app.web.info", "", "app..info"):
        channel.basic_publish(logs, key, key.encode())
    assert bodies(channel, queue) == matches


def test_two_matching_bindings_deliver_one_copy(channel: BlockingChannel) -> None:
    logs = declare_exchange(channel, ExchangeType.topic)
    queue = subscribe(channel, logs, "a.*", "*.b", "#")
    channel.confirm_delivery()
    channel.basic_publish(logs, "a.b", b"once")
    assert bodies(channel, queue) == ["once"]


def test_headers_exchange_matches_all_or_any(channel: BlockingChannel) -> None:
    reports = declare_exchange(channel, ExchangeType.headers)
    both, either = subscribe(channel, reports), subscribe(channel, reports)
    channel.queue_bind(both, reports, "", {"x-match": "all", "format": "pdf", "pages": 3})
    channel.queue_bind(either, reports, "", {"x-match": "any", "format": "pdf", "pages": 3})
    channel.confirm_delivery()
    for body, headers in {
        "both": {"format": "pdf", "pages": 3, "extra": True},
        "format": {"format": "pdf", "pages": 4},
        "pages": {"pages": 3},
        "neither": {"format": "PDF"},
    }.items():
        channel.basic_publish(reports, "", body.encode(), pika.BasicProperties(headers=headers))
    assert bodies(channel, both) == ["both"]
    assert bodies(channel, either) == ["both", "format", "pages"]


def test_unbinding_ends_a_subscription(channel: BlockingChannel) -> None:
    logs = declare_exchange(channel, ExchangeType.direct)
    queue = subscribe(channel, logs, "keep", "drop")
    channel.queue_unbind(queue, logs, "drop")
    channel.confirm_delivery()
    for key in ("keep", "drop"):
        channel.basic_publish(logs, key, key.encode())
    assert bodies(channel, queue) == ["keep"]


def test_exchanges_bound_to_exchanges_pass_messages_on(channel: BlockingChannel) -> None:
    entrance = declare_exchange(channel, ExchangeType.topic)
    inner = declare_exchange(channel, ExchangeType.fanout)
    queue = subscribe(channel, inner, "")
    channel.exchange_bind(destination=inner, source=entrance, routing_key="order.#")
    channel.confirm_delivery()
    channel.basic_publish(entrance, "order.created", b"yes")
    channel.basic_publish(entrance, "invoice.created", b"no")
    assert bodies(channel, queue) == ["yes"]
    channel.exchange_unbind(destination=inner, source=entrance, routing_key="order.#")


def test_alternate_exchange_takes_what_nobody_wanted(channel: BlockingChannel) -> None:
    lost = declare_exchange(channel, ExchangeType.fanout)
    lost_queue = subscribe(channel, lost, "")
    orders = declare_exchange(channel, ExchangeType.direct, arguments={"alternate-exchange": lost})
    wanted_queue = subscribe(channel, orders, "wanted")
    channel.confirm_delivery()
    # Mandatory: routed through the alternate exchange counts as routed, so pika raises no UnroutableError.
    channel.basic_publish(orders, "wanted", b"wanted", mandatory=True)
    channel.basic_publish(orders, "unwanted", b"unwanted", mandatory=True)
    assert bodies(channel, wanted_queue) == ["wanted"]
    assert bodies(channel, lost_queue) == ["unwanted"]


def test_cc_and_bcc_headers_add_routing_keys_and_bcc_is_removed(channel: BlockingChannel) -> None:
    direct = declare_exchange(channel, ExchangeType.direct)
    queues = [subscribe(channel, direct, key) for key in ("to", "cc", "bcc")]
    properties = pika.BasicProperties(headers={"CC": ["cc"], "BCC": ["bcc"]})
    channel.basic_publish(direct, "to", b"letter", properties)
    for queue in queues:
        (letter,) = receive(channel, queue, 1)
        assert letter.properties.headers == {"CC": ["cc"]}


def test_an_auto_delete_exchange_goes_with_its_last_binding(channel: BlockingChannel, connect: Connect) -> None:
    exchange = declare_exchange(channel, ExchangeType.fanout)
    queue = subscribe(channel, exchange, "")
    channel.queue_unbind(queue, exchange, "")
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel.exchange_declare(exchange, passive=True)
    assert closed.value.reply_code == 404
    assert closed.value.reply_text == f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"


@pytest.mark.parametrize("name", ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"])
def test_the_predeclared_exchanges_are_there(channel: BlockingChannel, name: str) -> None:
    channel.exchange_declare(name, passive=True)
