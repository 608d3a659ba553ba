"""The arguments of queues and consumers: one table that says which queue type knows which, and what values it takes.

Rule: everything that reads an ``x-...`` argument of queue.declare or basic.consume as such lives here, with RabbitMQ's
texts for what is wrong; queues get decoded values (QueueArguments) and never look at a field table. Arguments that no
queue type knows are accepted and mean nothing.
"""

from __future__ import annotations

from typing import Final, final

from amqpd.broker import erlang
from amqpd.broker.argument_checks import (
    Anything,
    Check,
    DeadLetterRoutingKey,
    Flag,
    Integer,
    MaxAge,
    Name,
    QueueVersion,
    StreamOffset,
    Text,
    Word,
    age_in_ms,
    integer_of,
)
from amqpd.errors import PreconditionFailed
from amqpd.wire.table import Field, Table

QUEUE_TYPES: Final = ("classic", "quorum", "stream")

NEVER: Final = -1  # QueueArguments.consumer_timeout: deliveries of this queue do not time out
DEFAULT_OVERFLOW: Final = "drop-head"
DEFAULT_DEAD_LETTER_STRATEGY: Final = "at-most-once"

DEFAULT_TYPE: Final = "classic"
_PLAIN: Final = {
    table.raw: table for table in [Table.of({"x-queue-type": kind}) for kind in ("classic", "quorum", "stream")]
}
_DEFAULT_TYPE_WORDS: Final = ("undefined", "")  # what newer RabbitMQ takes for "whatever is the default"
_TEN_YEARS: Final = 315_360_000_000  # ms, the longest time to live
_LARGEST_SEGMENT: Final = 3_000_000_000  # octets
_SMALLEST_FILTER: Final = 16  # octets
_LARGEST_FILTER: Final = 255


@final
class _Argument:
    """One row: what the value may be, and the queue types that know the argument."""

    def __init__(self, check: Check, *known_to: str) -> None:
        self.check = check
        self.known_to = known_to


_LENGTH: Final = Integer(0)
_CLUSTER_SIZE: Final = Integer(1)
_LEADER_LOCATOR: Final = Word(("client-local", "balanced", "random", "least-leaders"), "invalid_queue_locator_arg")

# In the order in which RabbitMQ checks and compares them. x-consumer-timeout is missing: it counts, but is neither
# checked nor compared nor refused by any type.
_QUEUE_ARGUMENTS: Final[dict[str, _Argument]] = {
    "x-expires": _Argument(Integer(1, _TEN_YEARS), "classic", "quorum"),
    "x-message-ttl": _Argument(Integer(0, _TEN_YEARS), "classic", "quorum"),
    "x-dead-letter-exchange": _Argument(Text(), "classic", "quorum"),
    "x-dead-letter-routing-key": _Argument(DeadLetterRoutingKey(), "classic", "quorum"),
    "x-dead-letter-strategy": _Argument(Word(("at-most-once", "at-least-once"), "invalid_dlx_strategy"), "quorum"),
    "x-max-length": _Argument(_LENGTH, "classic", "quorum"),
    "x-max-length-bytes": _Argument(_LENGTH, "classic", "quorum", "stream"),
    "x-max-in-memory-length": _Argument(_LENGTH, "quorum"),
    "x-max-in-memory-bytes": _Argument(_LENGTH, "quorum"),
    "x-max-priority": _Argument(Integer(0, 255, "max_value_exceeded"), "classic"),
    "x-overflow": _Argument(
        Word(("drop-head", "reject-publish", "reject-publish-dlx"), "invalid_overflow"), "classic", "quorum"
    ),
    "x-queue-mode": _Argument(Word(("default", "lazy"), noun="mode"), "classic"),
    "x-queue-version": _Argument(QueueVersion(), "classic"),
    "x-single-active-consumer": _Argument(Flag(), "classic", "quorum"),
    "x-queue-type": _Argument(Word(QUEUE_TYPES + _DEFAULT_TYPE_WORDS, noun="type"), "classic", "quorum", "stream"),
    "x-quorum-initial-group-size": _Argument(_CLUSTER_SIZE, "quorum"),
    "x-delivery-limit": _Argument(Anything(), "quorum"),
    "x-max-age": _Argument(MaxAge(), "stream"),
    "x-stream-max-segment-size-bytes": _Argument(_LENGTH, "stream"),
    "x-stream-max-length": _Argument(_LENGTH, "stream"),  # amqpd's own: RabbitMQ has no limit of records
    "x-stream-filter-size-bytes": _Argument(Anything(), "stream"),  # _check_stream_sizes has its own text for it
    "x-initial-cluster-size": _Argument(_CLUSTER_SIZE, "stream"),
    "x-queue-master-locator": _Argument(Anything(), "classic"),
    "x-queue-leader-locator": _Argument(_LEADER_LOCATOR, "classic", "quorum", "stream"),
}

