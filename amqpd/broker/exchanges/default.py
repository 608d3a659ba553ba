"""The default exchange: every queue is bound to it under its own name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

from amqpd.broker.binding import Binding, Destination
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.message import Message
from amqpd.broker.queues.reply import is_reply_name
from amqpd.errors import AccessRefused
from amqpd.wire.table import EMPTY_TABLE, Table


@final
class DefaultExchange(Exchange):
    """The exchange with the empty name, which keeps no bindings: it looks queues up by their name.

    Args:
        queues: the queues and direct reply-to addresses of the virtual host by name; read at every call, never
            changed.
    """

    kind: ClassVar[str] = "direct"

    def __init__(self, queues: Mapping[str, Destination]) -> None:
        super().__init__("", durable=True, auto_delete=False, internal=False, arguments=EMPTY_TABLE)
        self._queues = queues

    def check_binding(self, destination: Destination, key: str, arguments: Table) -> None:
        raise AccessRefused("operation not permitted on the default exchange")

    # HOT: once a publish whose route is not cached
    def match(self, keys: Sequence[str], message: Message, found: dict[Destination, None]) -> None:
        for key in keys:
            queue = self._queues.get(key)
            if queue is not None:
                found[queue] = None

    # The implicit bindings are made up when somebody wants to see them. Reply-to addresses are reached without any.

    @property
    def binding_count(self) -> int:
        return len(self.bindings())

    def find_binding(self, destination: Destination, key: str, arguments: Table) -> Binding | None:
        implied = key == destination.name and not arguments and self.leads_to(destination)
        return self._implicit(destination) if implied else None

    def bindings(self) -> list[Binding]:
        return [self._implicit(queue) for name, queue in self._queues.items() if not is_reply_name(name)]

    def leads_to(self, destination: Destination) -> bool:
        return self._queues.get(destination.name) is destination

    def bindings_to(self, destination: Destination) -> list[Binding]:
        return [self._implicit(destination)] if self.leads_to(destination) else []

    def _implicit(self, queue: Destination) -> Binding:
        return Binding(self, queue, queue.name, EMPTY_TABLE)
