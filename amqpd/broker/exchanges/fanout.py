"""The fanout exchange: every binding gets every message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from amqpd.broker.binding import Destination
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.message import Message


@final
class FanoutExchange(Exchange):
    """Routes to all its bindings, whatever keys and arguments say."""

    kind: ClassVar[str] = "fanout"

    # HOT: once a publish whose route is not cached
    def match(self, keys: Sequence[str], message: Message, found: dict[Destination, None]) -> None:
        for destination in self._by_destination:
            found[destination] = None