_CONSUMER_ARGUMENTS: Final[dict[str, _Argument]] = {
    "x-priority": _Argument(Integer(None), "classic", "quorum"),
    "x-stream-offset": _Argument(StreamOffset(), "stream"),
    "x-stream-filter": _Argument(Anything(), "stream"),
    "x-stream-match-unfiltered": _Argument(Anything(), "stream"),
    # amqpd's own.
    "x-stream-cursor": _Argument(Name(), "stream"),
    "x-stream-group": _Argument(Name(), "stream"),
}


# Declaring and consuming.


def with_effective_type(arguments: Table, default: str = DEFAULT_TYPE) -> Table:
    """The arguments of a new queue with its type among them: a declaration that names none, or RabbitMQ's
    ``undefined``, means the default type."""
    named = arguments.get("x-queue-type")
    if named is None or (named.tag == "S" and named.value in _DEFAULT_TYPE_WORDS):
        return arguments.replaced({"x-queue-type": Field("S", default)})
    return arguments


def shared_arguments(arguments: Table) -> Table:
    """The same arguments; for a queue that has none but its type, one table that all such queues share."""
    return _PLAIN.get(arguments.raw, arguments)


def consumer_priority(arguments: Table) -> int:
    """x-priority of a consumer; 0 when it has none."""
    return integer_of(arguments.get("x-priority")) or 0


def effective_type(queue_name: str, vhost_name: str, arguments: Table) -> str:
    """The queue type that the arguments ask for: one of QUEUE_TYPES, classic where they name none.

    Raises:
        PreconditionFailed: there is no such queue type.
    """
    _check_value("x-queue-type", _QUEUE_ARGUMENTS["x-queue-type"], queue_name, vhost_name, arguments)
    queue_type = arguments.text("x-queue-type")
    return DEFAULT_TYPE if queue_type is None or queue_type in _DEFAULT_TYPE_WORDS else queue_type


def validate_queue_arguments(queue_name: str, vhost_name: str, queue_type: str, arguments: Table) -> None:
    """Check the arguments of a queue that is about to be created.

    Args:
        queue_name: for the text.
        vhost_name: for the text.
        queue_type: what effective_type made of the arguments.
        arguments: as declared, with the default queue type filled in if there is one.

    Raises:
        PreconditionFailed: an argument has a value it cannot have, or another queue type's argument was given.
    """
    if not arguments:
        return
    dead_letter_exchange = arguments.get("x-dead-letter-exchange")
    if dead_letter_exchange is not None and dead_letter_exchange.tag != "S":
        raise invalid_type("queue", "x-dead-letter-exchange", queue_name, vhost_name, dead_letter_exchange)
    _check_value("x-queue-type", _QUEUE_ARGUMENTS["x-queue-type"], queue_name, vhost_name, arguments)
    _check_arguments(_QUEUE_ARGUMENTS, queue_name, vhost_name, queue_type, arguments)
    if queue_type == "stream":
        _check_stream_sizes(arguments)


def check_consumer_arguments(queue_name: str, vhost_name: str, queue_type: str, arguments: Table) -> None:
    """Check the arguments of basic.consume.

    Raises:
        PreconditionFailed: an argument has a value it cannot have, or another queue type's argument was given.
    """
    if arguments:
        _check_arguments(_CONSUMER_ARGUMENTS, queue_name, vhost_name, queue_type, arguments)


