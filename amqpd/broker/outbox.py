"""Messages that the broker makes itself, on their way into one exchange.

They wait for the end of the turn: what they tell of often happens in the middle of a change of the topology or in the
middle of a queue's pump, and neither is a moment at which another message may be routed and delivered.
"""

from __future__ import annotations

from typing import final

from amqpd.broker.exchanges.base import Exchange, ExchangeHost
from amqpd.broker.message import Message
from amqpd.turn import Work
from amqpd.wire.table import EMPTY_TABLE, Field, Table, TableError


@final
class Outbox(Work):
    """The messages of this turn for one exchange.

    Args:
        host: the virtual host, which routes.
        exchange: where they go, whatever exchange they name.
    """

    def __init__(self, host: ExchangeHost, exchange: Exchange) -> None:
        self._host = host
        self._exchange = exchange
        self._waiting: list[Message] = []

    @property
    def wanted(self) -> bool:
        """False while nothing that is put in here could arrive anywhere."""
        return self._exchange.binding_count > 0 or self._exchange.alternate is not None

    def put(self, message: Message) -> None:
        """Publish a message before the turn ends, under its own routing key."""
        if not self._waiting:
            self._host.context.turn.defer(self)
        self._waiting.append(message)

    def run(self) -> None:
        messages = self._waiting
        self._waiting = []
        for message in messages:
            self._host.forward(self._exchange, [message.routing_key], message)


def table_of(fields: dict[str, Field]) -> Table:
    """A table of these fields. Tables of clients that stand in it too deep to be encoded are shown empty."""
    try:
        return Table.of(fields)
    except TableError:
        empty = Field("F", EMPTY_TABLE)
        return Table.of({name: empty if field.tag == "F" else field for name, field in fields.items()})
