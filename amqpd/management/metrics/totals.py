"""Families of the whole broker: its process, its objects, what came and went, and all messages ever.

Rule: what may live here has one row for the broker, or one for each protocol and type of queue. RabbitMQ's names and
texts are kept to the letter; those of Erlang's and Mnesia's insides are not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from amqpd.auth.attempts import Count
from amqpd.broker.alarms import DISK, MEMORY
from amqpd.broker.counters import AT_LEAST_ONCE, AT_MOST_ONCE, CONFIRMED, DISABLED, Traffic
from amqpd.broker.deaths import DELIVERY_LIMIT, EXPIRED, MAXLEN, REJECTED
from amqpd.broker.queues.types import QUEUE_TYPES
from amqpd.management.metrics.family import UNTYPED, Family, Metric, Row, Scope, counter, gauge
from amqpd.management.process import memory, most_files, open_files
from amqpd.management.subjects import broker_traffic
from amqpd.net.disk import free_octets

PROTOCOL: Final = "amqp091"
HTTP: Final = "http"
DEATHS: Final = {
    EXPIRED: "due to message TTL exceeded",
    REJECTED: "due to basic.reject or basic.nack",
    MAXLEN: "due to overflow drop-head or reject-publish-dlx",
    DELIVERY_LIMIT: "due to delivery-limit exceeded",
    CONFIRMED: "and confirmed by target queues",
}
"""What is counted of messages that die, and how RabbitMQ's text for it ends."""
_OF_CLASSIC: Final = (EXPIRED, REJECTED, MAXLEN)
_OF_QUORUM: Final = (*_OF_CLASSIC, DELIVERY_LIMIT)
DEATHS_BY_LABELS: Final = {
    ("classic", DISABLED): _OF_CLASSIC,
    ("classic", AT_MOST_ONCE): _OF_CLASSIC,
    ("quorum", DISABLED): _OF_QUORUM,
    ("quorum", AT_MOST_ONCE): _OF_QUORUM,
    ("quorum", AT_LEAST_ONCE): (EXPIRED, REJECTED, DELIVERY_LIMIT, CONFIRMED),
}
"""What can be counted of which type of queue and strategy: RabbitMQ has exactly these."""


def churn_rows(scope: Scope) -> Iterator[Row]:
    """What has come and gone."""
    churn = scope.node.broker.context.counters.churn
    yield (
        (),
        (
            int(churn.connection_created),
            int(churn.connection_closed),
            int(churn.channel_created),
            int(churn.channel_closed),
            int(churn.queue_declared),
            int(churn.queue_created),
            int(churn.queue_deleted),
        ),
    )


def node_coarse_rows(scope: Scope) -> Iterator[Row]:
    """What the process uses."""
    node = scope.node
    used = (open_files(), len(node.connections), memory(), free_disk(scope))
    yield (), used


def free_disk(scope: Scope) -> int:
    """Octets that are free where the data is, or would be."""
    return free_octets(scope.node.data_dir or Path.cwd())


def node_rows(scope: Scope) -> Iterator[Row]:
    """What the process may use, and for how long it has been there."""
    node = scope.node
    uptime = node.clock.monotonic() - node.started
    yield (), (most_files(), most_files(), node.memory_limit, node.disk_free_limit, uptime)


def alarm_rows(scope: Scope) -> Iterator[Row]:
    """Which resource is scarce; file descriptors have no alarm: connections are refused when there are none."""
    alarms = scope.node.broker.alarms
    yield (), (0, int(alarms.is_set(DISK)), int(alarms.is_set(MEMORY)))


def object_rows(scope: Scope) -> Iterator[Row]:
    """How many objects there are."""
    channels = [channel for connection in scope.node.connections.all() for channel in connection.channels.all()]
    consumers = sum(len(channel.consumers) for channel in channels)
    queues = sum(len(vhost.queues) for vhost in scope.vhosts)
    yield (), (len(scope.node.connections), len(channels), consumers, queues)


