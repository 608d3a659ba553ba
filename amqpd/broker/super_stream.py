"""Super streams: several streams behind one exchange, made and deleted together (RabbitMQ, super streams).

A super stream is nothing but an exchange with an argument and bindings with another one, just as RabbitMQ makes them;
so clients that know super streams find their way, and others publish to the exchange and consume the streams.

Rule: what may live here knows how a super stream is put together. It keeps nothing.
"""

from __future__ import annotations

from typing import Final, final

from amqpd.broker.binding import PARTITION_ORDER, Binding
from amqpd.broker.declaration import RESERVED_PREFIX, ExchangeSpec
from amqpd.broker.events import INTERNAL_USER
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.queues.base import Queue, QueueSpec
from amqpd.broker.vhost import VHost
from amqpd.wire.table import Field, Table

SUPER_STREAM: Final = "x-super-stream"
ROUTINGS: Final[dict[str, str]] = {"hash": "x-modulus-hash", "direct": "direct"}
"""How a message finds its partition, and the exchange type that does it: by a hash of its routing key, or by a routing
key that is the partition's binding key. RabbitMQ's own super streams are direct, and its clients hash before."""

MOST_PARTITIONS: Final = 1000
_LONGEST_NAME: Final = 255  # octets


class SuperStreamError(Exception):
    """It cannot be done.

    Args:
        reason: RabbitMQ's word for it: reference_already_exists, validation_failed or stream_not_found.
        text: what is wrong.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{reason}: {text}")
        self.reason = reason
        self.text = text


@final
class SuperStreamSpec:
    """What a super stream is to be.

    Args:
        name: of the exchange; the streams are called by it, a hyphen and their key.
        keys: a binding key for each partition, in their order.
        routing: one of ROUTINGS.
        arguments: of every stream, beside x-queue-type.
    """

    def __init__(self, name: str, keys: list[str], routing: str, arguments: dict[str, object]) -> None:
        self.name = name
        self.keys = keys
        self.routing = routing
        self.arguments = arguments

    @property
    def streams(self) -> list[str]:
        """The names of its streams, in the order of the partitions."""
        return [f"{self.name}-{key}" for key in self.keys]


def numbered(partitions: int) -> list[str]:
    """The keys of so many partitions that have no names."""
    return [str(number) for number in range(partitions)]


def create_super_stream(vhost: VHost, spec: SuperStreamSpec, actor: str = INTERNAL_USER) -> Exchange:
    """Create a super stream, all of it or nothing; one commit makes it safe.

    Args:
        actor: the user who wants it.

    Raises:
        SuperStreamError: a name is not possible or taken.
        PreconditionFailed: streams cannot have these arguments.
    """
    check_names(spec)
    check_free(vhost, spec)
    arguments = Table.of({"x-queue-type": "stream", **spec.arguments})
    # The first one tells whether arguments are right, before there is anything that would have to go again.
    streams = [vhost.create_queue(name, QueueSpec(True, None, False, arguments), actor) for name in spec.streams]
    marked = Table.of({SUPER_STREAM: True})
    exchange = vhost.create_exchange(spec.name, ExchangeSpec(ROUTINGS[spec.routing], True, False, False, marked), actor)
    for number, (stream, key) in enumerate(zip(streams, spec.keys, strict=True)):
        vhost.bind(exchange, stream, key, Table.of({PARTITION_ORDER: Field.long(number)}), actor)
    return exchange


def delete_super_stream(vhost: VHost, name: str, actor: str = INTERNAL_USER) -> list[str]:
    """Delete a super stream with its streams, and return their names.

    Raises:
        SuperStreamError: there is none of that name.
    """
    exchange = super_stream(vhost, name)
    streams = [binding.destination for binding in partitions_of(exchange)]
    vhost.delete_exchange(exchange, actor=actor)
    for stream in streams:
        assert isinstance(stream, Queue)  # partitions_of() leaves others out
        vhost.delete_queue(stream, actor=actor)
    return [stream.name for stream in streams]


def super_stream(vhost: VHost, name: str) -> Exchange:
    """Look a super stream up.

    Raises:
        SuperStreamError: there is none of that name.
    """
    found = vhost.exchanges.get(name)
    if found is None or not is_super_stream(found):
        raise SuperStreamError("stream_not_found", f"there is no super stream '{name}' in vhost '{vhost.name}'")
    return found


def super_streams(vhost: VHost) -> list[Exchange]:
    """The exchanges of all super streams, by name."""
    return [exchange for _, exchange in sorted(vhost.exchanges.items()) if is_super_stream(exchange)]


def is_super_stream(exchange: Exchange) -> bool:
    """True if it says so of itself, whoever made it."""
    marked = exchange.arguments.get(SUPER_STREAM)
    return marked is not None and marked.value is True


def routing_of(exchange: Exchange) -> str:
    """How messages find their partition: one of ROUTINGS, or the exchange's type where a client chose another one."""
    for routing, kind in ROUTINGS.items():
        if kind == exchange.kind:
            return routing
    return exchange.kind


def partitions_of(exchange: Exchange) -> list[Binding]:
    """The bindings of a super stream to its streams, in the order of the partitions."""
    found = [binding for binding in exchange.bindings() if binding.partition >= 0]
    return sorted([binding for binding in found if binding.destination.kind == "stream"], key=_order)


def check_names(spec: SuperStreamSpec) -> None:
    """Refuse what cannot be the name of an exchange or a stream, and keys that do not tell partitions apart.

    Raises:
        SuperStreamError: one of these.
    """
    if not is_correct(spec.name):
        raise SuperStreamError("validation_failed", f"'{spec.name}' is not a correct name for a super stream")
    if not 1 <= len(spec.keys) <= MOST_PARTITIONS:
        raise SuperStreamError("validation_failed", f"a super stream has from 1 to {MOST_PARTITIONS} partitions")
    for name in spec.streams:
        if not is_correct(name):
            raise SuperStreamError("validation_failed", f"'{name}' is not a correct name for a stream")
    seen: set[str] = set()
    for key in spec.keys:
        if key in seen:
            raise SuperStreamError("validation_failed", f"the binding key '{key}' is there twice")
        seen.add(key)


def check_free(vhost: VHost, spec: SuperStreamSpec) -> None:
    """Refuse names that are taken.

    Raises:
        SuperStreamError: one is.
    """
    if spec.name in vhost.exchanges:
        raise SuperStreamError("reference_already_exists", f"there is already an exchange named '{spec.name}'")
    for name in spec.streams:
        if name in vhost.queues:
            raise SuperStreamError("reference_already_exists", f"there is already a queue named '{name}'")


def is_correct(name: str) -> bool:
    """True if it can be the name of something that a client could declare."""
    octets = name.encode("utf-8", "surrogateescape")
    reserved = name.startswith(RESERVED_PREFIX)
    return 0 < len(octets) <= _LONGEST_NAME and not reserved and "\r" not in name and "\n" not in name


def _order(binding: Binding) -> tuple[int, str]:
    return binding.partition, binding.destination.name
