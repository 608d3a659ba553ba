"""amqpd/broker/exchanges/immediate.py: the types that can be delayed."""

from __future__ import annotations

from amqpd.broker.exchanges import EXCHANGE_TYPES
from amqpd.broker.exchanges.immediate import IMMEDIATE_TYPES


def test_every_type_but_the_delayed_one_itself_can_be_delayed() -> None:
    assert EXCHANGE_TYPES.keys() - IMMEDIATE_TYPES.keys() == {"x-delayed-message"}


def test_each_class_is_named_by_its_kind() -> None:
    assert all(cls.kind == kind for kind, cls in IMMEDIATE_TYPES.items())