def activity_rows(scope: Scope) -> Iterator[Row]:
    """Channels that have published, and consumers."""
    channels = [channel for connection in scope.node.connections.all() for channel in connection.channels.all()]
    publishers = sum(1 for channel in channels if channel.publishing.published)
    yield (PROTOCOL,), (publishers, sum(len(channel.consumers) for channel in channels))


def login_rows(scope: Scope) -> Iterator[Row]:
    """Attempts to log in; every protocol, from the beginning."""
    by_protocol = scope.node.services.login.attempts.by_protocol
    for protocol in dict.fromkeys((PROTOCOL, HTTP, *by_protocol)):
        count = by_protocol.get(protocol, Count())
        yield (protocol,), (count.all, count.succeeded, count.failed)


def publish_rows(scope: Scope) -> Iterator[Row]:
    """All messages that publishers have sent."""
    traffic = broker_traffic(scope.node.broker)
    yield (
        (PROTOCOL,),
        (
            int(traffic.publish),
            int(traffic.confirmable),
            int(traffic.routed),
            int(traffic.confirm),
            int(traffic.drop_unroutable),
            int(traffic.return_unroutable),
        ),
    )


def delivery_rows(scope: Scope) -> Iterator[Row | None]:
    """All messages that consumers have got, by type of queue: every type, from the beginning."""
    by_type = {kind: Traffic() for kind in QUEUE_TYPES}
    for kind, traffic in scope.node.broker.context.counters.deleted_queues.items():
        by_type[kind].add(traffic)
    for vhost in scope.node.broker.counting:
        for kind, traffic in vhost.deleted_queues.items():
            by_type[kind].add(traffic)
        for queue in list(vhost.queues.values()):
            by_type[queue.kind].add(queue.traffic())
            yield None
    for kind, traffic in by_type.items():
        yield (
            (PROTOCOL, f"rabbit_{kind}_queue"),
            (
                traffic.deliver_get,
                int(traffic.deliver),
                int(traffic.deliver_no_ack),
                int(traffic.get),
                int(traffic.get_no_ack),
                int(traffic.get_empty),
                int(traffic.redeliver),
                int(traffic.ack),
            ),
        )


def death_rows(scope: Scope) -> Iterator[Row]:
    """Messages that have died, by type of queue and what was to become of them: every number from the beginning."""
    deaths = scope.node.broker.context.counters.deaths
    for (kind, strategy), reasons in DEATHS_BY_LABELS.items():
        values = [deaths.count(kind, strategy, reason) if reason in reasons else None for reason in DEATHS]
        yield (f"rabbit_{kind}_queue", strategy), values


