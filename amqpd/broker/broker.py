"""The broker: its virtual hosts and alarms. The root of everything that is not about a connection."""

from __future__ import annotations

from typing import Final

from amqpd.broker.alarms import Alarms
from amqpd.broker.context import Context
from amqpd.broker.declaration import ExchangeSpec
from amqpd.broker.events import EVENT_EXCHANGE, INTERNAL_USER, Events
from amqpd.broker.outbox import Outbox
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
        self.events = Events(context, cluster_name)
        self.alarms = Alarms(self.events)
        self.vhosts: dict[str, VHost] = {}
        vhost = self.create_vhost(DEFAULT_VHOST)
        exchange = vhost.create_exchange(EVENT_EXCHANGE, ExchangeSpec("topic", True, False, True))
        self.events.open(Outbox(vhost, exchange))

    def create_vhost(self, name: str, actor: str = INTERNAL_USER) -> VHost:
        """Make a virtual host under a free name.

        Args:
            actor: the user who wants it.
        """
        created = VHost(name, self.context, self.events)
        self.vhosts[name] = created
        self.events.vhost_created(name, actor)
        return created
