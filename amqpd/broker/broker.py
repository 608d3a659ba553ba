"""The broker: its virtual hosts and alarms. The root of everything that is not about a connection."""

from __future__ import annotations

from typing import Final

from amqpd.broker.alarms import Alarms
from amqpd.broker.context import Context
from amqpd.broker.vhost import VHost

DEFAULT_VHOST: Final = "/"


class Broker:
    """All virtual hosts.

    Args:
        context: clock, timers, turn, randomness.
        cluster_name: what clients are told they are connected to.
    """

    def __init__(self, context: Context, cluster_name: str) -> None:
        self.context = context
        self.cluster_name = cluster_name
        self.alarms = Alarms()
        self.vhosts: dict[str, VHost] = {DEFAULT_VHOST: VHost(DEFAULT_VHOST, context)}
