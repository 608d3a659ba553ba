"""amqpd/broker/binding.py: what a binding and its ends are."""

from __future__ import annotations

from amqpd.broker.binding import Binding, Destination
from amqpd.broker.exchanges.fanout import FanoutExchange
from amqpd.wire.table import EMPTY_TABLE, Table


def test_a_queue_declared_again_is_another_destination() -> None:
    first, second = Destination("q"), Destination("q")
    assert first != second
    assert second not in {first: None}


def test_a_binding_knows_both_its_ends() -> None:
    source = FanoutExchange("x", False, False, False, EMPTY_TABLE)
    queue = Destination("q")
    arguments = Table.of({"a": 1})
    binding = Binding(source, queue, "k", arguments)
    assert (binding.source, binding.destination, binding.key, binding.arguments) == (source, queue, "k", arguments)
