"""The random exchange: each message goes over one binding, whichever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from amqpd.broker.binding import Binding, Destination
from amqpd.broker.exchanges.base import HostedExchange
from amqpd.broker.message import Message
from amqpd.wire.table import Table

RANDOM_OCTETS: Final = 8  # so many that no binding has a noticeable advantage


class RandomExchange(HostedExchange):
    """Routes over a binding picked at random, all alike; keys do not count."""

    kind: ClassVar[str] = "x-random"
    by_key: ClassVar[bool] = False

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self._list: list[Binding] = []
        self._places: dict[Binding, int] = {}

    # HOT: once a publish, which cannot be cached
    def match(self, keys: Sequence[str], message: Message, found: dict[Destination, None]) -> None:
        if self._list:
            number = int.from_bytes(self.host.context.random_bytes(RANDOM_OCTETS), "big")
            found[self._list[number % len(self._list)].destination] = None

    def _added(self, binding: Binding) -> None:
        self._places[binding] = len(self._list)
        self._list.append(binding)

    def _removed(self, binding: Binding) -> None:
        # The last one takes the free place, for the order means nothing.
        place = self._places.pop(binding)
        last = self._list.pop()
        if last is not binding:
            self._list[place] = last
            self._places[last] = place
