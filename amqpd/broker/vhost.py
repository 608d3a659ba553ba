"""A virtual host: its exchanges, queues and bindings, and what happens to the others when one of them goes.

Rule: what may live here changes the topology or looks something up in it. Who may do so is decided before (protocol),
whether it can be done is mostly declaration's, how a message finds its way is routing's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.arguments import QueueArguments, effective_type, shared_arguments, validate_queue_arguments
from amqpd.broker.binding import Binding, Destination
from amqpd.broker.context import Context
from amqpd.broker.counters import Totals, Traffic
from amqpd.broker.deadletter import DeadLetter, DeadLetters
from amqpd.broker.declaration import ExchangeSpec, check_alive, check_lock, check_properties
from amqpd.broker.events import INTERNAL_USER, Events
from amqpd.broker.exchanges import EXCHANGE_TYPES
from amqpd.broker.exchanges.base import Exchange, ExchangeHost
from amqpd.broker.exchanges.default import DefaultExchange
from amqpd.broker.firehose import TRACE_EXCHANGE, Firehose
from amqpd.broker.message import Message
from amqpd.broker.metadata import VHostMetadata
from amqpd.broker.outbox import Outbox
from amqpd.broker.policy import Policies, Policy
from amqpd.broker.queues.base import Owner, Queue, QueueHost, QueueSpec
from amqpd.broker.queues.reply import ReplyQueue
from amqpd.broker.queues.room import Room
from amqpd.broker.queues.sink import MessageSink, as_sinks
from amqpd.broker.queues.stream.store import StreamStore
from amqpd.broker.queues.types import QUEUE_TYPES
from amqpd.broker.routing import Routed, keys_of_stored, route, without_blind_copies
from amqpd.broker.settings import MadeSettings, QueueSettings, effective_alternate, effective_settings
from amqpd.errors import NotFound, NotImplementedByServer, PreconditionFailed
from amqpd.wire.table import Table

# Name and type of what every virtual host has from the beginning, beside the default exchange.
PREDECLARED: Final = (
    ("amq.direct", "direct"),
    ("amq.fanout", "fanout"),
    ("amq.topic", "topic"),
    ("amq.headers", "headers"),
    ("amq.match", "headers"),
    (TRACE_EXCHANGE, "topic"),
)
INTERNAL: Final = frozenset({TRACE_EXCHANGE})


@final
class VHost(QueueHost, ExchangeHost):
    """One virtual host.

    Args:
        name: unique in the broker.
        context: the broker's surroundings.
        events: told of every change of the topology, with the user who wanted it (``actor``).
        metadata: description, tags, default queue type.

    ``generation`` grows whenever the answer of route() may have changed: whoever remembers an answer compares it. So it
    grows, too, when users may do other things than before, for publishers remember that together. ``access_generation``
    grows then only.
    """

    def __init__(self, name: str, context: Context, events: Events, metadata: VHostMetadata | None = None) -> None:
        self.name = name
        self.context = context
        self.events = events
        self.metadata = metadata or VHostMetadata()
        self.max_connections: int | None = None
        self.max_queues: int | None = None
        self.parameters: dict[str, dict[str, object]] = {}  # by component and name
        self.generation: i64 = 0
        self.access_generation: i64 = 0
        self.policies = Policies()
        self.totals = Totals()  # of its channels
        self.deleted_queues: dict[str, Traffic] = {}  # by type, what queues counted that are gone
        self.exchanges: dict[str, Exchange] = {}
        self.queues: dict[str, Queue] = {}
        self._by_name: dict[str, Destination] = {}  # what the default exchange reaches: queues and reply queues
        self._sources: dict[Destination, dict[Exchange, None]] = {}  # who has bindings to this destination
        self._last_settings: MadeSettings | None = None
        self._on_queue_failure: Callable[[str, OSError], None] = self._queue_failed  # one for all: each is an object
        self._dead_letters = DeadLetters(self)
        self._storage = context.storage  # that is told of changes
        self.exchanges[""] = DefaultExchange(self._by_name)
        for exchange_name, kind in PREDECLARED:
            spec = ExchangeSpec(kind, True, False, exchange_name in INTERNAL)
            self.create_exchange(exchange_name, spec)
        self.firehose = Firehose(Outbox(self, self.exchanges[TRACE_EXCHANGE]), name, events.node)

    def access_changed(self) -> None:
        """Somebody's permissions here are others than before: nothing that was found out about them holds."""
        self.access_generation += 1
        self.generation += 1

    def demolish(self, actor: str) -> Iterator[None]:
        """Delete everything in it, step by step. It is gone already: nobody finds it, and the catalog has forgotten it.

        So what may still happen between the steps, such as a queue that expires, is not for the catalog: by now there
        may be another virtual host of this name.
        """
        self._storage = self.context.storage.without_catalog()
        self.access_changed()
        return self._demolition(actor)

    def _demolition(self, actor: str) -> Iterator[None]:
        queues = list(reversed(self.queues.values()))
        while queues:  # each is let go of at once, not all in the end
            self.delete_queue(queues.pop(), actor=actor)
            yield
        for name, exchange in list(self.exchanges.items()):
            if name:
                self.delete_exchange(exchange, actor=actor)
                yield
        for policy in self.policies.user_policies() + self.policies.operator_policies():
            self.delete_policy(policy.name, policy.is_operator, actor)
            yield

    def set_tracing(self, on: bool) -> None:
        """Switch the firehose.

        The path of a message must not pay for it while it is off, so nobody asks per message. Publishers find their
        memo out of date, because the generation has changed, and look at the switch when they make a new one; while it
        is on they make none. Consumers are told, and do the same with what their encoders remember.
        """
        self.firehose.on = on
        self.generation += 1
        for queue in self.queues.values():
            for consumer in queue.consumers.all():
                consumer.tracing_changed()

    # Exchanges.

    def exchange(self, name: str) -> Exchange:
        """Look an exchange up.

        Raises:
            NotFound: there is none.
        """
        found = self.exchanges.get(name)
        if found is None:
            raise NotFound(f"no {self.exchange_text(name)}")
        return found

    def exchange_text(self, name: str) -> str:
        """An exchange as RabbitMQ's reply texts name it."""
        return f"exchange '{name}' in vhost '{self.name}'"

    def queue_text(self, name: str) -> str:
        """A queue as RabbitMQ's reply texts name it."""
        return f"queue '{name}' in vhost '{self.name}'"

    def create_exchange(self, name: str, spec: ExchangeSpec, actor: str = INTERNAL_USER) -> Exchange:
        """Create an exchange of a known type under a free name.

        Raises:
            PreconditionFailed: the type refuses the arguments.
        """
        cls = EXCHANGE_TYPES[spec.kind]
        cls.validate(spec.arguments)
        if cls.keeps_messages and spec.durable and not spec.folder:
            spec.folder = self.context.storage.new_folder()
        created = cls(name, spec.durable, spec.auto_delete, spec.internal, spec.arguments)
        created.folder = spec.folder
        created.declared_by = actor
        created.attach(self)
        self.exchanges[name] = created
        self._set_alternate(created)
        self.generation += 1
        self._storage.exchange_created(self.name, created)
        self.events.exchange_created(self.name, created, self.policies.policy_for_exchange(name), actor)
        return created

    def delete_exchange(self, exchange: Exchange, if_unused: bool = False, actor: str = INTERNAL_USER) -> None:
        """Delete an exchange with its bindings in both directions.

        Raises:
            PreconditionFailed: if_unused, and it is the source of a binding.
        """
        if if_unused and exchange.binding_count:
            raise PreconditionFailed(f"{self.exchange_text(exchange.name)} in use")
        doomed = [exchange]
        while doomed:
            doomed += self._remove_exchange(doomed.pop(), actor)

    def _remove_exchange(self, exchange: Exchange, actor: str) -> list[Exchange]:
        """Take one exchange out, and return the auto-delete exchanges that lost their last binding by it."""
        if self.exchanges.pop(exchange.name, None) is None:
            return []
        self._storage.exchange_deleted(self.name, exchange)
        self.events.exchange_deleted(self.name, exchange, actor)
        for binding in exchange.bindings():
            self._forget_source(exchange, binding.destination)
            self.events.binding_deleted(self.name, binding, actor)
        exchange.close()
        return self._unbind_everywhere(exchange, actor)

    # Queues.

    def queue(self, name: str) -> Queue:
        """Look a queue up.

        Raises:
            NotFound: there is none.
        """
        found = self.queues.get(name)
        if found is None:
            raise NotFound(f"no {self.queue_text(name)}")
        return found

    def unlocked_queue(self, name: str, owner: Owner) -> Queue:
        """Look a queue up that this connection may use.

        Raises:
            NotFound: there is none, or its disk failed.
            ResourceLocked: it is exclusive to another connection.
        """
        found = self.queue(name)
        check_alive(found)
        check_lock(found, owner)
        return found

    def check_queue_limit(self, name: str) -> None:
        """See whether there may be one more queue.

        Raises:
            PreconditionFailed: there are as many as there may be.
        """
        if self.max_queues is not None and len(self.queues) >= self.max_queues:
            raise PreconditionFailed(
                f"cannot declare queue '{name}': queue limit in vhost '{self.name}' ({self.max_queues}) is reached"
            )

    def create_queue(self, name: str, spec: QueueSpec, actor: str = INTERNAL_USER) -> Queue:
        """Create a queue under a free name.

        Raises:
            PreconditionFailed: an argument that the queue's type refuses, or there are as many as there may be.
        """
        if not self.context.storage.restoring:
            self.check_queue_limit(name)
        kind = effective_type(name, self.name, spec.arguments)
        validate_queue_arguments(name, self.name, kind, spec.arguments)
        check_properties(name, self.name, kind, spec)
        cls = QUEUE_TYPES[kind]
        storage = self.context.storage
        if spec.durable and spec.owner is None and not spec.folder:
            spec.folder = storage.new_folder()
        if not storage.restoring:
            spec.declared_by = actor
        spec.arguments = shared_arguments(spec.arguments)
        created = cls(name, self, spec, self._settings_of(name, kind, spec.arguments))
        self.queues[name] = created
        if spec.owner is not None:
            spec.owner.exclusive_queues[created] = None
        self._by_name[name] = created
        self.generation += 1
        self.context.counters.churn.queue_created += 1
        self._storage.queue_created(self.name, created)
        self.events.queue_created(self.name, created, actor)
        return created

    def delete_queue(
        self, queue: Queue, if_unused: bool = False, if_empty: bool = False, actor: str = INTERNAL_USER
    ) -> int:
        """Delete a queue, its messages and its bindings; returns how many messages were ready.

        Raises:
            NotImplementedByServer: a condition that the queue's type does not support.
            PreconditionFailed: if_unused and it has consumers, or if_empty and it has ready messages.
        """
        if queue.broken:
            if_unused = if_empty = False  # nobody can tell (RabbitMQ)
        if not queue.supports_conditional_delete and (if_unused or if_empty):
            flag = "if-unused" if if_unused else "if-empty"
            raise NotImplementedByServer(
                f"cannot delete {queue}. queue.delete operations with {flag} flag set are not supported by "
                f"{queue.kind} queues"
            )
        if not queue.honours_delete_conditions:
            if_unused = if_empty = False
        if if_unused and len(queue.consumers):
            raise PreconditionFailed(f"{queue} in use")
        count = queue.message_count if queue.honours_delete_conditions and not queue.broken else 0
        if if_empty and count:
            raise PreconditionFailed(f"{queue} not empty")
        if self.queues.pop(queue.name, None) is None:
            return 0
        del self._by_name[queue.name]
        if queue.spec.owner is not None:
            del queue.spec.owner.exclusive_queues[queue]
        for exchange in self._unbind_everywhere(queue, actor):
            self.delete_exchange(exchange, actor=actor)
        queue.close()
        self.context.counters.churn.queue_deleted += 1
        self.deleted_queues.setdefault(queue.kind, Traffic()).add(queue.traffic())
        self._storage.queue_deleted(queue)
        self.events.queue_deleted(self.name, queue, actor)
        return count

    def delete_exclusive_queues(self, owner: Owner) -> None:
        """The connection is gone, and with it its exclusive queues (section 1.7.2.1, "exclusive")."""
        for queue in list(owner.exclusive_queues):
            self.delete_queue(queue)

    def room(self, name: str, spec: QueueSpec, keeps: i64, most_deliveries: i64) -> Room:
        return self.context.storage.room(name, spec.folder, keeps, most_deliveries, self._on_queue_failure)

    def stream_store(
        self, name: str, spec: QueueSpec, settings: QueueSettings, on_end: Callable[[], None]
    ) -> StreamStore:
        return self.context.storage.stream_store(
            spec.folder, settings, on_end, lambda error: self._on_queue_failure(name, error)
        )

    def partition_of(self, queue: Queue) -> int:
        for source in self._sources.get(queue, {}):
            for binding in source.bindings_to(queue):
                if binding.partition >= 0:
                    return binding.partition
        return 0

    def _queue_failed(self, name: str, error: OSError) -> None:
        queue = self.queues.get(name)
        if queue is not None:
            self.context.storage.queue_failed(str(queue), error)
            queue.fail()

    def queue_expired(self, queue: Queue) -> None:
        self.delete_queue(queue)

    def dead_letter(self, queue: Queue, message: Message, reason: str) -> None:
        self._dead_letters.add(DeadLetter(queue, message, reason))

    def dead_letter_safely(self, letter: DeadLetter) -> bool:
        return self._dead_letters.send(letter)

    def set_policy(self, policy: Policy, actor: str = INTERNAL_USER) -> None:
        """Set a user or operator policy, and let every queue and exchange that it concerns work with it."""
        before = self._queue_policies()
        self.policies.set(policy)
        self._apply_policies()
        self._storage.policy_set(self.name, policy)
        self.events.policy_set(self.name, policy, actor)
        self.events.queue_policies_changed(self.name, before, self._queue_policies(), actor)

    def delete_policy(self, name: str, is_operator: bool = False, actor: str = INTERNAL_USER) -> bool:
        """Delete a policy; False if there was none."""
        before = self._queue_policies()
        deleted = self.policies.delete(name, is_operator)
        if deleted:
            self._apply_policies()
            self._storage.policy_deleted(self.name, name, is_operator)
            self.events.policy_cleared(self.name, name, actor)
            self.events.queue_policies_changed(self.name, before, self._queue_policies(), actor)
        return deleted

    def _queue_policies(self) -> dict[Queue, Policy | None]:
        return self.events.queue_policies(self.policies, list(self.queues.values()))

    def _apply_policies(self) -> None:
        for queue in self.queues.values():
            queue.apply(self._settings_of(queue.name, queue.kind, queue.spec.arguments))
        for exchange in self.exchanges.values():
            self._set_alternate(exchange)
        self.generation += 1

    def _settings_of(self, name: str, kind: str, arguments: Table) -> QueueSettings:
        """What arguments and policies come to. Queues under the same ones share it."""
        policy = self.policies.policy_for_queue(name, kind)
        operator = self.policies.operator_policy_for_queue(name, kind)
        last = self._last_settings
        if last is not None and last.are_of(kind, arguments, policy, operator):
            return last.settings
        settings = effective_settings(kind, QueueArguments.of(arguments), policy, operator)
        self._last_settings = MadeSettings(kind, arguments, policy, operator, settings)
        return settings

    def _set_alternate(self, exchange: Exchange) -> None:
        if not exchange.name:
            return  # policies do not concern the default exchange, whatever their pattern (RabbitMQ)
        argument = exchange.arguments.text("alternate-exchange")
        exchange.alternate = effective_alternate(argument, self.policies.policy_for_exchange(exchange.name))

    def add_reply_queue(self, queue: ReplyQueue) -> None:
        """Make a direct reply-to address reachable."""
        self._by_name[queue.name] = queue
        self.generation += 1

    def remove_reply_queue(self, queue: ReplyQueue) -> None:
        """The requester is gone: what is sent to the address is dropped from now on."""
        queue.deleted = True
        if self._by_name.pop(queue.name, None) is not None:
            self.generation += 1

    def reply_queue(self, name: str) -> ReplyQueue | None:
        """The live direct reply-to address of that name, or None."""
        found = self._by_name.get(name)
        return found if isinstance(found, ReplyQueue) else None

    # Bindings.

    def bind(
        self, source: Exchange, destination: Destination, key: str, arguments: Table, actor: str = INTERNAL_USER
    ) -> None:
        """Bind; binding twice is binding once.

        Raises:
            PreconditionFailed: the exchange's type refuses key or arguments.
        """
        if source.bind(destination, key, arguments):
            self._sources.setdefault(destination, {})[source] = None
            self.generation += 1
            binding = Binding(source, destination, key, arguments)
            self._storage.bound(self.name, binding)
            if self.events.wanted:
                self.events.binding_created(self.name, binding, actor)

    def unbind(
        self, source: Exchange, destination: Destination, key: str, arguments: Table, actor: str = INTERNAL_USER
    ) -> None:
        """Unbind; an auto-delete source that loses its last binding is deleted. A missing binding is not an error."""
        binding = source.find_binding(destination, key, arguments)
        if binding is None:
            return
        source.unbind(destination, key, arguments)
        if not source.leads_to(destination):
            self._forget_source(source, destination)
        self.generation += 1
        self._storage.unbound(self.name, binding)
        if self.events.wanted:
            self.events.binding_deleted(self.name, binding, actor)
        if source.auto_delete and source.binding_count == 0:
            self.delete_exchange(source, actor=actor)

    def bindings_to(self, destination: Destination) -> list[Binding]:
        """All bindings that lead to a queue or an exchange, that of the default exchange first."""
        found = self.exchanges[""].bindings_to(destination)
        for source in self._sources.get(destination, {}):
            found += source.bindings_to(destination)
        return found

    def route(self, exchange: Exchange, keys: Sequence[str], message: Message) -> Routed:
        """The queues that a message goes to; see routing.route."""
        return route(exchange, keys, message, self.exchanges)

    def sinks_of(self, exchange: Exchange, keys: Sequence[str], message: Message) -> list[MessageSink]:
        """The same, for a message that no client is publishing."""
        return as_sinks(self.route(exchange, keys, message).queues)

    def forward(self, destination: Destination, keys: Sequence[str], message: Message) -> None:
        if isinstance(destination, Exchange):
            sinks = self.sinks_of(destination, keys, message)
        else:
            sinks = as_sinks([destination])
        delivered = without_blind_copies(message)
        for sink in sinks:
            sink.publish(delivered)

    def release(self, exchange: Exchange, message: Message) -> None:
        for sink in self.sinks_of(exchange, keys_of_stored(message), message):
            sink.publish(message)

    def exchange_failed(self, exchange: Exchange, error: OSError) -> None:
        self.context.storage.queue_failed(self.exchange_text(exchange.name), error)

    def _unbind_everywhere(self, destination: Destination, actor: str) -> list[Exchange]:
        self.generation += 1
        self._storage.unbound_everywhere(self.name, destination)
        orphans = []
        for source in self._sources.pop(destination, {}):
            removed = source.bindings_to(destination) if self.events.wanted else []
            source.remove_destination(destination)
            for binding in removed:
                self.events.binding_deleted(self.name, binding, actor)
            if source.auto_delete and source.binding_count == 0:
                orphans.append(source)
        return orphans

    def _forget_source(self, source: Exchange, destination: Destination) -> None:
        sources = self._sources.get(destination)
        if sources is not None:
            sources.pop(source, None)
            if not sources:
                del self._sources[destination]
