"""The delayed message exchange: routes like an exchange of another type, but when the header x-delay says.

A message that has to wait is routed to a Delay, which takes it in as a queue would: so a transaction delays what it
publishes from its commit on, a confirm says that the message is held, and mandatory has nothing to complain about. When
its time has come the message is routed again, x-delay negated so that it is not delayed twice and consumers can see
what happened.

What a durable exchange holds is on the disk (held.py), and the confirm says that it is. A message is gone from there
after it has come to the queues: both are in one commit, which writes the queues first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Final, final

from mypy_extensions import i64

from amqpd.broker.binding import Binding, Destination
from amqpd.broker.exchanges.base import Exchange, ExchangeHost, HostedExchange
from amqpd.broker.exchanges.held import Held
from amqpd.broker.exchanges.immediate import IMMEDIATE_TYPES
from amqpd.broker.message import Message
from amqpd.broker.publisher import Publisher
from amqpd.broker.queues.disk import Disk
from amqpd.broker.queues.sink import REFUSED, MessageSink
from amqpd.clock import Timer
from amqpd.errors import PreconditionFailed
from amqpd.log.commit import SAFE
from amqpd.wire.properties import Properties
from amqpd.wire.table import Field, Table

DELAYED_TYPE: Final = "x-delayed-type"
X_DELAY: Final = "x-delay"
MAX_DELAY: Final = 4_294_967_295  # milliseconds, the longest timer of Erlang; whatever asks for more is not delayed
AT_ONCE: Final = 256  # messages that are routed before others have their turn
PAUSE: Final = 10_000  # microseconds in which a disk that is behind may catch up


@final
class DelayedExchange(HostedExchange):
    """Holds messages back. Bindings are those of the inner exchange, of the type that x-delayed-type names."""

    kind: ClassVar[str] = "x-delayed-message"
    by_key: ClassVar[bool] = False
    keeps_messages: ClassVar[bool] = True

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self._inner = _inner_type(arguments)(name, durable, auto_delete, internal, arguments)
        # Deadlines are whole microseconds of the monotonic clock: with fractions, messages that are due together would
        # leave in the order of their rounding.
        self._held: Held | None = None  # until it is attached, and after the end
        self._delay = Delay(self)
        self._timer: Timer | None = None
        self._wakes_at: float = math.inf  # when the timer is to run

    @classmethod
    def validate(cls, arguments: Table) -> None:
        _inner_type(arguments).validate(arguments)

    def check_binding(self, destination: Destination, key: str, arguments: Table) -> None:
        self._inner.check_binding(destination, key, arguments)

    def attach(self, host: ExchangeHost) -> None:
        super().attach(host)
        self._inner.attach(host)
        disk = host.context.storage.disk
        self._held = Held(disk, self.folder, self._fail)
        self._delay.disk = disk if self.folder else None

    def recover(self) -> None:
        if self._held is not None:
            self._held.recover(self._microseconds(), int(self.host.context.now()))
            self._sleep_until_first(self._held)

    def close(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None
        self._sleep_until(math.inf)
        self._inner.close()

    @property
    def held_count(self) -> int:
        """How many messages wait."""
        return 0 if self._held is None else len(self._held)

    # HOT: once a publish, which cannot be cached
    def match(self, keys: Sequence[str], message: Message, found: dict[Destination, None]) -> None:
        if delay_of(message.properties):
            found[self._delay] = None
        else:
            self._inner.match(keys, message, found)

    def hold(self, message: Message) -> i64:
        """Route a message when its time has come, unless the exchange is deleted before.

        Returns:
            The number of the commit with which it is safe, SAFE if it is as safe as it will be.
        """
        held = self._held
        if held is None:
            return SAFE
        delay = delay_of(message.properties)
        deadline = self._microseconds() + delay * 1000
        commit = held.add(deadline, int(self.host.context.now()) + delay, message)
        if deadline < self._wakes_at:
            self._sleep_until(deadline)
        return commit

    def _release(self) -> None:
        """Route what has waited long enough."""
        held = self._held
        if held is None:
            return
        # Rounding may let the timer run a trifle before the deadline that it was set for.
        now = max(self._microseconds(), self._wakes_at)
        disk = self._delay.disk
        if disk is not None and disk.behind:  # else all that is due might be in memory at once
            self._sleep_until(now + PAUSE)
            return
        for _ in range(AT_ONCE):
            deadline = held.first_deadline()
            if deadline is None or deadline > now:
                break
            message = held.first()
            if message is not None:
                self.host.release(self, no_longer_delayed(message))
            held.drop_first()
        self._sleep_until_first(held)

    def _fail(self, error: OSError) -> None:
        """The disk failed: nothing can be kept any more. What is in memory is still routed when it is due."""
        self._delay.broken = True
        self.host.exchange_failed(self, error)

    def _sleep_until_first(self, held: Held) -> None:
        deadline = held.first_deadline()
        self._sleep_until(math.inf if deadline is None else deadline)

    def _sleep_until(self, deadline: float) -> None:
        """Set the one timer, for the earliest message."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wakes_at = deadline
        if deadline < math.inf:
            context = self.host.context
            # Never in the past: what is overdue in great number must let others have their turn.
            seconds = max(deadline / 1_000_000 - context.clock.monotonic(), 0.0)
            self._timer = context.timers.call_later(seconds, self._release)

    def _microseconds(self) -> int:
        return round(self.host.context.clock.monotonic() * 1_000_000)

    def _added(self, binding: Binding) -> None:
        self._inner.bind(binding.destination, binding.key, binding.arguments)

    def _removed(self, binding: Binding) -> None:
        self._inner.unbind(binding.destination, binding.key, binding.arguments)


@final
class Delay(MessageSink):
    """Where the messages of one exchange go to wait.

    Attributes:
        disk: on which they are kept, if they are.
    """

    def __init__(self, exchange: DelayedExchange) -> None:
        super().__init__("")  # a name that no queue has
        self.disk: Disk | None = None
        self._exchange = exchange

    def publish(self, message: Message) -> i64:
        if self.broken:
            return REFUSED
        commit = self._exchange.hold(message)
        self.crowded = self.disk is not None and self.disk.behind
        return commit

    def hold(self, publisher: Publisher) -> None:
        if self.disk is not None:
            self.disk.hold(publisher)


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
