"""The consistent hash exchange: each message goes to one destination, messages with the same key to the same one.

The key of a binding is its weight. Every destination draws a number for every message, from a hash of both, and the
highest one gets it (weighted rendezvous hashing). So shares are as the weights, a new destination takes its share from
the others and moves nothing between them, and one that goes leaves only its share. On a ring of points shares are
rough, and a weight of 1,000,000, which is legal, would cost a million points.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import ClassVar, Final, final

from mypy_extensions import i64

from amqpd.broker.binding import Binding, Destination
from amqpd.broker.erlang import binary, typed
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.exchanges.hashing import octets_of, stable_hash
from amqpd.broker.message import Message
from amqpd.errors import InternalError, PreconditionFailed
from amqpd.wire.properties import Properties
from amqpd.wire.table import Table

HASH_HEADER: Final = "hash-header"
HASH_PROPERTY: Final = "hash-property"
MESSAGE_ID: Final = "message_id"
CORRELATION_ID: Final = "correlation_id"
TIMESTAMP: Final = "timestamp"
HASHED_PROPERTIES: Final = (MESSAGE_ID, CORRELATION_ID, TIMESTAMP)
NOTHING: Final = b""  # hashed where header or property are missing: all such messages go to one destination

HALF: Final = 31  # bits; products of two such numbers fit into 62
LOW_HALF: Final = (1 << HALF) - 1
NUMBERS: Final = float(1 << HALF)

_INTEGER: Final = re.compile(r"[+-]?[0-9]+")


@final
class Candidate:
    """A destination that draws for messages.

    Args:
        binding: the first one to it; any further ones do not count.
    """

    def __init__(self, binding: Binding) -> None:
        destination = binding.destination
        self.destination = destination
        self.weight = float(weight_of(binding.key))
        self.seed: i64 = stable_hash(octets_of(f"{destination.kind_word} {destination.name}"))


@final
class ConsistentHashExchange(Exchange):
    """Spreads messages over its destinations by a hash of the routing key, a header or a property."""

    kind: ClassVar[str] = "x-consistent-hash"
    by_key: ClassVar[bool] = False

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self._header = arguments.text(HASH_HEADER)
        self._property = arguments.text(HASH_PROPERTY)
        self._candidates: dict[Destination, Candidate] = {}

    @classmethod
    def validate(cls, arguments: Table) -> None:
        header, hashed = _text(arguments, HASH_HEADER), _text(arguments, HASH_PROPERTY)
        if header is not None and hashed is not None:
            raise PreconditionFailed("hash-header and hash-property are mutually exclusive")
        if hashed is not None and hashed not in HASHED_PROPERTIES:
            raise PreconditionFailed(f"Unsupported property: {hashed}")

    def check_binding(self, destination: Destination, key: str, arguments: Table) -> None:
        weight_of(key)

    # HOT: once a publish, which cannot be cached
    def match(self, keys: Sequence[str], message: Message, found: dict[Destination, None]) -> None:
        hashed = stable_hash(self._hashed(keys, message.properties))
        best = -math.inf
        chosen: Candidate | None = None
        for candidate in self._candidates.values():
            drawn = draw(hashed, candidate.seed, candidate.weight)
            if drawn > best:
                best = drawn
                chosen = candidate
        if chosen is not None:
            found[chosen.destination] = None

    def _hashed(self, keys: Sequence[str], properties: Properties) -> bytes:
        """What decides where a message goes."""
        if self._header is not None:
            headers = properties.headers
            field = None if headers is None else headers.get(self._header)
            if field is None:
                return NOTHING
            return octets_of(field.value if isinstance(field.value, str) else typed(field))
        if self._property is not None:
            return _property(self._property, properties)
        return octets_of(keys[0])

    def _added(self, binding: Binding) -> None:
        if binding.destination not in self._candidates:
            self._candidates[binding.destination] = Candidate(binding)

    def _removed(self, binding: Binding) -> None:
        self._candidates.pop(binding.destination, None)
        for left in self.bindings_to(binding.destination):
            self._added(left)


def weight_of(key: str) -> int:
    """The weight that a binding key is.

    Raises:
        PreconditionFailed: it is no whole number above 0.
    """
    if _INTEGER.fullmatch(key) is None:
        raise PreconditionFailed(f"The binding key must be an integer: {binary(octets_of(key))}")
    weight = int(key)
    if weight < 1:
        raise PreconditionFailed("The binding key must be greater than 0")
    return weight


# HOT: once a publish and destination
def draw(hashed: i64, seed: i64, weight: float) -> float:
    """The number that a destination draws for a message: random, but the same whenever the two meet.

    It is minus the time until an event that happens at the rate weight. Of several such events the chance to be first
    is the share in the sum of rates, which is what weights are to mean.
    """
    both = hashed ^ seed
    mixed = _mixed(_mixed(both & LOW_HALF) ^ (both >> HALF))
    return math.log((float(mixed) + 0.5) / NUMBERS) / weight


# HOT: twice a draw
def _mixed(number: i64) -> i64:
    """Another number of 31 bits of which each bit depends on all bits of the first; no two numbers give the same."""
    number ^= number >> 16
    number = number * 0x21F0AAAD & LOW_HALF
    number ^= number >> 15
    number = number * 0x735A2D97 & LOW_HALF
    return number ^ (number >> 15)


def _property(name: str, properties: Properties) -> bytes:
    """The octets of one of HASHED_PROPERTIES."""
    if name == TIMESTAMP:
        timestamp = properties.timestamp
        return NOTHING if timestamp is None else octets_of(str(timestamp))
    value = properties.message_id if name == MESSAGE_ID else properties.correlation_id
    return NOTHING if value is None else octets_of(value)


def _text(arguments: Table, name: str) -> str | None:
    """An argument that has to be a longstr. RabbitMQ crashes over others, which a client sees as INTERNAL_ERROR."""
    if name in arguments and arguments.text(name) is None:
        raise InternalError(about_method=False)
    return arguments.text(name)
