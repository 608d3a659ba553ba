"""The modulus hash exchange: each message goes to one destination, picked by a hash of its keys modulo the bindings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from amqpd.broker.binding import Binding, Destination
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.exchanges.hashing import octets_of, stable_hash
from amqpd.broker.message import Message
from amqpd.wire.table import Table


@final
class ModulusHashExchange(Exchange):
    """Spreads messages evenly over its bindings; their keys do not count, so a queue bound twice gets double."""

    kind: ClassVar[str] = "x-modulus-hash"

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self._sorted: list[Destination] = []
        self._stale = False  # bindings have come or gone since it was sorted

    # HOT: once a publish whose route is not cached
    def match(self, keys: Sequence[str], message: Message, found: dict[Destination, None]) -> None:
        if self._stale:
            self._sort()
        if self._sorted:
            hashed = stable_hash(b"\0".join([octets_of(key) for key in keys]))
            found[self._sorted[hashed % len(self._sorted)]] = None

    def _sort(self) -> None:
        """By partition or name: the order in which bindings came, or come back after a restart, does not matter."""
        bindings = self.bindings()
        bindings.sort(key=_order)
        self._sorted = [binding.destination for binding in bindings]
        self._stale = False

    def _added(self, binding: Binding) -> None:
        self._stale = True

    def _removed(self, binding: Binding) -> None:
        self._stale = True


def _order(binding: Binding) -> tuple[int, str, str]:
    destination = binding.destination
    return binding.partition, destination.kind_word, destination.name
