"""A new broker."""

from __future__ import annotations

import pytest

from amqpd.errors import AccessRefused
from amqpd.wire.table import EMPTY_TABLE
from tests.builders import World

PREDECLARED = {
    "": ("direct", False),
    "amq.direct": ("direct", False),
    "amq.fanout": ("fanout", False),
    "amq.topic": ("topic", False),
    "amq.headers": ("headers", False),
    "amq.match": ("headers", False),
    "amq.rabbitmq.trace": ("topic", True),
    "amq.rabbitmq.event": ("topic", True),
}


def test_a_new_broker_has_one_virtual_host_and_no_alarm() -> None:
    broker = World().broker
    assert list(broker.vhosts) == ["/"]
    assert broker.vhosts["/"].name == "/"
    assert not broker.alarms.active


def test_the_predeclared_exchanges_are_durable_and_those_of_the_broker_internal() -> None:
    exchanges = World().vhost.exchanges
    assert {name: (exchange.kind, exchange.internal) for name, exchange in exchanges.items()} == PREDECLARED
    assert all(exchange.durable and not exchange.auto_delete for exchange in exchanges.values())


def test_nothing_can_be_bound_to_the_default_exchange() -> None:
    vhost = World().vhost
    with pytest.raises(AccessRefused, match="operation not permitted on the default exchange"):
        vhost.bind(vhost.exchange(""), vhost.exchange("amq.fanout"), "k", EMPTY_TABLE)


def test_another_virtual_host_has_no_event_exchange() -> None:
    broker = World().broker
    made = broker.create_vhost("other")
    assert broker.vhosts["other"] is made
    assert set(made.exchanges) == PREDECLARED.keys() - {"amq.rabbitmq.event"}
