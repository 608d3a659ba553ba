"""amqpd/broker/exchanges/fanout.py: every binding gets every message."""

from __future__ import annotations

from amqpd.broker.binding import Destination
from amqpd.broker.exchanges.fanout import FanoutExchange
from amqpd.wire.table import EMPTY_TABLE, Table
from tests.builders import message


def test_all_destinations_get_the_message_whatever_the_keys_say() -> None:
    exchange = FanoutExchange("x", False, False, False, EMPTY_TABLE)
    first, second = Destination("first"), Destination("second")
    exchange.bind(first, "a", EMPTY_TABLE)
    exchange.bind(second, "b", Table.of({"x-match": "foo"}))
    found: dict[Destination, None] = {}
    exchange.match(["zzz"], message(), found)
    assert list(found) == [first, second]


def test_the_result_depends_on_keys_only() -> None:
    assert FanoutExchange.by_key