def check_equivalent(queue_name: str, vhost_name: str, queue_type: str, current: Table, received: Table) -> None:
    """Check that an existing queue is what a declaration describes, as far as arguments go.

    Only arguments that the queue's type knows are compared, and the received values are not validated.

    Args:
        queue_name: for the text.
        vhost_name: for the text.
        queue_type: the existing queue's type.
        current: the arguments it was created with.
        received: as declared, with the default queue type filled in if there is one.

    Raises:
        PreconditionFailed: they differ.
    """
    for name, argument in _QUEUE_ARGUMENTS.items():
        if queue_type in argument.known_to:
            theirs = received.get(name)
            ours = current.get(name)
            if name == "x-queue-type":
                theirs = _named_type(theirs)
                ours = Field("S", queue_type)
            if not same_value(theirs, ours):
                raise inequivalent("queue", name, queue_name, vhost_name, theirs, ours)


def same_value(received: Field | None, current: Field | None) -> bool:
    """Whether RabbitMQ takes two arguments for the same: equal values of one kind, whatever their width in octets."""
    if received is None or current is None:
        return received is current
    new = _octets_or_value(received)
    old = _octets_or_value(current)
    return type(new) is type(old) and new == old


def inequivalent(
    kind: str, argument: str, name: str, vhost: str, received: Field | None, current: Field | None
) -> PreconditionFailed:
    """The error for a queue or exchange that exists with another value of a property or argument.

    Args:
        kind: ``queue`` or ``exchange``.
        argument: what differs.
        name: of the queue or exchange.
        vhost: its vhost's name.
        received: the declared value; None where the argument was not given.
        current: the existing one, likewise.
    """
    typed = received is None or current is None
    return PreconditionFailed(
        f"inequivalent arg '{argument}' for {kind} '{name}' in vhost '{vhost}': "
        f"received {_compared(received, typed)} but current is {_compared(current, typed)}"
    )


def invalid_type(kind: str, argument: str, name: str, vhost: str, field: Field) -> PreconditionFailed:
    """The error for an argument that must name an exchange and is no longstr; kind as for inequivalent."""
    return PreconditionFailed(
        f"invalid type '{field.type_name}' for arg '{argument}' in {kind} '{name}' in vhost '{vhost}'"
    )


def _check_arguments(
    table: dict[str, _Argument], queue_name: str, vhost_name: str, queue_type: str, arguments: Table
) -> None:
    for name, argument in table.items():
        if queue_type in argument.known_to:
            _check_value(name, argument, queue_name, vhost_name, arguments)
    for entry in arguments.items():
        name = entry[0]
        known = table.get(name)
        if known is not None and queue_type not in known.known_to:
            raise PreconditionFailed(
                f"invalid arg '{name}' for queue '{queue_name}' in vhost '{vhost_name}' "
                f"of queue type rabbit_{queue_type}_queue"
            )


def _check_value(name: str, argument: _Argument, queue_name: str, vhost_name: str, arguments: Table) -> None:
    field = arguments.get(name)
    if field is None:
        return
    fault = argument.check.fault(field, arguments)
    if fault is not None:
        raise PreconditionFailed(f"invalid arg '{name}' for queue '{queue_name}' in vhost '{vhost_name}': {fault}")


def _check_stream_sizes(arguments: Table) -> None:
    segment = _count(arguments, "x-stream-max-segment-size-bytes")
    if segment is not None and segment > _LARGEST_SEGMENT:
        raise PreconditionFailed("Exceeded max value for x-stream-max-segment-size-bytes")
    if "x-stream-filter-size-bytes" in arguments:
        octets = _count(arguments, "x-stream-filter-size-bytes")
        if octets is None or not _SMALLEST_FILTER <= octets <= _LARGEST_FILTER:
            # Two spaces: RabbitMQ's text has them.
            raise PreconditionFailed("Invalid value for  x-stream-filter-size-bytes")


def _named_type(field: Field | None) -> Field:
    """The received queue type as it is compared: the default where none is named, else whatever stands there."""
    if field is None or (field.tag == "S" and field.value in _DEFAULT_TYPE_WORDS):
        return Field("S", DEFAULT_TYPE)
    return field


def _octets_or_value(field: Field) -> object:
    value = field.value
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _compared(field: Field | None, typed: bool) -> str:
    if field is None:
        return "none"
    value = f"'{erlang.plain(field)}'"
    return f"the value {value} of type '{field.type_name}'" if typed else value


# What queues get to see.


