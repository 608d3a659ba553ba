"""Policies: settings for all queues and exchanges of a virtual host whose names match a pattern (RabbitMQ).

Rule: what may live here says what a policy may hold, with RabbitMQ's texts for what is wrong, and which policy applies
to whom. What a queue makes of the one that it gets stands in settings.py.
"""

from __future__ import annotations

import math
import re
import warnings
from abc import ABC, abstractmethod
from typing import Final, final

from amqpd.broker import erlang
from amqpd.broker.argument_checks import age_in_ms
from amqpd.wire.table import Field

EXCHANGE: Final = "exchange"  # beside the queue types, the fourth kind of thing that a policy can apply to

_QUEUES: Final = ("classic", "quorum", "stream")
_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "all": (*_QUEUES, EXCHANGE),
    "queues": _QUEUES,
    "classic_queues": ("classic",),
    "quorum_queues": ("quorum",),
    "streams": ("stream",),
    "exchanges": (EXCHANGE,),
}
# Two spaces: RabbitMQ's text has them.
_APPLY_TO: Final = "'queues', 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'"

_LARGEST: Final = (1 << 63) - 1  # what an argument could carry; RabbitMQ takes any integer
_TEN_YEARS: Final = 315_360_000_000  # ms, the longest time that an argument can set

# What Python and what PCRE call the same mistake in a pattern. True: PCRE finds it at the pattern's end only.
_PCRE: Final[dict[str, tuple[str, bool]]] = {
    "missing ), unterminated subpattern": ("missing )", True),
    "unterminated character set": ("missing terminating ] for character class", True),
    "bad escape (end of pattern)": ("\\ at end of pattern", True),
    "unbalanced parenthesis": ("unmatched parentheses", False),
}


class PolicyError(ValueError):
    """A policy that cannot be. The text is RabbitMQ's, a line for each thing that is wrong."""


# What the values may be.


class _Value(ABC):
    """One kind of value."""

    @abstractmethod
    def accepts(self, value: object) -> bool:
        """True if a JSON value is of this kind."""


