"""The recent history exchange: a fanout that remembers its last messages for those who are bound later."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import ClassVar, Final, final

from amqpd.broker.binding import Binding, Destination
from amqpd.broker.erlang import term
from amqpd.broker.exchanges.base import Exchange, HostedExchange
from amqpd.broker.message import Message
from amqpd.errors import PreconditionFailed
from amqpd.wire.table import Field, Table

LENGTH: Final = "x-recent-history-length"
NO_STORE: Final = "x-recent-history-no-store"
DEFAULT_LENGTH: Final = 20


@final
class RecentHistoryExchange(HostedExchange):
    """Routes to all its bindings, and hands what it remembers to each new one.

    As in RabbitMQ a queue gets it oldest first and an exchange newest first, and a message is remembered when it is
    routed, so inside a transaction even before the commit.
    """

    kind: ClassVar[str] = "x-recent-history"
    by_key: ClassVar[bool] = False  # the route does not change, but every message has to pass here

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        length = _length(arguments.get(LENGTH))
        self._remembered: deque[tuple[Sequence[str], Message]] = deque(maxlen=length)

    @classmethod
    def validate(cls, arguments: Table) -> None:
        _length(arguments.get(LENGTH))

    # HOT: once a publish, which cannot be cached
    def match(self, keys: Sequence[str], message: Message, found: dict[Destination, None]) -> None:
        headers = message.properties.headers
        unwanted = None if headers is None else headers.get(NO_STORE)
        if unwanted is None or unwanted.value is not True:
            self._remembered.append((keys, message))
        for destination in self._by_destination:
            found[destination] = None

    def close(self) -> None:
        self._remembered.clear()

    def _added(self, binding: Binding) -> None:
        remembered = list(self._remembered)
        if isinstance(binding.destination, Exchange):  # and behind it the way may lead back here, so it takes a copy
            remembered.reverse()
        for keys, message in remembered:
            self.host.forward(binding.destination, keys, message)


def _length(field: Field | None) -> int:
    """How many messages to remember.

    Raises:
        PreconditionFailed: no integer above 0.
    """
    if field is None:
        return DEFAULT_LENGTH
    if not field.is_integer or not isinstance(field.value, int) or field.value < 1:
        raise PreconditionFailed(f"Invalid argument {term(field)}, '{LENGTH}' must be a positive integer")
    return field.value