@final
class QueueArguments:
    """The values that a queue's arguments give it, decoded. Times are in milliseconds; None means not given.

    It reads arguments that passed validate_queue_arguments; of any others it ignores what makes no sense.

    Attributes:
        message_ttl: time to live of messages.
        expires: time without use after which the queue goes.
        max_length: messages.
        max_length_bytes: octets of message bodies; of a stream, of its log.
        overflow: drop-head unless given; a queue whose policy may say otherwise asks for has_overflow.
        has_overflow: overflow was given.
        dead_letter_exchange: "" is the default exchange.
        dead_letter_routing_key: None keeps the message's own keys.
        dead_letter_strategy: at-most-once unless given; has_dead_letter_strategy as above.
        max_priority: 0 is no priorities, like None.
        single_active_consumer: False unless given.
        delivery_limit: negative is without limit; None also where the argument is no integer.
        consumer_timeout: NEVER where the argument is no integer, or negative.
        max_age: of a stream's messages.
        max_records: of a stream.
        max_segment_size_bytes: of a stream's log.
        filter_size_bytes: of a stream's Bloom filters.
    """

    def __init__(self, arguments: Table) -> None:
        self.message_ttl = _count(arguments, "x-message-ttl")
        self.expires = _count(arguments, "x-expires")
        self.max_length = _count(arguments, "x-max-length")
        self.max_length_bytes = _count(arguments, "x-max-length-bytes")
        overflow = arguments.text("x-overflow")
        self.has_overflow = overflow is not None
        self.overflow = DEFAULT_OVERFLOW if overflow is None else overflow
        self.dead_letter_exchange = arguments.text("x-dead-letter-exchange")
        self.dead_letter_routing_key = arguments.text("x-dead-letter-routing-key")
        strategy = arguments.text("x-dead-letter-strategy")
        self.has_dead_letter_strategy = strategy is not None
        self.dead_letter_strategy = DEFAULT_DEAD_LETTER_STRATEGY if strategy is None else strategy
        self.max_priority = _count(arguments, "x-max-priority")
        self.single_active_consumer = _flag(arguments, "x-single-active-consumer")
        self.delivery_limit = integer_of(arguments.get("x-delivery-limit"))
        self.consumer_timeout = _timeout(arguments, "x-consumer-timeout")
        max_age = arguments.text("x-max-age")
        self.max_age = None if max_age is None else age_in_ms(max_age)
        self.max_records = _count(arguments, "x-stream-max-length")
        self.max_segment_size_bytes = _count(arguments, "x-stream-max-segment-size-bytes")
        self.filter_size_bytes = _count(arguments, "x-stream-filter-size-bytes")

    @staticmethod
    def of(arguments: Table) -> QueueArguments:
        """The decoded values of these arguments. It raises nothing."""
        return QueueArguments(arguments)


@final
class ReaderArguments:
    """What a stream's consumer asks for. It reads arguments that passed check_consumer_arguments.

    Attributes:
        start: where to begin, as StreamOffset lets it through; None if it does not say.
        filters: only messages with one of these values; None is all of them.
        match_unfiltered: those without a value too.
        cursor: the name of its place.
        group: the name of its group.
    """

    def __init__(self, arguments: Table) -> None:
        self.start = arguments.get("x-stream-offset")
        self.filters = _filters(arguments.get("x-stream-filter"))
        self.match_unfiltered = self.filters is not None and _flag(arguments, "x-stream-match-unfiltered")
        self.cursor = arguments.text("x-stream-cursor")
        self.group = arguments.text("x-stream-group")


def _filters(field: Field | None) -> tuple[str, ...] | None:
    """The longstrs among the values; None where there is none: then nothing is filtered (RabbitMQ)."""
    if field is None:
        return None
    value = field.value
    listed = value if isinstance(value, tuple) else (field,)
    texts = tuple([each.value for each in listed if isinstance(each, Field) and isinstance(each.value, str)])
    return texts or None


def _count(arguments: Table, name: str) -> int | None:
    value = integer_of(arguments.get(name))
    return None if value is None or value < 0 else value


def _flag(arguments: Table, name: str) -> bool:
    field = arguments.get(name)
    return field is not None and field.value is True


def _timeout(arguments: Table, name: str) -> int | None:
    if name not in arguments:
        return None
    value = _count(arguments, name)
    return NEVER if value is None else value
