"""Where a message goes: from an exchange over its bindings, other exchanges and alternate exchanges to queues.

Rule: what may live here is the way from exchange to exchange. How one exchange matches is its type's business, and what
happens to a message that reaches no queue is the publisher's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

from amqpd.broker.binding import Destination
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.message import Message
from amqpd.errors import PreconditionFailed
from amqpd.wire.properties import Properties
from amqpd.wire.table import Field, Table

BLIND: Final = "BCC"
SENDER_SELECTED: Final = ("CC", BLIND)


@final
class Routed:
    """The answer of route.

    Args:
        queues: each once; none means that the message is unroutable.
        cacheable: the answer depends on the exchange and the keys alone, until the topology or a policy changes.
    """

    def __init__(self, queues: list[Destination], cacheable: bool) -> None:
        self.queues = queues
        self.cacheable = cacheable


# HOT: once a publish whose route is not cached
def route(start: Exchange, keys: Sequence[str], message: Message, exchanges: Mapping[str, Exchange]) -> Routed:
    """Follow a message from exchange to exchange until only queues are left.

    Each exchange is visited once, so cycles end. An exchange that yields nothing passes the message on to its alternate
    exchange, if that exists.

    Args:
        start: the exchange that was published to.
        keys: the routing keys, see keys_of.
        message: what is on its way.
        exchanges: all exchanges of the virtual host by name, the default exchange included; for alternate exchanges.
    """
    queues: dict[Destination, None] = {}
    visited: dict[Destination, None] = {start: None}
    pending = [start]
    cacheable = True
    while pending:
        exchange = pending.pop()
        cacheable = cacheable and exchange.by_key
        for destination in _destinations(exchange, keys, message, exchanges):
            if not isinstance(destination, Exchange):
                queues[destination] = None
            elif destination not in visited:
                visited[destination] = None
                pending.append(destination)
    return Routed(list(queues), cacheable)


def keys_of(routing_key: str, properties: Properties) -> list[str]:
    """The routing keys of a message: its own and those of the headers CC and BCC, each once.

    Raises:
        PreconditionFailed: CC or BCC is not an array.
    """
    headers = properties.headers
    if headers is None:
        return [routing_key]
    keys = {routing_key: None}
    for name in SENDER_SELECTED:
        for key in _selected(name, headers):
            keys[key] = None
    return list(keys)


def keys_of_stored(message: Message) -> list[str]:
    """The routing keys of a message that came from without_blind_copies(): those it had, each once."""
    history = message.deaths
    own = keys_of(message.routing_key, message.properties) if history is None else history.routing_keys
    return list(dict.fromkeys([*own, *message.blind_keys]))


def without_blind_copies(message: Message) -> Message:
    """The message as it is stored and delivered: routing keys in BCC are for the broker only (RabbitMQ)."""
    headers = message.properties.headers
    if headers is None or BLIND not in headers:
        return message
    delivered = message.with_properties(message.properties.replaced(headers=headers.replaced({}, {BLIND})))
    delivered.blind_keys = tuple(_selected(BLIND, headers))
    return delivered


def _destinations(
    exchange: Exchange, keys: Sequence[str], message: Message, exchanges: Mapping[str, Exchange]
) -> dict[Destination, None]:
    """What one exchange yields, or else its alternate exchange."""
    found: dict[Destination, None] = {}
    exchange.match(keys, message, found)
    if not found and exchange.alternate:  # the default exchange may be named, but in RabbitMQ nothing is bound to it
        alternate = exchanges.get(exchange.alternate)
        if alternate is not None:
            found[alternate] = None
    return found


def _selected(name: str, headers: Table) -> list[str]:
    """The keys in one header of sender-selected distribution; elements that are not strings do not count."""
    field = headers.get(name)
    if field is None:
        return []
    if field.tag != "A" or not isinstance(field.value, tuple):
        wrong = f'{{unacceptable_type_in_header,"{name}",{field.type_name}}}'
        raise PreconditionFailed(f"invalid message: {wrong}")
    elements = [element for element in field.value if isinstance(element, Field) and element.tag == "S"]
    return [element.value for element in elements if isinstance(element.value, str)]
