"""The broker at a glance: /api/overview, its names and versions."""

from __future__ import annotations

import platform
from typing import Final

from amqpd.broker.global_parameters import GlobalParameterError
from amqpd.broker.vhost import VHost
from amqpd.management.answer import DONE, Answer
from amqpd.management.auth import Tag, has
from amqpd.management.errors import BadRequest
from amqpd.management.node import Listener, Node
from amqpd.management.rates import Part
from amqpd.management.request import Request
from amqpd.management.resources.channels import channels_of
from amqpd.management.resources.connections import visible
from amqpd.management.resources.nodes import contexts, exchange_types
from amqpd.management.router import route
from amqpd.management.slices import Slices
from amqpd.management.statistics import broker_stats, churn_stats, vhost_lengths
from amqpd.management.subjects import RETENTION, lengths
from amqpd.protocol.handshake import COMPATIBLE_VERSION, PRODUCT

OUR_VERSION: Final = "n/a (amqpd {})"
DISK_COUNTS: Final = ("disk_reads", "disk_writes")


async def show(request: Request) -> Answer:
    """Everything at a glance. Whoever may not see the node is told of messages and objects only."""
    node = request.node
    content: dict[str, object] = {**versions(node), **settings(node)}
    vhosts = request.vhosts()
    content["message_stats"] = message_stats(request, vhosts)
    content["churn_rates"] = churn_stats(request)
    content["queue_totals"] = await queue_totals(request, vhosts)
    content["object_totals"] = object_totals(request, vhosts)
    content["statistics_db_event_queue"] = 0
    if has(request.user, Tag.MONITORING):
        content["node"] = node.name
        content["listeners"] = [listener_row(node, listener) for listener in node.listeners]
        content["contexts"] = contexts(node)
    return Answer(content=content)


def versions(node: Node) -> dict[str, object]:
    """What it is. The versions are those of the RabbitMQ that amqpd behaves like."""
    python = f"Python {platform.python_version()}"
    return {
        "management_version": COMPATIBLE_VERSION,
        "rabbitmq_version": COMPATIBLE_VERSION,
        "product_name": PRODUCT,
        "product_version": COMPATIBLE_VERSION,
        "amqpd_version": node.services.version,
        "cluster_name": node.broker.cluster_name,
        "erlang_version": OUR_VERSION.format(node.services.version),
        "erlang_full_version": f"{OUR_VERSION.format(node.services.version)}, {python}",
        "crypto_lib_version": "",
        "release_series_support_status": "supported",
    }


def settings(node: Node) -> dict[str, object]:
    """How it is set up."""
    return {
        "rates_mode": "basic",
        "sample_retention_policies": RETENTION,
        "exchange_types": exchange_types(),
        "disable_stats": False,
        "enable_queue_totals": False,
        "default_queue_type": "classic",
        "is_op_policy_updating_enabled": True,
        "cluster_tags": {},
        "node_tags": {},
        "require_definition_json_extension": False,
    }


def message_stats(request: Request, vhosts: list[VHost]) -> dict[str, object]:
    """What happened to messages in these virtual hosts."""
    found = broker_stats(request, vhosts)
    for name in DISK_COUNTS:
        found[name] = 0
        found[f"{name}_details"] = {"rate": 0.0}
    return found


async def queue_totals(request: Request, vhosts: list[VHost]) -> dict[str, object]:
    """The messages in all queues of these virtual hosts."""
    slices = Slices(request.node.clock)
    parts: list[Part] = [(vhost.totals, await vhost_lengths(vhost, slices)) for vhost in vhosts]
    if not parts:
        return {**lengths(0, 0)}
    return request.node.rates.sums(parts, request.ranges.get("lengths"))


def object_totals(request: Request, vhosts: list[VHost]) -> dict[str, object]:
    """How many objects there are that the user may see."""
    connections = visible(request)
    channels = channels_of(connections)
    totals: dict[str, object] = {
        "channels": len(channels),
        "connections": len(connections),
        "exchanges": sum(len(vhost.exchanges) for vhost in vhosts),
        "queues": sum(len(vhost.queues) for vhost in vhosts),
    }
    if has(request.user, Tag.MONITORING):
        totals["consumers"] = sum(len(channel.consumers) for channel in channels)
    return totals


def listener_row(node: Node, listener: Listener) -> dict[str, object]:
    """One address on which the broker accepts."""
    return {
        "node": node.name,
        "protocol": listener.protocol,
        "ip_address": listener.address,
        "port": listener.port,
        "tls": listener.tls,
        "socket_opts": {},
    }


def show_cluster_name(request: Request) -> Answer:
    """What clients are told they are connected to."""
    return Answer(content={"name": request.node.broker.cluster_name})


def set_cluster_name(request: Request) -> Answer:
    """Give it another name."""
    request.need("name")
    try:
        request.node.broker.globals.set("cluster_name", request.text("name"), request.user.name)
    except GlobalParameterError as error:
        raise BadRequest(f"{error}.") from None
    return DONE


def version(request: Request) -> Answer:
    """The version of the RabbitMQ that this behaves like."""
    return Answer(content=COMPATIBLE_VERSION)


def extensions(request: Request) -> Answer:
    """What extends the web UI: nothing."""
    return Answer(content=[])


def reset_statistics(request: Request) -> Answer:
    """RabbitMQ keeps copies of its counters that can be reset; here there are none, counters are live."""
    return DONE


def rebalance(request: Request) -> Answer:
    """There is one node, which leads all queues."""
    return DONE


ROUTES: Final = (
    route("/overview", get=show),
    route("/cluster-name", Tag.MANAGEMENT, Tag.ADMINISTRATOR, get=show_cluster_name, put=set_cluster_name),
    route("/version", Tag.NOBODY, get=version),
    route("/extensions", get=extensions),
    route("/rebalance/queues", Tag.ADMINISTRATOR, post=rebalance),
    route("/reset", Tag.ADMINISTRATOR, delete=reset_statistics),
    route("/reset/{node}", Tag.ADMINISTRATOR, delete=reset_statistics),
)
