"""The local random exchange: random over queues of this node, for the shortest way to a consumer (RabbitMQ 4.0)."""

from __future__ import annotations

from typing import ClassVar, final

from amqpd.broker.binding import Destination
from amqpd.broker.exchanges.random import RandomExchange
from amqpd.errors import PreconditionFailed
from amqpd.wire.table import Table


@final
class LocalRandomExchange(RandomExchange):
    """Routes to one of its queues at random; all of them have to be local, and bound with the empty key."""

    kind: ClassVar[str] = "x-local-random"

    def check_binding(self, destination: Destination, key: str, arguments: Table) -> None:
        if key:
            raise PreconditionFailed(f"Non empty binding '{key}' key not permitted")
        if destination.kind_word != "queue":
            raise PreconditionFailed("Destination not found")
        if not destination.local:
            raise PreconditionFailed(f"Queue type rabbit_{destination.kind}_queue not valid for this exchange type")