@final
class _Integer(_Value):
    """An integer within bounds. Unlike in Python, a boolean is none."""

    def __init__(self, lowest: int, highest: int = _LARGEST) -> None:
        self._lowest = lowest
        self._highest = highest

    def accepts(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self._lowest <= value <= self._highest


@final
class _Word(_Value):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def accepts(self, value: object) -> bool:
        return isinstance(value, str) and value in self._words


@final
class _Text(_Value):
    """Any string that can be written in UTF-8."""

    def accepts(self, value: object) -> bool:
        try:
            return isinstance(value, str) and value.encode() is not None
        except UnicodeEncodeError:
            return False


@final
class _Age(_Value):
    """An age, as age_in_ms reads it."""

    def accepts(self, value: object) -> bool:
        return isinstance(value, str) and age_in_ms(value) is not None


@final
class _Anything(_Value):
    """Whatever JSON holds, for nobody looks at it."""

    def accepts(self, value: object) -> bool:
        return True


@final
class _Key:
    """One setting.

    Args:
        value: what it may be.
        noun: what RabbitMQ says that a wrong value is not.
        without: queue types that do not have the setting.
        operator: operator policies may hold it.
    """

    def __init__(self, value: _Value, noun: str, without: tuple[str, ...] = (), operator: bool = False) -> None:
        self.value = value
        self.noun = noun
        self.without = without
        self.operator = operator


_COUNT: Final = _Integer(0)
_NOT_STREAM: Final = ("stream",)
_STREAM_ONLY: Final = ("classic", "quorum")
_QUORUM_ONLY: Final = ("classic", "stream")
_CLASSIC_ONLY: Final = ("quorum", "stream")

_KEYS: Final[dict[str, _Key]] = {
    "alternate-exchange": _Key(_Text(), "alternate exchange name"),
    "consumer-timeout": _Key(_Integer(0, _TEN_YEARS), "consumer timeout"),
    "dead-letter-exchange": _Key(_Text(), "dead letter exchange name", _NOT_STREAM),
    "dead-letter-routing-key": _Key(_Text(), "dead letter routing key", _NOT_STREAM),
    "dead-letter-strategy": _Key(_Word("at-most-once", "at-least-once"), "dead letter strategy", _QUORUM_ONLY),
    "delivery-limit": _Key(_Integer(-_LARGEST), "delivery limit", _QUORUM_ONLY, operator=True),
    "expires": _Key(_Integer(1, _TEN_YEARS), "queue expiry", _NOT_STREAM, operator=True),
    "federation-upstream": _Key(_Text(), "federation upstream name"),
    "federation-upstream-set": _Key(_Text(), "federation upstream set name"),
    # Of mirrored queues, which RabbitMQ had up to 3.13: one node needs none, but old definitions carry them.
    "ha-mode": _Key(_Word("all", "exactly", "nodes"), "ha-mode value"),
    "ha-params": _Key(_Anything(), "ha-params value"),
    "ha-promote-on-failure": _Key(_Word("always", "when-synced"), "ha-promote-on-failure value"),
    "ha-promote-on-shutdown": _Key(_Word("always", "when-synced"), "ha-promote-on-shutdown value"),
    "ha-sync-batch-size": _Key(_Integer(1), "ha-sync-batch-size value"),
    "ha-sync-mode": _Key(_Word("automatic", "manual"), "ha-sync-mode value"),
    "initial-cluster-size": _Key(_COUNT, "cluster size", _STREAM_ONLY),
    "max-age": _Key(_Age(), "max age", _STREAM_ONLY),
    "max-in-memory-bytes": _Key(_COUNT, "maximum memory in bytes", _QUORUM_ONLY, operator=True),
    "max-in-memory-length": _Key(_COUNT, "maximum memory in bytes", _QUORUM_ONLY, operator=True),
    "max-length": _Key(_COUNT, "maximum length", _NOT_STREAM, operator=True),
    "max-length-bytes": _Key(_COUNT, "maximum length in bytes", operator=True),
    "message-ttl": _Key(_Integer(0, _TEN_YEARS), "message TTL", _NOT_STREAM, operator=True),
    "overflow": _Key(
        _Word("drop-head", "reject-publish", "reject-publish-dlx"), "overflow value", _NOT_STREAM, operator=True
    ),
    "queue-leader-locator": _Key(
        _Word("client-local", "balanced", "random", "least-leaders"), "queue leader locator value"
    ),
    "queue-master-locator": _Key(_Word("min-masters", "client-local", "random"), "master locator", _CLASSIC_ONLY),
    "queue-mode": _Key(_Word("default", "lazy"), "queue-mode value", _CLASSIC_ONLY),
    "queue-version": _Key(_Integer(1, 2), "queue-version value", operator=True),
    "stream-filter-size-bytes": _Key(_Integer(16, 255), "filter size. Valid range is 16-255."),
    "stream-max-segment-size-bytes": _Key(_Integer(0, 3_000_000_000), "segment size", _STREAM_ONLY),
    "stream-max-length": _Key(_COUNT, "maximum length of a stream", _STREAM_ONLY),
    "target-group-size": _Key(_Integer(1), "qq target count value", _QUORUM_ONLY),
}


# Policies.


@final
class Policy:
    """One policy; it never changes, and neither must its definition.

    Args:
        name: unique among the virtual host's policies of its sort.
        pattern: a regular expression, searched in the names of queues and exchanges.
        definition: the settings by name.
        priority: of several policies that match, the one with the highest counts alone.
        apply_to: all, queues, classic_queues, quorum_queues, streams or exchanges.
        is_operator: one of the operator's, who sets limits to what users may do.

    All but name and is_operator may be any JSON values.

    Raises:
        PolicyError: one of them is not what it has to be.
    """

    def __init__(
        self,
        name: str,
        pattern: object,
        definition: object,
        priority: object = 0,
        apply_to: object = "all",
        is_operator: bool = False,
    ) -> None:
        faults = [
            _definition_fault(definition, is_operator),
            _apply_to_fault(apply_to),
            _pattern_fault(pattern),
            _priority_fault(priority),
        ]
        found = [fault for fault in faults if fault is not None]
        if found:
            raise PolicyError("\n".join(found))
        # For the type checker, which does not see that everything else has been refused.
        assert isinstance(pattern, str)
        assert isinstance(definition, dict)
        assert isinstance(priority, int | float)
        assert isinstance(apply_to, str)
        self.name = name
        self.pattern = pattern
        self.definition: dict[str, object] = dict(definition)
        self.priority: int | float = priority
        self.apply_to = apply_to
        self.is_operator = is_operator
        # A single setting that a queue type does not have, and the policy is not for queues of that type (RabbitMQ).
        without = {kind for key in self.definition for kind in _KEYS[key].without}
        self._kinds = frozenset(_KINDS[apply_to]) - without
        self._pattern = _compiled(pattern)

    def matches(self, kind: str, name: str) -> bool:
        """True if it is for the queue or exchange of that name; kind is a queue type or EXCHANGE."""
        # HOT: for every queue whenever a policy changes
        return kind in self._kinds and self._pattern.search(name) is not None


@final
class Policies:
    """The policies of one virtual host, users' and operators'."""

    def __init__(self) -> None:
        self._user = _Ranking()
        self._operator = _Ranking()

    def set(self, policy: Policy) -> None:
        """Add a policy, or put it in the place of the one of the same name and sort."""
        ranking = self._operator if policy.is_operator else self._user
        ranking.by_name[policy.name] = policy
        ranking.rank()

    def delete(self, name: str, is_operator: bool = False) -> bool:
        """Remove a policy; False if there was none."""
        ranking = self._operator if is_operator else self._user
        found = ranking.by_name.pop(name, None) is not None
        ranking.rank()
        return found

    def find(self, name: str, is_operator: bool = False) -> Policy | None:
        """The policy of that name, or None."""
        return (self._operator if is_operator else self._user).by_name.get(name)

    def user_policies(self) -> list[Policy]:
        """Those of users, sorted by name."""
        return self._user.listed()

    def operator_policies(self) -> list[Policy]:
        """Those of operators, sorted by name."""
        return self._operator.listed()

    def policy_for_queue(self, name: str, queue_type: str) -> Policy | None:
        """The one user policy that counts for a queue, or None. Equal priorities: the name that sorts first."""
        return self._user.best(queue_type, name)

    def operator_policy_for_queue(self, name: str, queue_type: str) -> Policy | None:
        """The one operator policy that counts for a queue, or None."""
        return self._operator.best(queue_type, name)

    def policy_for_exchange(self, name: str) -> Policy | None:
        """The one user policy that counts for an exchange, or None. Operator policies hold nothing for exchanges."""
        return self._user.best(EXCHANGE, name)


@final
class _Ranking:
    """Policies of one sort, in the order in which they are asked."""

    def __init__(self) -> None:
        self.by_name: dict[str, Policy] = {}
        self._ranked: list[Policy] = []

    def rank(self) -> None:
        """Sort them anew."""
        self._ranked = sorted(self.listed(), key=_priority_of, reverse=True)  # stable: names stay in order

    def listed(self) -> list[Policy]:
        return [self.by_name[name] for name in sorted(self.by_name)]

    def best(self, kind: str, name: str) -> Policy | None:
        # HOT: for every queue whenever a policy changes
        for policy in self._ranked:
            if policy.matches(kind, name):
                return policy
        return None


def effective_definition(policy: Policy | None, operator: Policy | None) -> dict[str, object]:
    """What a user's policy and an operator's come to together, sorted by key; empty without either.

    Limits: the lower one counts; of delivery limits, negative is none and above all. All else: the operator's counts.
    """
    merged: dict[str, object] = {} if policy is None else dict(policy.definition)
    if operator is not None:
        for key, value in operator.definition.items():
            merged[key] = _merged(key, merged.get(key), value)
    return {key: merged[key] for key in sorted(merged)}


def lower_delivery_limit(one: int, other: int) -> int:
    """The delivery limit that counts of two; if one of them is negative (no limit), the larger (RabbitMQ)."""
    return max(one, other) if one < 0 or other < 0 else min(one, other)


def _merged(key: str, ours: object, operators: object) -> object:
    if key == "queue-version" or not isinstance(ours, int) or not isinstance(operators, int):
        return operators
    return lower_delivery_limit(ours, operators) if key == "delivery-limit" else min(ours, operators)


def _priority_of(policy: Policy) -> int | float:
    return policy.priority


# What is wrong with a policy, in RabbitMQ's words; None if nothing is.


def _definition_fault(definition: object, is_operator: bool) -> str | None:
    if definition in ({}, []):
        return "no policy provided"
    if isinstance(definition, list):
        return f"definition must be a dictionary: {json_term(definition)}"
    if not isinstance(definition, dict):
        validator = "operator_policy_validator" if is_operator else "policy_validator"
        return f"parse error while reading policy definition: {json_term(definition)}. Validator: {validator}."
    unknown: list[str] = []
    for name in sorted(definition):
        value = definition[name]
        key = _KEYS.get(name)
        if key is None or (is_operator and not key.operator):
            unknown.append(f"{{{json_term(name)},{json_term(value)}}}")
        elif not key.value.accepts(value):
            return f"{json_term(value)} is not a valid {key.noun}"
    return f"[{','.join(unknown)}] are not recognised policy settings" if unknown else None


def _pattern_fault(pattern: object) -> str | None:
    if not isinstance(pattern, str):
        return f"pattern should be a binary but was {json_term(pattern)}"
    try:
        _compiled(pattern)
    except re.error as error:
        text, at_end = _PCRE.get(error.msg, (error.msg, False))
        place = len(pattern) if at_end else error.pos or 0
    except (OverflowError, RecursionError):
        text, place = "regular expression is too large", 0
    else:
        return None
    return f"pattern should be regular expression but is invalid: {{{erlang.string(text)},{place}}}"


def _compiled(pattern: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Python's own plans are not the user's concern
        return re.compile(pattern)


def _apply_to_fault(apply_to: object) -> str | None:
    if isinstance(apply_to, str) and apply_to in _KINDS:
        return None
    shown = apply_to if isinstance(apply_to, str) else json_term(apply_to)
    return f"apply-to '{shown}' unrecognised; should be one of: {_APPLY_TO}"


def _priority_fault(priority: object) -> str | None:
    if isinstance(priority, int) and not isinstance(priority, bool):
        return None
    if isinstance(priority, float) and math.isfinite(priority):
        return None
    return f"priority should be a number, actually was {json_term(priority)}"


def json_term(value: object) -> str:
    """A JSON value as Erlang prints it: ``<<"a">>``, ``5``, ``true``, ``null``, ``[1,2]``, ``#{<<"a">> => 1}``."""
    if isinstance(value, str):
        return erlang.binary(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return erlang.term(Field("d", value))
    if isinstance(value, list):
        return "[" + ",".join([json_term(element) for element in value]) + "]"
    if isinstance(value, dict):
        return "#{" + ",".join([f"{json_term(key)} => {json_term(value[key])}" for key in sorted(value)]) + "}"
    return "null" if value is None else str(value)
