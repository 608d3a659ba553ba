"""The firehose: a copy of every message that is published or delivered, in amq.rabbitmq.trace (RabbitMQ, firehose).

Rule: what may live here makes copies. Who publishes and delivers knows whether there is anything to copy, see VHost.
set_tracing; while a firehose is off, nobody asks it.
"""

from __future__ import annotations

from typing import Final, final

from amqpd.broker.message import Message
from amqpd.broker.outbox import Outbox, table_of
from amqpd.broker.routing import keys_of
from amqpd.wire.properties import Properties
from amqpd.wire.table import Field

TRACE_EXCHANGE: Final = "amq.rabbitmq.trace"
SHORTSTR_MAX: Final = 255


@final
class Origin:
    """Whose publish or delivery it is.

    Args:
        connection: its name.
        channel: its number.
        user: its name.
    """

    def __init__(self, connection: str, channel: int, user: str) -> None:
        self.connection = connection
        self.channel = channel
        self.user = user


@final
class Firehose:
    """The firehose of one virtual host.

    Args:
        outbox: leads to TRACE_EXCHANGE.
        vhost: its name.
        node: the broker's name.
    """

    def __init__(self, outbox: Outbox, vhost: str, node: str) -> None:
        self._outbox = outbox
        self._vhost = vhost
        self._node = node
        self.on = False

    def published(self, origin: Origin, message: Message, keys: list[str], queues: list[str]) -> None:
        """Copy a message that a client publishes.

        Args:
            message: as it will be stored.
            keys: its routing keys, BCC included.
            queues: the names of the queues that it goes to.
        """
        if not self._outbox.wanted:
            return
        fields = self._fields(message, keys)
        self._add_origin(fields, origin)
        fields["routed_queues"] = Field.of(queues)
        self._put(f"publish.{message.exchange}", message, fields)

    def delivered(self, origin: Origin, message: Message, queue: str, redelivered: bool) -> None:
        """Copy a message that a client gets, unless it is a copy itself."""
        if not self._outbox.wanted or message.exchange == TRACE_EXCHANGE:
            return
        fields = self._fields(message, keys_of(message.routing_key, message.properties))
        fields["redelivered"] = Field.of(1 if redelivered else 0)
        self._add_origin(fields, origin)
        self._put(f"deliver.{queue}", message, fields)

    def _fields(self, message: Message, keys: list[str]) -> dict[str, Field]:
        properties = {name: Field.of(value) for name, value in reversed(message.properties.items())}
        return {
            "exchange_name": Field.of(message.exchange),
            "routing_keys": Field.of(keys),
            "properties": Field.of(table_of(properties)),
            "node": Field.of(self._node),
        }

    def _add_origin(self, fields: dict[str, Field], origin: Origin) -> None:
        fields["vhost"] = Field.of(self._vhost)
        fields["connection"] = Field.of(origin.connection)
        fields["channel"] = Field.of(origin.channel)
        fields["user"] = Field.of(origin.user)

    def _put(self, key: str, message: Message, fields: dict[str, Field]) -> None:
        copy = message.with_properties(Properties.of(headers=table_of(fields)))
        copy = copy.with_route(TRACE_EXCHANGE, shortened(key))
        copy.deaths = None  # the copy has not died, whatever became of the message
        self._outbox.put(copy)


def shortened(key: str) -> str:
    """A routing key that fits: with its prefix, a name of 255 octets does not."""
    octets = key.encode("utf-8", "surrogateescape")
    return octets[:SHORTSTR_MAX].decode("utf-8", "surrogateescape")
