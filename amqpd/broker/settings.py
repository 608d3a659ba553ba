"""Settings: what a queue works with, once its arguments, its policy and the operator's policy have had their say.

Rule: what may live here decides between them, and nothing else. Values that cannot be are refused before that, in
arguments.py and policy.py.
"""

from __future__ import annotations

from typing import Final, final

from amqpd.broker.argument_checks import age_in_ms
from amqpd.broker.arguments import DEFAULT_DEAD_LETTER_STRATEGY, DEFAULT_OVERFLOW, NEVER, QueueArguments
from amqpd.broker.policy import Policy, effective_definition, lower_delivery_limit
from amqpd.broker.queues.overflow import REJECT_PUBLISH, REJECT_PUBLISH_DLX, Limit
from amqpd.wire.table import Table

DEFAULT_DELIVERY_LIMIT: Final = 20  # of quorum queues
# Octets. RabbitMQ's are 500,000,000: smaller ones let retention keep closer to its limits, and are read sooner after a
# kill.
DEFAULT_SEGMENT_SIZE: Final = 64 * 1024 * 1024
DEFAULT_FILTER_SIZE: Final = 16  # octets

AT_LEAST_ONCE: Final = "at-least-once"


@final
class QueueSettings:
    """The values in force for one queue. Times are in milliseconds; None is no limit, or none given.

    Args:
        queue_type: classic, quorum or stream.
        arguments: of the queue.
        definition: what effective_definition made of its policies.

    Attributes:
        message_ttl: time to live of messages.
        expires: time without use after which the queue goes.
        max_length: messages.
        max_length_bytes: octets of message bodies; of a stream, of its log.
        overflow: drop-head, reject-publish or reject-publish-dlx; of a quorum queue never the last.
        limit: what the three before come to.
        dead_letter_exchange: "" is the default exchange; None is no dead lettering.
        dead_letter_routing_key: None keeps the message's own keys.
        dead_letter_strategy: at-least-once only where the queue is able to.
        max_priority: 0 is no priorities. By argument only, as single_active_consumer.
        single_active_consumer: one consumer at a time.
        delivery_limit: how often a message may come back; it is delivered once more than that.
        consumer_timeout: of unsettled deliveries; NEVER is none at all, None the broker's default.
        max_age: of a stream's messages.
        max_records: of a stream.
        max_segment_size_bytes: of a stream's log.
        filter_size_bytes: of a stream's Bloom filters.
    """

    def __init__(self, queue_type: str, arguments: QueueArguments, definition: dict[str, object]) -> None:
        self.message_ttl = _least(arguments.message_ttl, _number(definition, "message-ttl"))
        self.expires = _least(arguments.expires, _number(definition, "expires"))
        self.max_length = _least(arguments.max_length, _number(definition, "max-length"))
        max_bytes = _number(definition, "max-length-bytes")
        if queue_type == "stream":  # whose policy is above its arguments
            self.max_length_bytes = _first(max_bytes, arguments.max_length_bytes)
        else:
            self.max_length_bytes = _least(arguments.max_length_bytes, max_bytes)
        self.overflow = _overflow(queue_type, arguments, _text(definition, "overflow"))
        self.limit = Limit(self.max_length, self.max_length_bytes, self.overflow)
        self.dead_letter_exchange = _either(arguments.dead_letter_exchange, _text(definition, "dead-letter-exchange"))
        self.dead_letter_routing_key = _either(
            arguments.dead_letter_routing_key, _text(definition, "dead-letter-routing-key")
        )
        able = queue_type == "quorum" and self.overflow == REJECT_PUBLISH and self.dead_letter_exchange is not None
        self.dead_letter_strategy = _strategy(able, arguments, _text(definition, "dead-letter-strategy"))
        self.max_priority = arguments.max_priority or 0
        self.single_active_consumer = arguments.single_active_consumer
        self.delivery_limit: int | None = None
        if queue_type == "quorum":
            self.delivery_limit = _delivery_limit(arguments.delivery_limit, _number(definition, "delivery-limit"))
        self.consumer_timeout = _timeout(arguments.consumer_timeout, _number(definition, "consumer-timeout"))
        age = _text(definition, "max-age")
        self.max_age = arguments.max_age if age is None else age_in_ms(age)
        self.max_records = _first(_number(definition, "stream-max-length"), arguments.max_records)
        segment_size = _first(_number(definition, "stream-max-segment-size-bytes"), arguments.max_segment_size_bytes)
        self.max_segment_size_bytes = DEFAULT_SEGMENT_SIZE if segment_size is None else segment_size
        filter_size = _first(_number(definition, "stream-filter-size-bytes"), arguments.filter_size_bytes)
        self.filter_size_bytes = DEFAULT_FILTER_SIZE if filter_size is None else filter_size


