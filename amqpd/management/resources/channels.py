"""Channels: /api/channels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from amqpd.management.answer import Columns, Listing, One
from amqpd.management.errors import Missing
from amqpd.management.request import Request
from amqpd.management.resources.connections import check_sight, visible
from amqpd.management.resources.connections import find as find_connection
from amqpd.management.resources.consumers import channel_consumers, channel_details
from amqpd.management.resources.queues import GARBAGE_COLLECTION
from amqpd.management.router import route
from amqpd.management.statistics import NO_RATE, channel_stat, channel_stats, idle_since
from amqpd.management.values import text
from amqpd.protocol.channel import Channel, ChannelState
from amqpd.protocol.connection import Connection
from amqpd.protocol.events import channel_name


def connection_details(request: Request, channel: Channel) -> dict[str, object]:
    """Whose channel it is."""
    details = channel_details(request, channel)
    return {"name": channel.session.name, "peer_host": details["peer_host"], "peer_port": details["peer_port"]}


def state(request: Request, channel: Channel) -> str:
    """What it does."""
    if channel.state is ChannelState.CLOSING:
        return "closing"
    return "flow" if channel.throttle.held else "running"


def uncommitted(request: Request, channel: Channel) -> int:
    """Publishes that wait for tx.commit."""
    return 0 if channel.transaction is None else len(channel.transaction.publishes)


def acks_uncommitted(request: Request, channel: Channel) -> int:
    """Deliveries whose settlement waits for tx.commit."""
    if channel.transaction is None:
        return 0
    return sum(len(held.deliveries) for held in channel.transaction.settlements)


def unconfirmed(request: Request, channel: Channel) -> int:
    """Publishes that were neither confirmed nor refused yet."""
    return 0 if channel.confirms is None else int(channel.confirms.unconfirmed)


def unacknowledged(request: Request, channel: Channel) -> int:
    """Deliveries that are not settled, those in an open transaction included."""
    return int(channel.ledger.count) + acks_uncommitted(request, channel)


COLUMNS: Final = Columns(
    {
        "acks_uncommitted": acks_uncommitted,
        "confirm": lambda request, channel: channel.confirms is not None,
        "connection_details": connection_details,
        "consumer_count": lambda request, channel: len(channel.consumers),
        "garbage_collection": lambda request, channel: GARBAGE_COLLECTION,
        "global_prefetch_count": lambda request, channel: int(channel.prefetch_limit),
        "idle_since": idle_since,
        "message_stats": channel_stats,
        "messages_unacknowledged": unacknowledged,
        "messages_uncommitted": uncommitted,
        "messages_unconfirmed": unconfirmed,
        "name": lambda request, channel: channel_name(channel),
        "node": lambda request, channel: request.node.name,
        "number": lambda request, channel: int(channel.number),
        "pending_raft_commands": lambda request, channel: 0,
        "prefetch_count": lambda request, channel: channel.prefetch,
        "reductions": lambda request, channel: 0,
        "reductions_details": lambda request, channel: NO_RATE,
        "state": state,
        "transactional": lambda request, channel: channel.transaction is not None,
        "user": lambda request, channel: text(channel.session.user.name),
        "user_who_performed_action": lambda request, channel: text(channel.session.user.name),
        "vhost": lambda request, channel: channel.vhost.name,
    },
    parts={"message_stats": channel_stat},
)
# To which exchange it publishes and from which queue it gets is counted only with RabbitMQ's detailed rates.
SINGLE: Final = COLUMNS.plus(
    consumer_details=channel_consumers,
    deliveries=lambda request, channel: [],
    publishes=lambda request, channel: [],
)


def listing(channels: Iterable[Channel], paged: bool = True) -> Listing:
    """A list of channels."""
    return Listing(COLUMNS, list(channels), paged=paged, name=channel_name)


def channels_of(connections: Iterable[Connection]) -> list[Channel]:
    """The channels of these connections."""
    return [channel for connection in connections for channel in connection.channels.all()]


def show_list(request: Request) -> Listing:
    """All channels that the user may see, or those of one virtual host."""
    vhosts = set(request.vhosts()) if "vhost" in request.path or "x-vhost" in request.headers else None
    found = channels_of(visible(request))
    return listing(channel for channel in found if vhosts is None or channel.vhost in vhosts)


def show_of_connection(request: Request) -> Listing:
    """The channels of one connection, which RabbitMQ does not page."""
    return listing(channels_of([find_connection(request)]), paged=False)


def show(request: Request) -> One:
    """One channel."""
    name = request.path["channel"]
    for channel in channels_of(request.node.connections.all()):
        if channel_name(channel) == name:
            check_sight(request, channel.session.user)
            return One(SINGLE, channel)
    raise Missing


ROUTES: Final = (
    route("/channels", get=show_list),
    route("/channels/{channel}", get=show),
    route("/connections/{connection}/channels", get=show_of_connection),
    route("/vhosts/{vhost}/channels", get=show_list),
)
