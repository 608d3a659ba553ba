"""Recovery: from the catalog to a broker that is as it was.

Rule: what may live here brings topology back, in the order in which its parts need each other. How a queue or
an exchange finds its messages is its backlog's business.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from mypy_extensions import mypyc_attr

from amqpd.broker.binding import Destination
from amqpd.broker.broker import Broker
from amqpd.broker.declaration import ExchangeSpec
from amqpd.broker.events import INTERNAL_USER
from amqpd.broker.exchanges import EXCHANGE_TYPES
from amqpd.broker.metadata import VHostMetadata, metadata_of
from amqpd.broker.policy import Policy, PolicyError
from amqpd.broker.queues.base import QueueSpec
from amqpd.broker.storage import folder_of
from amqpd.broker.vhost import VHost
from amqpd.catalog.rows import BindingRow, ExchangeRow, ParameterRow, PolicyRow, QueueRow, Topology, VHostRow
from amqpd.errors import AMQPError
from amqpd.wire.table import Table, TableError


@mypyc_attr(allow_interpreted_subclasses=True)
class Progress:
    """Told how far recovery is. This one says nothing."""

    def begin(self, queues: int, bindings: int) -> None:
        """So many are to be recovered."""

    def queue(self, messages: int) -> None:
        """One more queue was, with so many messages, or was skipped."""

    def binding(self) -> None:
        """One more binding was, or was skipped."""

    def skipped(self, what: str, reason: str) -> None:
        """Something in the catalog cannot be brought back."""


class Recovery:
    """One broker's.

    Args:
        broker: as it is when nothing was ever declared.
        topology: of the catalog.
    """

    def __init__(self, broker: Broker, topology: Topology, progress: Progress | None = None) -> None:
        self._broker = broker
        self._topology = topology
        self._progress = progress or Progress()
        self._messages = 0  # of the queue that was recovered last

    def run(self) -> None:
        """Bring everything back.

        Raises:
            OSError: a file cannot be read.
            NewerFormat: a file was written by a newer amqpd.
        """
        storage = self._broker.context.storage
        storage.restoring = True
        try:
            self._restore(self._topology)
        finally:
            storage.restoring = False
        topology = self._topology
        numbers = [queue.id for queue in topology.queues] + [exchange.id for exchange in topology.exchanges]
        storage.discard_orphans({folder_of(number) for number in numbers})

    def _restore(self, topology: Topology) -> None:
        for vhost in topology.vhosts:
            self._vhost(vhost)
        for kept in topology.global_parameters:
            self._broker.globals.set(kept.name, json.loads(kept.value), INTERNAL_USER)
        for parameter in topology.parameters:
            what = f"parameter '{parameter.name}' of {parameter.component}"
            self._attempt(what, parameter.vhost, parameter, self._parameter)
        for policy in topology.policies:
            self._attempt(f"policy '{policy.name}'", policy.vhost, policy, self._policy)
        for exchange in topology.exchanges:
            self._attempt(f"exchange '{exchange.name}'", exchange.vhost, exchange, self._exchange)
        self._progress.begin(len(topology.queues), len(topology.bindings))
        for queue in topology.queues:
            self._messages = 0
            self._attempt(f"queue '{queue.name}'", queue.vhost, queue, self._queue)
            self._progress.queue(self._messages)
        for binding in topology.bindings:
            self._attempt(f"binding of '{binding.destination}'", binding.vhost, binding, self._binding)
            self._progress.binding()

    def _attempt(self, what: str, vhost_name: str, row: object, restore: Callable[[VHost, object], None]) -> None:
        vhost = self._broker.vhosts.get(vhost_name)
        if vhost is None:
            self._progress.skipped(what, f"there is no virtual host '{vhost_name}'")
            return
        try:
            restore(vhost, row)
        except (AMQPError, PolicyError, TableError, ValueError) as error:
            self._progress.skipped(f"{what} in virtual host '{vhost_name}'", str(error))

    def _vhost(self, row: VHostRow) -> None:
        try:
            metadata = metadata_of(row.metadata)
        except ValueError as error:
            self._progress.skipped(f"the metadata of virtual host '{row.name}'", str(error))
            metadata = VHostMetadata()
        found = self._broker.vhosts.get(row.name)
        if found is not None:
            found.metadata = metadata
        else:
            self._broker.create_vhost(row.name, metadata)

    def _parameter(self, vhost: VHost, row: object) -> None:
        assert isinstance(row, ParameterRow)
        self._broker.parameters.set(row.component, vhost, row.name, json.loads(row.value), INTERNAL_USER)

    def _policy(self, vhost: VHost, row: object) -> None:
        assert isinstance(row, PolicyRow)
        definition = json.loads(row.definition)
        vhost.set_policy(Policy(row.name, row.pattern, definition, row.priority, row.apply_to, row.is_operator))

    def _exchange(self, vhost: VHost, row: object) -> None:
        assert isinstance(row, ExchangeRow)
        if row.name in vhost.exchanges:
            return  # one of those that are there from the beginning
        if row.kind not in EXCHANGE_TYPES:
            raise ValueError(f"there is no exchange type '{row.kind}'")
        spec = ExchangeSpec(row.kind, True, row.auto_delete, row.internal, Table(row.arguments))
        if row.id:
            spec.folder = folder_of(row.id)
        vhost.create_exchange(row.name, spec).recover()

    def _queue(self, vhost: VHost, row: object) -> None:
        assert isinstance(row, QueueRow)
        spec = QueueSpec(True, None, row.auto_delete, Table(row.arguments))
        spec.folder = folder_of(row.id)
        spec.declared_by = row.declared_by
        queue = vhost.create_queue(row.name, spec)
        queue.recover()
        self._messages = queue.message_count

    def _binding(self, vhost: VHost, row: object) -> None:
        assert isinstance(row, BindingRow)
        source = vhost.exchanges.get(row.source)
        names = vhost.queues if row.destination_is_queue else vhost.exchanges
        destination: Destination | None = names.get(row.destination)
        if source is None or destination is None:
            raise ValueError("one of its ends is missing")
        vhost.bind(source, destination, row.key, Table(row.arguments))
