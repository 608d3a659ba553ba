"""The broker: its virtual hosts, parameters and alarms. The root of everything that is not about a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from amqpd.broker.alarms import Alarms
from amqpd.broker.context import Context
from amqpd.broker.declaration import ExchangeSpec
from amqpd.broker.events import EVENT_EXCHANGE, INTERNAL_USER, Events
from amqpd.broker.global_parameters import GlobalParameters
from amqpd.broker.metadata import VHostMetadata, check_vhost_name
from amqpd.broker.outbox import Outbox
from amqpd.broker.parameters import OperatorPolicies, Parameters
from amqpd.broker.vhost import VHost
from amqpd.broker.vhost_limits import VHostLimits

DEFAULT_VHOST: Final = "/"


class Broker:
    """All virtual hosts.

    Args:
        context: clock, timers, turn, randomness.
        node: this broker's name.
        default_vhost: where events are published.
        recovers: nothing is made yet, for what is in the catalog comes first; otherwise the default virtual host is.
    """

    def __init__(self, context: Context, node: str, default_vhost: str = DEFAULT_VHOST, recovers: bool = False) -> None:
        self.context = context
        self.default_vhost = default_vhost
        self.events = Events(context, node)
        self.alarms = Alarms(self.events)
        self.vhosts: dict[str, VHost] = {}
        self.leaving: dict[VHost, None] = {}
        """Virtual hosts that nobody finds any more, while what was in them is being deleted."""
        self.on_vhost_deleted: list[Callable[[str], None]] = []
        """Told the name of every virtual host that is deleted."""
        self.limits = VHostLimits(context.storage, self.events)
        self.parameters = Parameters()
        self.parameters.register(self.limits)
        self.parameters.register(OperatorPolicies())
        self.globals = GlobalParameters(context.storage, self.events, node)
        if not recovers:
            self.create_vhost(default_vhost)

    @property
    def cluster_name(self) -> str:
        """What clients are told they are connected to."""
        return self.globals.cluster_name

    def create_vhost(self, name: str, metadata: VHostMetadata | None = None, actor: str = INTERNAL_USER) -> VHost:
        """Make a virtual host under a free name.

        Args:
            actor: the user who wants it. What users may do in it is not decided here.

        Raises:
            ValueError: this is no name for one.
        """
        check_vhost_name(name)
        created = VHost(name, self.context, self.events, metadata or VHostMetadata())
        self.vhosts[name] = created
        self._keep(created)
        if name == self.default_vhost:
            exchange = created.create_exchange(EVENT_EXCHANGE, ExchangeSpec("topic", True, False, True))
            self.events.open(Outbox(created, exchange))
        self.events.vhost_created(name, created.metadata, actor)
        return created

    def update_vhost(self, name: str, metadata: VHostMetadata) -> VHost:
        """Give a virtual host other metadata.

        Raises:
            KeyError: there is none of this name.
        """
        vhost = self.vhosts[name]
        vhost.metadata = metadata
        self._keep(vhost)
        return vhost

    def delete_vhost(self, name: str, actor: str = INTERNAL_USER) -> bool:
        """Delete a virtual host at once; see deletion_of().

        Returns:
            False if there is none of this name.
        """
        if name not in self.vhosts:
            return False
        for _ in self.deletion_of(name, actor):
            pass
        return True

    def deletion_of(self, name: str, actor: str = INTERNAL_USER) -> Iterator[None]:
        """Delete a virtual host with everything in it, messages on the disk included, and close its connections.

        Nobody finds it any more when this returns, and the catalog forgets all of it in one transaction: a broker that
        is killed now will not have anything of it. What is left is the work, which is done step by step by whoever goes
        through what this returns. The last step is told to the events.

        Raises:
            KeyError: there is none of this name.
        """
        vhost = self.vhosts.pop(name)
        self.leaving[vhost] = None
        if name == self.default_vhost:
            self.events.close()
        catalog = self.context.storage.changing()
        if catalog is not None:
            catalog.remove_vhost(name)
        steps = vhost.demolish(actor)
        for told in self.on_vhost_deleted:
            told(name)
        return self._deletion(vhost, steps, actor)

    def _deletion(self, vhost: VHost, steps: Iterator[None], actor: str) -> Iterator[None]:
        yield from steps
        del self.leaving[vhost]
        self.context.counters.vhost_gone(vhost.totals, vhost.deleted_queues)
        self.events.vhost_deleted(vhost.name, actor)

    @property
    def counting(self) -> list[VHost]:
        """The virtual hosts that have counted what is not in the totals of those that are gone."""
        return [*self.vhosts.values(), *self.leaving]

    def _keep(self, vhost: VHost) -> None:
        self.context.storage.vhost_changed(vhost.name, vhost.metadata.as_json())
