"""The headers exchange: the arguments of a binding are compared with the headers of the message.

Values are compared as RabbitMQ 4 does: integers by value whatever their width, strings by bytes, anything else within
its own type only, so that 1 is neither 1.0 nor true. Timestamps are compared with timestamps (RabbitMQ 4 has them in
different units on the two sides, so that they never match). A void argument asks for the header to be there, whatever
it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, TypeAlias, final

from amqpd.broker.binding import Binding, Destination
from amqpd.broker.erlang import term
from amqpd.broker.exchanges.base import Exchange
from amqpd.errors import PreconditionFailed
from amqpd.wire.properties import Properties
from amqpd.wire.table import Field, Table

X_MATCH: Final = "x-match"
ALL: Final = "all"
ANY: Final = "any"
ALL_WITH_X: Final = "all-with-x"
ANY_WITH_X: Final = "any-with-x"
MODES: Final = (ALL, ANY, ALL_WITH_X, ANY_WITH_X)

PRESENT: Final = "V"  # the kind that stands for any value; a void header is no more than present, either

# A header's name, with the kind and the value it must have; equal where RabbitMQ takes the values for equal.
Condition: TypeAlias = tuple[str, str, object]


@final
class Rule:
    """What a binding's arguments ask of a message.

    Args:
        arguments: of the binding, checked before.
    """

    def __init__(self, arguments: Table) -> None:
        mode = arguments.text(X_MATCH) or ALL
        self.needs_all = mode in (ALL, ALL_WITH_X)
        self.conditions = _conditions(arguments, with_x=mode in (ALL_WITH_X, ANY_WITH_X))


@final
class HeadersExchange(Exchange):
    """Routes to the bindings whose arguments the headers of the message satisfy, all of them or any; keys do not count.

    Each binding waits under conditions of its own: one that needs all under a single one, which the message has to
    satisfy in any case; one that needs any under each. So a message meets only bindings that share a header with it.
    """

    kind: ClassVar[str] = "headers"
    by_key: ClassVar[bool] = False

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self._unconditional: dict[Binding, None] = {}
        self._waiting: dict[Condition, dict[Binding, Rule]] = {}

    def check_binding(self, destination: Destination, key: str, arguments: Table) -> None:
        field = arguments.get(X_MATCH)
        if field is None:
            return
        if field.tag != "S":
            wrong = f"Invalid x-match field type {field.type_name} (value {term(field)})"
            raise PreconditionFailed(f"{wrong}; expected longstr")
        if field.value not in MODES:
            wrong = f"Invalid x-match field value {term(field)}"
            raise PreconditionFailed(f"{wrong}; expected all, any, all-with-x, or any-with-x")

    # HOT: once a publish, which cannot be cached
    def match(self, keys: Sequence[str], properties: Properties, found: dict[Destination, None]) -> None:
        for binding in self._unconditional:
            found[binding.destination] = None
        headers = properties.headers
        if headers is None or not self._waiting:
            return
        satisfied = _satisfied(headers)
        for condition in satisfied:
            waiting = self._waiting.get(condition)
            if waiting is not None:
                for binding, rule in waiting.items():
                    if not rule.needs_all or _subset(rule.conditions, satisfied):
                        found[binding.destination] = None

    def _added(self, binding: Binding) -> None:
        rule = Rule(binding.arguments)
        if not rule.needs_all:
            for condition in rule.conditions:
                self._waiting.setdefault(condition, {})[binding] = rule
        elif rule.conditions:
            self._waiting.setdefault(self._rarest(rule.conditions), {})[binding] = rule
        else:
            self._unconditional[binding] = None

    def _removed(self, binding: Binding) -> None:
        self._unconditional.pop(binding, None)
        for condition in Rule(binding.arguments).conditions:
            waiting = self._waiting.get(condition)
            if waiting is not None:
                waiting.pop(binding, None)
                if not waiting:
                    del self._waiting[condition]

    def _rarest(self, conditions: list[Condition]) -> Condition:
        """The condition that the fewest bindings wait under, so that few are met in vain."""
        return min(conditions, key=lambda condition: len(self._waiting.get(condition, ())))


def _conditions(arguments: Table, with_x: bool) -> list[Condition]:
    """What arguments ask for; of an argument that is there twice the first counts."""
    wanted: dict[str, Condition] = {}
    for name, field in arguments.items():
        if name != X_MATCH and (with_x or not name.startswith("x-")):
            wanted.setdefault(name, _condition(name, field))
    return list(wanted.values())


# HOT: once a message
def _satisfied(headers: Table) -> dict[Condition, None]:
    """Every condition that a message with these headers satisfies; of a header that is there twice the first counts."""
    satisfied: dict[Condition, None] = {}
    for name, field in headers.items():
        present: Condition = (name, PRESENT, None)
        if present not in satisfied:
            satisfied[present] = None
            satisfied[_condition(name, field)] = None
    return satisfied


# HOT: once a header
def _condition(name: str, field: Field) -> Condition:
    """The condition that a header of this value satisfies."""
    tag = field.tag
    value = field.value
    if tag == "S":
        return (name, "S", value)
    if field.is_integer:
        return (name, "l", value)
    if isinstance(value, bytes):
        return (name, "S", value.decode("utf-8", "surrogateescape"))
    return (name, "d" if tag == "f" else tag, value)


# HOT: once a binding met
def _subset(conditions: list[Condition], satisfied: dict[Condition, None]) -> bool:
    for condition in conditions:  # noqa: SIM110  a generator for all() would cost more than the look-ups
        if condition not in satisfied:
            return False
    return True
