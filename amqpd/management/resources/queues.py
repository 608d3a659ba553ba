"""Queues: /api/queues."""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from pamqp import commands

from amqpd.broker.policy import Policy, effective_definition
from amqpd.broker.queues.base import Queue
from amqpd.broker.vhost import VHost
from amqpd.management.actions import channel
from amqpd.management.answer import ABSENT, DONE, Answer, Column, Columns, Listing, One, put_answer
from amqpd.management.auth import Tag
from amqpd.management.errors import BadRequest, Missing
from amqpd.management.request import Request
from amqpd.management.resources.bindings import listing as binding_listing
from amqpd.management.resources.consumers import queue_consumers
from amqpd.management.resources.users import find as find_user
from amqpd.management.router import route
from amqpd.management.statistics import NO_RATE, idle_since, length_details, queue_stat, queue_stats
from amqpd.management.values import clean, plain, text
from amqpd.wire.methods import make

# What a process of RabbitMQ's would use; clients that have columns for it get numbers.
GARBAGE_COLLECTION: Final = {
    "fullsweep_after": 0,
    "max_heap_size": 0,
    "min_bin_vheap_size": 0,
    "min_heap_size": 0,
    "minor_gcs": 0,
}
QUEUE_OBJECT: Final = 2048  # octets of an idle queue, about
QUORUM: Final = frozenset({"quorum"})
REPLICATED: Final = frozenset({"quorum", "stream"})
STREAM: Final = frozenset({"stream"})
CLASSIC: Final = frozenset({"classic"})
COUNTED: Final = frozenset({"classic", "quorum"})  # types that know the octets of their messages


def of_types(kinds: frozenset[str], column: Column) -> Column:
    """A column that only queues of these types have."""
    return lambda request, queue: column(request, queue) if queue.kind in kinds else ABSENT


def vhost_of(request: Request, queue: Queue) -> VHost | None:
    """Where a queue lives, unless that is gone."""
    return request.node.broker.vhosts.get(queue.host.name)


def policies_of(request: Request, queue: Queue) -> tuple[Policy | None, Policy | None]:
    """The policy and the operator's policy that apply."""
    vhost = vhost_of(request, queue)
    if vhost is None:
        return None, None
    policies = vhost.policies
    return (
        policies.policy_for_queue(queue.name, queue.kind),
        policies.operator_policy_for_queue(queue.name, queue.kind),
    )


def policy_name(policy: Policy | None) -> str | None:
    """How a row tells of a policy."""
    return None if policy is None else text(policy.name)


def state(request: Request, queue: Queue) -> str:
    """Whether it works."""
    if queue.broken:
        return "crashed"
    return "flow" if queue.crowded else "running"


def capacity(request: Request, queue: Queue) -> float:
    """The share of the last seconds in which a message could have left at once."""
    return queue.utilisation


def ready_in_memory(queue: Queue) -> int:
    """Ready messages that are not on the disk only."""
    return queue.message_count - queue.paged[0]


def octets_in_memory(request: Request, queue: Queue) -> int:
    """Octets of their bodies, and of those with consumers."""
    return queue.ready_octets - queue.paged[1] + queue.unacknowledged_octets


def exclusive_tag(request: Request, queue: Queue) -> object:
    """The tag of the consumer that has the queue for itself."""
    return next((text(consumer.tag) for consumer in queue.consumers.all() if consumer.exclusive), None)


def active_tag(request: Request, queue: Queue) -> object:
    """The tag of the single active consumer."""
    consumers = queue.consumers
    if not consumers.single_active:
        return None
    return next((text(consumer.tag) for consumer in consumers.all() if consumers.is_active(consumer)), None)


def owner(request: Request, queue: Queue) -> object:
    """The connection that an exclusive queue belongs to."""
    if queue.spec.owner is None:
        return ABSENT
    name = queue.spec.owner.name
    host, _, port = name.partition(" -> ")[0].rpartition(":")
    return {"name": name, "peer_host": host, "peer_port": int(port) if port.isdecimal() else 0}