def effective_settings(
    queue_type: str, arguments: QueueArguments, policy: Policy | None, operator: Policy | None
) -> QueueSettings:
    """The settings of a queue.

    Args:
        queue_type: classic, quorum or stream.
        arguments: of the queue.
        policy: the user policy that counts for the queue, if there is one.
        operator: the operator policy that counts for it, likewise.
    """
    return QueueSettings(queue_type, arguments, effective_definition(policy, operator))


@final
class MadeSettings:
    """Settings that were made for one queue, and what of: mostly the next queue's are the same.

    Args:
        settings: what effective_settings made of all the others.
    """

    def __init__(
        self, kind: str, arguments: Table, policy: Policy | None, operator: Policy | None, settings: QueueSettings
    ) -> None:
        self._kind = kind
        self._arguments = arguments.raw
        self._policy = policy
        self._operator = operator
        self.settings = settings

    def are_of(self, kind: str, arguments: Table, policy: Policy | None, operator: Policy | None) -> bool:
        """True if effective_settings would make the same of these."""
        return (
            arguments.raw == self._arguments
            and kind == self._kind
            and policy is self._policy
            and operator is self._operator
        )


def effective_alternate(argument: str | None, policy: Policy | None) -> str | None:
    """The alternate exchange of an exchange: its argument, or else its policy's."""
    return argument if argument is not None or policy is None else _text(policy.definition, "alternate-exchange")


# Of a queue's argument and its policy: which?


def _least(one: int | None, other: int | None) -> int | None:
    """The lower limit."""
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def _first(one: int | None, other: int | None) -> int | None:
    return other if one is None else one


def _either(one: str | None, other: str | None) -> str | None:
    return other if one is None else one


def _overflow(queue_type: str, arguments: QueueArguments, policy: str | None) -> str:
    argument = arguments.overflow if arguments.has_overflow else None
    if queue_type != "quorum":
        return _either(argument, policy) or DEFAULT_OVERFLOW
    overflow = _either(policy, argument) or DEFAULT_OVERFLOW
    return DEFAULT_OVERFLOW if overflow == REJECT_PUBLISH_DLX else overflow  # which quorum queues do not know


def _strategy(able: bool, arguments: QueueArguments, policy: str | None) -> str:
    """At-least-once keeps dead letters in the queue, which must be able to refuse new messages then (RabbitMQ)."""
    argument = arguments.dead_letter_strategy if arguments.has_dead_letter_strategy else None
    return AT_LEAST_ONCE if able and _either(argument, policy) == AT_LEAST_ONCE else DEFAULT_DEAD_LETTER_STRATEGY


def _delivery_limit(argument: int | None, policy: int | None) -> int | None:
    limit = _first(argument, policy)
    if argument is not None and policy is not None:
        limit = lower_delivery_limit(argument, policy)
    if limit is None:
        return DEFAULT_DELIVERY_LIMIT
    return None if limit < 0 else limit


def _timeout(argument: int | None, policy: int | None) -> int | None:
    return argument if policy is None else _least(None if argument == NEVER else argument, policy)


def _number(definition: dict[str, object], key: str) -> int | None:
    value = definition.get(key)
    return value if isinstance(value, int) else None


def _text(definition: dict[str, object], key: str) -> str | None:
    value = definition.get(key)
    return value if isinstance(value, str) else None
