"""Counts of messages, and what samplers make of them, as keys of rows.

Rule: every key that comes from a counter of the core is made here, and its ``_details`` too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from amqpd.broker.counters import ExchangeTraffic
from amqpd.broker.queues.base import Queue
from amqpd.broker.vhost import VHost
from amqpd.management.answer import ABSENT, Column
from amqpd.management.node import Node
from amqpd.management.rates import Part
from amqpd.management.request import Request
from amqpd.management.slices import STEP, Slices
from amqpd.management.subjects import (
    Subject,
    both_sides,
    channel_counts,
    connection_counts,
    exchange_counts,
    lengths,
    queue_counts,
    queue_lengths,
)
from amqpd.management.values import moment
from amqpd.protocol.channel import Channel
from amqpd.protocol.connection import Connection

T = TypeVar("T", bound=Subject)
NO_RATE: Final = {"rate": 0.0}


def stats_of(request: Request, subject: Subject, counts: Mapping[str, int]) -> object:
    """The counts with their details, as message_stats; absent while nothing has happened."""
    if not any(counts.values()):
        return ABSENT
    return request.node.rates.details(subject, counts, request.ranges.get("msg_rates"))


def stat_of(request: Request, subject: Subject, key: str, counts: Callable[[], Mapping[str, int]]) -> object:
    """One key of the same, as Columns.parts has it; counters are looked at only if that needs them."""
    name, asked = key.removesuffix("_details"), request.ranges.get("msg_rates")
    if name == key:
        return counts().get(key, ABSENT)
    if asked is None:
        return {"rate": request.node.rates.rate(subject, name)}
    return request.node.rates.details(subject, counts(), asked).get(key, ABSENT)


def exchange_stats(request: Request, traffic: ExchangeTraffic) -> object:
    """The message_stats of an exchange."""
    return stats_of(request, traffic, exchange_counts(traffic))


def exchange_stat(request: Request, traffic: ExchangeTraffic, key: str) -> object:
    """One key of them."""
    return stat_of(request, traffic, key, lambda: exchange_counts(traffic))


def queue_stats(request: Request, queue: Queue) -> object:
    """The message_stats of a queue."""
    return stats_of(request, queue, queue_counts(queue))


def queue_stat(request: Request, queue: Queue, key: str) -> object:
    """One key of them."""
    return stat_of(request, queue, key, lambda: queue_counts(queue))


def channel_stats(request: Request, channel: Channel) -> object:
    """The message_stats of a channel: a side appears when something has happened there."""
    traffic = channel.traffic()
    sides = (traffic.publish_side(), traffic.deliver_side())
    found = {name: value for side in sides if any(side.values()) for name, value in side.items()}
    return stats_of(request, channel, found)


def channel_stat(request: Request, channel: Channel, key: str) -> object:
    """One key of them, whether their side appears or not."""
    return stat_of(request, channel, key, lambda: channel_counts(channel))


def vhost_stats(request: Request, vhost: VHost) -> object:
    """The message_stats of a virtual host."""
    return stats_of(request, vhost.totals, both_sides(vhost.totals.traffic()))


async def vhost_lengths(vhost: VHost, slices: Slices) -> dict[str, int]:
    """How many messages are in the queues of a virtual host, and with their consumers. There may be many queues."""
    ready = unacknowledged = 0
    for number, queue in enumerate(list(vhost.queues.values())):
        ready += queue.message_count
        unacknowledged += queue.unacknowledged
        if number % STEP == 0:
            await slices.next()
    return lengths(ready, unacknowledged)


def vhost_octets(request: Request, vhost: VHost, name: str) -> int:
    """What all connections to a virtual host have received or sent, those included that are gone."""
    live = sum(connection_counts(connection)[name] for connection in request.node.connections.in_vhost(vhost.name))
    return live + int(getattr(vhost.totals.closed, name))


def vhost_octet_details(request: Request, vhost: VHost, name: str) -> object:
    """How that changes."""
    live = request.node.connections.in_vhost(vhost.name)
    parts: list[Part] = [(connection, {name: connection_counts(connection)[name]}) for connection in live]
    if not parts:
        return NO_RATE
    return request.node.rates.sums(parts, request.ranges.get("data_rates"))[f"{name}_details"]


def broker_stats(request: Request, vhosts: Sequence[VHost]) -> dict[str, object]:
    """The message_stats of several virtual hosts together, whatever has happened there."""
    parts: list[Part] = [(vhost.totals, both_sides(vhost.totals.traffic())) for vhost in vhosts]
    return request.node.rates.sums(parts, request.ranges.get("msg_rates")) if parts else {}


def churn_stats(request: Request) -> dict[str, object]:
    """What has come and gone."""
    counters = request.node.broker.context.counters
    return request.node.rates.details(counters, counters.churn.as_dict(), request.ranges.get("msg_rates"))


def details_of(
    request: Request, subject: T, name: str, ranges: str, counts: Callable[[T], Mapping[str, int]]
) -> object:
    """The details of one counter; counters are looked at only if samples are asked for.

    Args:
        ranges: how the parameters for the samples begin.
    """
    rates, asked = request.node.rates, request.ranges.get(ranges)
    if asked is None:
        return {"rate": rates.rate(subject, name)}
    return rates.details(subject, {name: counts(subject)[name]}, asked)[f"{name}_details"]


def length_details(name: str) -> Column:
    """A column: how a number of messages in a queue changes."""

    def column(request: Request, queue: Queue) -> object:
        return details_of(request, queue, name, "lengths", queue_lengths)

    return column


def octet_details(name: str) -> Column:
    """A column: how a number of octets of a connection changes."""

    def column(request: Request, connection: Connection) -> object:
        return details_of(request, connection, name, "data_rates", connection_counts)

    return column


def node_details(name: str, value: Callable[[Node], int]) -> Column:
    """A column: how something that the process uses changes."""

    def column(request: Request, node: Node) -> object:
        counts = {name: value(node)}
        found = node.rates.details(node.broker.context.counters, counts, request.ranges.get("node_stats"))
        return found[f"{name}_details"]

    return column


def idle_since(request: Request, subject: Subject) -> object:
    """When something last happened to it; absent while something happens."""
    found = request.node.rates.idle_since(subject)
    return ABSENT if found is None else moment(found / 1000)