def here(request: Request, queue: Queue) -> list[str]:
    """The nodes that have it."""
    return [request.node.name]


COLUMNS: Final = Columns(
    {
        "arguments": lambda request, queue: plain(queue.spec.arguments),
        "auto_delete": lambda request, queue: queue.spec.auto_delete,
        "consumer_capacity": of_types(COUNTED, capacity),
        "consumer_utilisation": of_types(COUNTED, capacity),
        "head_message_timestamp": of_types(CLASSIC, lambda request, queue: queue.head_timestamp),
        "idle_since": idle_since,
        "consumers": lambda request, queue: len(queue.consumers),
        "durable": lambda request, queue: queue.spec.durable,
        "effective_policy_definition": lambda request, queue: clean(effective_definition(*policies_of(request, queue))),
        "exclusive": lambda request, queue: queue.spec.owner is not None,
        "exclusive_consumer_tag": of_types(CLASSIC, exclusive_tag),
        "garbage_collection": lambda request, queue: GARBAGE_COLLECTION,
        "leader": of_types(REPLICATED, lambda request, queue: request.node.name),
        "members": of_types(REPLICATED, here),
        "memory": lambda request, queue: QUEUE_OBJECT + queue.ready_octets,
        "message_bytes": of_types(COUNTED, lambda request, queue: queue.ready_octets + queue.unacknowledged_octets),
        "message_bytes_dlx": of_types(QUORUM, lambda request, queue: 0),
        "message_bytes_paged_out": of_types(CLASSIC, lambda request, queue: queue.paged[1]),
        "message_bytes_ram": of_types(COUNTED, octets_in_memory),
        "message_bytes_ready": of_types(COUNTED, lambda request, queue: queue.ready_octets),
        "message_bytes_unacknowledged": of_types(COUNTED, lambda request, queue: queue.unacknowledged_octets),
        "message_stats": queue_stats,
        "messages": lambda request, queue: queue.message_count + queue.unacknowledged,
        "messages_details": length_details("messages"),
        "messages_ready_details": length_details("messages_ready"),
        "messages_unacknowledged_details": length_details("messages_unacknowledged"),
        "messages_dlx": of_types(QUORUM, lambda request, queue: 0),
        "messages_paged_out": of_types(CLASSIC, lambda request, queue: queue.paged[0]),
        "messages_ram": of_types(COUNTED, lambda request, queue: ready_in_memory(queue) + queue.unacknowledged),
        "messages_ready_ram": of_types(CLASSIC, lambda request, queue: ready_in_memory(queue)),
        "messages_unacknowledged_ram": of_types(CLASSIC, lambda request, queue: queue.unacknowledged),
        "messages_ready": lambda request, queue: queue.message_count,
        "messages_unacknowledged": lambda request, queue: queue.unacknowledged,
        "name": lambda request, queue: text(queue.name),
        "node": lambda request, queue: request.node.name,
        "online": of_types(REPLICATED, here),
        "open_files": of_types(QUORUM, lambda request, queue: {request.node.name: 0}),
        "operator_policy": lambda request, queue: policy_name(policies_of(request, queue)[1]),
        "owner_pid_details": owner,
        "policy": lambda request, queue: policy_name(policies_of(request, queue)[0]),
        "readers": of_types(STREAM, lambda request, queue: {request.node.name: len(queue.consumers)}),
        "reductions": lambda request, queue: 0,
        "reductions_details": lambda request, queue: NO_RATE,
        "single_active_consumer_ctag": of_types(QUORUM, active_tag),
        "single_active_consumer_tag": of_types(CLASSIC, active_tag),
        "state": state,
        "type": lambda request, queue: queue.kind,
        "vhost": lambda request, queue: queue.host.name,
    },
    basic=frozenset(
        (
            "arguments",
            "auto_delete",
            "durable",
            "exclusive",
            "leader",
            "members",
            "name",
            "node",
            "online",
            "policy",
            "state",
            "type",
            "vhost",
        )
    ),
    totals=frozenset({"messages", "messages_ready", "messages_unacknowledged"}),
    parts={"message_stats": queue_stat},
)
# What came from which exchange and went out to which channel is counted only with RabbitMQ's detailed rates.
SINGLE: Final = COLUMNS.plus(
    consumer_details=queue_consumers,
    deliveries=lambda request, queue: [],
    incoming=lambda request, queue: [],
)


