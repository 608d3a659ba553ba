"""The delayed message exchange: routes like an exchange of another type, but when the header x-delay says.

A message that has to wait is routed to a Delay, which takes it in as a queue would: so a transaction delays what it
publishes from its commit on, a confirm says that the message is held, and mandatory has nothing to complain about. When
its time has come the message is routed again, x-delay negated so that it is not delayed twice and consumers can see
what happened.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import ClassVar, Final, final

from mypy_extensions import i64

from amqpd.broker.binding import Binding, Destination
from amqpd.broker.exchanges.base import Exchange, ExchangeHost, HostedExchange
from amqpd.broker.exchanges.immediate import IMMEDIATE_TYPES
from amqpd.broker.message import Message
from amqpd.broker.queues.sink import MessageSink
from amqpd.clock import Timer
from amqpd.errors import PreconditionFailed
from amqpd.log.commit import SAFE
from amqpd.wire.properties import Properties
from amqpd.wire.table import Field, Table

DELAYED_TYPE: Final = "x-delayed-type"
X_DELAY: Final = "x-delay"
MAX_DELAY: Final = 4_294_967_295  # milliseconds, the longest timer of Erlang; whatever asks for more is not delayed


@final
class DelayedExchange(HostedExchange):
    """Holds messages back. Bindings are those of the inner exchange, of the type that x-delayed-type names."""

    kind: ClassVar[str] = "x-delayed-message"
    by_key: ClassVar[bool] = False

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self._inner = _inner_type(arguments)(name, durable, auto_delete, internal, arguments)
        # A heap by deadline, in whole microseconds of the monotonic clock, then by arrival: with fractions, messages
        # that are due together would leave in the order of their rounding.
        self._held: list[tuple[int, int, Sequence[str], Message]] = []
        self._arrivals = 0
        self._timer: Timer | None = None
        self._wakes_at: float = math.inf  # when the timer is to run
        self._closed = False

    @classmethod
    def validate(cls, arguments: Table) -> None:
        _inner_type(arguments).validate(arguments)

    def check_binding(self, destination: Destination, key: str, arguments: Table) -> None:
        self._inner.check_binding(destination, key, arguments)

    def attach(self, host: ExchangeHost) -> None:
        super().attach(host)
        self._inner.attach(host)

    def close(self) -> None:
        self._closed = True
        self._held.clear()
        self._sleep_until(math.inf)
        self._inner.close()

    @property
    def held_count(self) -> int:
        """How many messages wait."""
        return len(self._held)

    # HOT: once a publish, which cannot be cached
    def match(self, keys: Sequence[str], message: Message, found: dict[Destination, None]) -> None:
        delay = delay_of(message.properties)
        if delay:
            found[Delay(self, keys, delay)] = None
        else:
            self._inner.match(keys, message, found)

    def hold(self, keys: Sequence[str], message: Message, delay: int) -> i64:
        """Route a message so many milliseconds from now, unless the exchange is deleted before."""
        if self._closed:
            return SAFE
        deadline = self._microseconds() + delay * 1000
        self._arrivals += 1
        heapq.heappush(self._held, (deadline, self._arrivals, keys, message))
        if deadline < self._wakes_at:
            self._sleep_until(deadline)
        return SAFE

    def _release(self) -> None:
        """Route what has waited long enough."""
        # Rounding may let the timer run a trifle before the deadline that it was set for.
        now = max(self._microseconds(), self._wakes_at)
        while self._held and self._held[0][0] <= now:
            _, _, keys, message = heapq.heappop(self._held)
            self.host.forward(self, keys, no_longer_delayed(message))
        self._sleep_until(self._held[0][0] if self._held else math.inf)

    def _sleep_until(self, deadline: float) -> None:
        """Set the one timer, for the earliest message."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wakes_at = deadline
        if deadline < math.inf:
            context = self.host.context
            self._timer = context.timers.call_later(deadline / 1_000_000 - context.clock.monotonic(), self._release)

    def _microseconds(self) -> int:
        return round(self.host.context.clock.monotonic() * 1_000_000)

    def _added(self, binding: Binding) -> None:
        self._inner.bind(binding.destination, binding.key, binding.arguments)

    def _removed(self, binding: Binding) -> None:
        self._inner.unbind(binding.destination, binding.key, binding.arguments)


@final
class Delay(MessageSink):
    """Where one message goes to wait.

    Args:
        exchange: which holds it.
        keys: its routing keys, of which those in BCC are gone by the time it gets here.
        milliseconds: how long.
    """

    def __init__(self, exchange: DelayedExchange, keys: Sequence[str], milliseconds: int) -> None:
        super().__init__("")  # a name that no queue has
        self._exchange = exchange
        self._keys = keys
        self._milliseconds = milliseconds

    def publish(self, message: Message) -> i64:
        return self._exchange.hold(self._keys, message, self._milliseconds)


def delay_of(properties: Properties) -> int:
    """The milliseconds that a message is to wait; 0 when the header x-delay is missing or means nothing."""
    headers = properties.headers
    field = None if headers is None else headers.get(X_DELAY)
    delay = 0 if field is None else _milliseconds(field)
    return delay if 0 < delay <= MAX_DELAY else 0


def no_longer_delayed(message: Message) -> Message:
    """The message with its x-delay negated."""
    properties = message.properties
    headers = properties.headers
    if headers is None:
        return message
    told = headers.replaced({X_DELAY: Field.of(-delay_of(properties))})
    return message.with_properties(properties.replaced(headers=told))


def _milliseconds(field: Field) -> int:
    """A header's value as a whole number. Like the plugin this takes floats and decimal digits too."""
    value = field.value
    if field.is_integer and isinstance(value, int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(MAX_DELAY)):
        return int(value)
    return 0


def _inner_type(arguments: Table) -> type[Exchange]:
    """The type that x-delayed-type names.

    Raises:
        PreconditionFailed: there is no such type, or it is a delayed one itself.
    """
    found = IMMEDIATE_TYPES.get(arguments.text(DELAYED_TYPE) or "")
    if found is None:
        raise PreconditionFailed(f"Invalid argument, '{DELAYED_TYPE}' must be an existing exchange type")
    return found
