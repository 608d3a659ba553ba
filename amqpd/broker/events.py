"""Events: what happens in the broker, as messages in the exchange amq.rabbitmq.event (RabbitMQ, event exchange plugin).

Rule: events become messages here and nowhere else, and what an event says of queues, exchanges, bindings and policies
stands here too; what it says of connections, channels and consumers stands in protocol/events.

An event is a message without a body: its routing key tells what happened, its headers tell to whom. Where RabbitMQ puts
Erlang terms into them (process ids, arguments, IP addresses) there are names, tables and texts: the "pid" of a
connection or channel is its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

from amqpd.broker.binding import Binding
from amqpd.broker.context import Context
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.message import make_message
from amqpd.broker.metadata import VHostMetadata
from amqpd.broker.outbox import Outbox, table_of
from amqpd.broker.policy import Policies, Policy
from amqpd.broker.queues.base import Queue
from amqpd.wire.properties import Properties
from amqpd.wire.table import Field, Table

EVENT_EXCHANGE: Final = "amq.rabbitmq.event"
# RabbitMQ's name for the broker where an event names the user who caused it.
INTERNAL_USER: Final = "rmq-internal"
PERSISTENT: Final = 2
ACTOR: Final = "user_who_performed_action"
LONG_END: Final = 1 << 63


@final
class Events:
    """Tells of events to whoever bound something to the event exchange; without a binding an event costs one test.

    Args:
        context: the clock that events are dated with.
        node: this broker's name.
    """

    def __init__(self, context: Context, node: str) -> None:
        self.node = node
        self._context = context
        self._outbox: Outbox | None = None

    def open(self, outbox: Outbox) -> None:
        """The event exchange is there: events go there from now on."""
        self._outbox = outbox

    def close(self) -> None:
        """The event exchange is gone."""
        self._outbox = None

    @property
    def wanted(self) -> bool:
        """False while nobody would get an event. Whoever has to gather fields for one asks this first."""
        return self._outbox is not None and self._outbox.wanted

    def emit(self, key: str, fields: Mapping[str, object]) -> None:
        """Tell of an event, if it is wanted.

        Args:
            key: the routing key, ``noun.participle``.
            fields: the headers: str, bool, int, float, Table, lists and mappings of them; None is left out.
        """
        outbox = self._outbox
        if outbox is None or not outbox.wanted:
            return
        now = int(self._context.now())
        headers = {name: event_field(value) for name, value in fields.items() if value is not None}
        headers["timestamp_in_ms"] = Field.long(now)
        properties = Properties.of(delivery_mode=PERSISTENT, headers=table_of(headers), timestamp=now // 1000)
        outbox.put(make_message(EVENT_EXCHANGE, key, properties, b""))

    # Topology.

    def queue_created(self, vhost: str, queue: Queue, actor: str) -> None:
        """A queue was declared."""
        if not self.wanted:
            return
        owner = queue.spec.owner
        self.emit(
            "queue.created",
            {
                "name": queue.name,
                "vhost": vhost,
                "durable": queue.spec.durable,
                "auto_delete": queue.spec.auto_delete,
                "exclusive": owner is not None,
                "owner_pid": "" if owner is None else owner.name,
                "type": f"rabbit_{queue.kind}_queue",
                "arguments": queue.spec.arguments,
                ACTOR: actor,
            },
        )

    def queue_deleted(self, vhost: str, queue: Queue, actor: str) -> None:
        """A queue is gone, with its bindings and consumers."""
        self.emit("queue.deleted", {"name": queue.name, "vhost": vhost, ACTOR: actor})

    def exchange_created(self, vhost: str, exchange: Exchange, policy: Policy | None, actor: str) -> None:
        """An exchange was declared; policy is the one that applies to it."""
        if not self.wanted:
            return
        self.emit(
            "exchange.created",
            {
                "name": exchange.name,
                "vhost": vhost,
                "type": exchange.kind,
                "durable": exchange.durable,
                "auto_delete": exchange.auto_delete,
                "internal": exchange.internal,
                "arguments": exchange.arguments,
                "policy": "" if policy is None else policy.name,
                ACTOR: actor,
            },
        )

    def exchange_deleted(self, vhost: str, exchange: Exchange, actor: str) -> None:
        """An exchange is gone."""
        self.emit("exchange.deleted", {"name": exchange.name, "vhost": vhost, ACTOR: actor})

    def binding_created(self, vhost: str, binding: Binding, actor: str) -> None:
        """Something was bound."""
        if self.wanted:
            self.emit("binding.created", binding_fields(vhost, binding, actor))

    def binding_deleted(self, vhost: str, binding: Binding, actor: str) -> None:
        """A binding was removed, or one of its ends is gone."""
        if self.wanted:
            self.emit("binding.deleted", binding_fields(vhost, binding, actor))

    # Policies.

    def policy_set(self, vhost: str, policy: Policy, actor: str) -> None:
        """A policy has come or changed."""
        if self.wanted:
            fields: dict[str, object] = {"name": policy.name, "vhost": vhost, **policy_fields(policy), ACTOR: actor}
            self.emit("policy.set", fields)

    def policy_cleared(self, vhost: str, name: str, actor: str) -> None:
        """A policy is gone."""
        self.emit("policy.cleared", {"name": name, "vhost": vhost, ACTOR: actor})

    def queue_policies(self, policies: Policies, queues: list[Queue]) -> dict[Queue, Policy | None]:
        """Which policy applies to which queue, for queue_policies_changed; nothing while no event is wanted."""
        return {queue: policies.policy_for_queue(queue.name, queue.kind) for queue in queues} if self.wanted else {}

    def queue_policies_changed(
        self, vhost: str, before: dict[Queue, Policy | None], after: dict[Queue, Policy | None], actor: str
    ) -> None:
        """Tell of every queue for which it is another policy than before, or a changed one."""
        for queue, policy in after.items():
            if policy is before.get(queue):
                continue
            fields: dict[str, object] = {"name": queue.name, "vhost": vhost, ACTOR: actor}
            if policy is None:
                self.emit("queue.policy.cleared", fields)
            else:
                self.emit("queue.policy.updated", {**fields, "policy": policy.name, **policy_fields(policy)})

    # The broker.

    def vhost_created(self, name: str, metadata: VHostMetadata, actor: str) -> None:
        """A virtual host was made, and its exchanges with it."""
        fields: dict[str, object] = {
            "name": name,
            "description": metadata.description,
            "tags": list(metadata.tags),
            "default_queue_type": metadata.default_queue_type,
            "tracing": False,
            ACTOR: actor,
        }
        self.emit("vhost.created", fields)

    def vhost_deleted(self, name: str, actor: str) -> None:
        """A virtual host is gone, and all that was in it."""
        self.emit("vhost.deleted", {"name": name, ACTOR: actor})

    def vhost_limits_set(self, name: str, limits: Mapping[str, int], actor: str) -> None:
        """A virtual host has other limits."""
        self.emit("vhost.limits.set", {"name": name, **limits, ACTOR: actor})

    def vhost_limits_cleared(self, name: str, actor: str) -> None:
        """A virtual host has no limits any more."""
        self.emit("vhost.limits.cleared", {"name": name, ACTOR: actor})

    def parameter_set(self, vhost: str | None, component: str | None, name: str, value: object, actor: str) -> None:
        """A parameter has come or changed; a global one has neither virtual host nor component."""
        if self.wanted:
            fields = {"component": component, "name": name, "vhost": vhost, "value": value, ACTOR: actor}
            self.emit("parameter.set", fields)

    def parameter_cleared(self, vhost: str | None, component: str | None, name: str, actor: str) -> None:
        """A parameter is gone."""
        self.emit("parameter.cleared", {"component": component, "name": name, "vhost": vhost, ACTOR: actor})

    def alarm_set(self, resource: str) -> None:
        """A resource has become scarce."""
        self.emit("alarm.set", {"alarm": "resource_limit", "resource": resource, "node": self.node})

    def alarm_cleared(self, resource: str) -> None:
        """The resource is there again."""
        self.emit("alarm.cleared", {"alarm": "resource_limit", "resource": resource, "node": self.node})


def binding_fields(vhost: str, binding: Binding, actor: str) -> dict[str, object]:
    """What an event says of a binding."""
    return {
        "source_name": binding.source.name,
        "source_kind": binding.source.kind_word,
        "destination_name": binding.destination.name,
        "destination_kind": binding.destination.kind_word,
        "routing_key": binding.key,
        "arguments": binding.arguments,
        "vhost": vhost,
        ACTOR: actor,
    }


def policy_fields(policy: Policy) -> dict[str, object]:
    """What an event says of a policy, but for its name."""
    return {
        "pattern": policy.pattern,
        "apply-to": policy.apply_to,
        "priority": policy.priority,
        "definition": policy.definition,
    }


def event_field(value: object) -> Field:
    """A header with the type that RabbitMQ gives it: every integer is a long."""
    if isinstance(value, bool):
        return Field("t", value)
    if isinstance(value, int):
        return Field.long(value) if abs(value) < LONG_END else Field.of(str(value))  # the priority of a policy, say
    if isinstance(value, list):
        return Field("A", tuple([event_field(element) for element in value]))
    if isinstance(value, dict):
        return Field("F", Table.of({name: event_field(element) for name, element in value.items()}))
    return Field.of(value)