def show_list(request: Request) -> Listing:
    """All queues, or those of one virtual host, by name."""
    return listing([queue for vhost in request.vhosts() for queue in vhost.queues.values()])


def show_declared(request: Request) -> Listing:
    """The queues that a user has declared."""
    name = find_user(request).name
    queues = [queue for vhost in request.vhosts() for queue in vhost.queues.values()]
    return listing([queue for queue in queues if queue.spec.declared_by == name])


def listing(queues: list[Queue]) -> Listing:
    """Queues, by name."""
    return Listing(COLUMNS, queues, paged=True, name=attrgetter("name"), order=attrgetter("host.name", "name"))


def find(request: Request) -> Queue:
    """The queue of the path.

    Raises:
        Missing: there is none.
    """
    found = request.vhost().queues.get(request.path["queue"])
    if found is None:
        raise Missing
    return found


def show(request: Request) -> One:
    """One queue."""
    return One(SINGLE, find(request))


def declare(request: Request) -> Answer:
    """Declare a queue."""
    vhost = request.vhost_to_change()
    name, node = request.path["queue"], request.text("node", request.node.name)
    if node != request.node.name:
        raise BadRequest(f"Node {node} could not be contacted")
    created = name not in vhost.queues
    method = make(
        commands.Queue.Declare,
        queue=name,
        durable=request.boolean("durable"),
        auto_delete=request.boolean("auto_delete"),
        arguments=request.table("arguments"),
        nowait=True,
    )
    with channel(request, vhost) as opened:
        opened.do(method)
    return put_answer(created)


def delete(request: Request) -> Answer:
    """Delete a queue."""
    queue, vhost = find(request), request.vhost_to_change()
    flags = {"if_unused": request.flag("if-unused"), "if_empty": request.flag("if-empty")}
    with channel(request, vhost) as opened:
        opened.do(make(commands.Queue.Delete, queue=queue.name, nowait=True, **flags))
    return DONE


def purge(request: Request) -> Answer:
    """Drop a queue's ready messages."""
    queue, vhost = find(request), request.vhost_to_change()
    with channel(request, vhost) as opened:
        opened.do(make(commands.Queue.Purge, queue=queue.name, nowait=True))
    return DONE


def act(request: Request) -> Answer:
    """Synchronise mirrors, of which there are none."""
    find(request)
    action = request.body.get("action")
    if action not in ("sync", "cancel_sync"):
        raise BadRequest(f"unknown action {action}; there are sync and cancel_sync")
    return DONE


def show_bindings_of(request: Request) -> Listing:
    """The bindings that lead to a queue."""
    queue, vhost = find(request), request.vhost()
    return binding_listing(vhost, vhost.bindings_to(queue))


ROUTES: Final = (
    route("/queues", get=show_list),
    route("/queues/detailed", get=show_list),
    route("/queues/{vhost}", get=show_list),
    route("/queues/{vhost}/{queue}", get=show, put=declare, delete=delete),
    route("/queues/{vhost}/{queue}/bindings", get=show_bindings_of),
    route("/queues/{vhost}/{queue}/contents", delete=purge),
    route("/queues/{vhost}/{queue}/actions", post=act),
    route("/users/{user}/queues", Tag.ADMINISTRATOR, get=show_declared),
)