CHURN: Final = Family(
    "connection_churn_metrics",
    (),
    (
        counter("connections_opened_total", "Total number of connections opened"),
        counter("connections_closed_total", "Total number of connections closed or terminated"),
        counter("channels_opened_total", "Total number of channels opened"),
        counter("channels_closed_total", "Total number of channels closed"),
        counter("queues_declared_total", "Total number of queues declared"),
        counter("queues_created_total", "Total number of queues created"),
        counter("queues_deleted_total", "Total number of queues deleted"),
    ),
    churn_rows,
)
NODE_COARSE: Final = Family(
    "node_coarse_metrics",
    (),
    (
        gauge("process_open_fds", "Open file descriptors"),
        gauge("process_open_tcp_sockets", "Open TCP sockets"),
        gauge("process_resident_memory_bytes", "Memory used in bytes"),
        gauge("disk_space_available_bytes", "Disk space available in bytes"),
    ),
    node_coarse_rows,
)
NODE: Final = Family(
    "node_metrics",
    (),
    (
        gauge("process_max_fds", "Open file descriptors limit"),
        gauge("process_max_tcp_sockets", "Open TCP sockets limit"),
        gauge("resident_memory_limit_bytes", "Memory high watermark in bytes"),
        gauge("disk_space_available_limit_bytes", "Free disk space low watermark in bytes"),
        gauge("erlang_uptime_seconds", "Node uptime"),
    ),
    node_rows,
)
ALARMS: Final = Family(
    "alarms",
    (),
    (
        Metric("alarms_file_descriptor_limit", UNTYPED, "is 1 if file descriptor limit alarm is in effect"),
        Metric("alarms_free_disk_space_watermark", UNTYPED, "is 1 if free disk space watermark alarm is in effect"),
        Metric("alarms_memory_used_watermark", UNTYPED, "is 1 if VM memory watermark alarm is in effect"),
    ),
    alarm_rows,
)
OBJECTS: Final = Family(
    "objects",
    (),
    (
        gauge("connections", "Connections currently open"),
        gauge("channels", "Channels currently open"),
        gauge("consumers", "Consumers currently connected"),
        gauge("queues", "Queues available"),
    ),
    object_rows,
)
GLOBAL_ACTIVITY: Final = Family(
    "global_activity",
    ("protocol",),
    (
        gauge("global_publishers", "Current number of publishers"),
        gauge("global_consumers", "Current number of consumers"),
    ),
    activity_rows,
    whole=True,
)
LOGINS: Final = Family(
    "auth_attempt_metrics",
    ("protocol",),
    (
        counter("auth_attempts_total", "Total number of authorization attempts"),
        counter("auth_attempts_succeeded_total", "Total number of successful authentication attempts"),
        counter("auth_attempts_failed_total", "Total number of failed authentication attempts"),
    ),
    login_rows,
    whole=True,
)
GLOBAL_PUBLISH: Final = Family(
    "global_publish",
    ("protocol",),
    (
        counter("global_messages_received_total", "Total number of messages received from publishers"),
        counter(
            "global_messages_received_confirm_total",
            "Total number of messages received from publishers expecting confirmations",
        ),
        counter("global_messages_routed_total", "Total number of messages routed to queues or streams"),
        counter("global_messages_confirmed_total", "Total number of messages confirmed to publishers"),
        counter(
            "global_messages_unroutable_dropped_total",
            "Total number of messages published as non-mandatory into an exchange and dropped as unroutable",
        ),
        counter(
            "global_messages_unroutable_returned_total",
            "Total number of messages published as mandatory into an exchange and returned to the publisher as "
            "unroutable",
        ),
    ),
    publish_rows,
    whole=True,
)
GLOBAL_DELIVERY: Final = Family(
    "global_delivery",
    ("protocol", "queue_type"),
    (
        counter("global_messages_delivered_total", "Total number of messages delivered to consumers"),
        counter(
            "global_messages_delivered_consume_manual_ack_total",
            "Total number of messages delivered to consumers using basic.consume with manual acknowledgment",
        ),
        counter(
            "global_messages_delivered_consume_auto_ack_total",
            "Total number of messages delivered to consumers using basic.consume with automatic acknowledgment",
        ),
        counter(
            "global_messages_delivered_get_manual_ack_total",
            "Total number of messages delivered to consumers using basic.get with manual acknowledgment",
        ),
        counter(
            "global_messages_delivered_get_auto_ack_total",
            "Total number of messages delivered to consumers using basic.get with automatic acknowledgment",
        ),
        counter("global_messages_get_empty_total", "Total number of times basic.get operations fetched no message"),
        counter("global_messages_redelivered_total", "Total number of messages redelivered to consumers"),
        counter("global_messages_acknowledged_total", "Total number of messages acknowledged by consumers"),
    ),
    delivery_rows,
    whole=True,
)
GLOBAL_DEATHS: Final = Family(
    "global_dead_letters",
    ("queue_type", "dead_letter_strategy"),
    tuple(
        counter(f"global_messages_dead_lettered_{reason}_total", f"Total number of messages dead-lettered {text}")
        for reason, text in DEATHS.items()
    ),
    death_rows,
    whole=True,
)
