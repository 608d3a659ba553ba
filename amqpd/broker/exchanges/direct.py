"""The direct exchange: binding key and routing key are equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from amqpd.broker.binding import Binding, Destination
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.message import Message
from amqpd.wire.table import Table


@final
class DirectExchange(Exchange):
    """Routes to the bindings whose key equals a routing key; the empty key is a key like any other."""

    kind: ClassVar[str] = "direct"

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self._by_key: dict[str, dict[Binding, None]] = {}

    # HOT: once a publish whose route is not cached
    def match(self, keys: Sequence[str], message: Message, found: dict[Destination, None]) -> None:
        for key in keys:
            bound = self._by_key.get(key)
            if bound is not None:
                for binding in bound:
                    found[binding.destination] = None

    def _added(self, binding: Binding) -> None:
        self._by_key.setdefault(binding.key, {})[binding] = None

    def _removed(self, binding: Binding) -> None:
        bound = self._by_key[binding.key]
        del bound[binding]
        if not bound:
            del self._by_key[binding.key]
