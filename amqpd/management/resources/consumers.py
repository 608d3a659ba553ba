"""Consumers: /api/consumers, and the rows of those of a queue or a channel."""

from __future__ import annotations

from typing import Final

from amqpd.broker.arguments import NEVER
from amqpd.broker.queues.base import Queue
from amqpd.management.answer import Columns, Listing
from amqpd.management.request import Request
from amqpd.management.router import route
from amqpd.management.values import plain, text
from amqpd.protocol.channel import Channel
from amqpd.protocol.consumer import ChannelConsumer
from amqpd.protocol.events import channel_name


def channel_details(request: Request, channel: Channel) -> dict[str, object]:
    """Where a consumer is."""
    session = channel.session
    host, _, port = session.name.partition(" -> ")[0].rpartition(":")
    return {
        "connection_name": session.name,
        "name": channel_name(channel),
        "node": request.node.name,
        "number": int(channel.number),
        "peer_host": host,
        "peer_port": int(port) if port.isdecimal() else 0,
        "user": text(session.user.name),
    }


def activity(request: Request, consumer: ChannelConsumer) -> str:
    """Whether it gets messages."""
    consumers = consumer.queue.consumers
    if not consumers.is_active(consumer):
        return "waiting"
    return "single_active" if consumers.single_active else "up"


def timeout(request: Request, consumer: ChannelConsumer) -> int:
    """Milliseconds that its deliveries may wait for their acknowledgement; 0 for ever."""
    allowed = consumer.queue.settings.consumer_timeout
    if allowed is None:
        allowed = request.node.services.limits.consumer_timeout
    return 0 if allowed is None or allowed == NEVER else allowed


COLUMNS: Final = Columns(
    {
        "arguments": lambda request, consumer: plain(consumer.arguments),
        "ack_required": lambda request, consumer: not consumer.no_ack,
        "active": lambda request, consumer: consumer.queue.consumers.is_active(consumer),
        "activity_status": activity,
        "channel_details": lambda request, consumer: channel_details(request, consumer.channel),
        "consumer_tag": lambda request, consumer: text(consumer.tag),
        "consumer_timeout": timeout,
        "exclusive": lambda request, consumer: consumer.exclusive,
        "prefetch_count": lambda request, consumer: consumer.prefetch,
        "queue": lambda request, consumer: {"name": text(consumer.queue.name), "vhost": consumer.queue.host.name},
    }
)


def show_list(request: Request) -> Listing:
    """All consumers, or those of one virtual host. RabbitMQ never pages them."""
    seen = set(request.vhosts())
    items = [
        consumer
        for connection in request.node.connections.all()
        for channel in connection.channels.all()
        if channel.vhost in seen
        for consumer in channel.consumers.values()
    ]
    return Listing(COLUMNS, items)


def queue_consumers(request: Request, queue: Queue) -> list[object]:
    """The rows of a queue's consumers."""
    consumers = [consumer for consumer in queue.consumers.all() if isinstance(consumer, ChannelConsumer)]
    return [COLUMNS.row(request, consumer) for consumer in consumers]


def channel_consumers(request: Request, channel: Channel) -> object:
    """The rows of a channel's consumers."""
    return [COLUMNS.row(request, consumer) for consumer in channel.consumers.values()]


ROUTES: Final = (
    route("/consumers", get=show_list),
    route("/consumers/{vhost}", get=show_list),
)
