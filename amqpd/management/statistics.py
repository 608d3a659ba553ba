"""Counts of messages, and what samplers make of them, as keys of rows.

Rule: every key that comes from a counter of the core is made here, and its ``_details`` too.
"""

from __future__ import annotations

from collections.abc import Mapping

from amqpd.broker.counters import ExchangeTraffic, Traffic
from amqpd.broker.queues.base import Queue
from amqpd.broker.vhost import VHost
from amqpd.management.answer import ABSENT
from amqpd.management.request import Request
from amqpd.protocol.channel import Channel


def stats_of(counts: Mapping[str, int]) -> object:
    """The counts as message_stats; absent while nothing has happened."""
    return dict(counts) if any(counts.values()) else ABSENT


def exchange_stats(request: Request, traffic: ExchangeTraffic) -> object:
    """The message_stats of an exchange."""
    return stats_of({"publish_in": int(traffic.publish_in), "publish_out": int(traffic.publish_out)})


def queue_stats(request: Request, queue: Queue) -> object:
    """The message_stats of a queue."""
    traffic = queue.traffic()
    return stats_of({"publish": int(traffic.publish), **traffic.deliver_side()})


def channel_stats(request: Request, channel: Channel) -> object:
    """The message_stats of a channel: a side appears when something has happened there."""
    traffic = channel.traffic()
    sides = (traffic.publish_side(), traffic.deliver_side())
    found = {name: value for side in sides if any(side.values()) for name, value in side.items()}
    return stats_of(found)


def both_sides(traffic: Traffic) -> dict[str, int]:
    """All there is to say of a virtual host's messages, or of all virtual hosts'."""
    return {**traffic.publish_side(), **traffic.deliver_side()}


def vhost_stats(request: Request, vhost: VHost) -> object:
    """The message_stats of a virtual host."""
    return stats_of(both_sides(vhost.totals.traffic()))
