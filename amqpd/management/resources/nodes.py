"""The node: /api/nodes. There is always exactly one."""

from __future__ import annotations

import os
import platform
import resource
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from amqpd.auth.sasl import MECHANISMS
from amqpd.broker.alarms import DISK, MEMORY
from amqpd.broker.exchanges import EXCHANGE_TYPES
from amqpd.management.answer import Answer, Column, Columns, Listing, One
from amqpd.management.auth import Tag
from amqpd.management.errors import Missing
from amqpd.management.node import Node
from amqpd.management.request import Request
from amqpd.management.router import route
from amqpd.management.statistics import node_details
from amqpd.net.disk import free_octets
from amqpd.net.memory import resident_memory
from amqpd.protocol.handshake import COMPATIBLE_VERSION

OPEN_FILES: Final = Path("/proc/self/fd")
MOST_THREADS: Final = 1_048_576  # where RabbitMQ counts Erlang's processes
PLUGINS: Final = (
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_delayed_message_exchange",
    "rabbitmq_event_exchange",
    "rabbitmq_management",
    "rabbitmq_management_agent",
    "rabbitmq_random_exchange",
    "rabbitmq_recent_history_exchange",
    "rabbitmq_sharding",
    "rabbitmq_web_dispatch",
)
"""RabbitMQ's plugins whose work amqpd does."""

TYPE_DESCRIPTIONS: Final = {
    "direct": "AMQP direct exchange, as per the AMQP specification",
    "fanout": "AMQP fanout exchange, as per the AMQP specification",
    "headers": "AMQP headers exchange, as per the AMQP specification",
    "topic": "AMQP topic exchange, as per the AMQP specification",
    "x-consistent-hash": "Consistent Hashing Exchange",
    "x-delayed-message": "Delayed Message Exchange",
    "x-local-random": "Picks one random local binding (queue) to route to",
    "x-modulus-hash": "Modulus Hashing Exchange",
    "x-random": "AMQP random exchange. Like a direct exchange, but randomly chooses who to route to",
    "x-recent-history": "Recent History Exchange",
}
MECHANISM_DESCRIPTIONS: Final = {
    "PLAIN": "SASL PLAIN authentication mechanism",
    "AMQPLAIN": "QPid AMQPLAIN mechanism",
    "EXTERNAL": "TLS peer verification",
    "ANONYMOUS": "SASL ANONYMOUS authentication mechanism",
}
NO_MEMORY_OF: Final = (
    "connection_readers",
    "connection_writers",
    "connection_channels",
    "connection_other",
    "queue_procs",
    "queue_slave_procs",
    "quorum_queue_procs",
    "quorum_queue_dlx_procs",
    "stream_queue_procs",
    "stream_queue_replica_reader_procs",
    "stream_queue_coordinator_procs",
    "plugins",
    "metrics",
    "mgmt_db",
    "mnesia",
    "quorum_ets",
    "other_ets",
    "binary",
    "msg_index",
    "code",
    "atom",
    "other_system",
    "allocated_unused",
    "reserved_unallocated",
)
"""What RabbitMQ's memory is divided into. amqpd's is one heap: all of it counts as other_proc."""

NO_COUNTS_OF: Final = (
    "context_switches",
    "gc_bytes_reclaimed",
    "gc_num",
    "io_file_handle_open_attempt_count",
    "io_read_bytes",
    "io_read_count",
    "io_reopen_count",
    "io_seek_count",
    "io_sync_count",
    "io_write_bytes",
    "io_write_count",
    "mnesia_disk_tx_count",
    "mnesia_ram_tx_count",
    "msg_store_read_count",
    "msg_store_write_count",
    "queue_index_read_count",
    "queue_index_write_count",
)
"""Counters of RabbitMQ's inner parts, which amqpd does not have."""

CHURN: Final = (
    "channel_closed",
    "channel_created",
    "connection_closed",
    "connection_created",
    "queue_created",
    "queue_declared",
    "queue_deleted",
)
NO_TIMES_OF: Final = (
    "io_file_handle_open_attempt_avg_time",
    "io_read_avg_time",
    "io_seek_avg_time",
    "io_sync_avg_time",
    "io_write_avg_time",
)
GC_QUEUES: Final = (
    "channel_closed",
    "channel_consumer_deleted",
    "connection_closed",
    "consumer_deleted",
    "exchange_deleted",
    "node_node_deleted",
    "queue_deleted",
    "vhost_deleted",
)


def described(
    names: list[str], descriptions: dict[str, str], enabled: list[str] | None = None
) -> list[dict[str, object]]:
    """Names with what they stand for; all are enabled if it is not said which."""
    return [
        {"name": name, "description": descriptions.get(name, ""), "enabled": enabled is None or name in enabled}
        for name in sorted(names)
    ]


def exchange_types() -> list[dict[str, object]]:
    """The types that exchanges can have."""
    return described(list(EXCHANGE_TYPES), TYPE_DESCRIPTIONS)


def open_files() -> int:
    """File descriptors in use; 0 where the system does not tell."""
    return len(os.listdir(OPEN_FILES)) if OPEN_FILES.exists() else 0


