"""What is sampled, and which counters it has: queues, exchanges, channels, connections, virtual hosts, the broker.

Rule: what may live here finds objects and reads their counters; when that happens is rates.py's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from amqpd.broker.broker import Broker
from amqpd.broker.counters import ExchangeTraffic, NodeCounters, Totals, Traffic
from amqpd.broker.queues.base import Queue
from amqpd.management.series import Level
from amqpd.protocol.channel import Channel
from amqpd.protocol.connection import Connection
from amqpd.protocol.registry import Connections

# RabbitMQ's plan: samples of every single object for ten minutes, of the totals for a day with less and less detail.
BASIC: Final = (Level(1, 121),)
GLOBAL: Final = (Level(1, 121), Level(12, 61), Level(120, 49), Level(360, 49))
RETENTION: Final = {"global": [600, 3600, 28800, 86400], "basic": [600], "detailed": [600]}
"""The same as overview tells it: the seconds of each level."""


class Subject(Protocol):
    """Something that is sampled: broker.counters.Sampled."""

    sampled: int
    active_at: int

    def activity(self) -> int:
        """A number that grows with everything that happens to it."""


@dataclass(frozen=True)
class Kind:
    """One kind of subjects.

    Args:
        levels: how long samples are kept.
        subjects: all there are.
        counts: the counters of one. Any: of one of these.
    """

    levels: tuple[Level, ...]
    subjects: Callable[[], Iterable[Any]]
    counts: Callable[[Any], Mapping[str, int]]


def queue_counts(queue: Queue) -> dict[str, int]:
    """What message_stats say of a queue."""
    traffic = queue.traffic()
    return {"publish": int(traffic.publish), **traffic.deliver_side()}


def queue_lengths(queue: Queue) -> dict[str, int]:
    """How many messages are in a queue, and with its consumers."""
    return lengths(queue.message_count, queue.unacknowledged)


def lengths(ready: int, unacknowledged: int) -> dict[str, int]:
    """Numbers of messages under RabbitMQ's names."""
    return {
        "messages": ready + unacknowledged,
        "messages_ready": ready,
        "messages_unacknowledged": unacknowledged,
    }


def exchange_counts(traffic: ExchangeTraffic) -> dict[str, int]:
    """What message_stats say of an exchange."""
    return {"publish_in": int(traffic.publish_in), "publish_out": int(traffic.publish_out)}


def both_sides(traffic: Traffic) -> dict[str, int]:
    """What message_stats say of a channel, a virtual host or the broker."""
    return {**traffic.publish_side(), **traffic.deliver_side()}


def channel_counts(channel: Channel) -> dict[str, int]:
    """What message_stats say of a channel."""
    return both_sides(channel.traffic())


def connection_counts(connection: Connection) -> dict[str, int]:
    """What a connection has received and sent."""
    output = connection.output
    return {
        "recv_oct": int(connection.received),
        "recv_cnt": int(connection.reads),
        "send_oct": int(output.sent),
        "send_cnt": int(output.writes),
    }


def broker_traffic(broker: Broker) -> Traffic:
    """What happened to messages in all virtual hosts, those included that are gone."""
    total = Traffic()
    total.add(broker.context.counters.past)
    for vhost in broker.counting:
        total.add(vhost.totals.traffic())
    return total


class Subjects:
    """All subjects of a broker.

    Args:
        gauges: numbers of the process that are sampled with the broker: memory, files, disk.
    """

    def __init__(self, broker: Broker, connections: Connections, gauges: Callable[[], Mapping[str, int]]) -> None:
        self._broker = broker
        self._connections = connections
        self._gauges = gauges
        self._ready: dict[Totals, int] = {}  # by virtual host, as the last walk over all queues found them
        self._unacknowledged: dict[Totals, int] = {}

    def kinds(self) -> tuple[Kind, ...]:
        """In the order in which they are sampled: totals come behind what they are made of."""
        return (
            Kind(BASIC, self._queues, lambda queue: {**queue_counts(queue), **queue_lengths(queue)}),
            Kind(BASIC, self._exchanges, exchange_counts),
            Kind(BASIC, self._connections.all, connection_counts),
            Kind(BASIC, self._channels, channel_counts),
            Kind(GLOBAL, self._vhosts, self._vhost_counts),
            Kind(GLOBAL, self._node, self._node_counts),
        )

    def _queues(self) -> Iterator[Queue]:
        for vhost in list(self._broker.vhosts.values()):
            ready = unacknowledged = 0
            for queue in list(vhost.queues.values()):
                ready += queue.message_count
                unacknowledged += queue.unacknowledged
                yield queue
            self._ready[vhost.totals] = ready
            self._unacknowledged[vhost.totals] = unacknowledged

    def _exchanges(self) -> Iterator[ExchangeTraffic]:
        for vhost in list(self._broker.vhosts.values()):
            for exchange in list(vhost.exchanges.values()):
                yield exchange.traffic

    def _channels(self) -> Iterator[Channel]:
        for connection in self._connections.all():
            yield from connection.channels.all()

    def _vhosts(self) -> Iterator[Totals]:
        live = [vhost.totals for vhost in self._broker.vhosts.values()]
        self._ready = {totals: self._ready.get(totals, 0) for totals in live}
        self._unacknowledged = {totals: self._unacknowledged.get(totals, 0) for totals in live}
        yield from live

    def _vhost_counts(self, totals: Totals) -> dict[str, int]:
        return {
            **both_sides(totals.traffic()),
            **lengths(self._ready.get(totals, 0), self._unacknowledged.get(totals, 0)),
        }

    def _node(self) -> Iterator[NodeCounters]:
        yield self._broker.context.counters

    def _node_counts(self, counters: NodeCounters) -> dict[str, int]:
        return {
            **both_sides(broker_traffic(self._broker)),
            **lengths(sum(self._ready.values()), sum(self._unacknowledged.values())),
            **counters.churn.as_dict(),
            **self._gauges(),
        }