def file_limit() -> int:
    """File descriptors that there may be."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def free_disk(node: Node) -> int:
    """Octets that are free where the data is, or would be."""
    return free_octets(node.data_dir or Path.cwd())


def contexts(node: Node) -> list[dict[str, object]]:
    """What is served over HTTP: each port once, on however many addresses it listens."""
    ports = dict.fromkeys(listener.port for listener in node.listeners if listener.protocol in ("http", "https"))
    return [
        {"description": "RabbitMQ Management", "node": node.name, "path": "/", "port": str(port), "ssl_opts": []}
        for port in ports
    ]


def uptime(node: Node) -> int:
    """Milliseconds since the start."""
    return int((node.clock.monotonic() - node.started) * 1000)


def applications(request: Request) -> list[dict[str, str]]:
    """What runs here; clients look at the version of ``rabbit``."""
    version = request.node.services.version
    return [
        {"name": "amqpd", "description": "AMQP 0-9-1 broker in Python", "version": version},
        {"name": "rabbit", "description": "RabbitMQ, whose behaviour this is", "version": COMPATIBLE_VERSION},
        {"name": "python", "description": platform.python_implementation(), "version": platform.python_version()},
    ]


def churn_of(name: str) -> Callable[[Node], int]:
    """What reads one counter of what has come and gone."""
    return lambda node: node.broker.context.counters.churn.as_dict()[name]


def now(value: Callable[[Node], int]) -> Column:
    """A column of what is read at this moment."""
    return lambda request, node: value(node)


SAMPLED: Final[dict[str, Callable[[Node], int]]] = {
    "mem_used": lambda node: resident_memory(),
    "fd_used": lambda node: open_files(),
    "sockets_used": lambda node: len(node.connections),
    "proc_used": lambda node: threading.active_count(),
    "disk_free": free_disk,
    **{name: churn_of(name) for name in CHURN},
}
"""What has details."""

COLUMNS: Final = Columns(
    {
        "applications": lambda request, node: applications(request),
        "auth_mechanisms": lambda request, node: described(
            list(MECHANISMS), MECHANISM_DESCRIPTIONS, node.services.login.mechanisms
        ),
        "being_drained": lambda request, node: False,
        "cluster_links": lambda request, node: [],
        "config_files": lambda request, node: list(node.config_files),
        "contexts": lambda request, node: contexts(node),
        "db_dir": lambda request, node: "" if node.data_dir is None else str(node.data_dir),
        "disk_free": lambda request, node: free_disk(node),
        "disk_free_alarm": lambda request, node: node.broker.alarms.is_set(DISK),
        "disk_free_limit": lambda request, node: node.disk_free_limit,
        "enabled_plugins": lambda request, node: list(PLUGINS),
        "exchange_types": lambda request, node: exchange_types(),
        "fd_total": lambda request, node: file_limit(),
        "fd_used": lambda request, node: open_files(),
        "log_files": lambda request, node: ["<stderr>"],
        "mem_alarm": lambda request, node: node.broker.alarms.is_set(MEMORY),
        "mem_calculation_strategy": lambda request, node: "rss",
        "mem_limit": lambda request, node: node.memory_limit,
        "mem_used": lambda request, node: resident_memory(),
        "metrics_gc_queue_length": lambda request, node: dict.fromkeys(GC_QUEUES, 0),
        "name": lambda request, node: node.name,
        "net_ticktime": lambda request, node: 60,
        "os_pid": lambda request, node: str(node.pid),
        "partitions": lambda request, node: [],
        "proc_total": lambda request, node: MOST_THREADS,
        "proc_used": lambda request, node: threading.active_count(),
        "processors": lambda request, node: os.cpu_count() or 1,
        "ra_open_file_metrics": lambda request, node: {},
        "rates_mode": lambda request, node: "basic",
        "run_queue": lambda request, node: 0,
        "running": lambda request, node: True,
        "sockets_total": lambda request, node: file_limit(),
        "sockets_used": lambda request, node: len(node.connections),
        "type": lambda request, node: "disc",
        "uptime": lambda request, node: uptime(node),
        **{name: now(churn_of(name)) for name in CHURN},
        **{f"{name}_details": node_details(name, value) for name, value in SAMPLED.items()},
        **{name: lambda request, node: 0 for name in NO_COUNTS_OF},
        **{name: lambda request, node: 0.0 for name in NO_TIMES_OF},
    }
)


def show_list(request: Request) -> Listing:
    """The one node."""
    return Listing(COLUMNS, [request.node])


def find(request: Request) -> Node:
    """The node of the path.

    Raises:
        Missing: it is not this one.
    """
    if request.path["node"] != request.node.name:
        raise Missing
    return request.node


def memory_of(node: Node) -> dict[str, object]:
    """How much memory there is in use."""
    used = resident_memory()
    total = {"erlang": used, "rss": used, "allocated": used}
    return {**dict.fromkeys(NO_MEMORY_OF, 0), "other_proc": used, "strategy": "rss", "total": total}


def show(request: Request) -> One:
    """The node, with the parts of its memory if they are asked for."""
    node = find(request)
    if request.flag("memory"):
        return One(COLUMNS.plus(memory=lambda request, node: memory_of(node)), node)
    return One(COLUMNS, node)


def show_memory(request: Request) -> Answer:
    """What the memory is used for."""
    return Answer(content={"memory": memory_of(find(request))})


def show_relative_memory(request: Request) -> Answer:
    """The same, in parts of a hundred."""
    find(request)
    parts: dict[str, object] = {**dict.fromkeys(NO_MEMORY_OF, 0), "other_proc": 100, "total": 100}
    return Answer(content={"memory": parts})


ROUTES: Final = (
    route("/nodes", Tag.MONITORING, get=show_list),
    route("/nodes/{node}", Tag.MONITORING, get=show),
    route("/nodes/{node}/memory", Tag.MONITORING, get=show_memory),
    route("/nodes/{node}/memory/relative", Tag.MONITORING, get=show_relative_memory),
)
