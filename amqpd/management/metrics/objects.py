"""Families of queues, exchanges, channels and connections.

Rule: what may live here makes rows of objects. RabbitMQ's names and texts are kept to the letter. The label ``channel``
holds the name of a channel or connection where RabbitMQ has the id of an Erlang process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from amqpd.broker.counters import Traffic
from amqpd.broker.queues.base import Queue
from amqpd.management.metrics.family import Family, Row, Scope, Values, counter, gauge
from amqpd.management.subjects import broker_traffic
from amqpd.protocol.channel import Channel
from amqpd.protocol.connection import Connection
from amqpd.protocol.events import channel_name

IDLE_QUEUE: Final = 2048  # octets of memory, about


def queues(scope: Scope) -> Iterator[Queue]:
    """All queues that are meant."""
    for vhost in scope.vhosts:
        yield from list(vhost.queues.values())


def connections(scope: Scope) -> Iterator[tuple[str, Connection]]:
    """All connections that are meant, with their names."""
    for connection in scope.node.connections.all():
        session = connection.session
        if session is not None and (scope.names is None or session.vhost.name in scope.names):
            yield session.name, connection


def channels(scope: Scope) -> Iterator[Channel]:
    """All channels that are meant."""
    for _, connection in connections(scope):
        yield from connection.channels.all()


# Queues.


def coarse_rows(scope: Scope) -> Iterator[Row]:
    """How many messages each queue has."""
    for queue in queues(scope):
        ready, unacknowledged = queue.message_count, queue.unacknowledged
        yield (queue.host.name, queue.name), (ready, unacknowledged, ready + unacknowledged)


def consumer_rows(scope: Scope) -> Iterator[Row]:
    """How many consumers each queue has."""
    for queue in queues(scope):
        yield (queue.host.name, queue.name), (len(queue.consumers),)


def queue_rows(scope: Scope) -> Iterator[Row]:
    """Everything else of each queue."""
    for queue in queues(scope):
        paged, paged_octets = queue.paged
        unacknowledged, unacknowledged_octets = queue.unacknowledged, queue.unacknowledged_octets
        ready, octets = queue.message_count - paged, queue.ready_octets - paged_octets
        yield (
            (queue.host.name, queue.name),
            (
                len(queue.consumers),
                queue.utilisation,
                queue.utilisation,
                IDLE_QUEUE + octets,
                ready + unacknowledged,
                octets + unacknowledged_octets,
                ready,
                unacknowledged,
                octets + paged_octets + unacknowledged_octets,
                octets + paged_octets,
                unacknowledged_octets,
                paged,
                paged_octets,
                queue.head_timestamp,
            ),
        )


def delivery_values(traffic: Traffic) -> Values:
    """What was delivered and acknowledged."""
    return (
        int(traffic.get),
        int(traffic.get_no_ack),
        int(traffic.deliver),
        int(traffic.deliver_no_ack),
        int(traffic.redeliver),
        int(traffic.ack),
        int(traffic.get_empty),
    )


def queue_delivery_rows(scope: Scope) -> Iterator[Row]:
    """What each queue delivered."""
    for queue in queues(scope):
        yield (queue.host.name, queue.name), delivery_values(queue.traffic())


def published_rows(scope: Scope) -> Iterator[Row]:
    """What was published to each queue."""
    for queue in queues(scope):
        yield (queue.host.name, queue.name), (int(queue.entered()),)


def published_total(scope: Scope) -> Values:
    """The copies that were put into queues, whether those are still there or not."""
    return (int(broker_traffic(scope.node.broker).routed),)


# Exchanges.


def exchange_rows(scope: Scope) -> Iterator[Row]:
    """What was published to each exchange."""
    for vhost in scope.vhosts:
        for exchange in list(vhost.exchanges.values()):
            yield (vhost.name, exchange.name), (int(exchange.traffic.publish_in),)


# Channels.


def channel_rows(scope: Scope) -> Iterator[Row]:
    """The state of each channel."""
    for channel in channels(scope):
        transaction = channel.transaction
        unconfirmed = 0 if channel.confirms is None else int(channel.confirms.unconfirmed)
        yield (
            (channel_name(channel),),
            (
                len(channel.consumers),
                int(channel.ledger.count),
                unconfirmed,
                0 if transaction is None else len(transaction.publishes),
                0 if transaction is None else sum(len(held.deliveries) for held in transaction.settlements),
                channel.prefetch,
                int(channel.prefetch_limit),
            ),
        )


def publish_values(traffic: Traffic) -> Values:
    """What was published, and what became of it."""
    return (
        int(traffic.publish),
        int(traffic.confirm),
        int(traffic.return_unroutable),
        int(traffic.drop_unroutable),
    )


def channel_publish_rows(scope: Scope) -> Iterator[Row]:
    """What was published on each channel."""
    for channel in channels(scope):
        yield (channel_name(channel), channel.vhost.name), publish_values(channel.traffic())


def channel_delivery_rows(scope: Scope) -> Iterator[Row]:
    """What was delivered on each channel."""
    for channel in channels(scope):
        yield (channel_name(channel), channel.vhost.name), delivery_values(channel.traffic())


# Connections.


def octet_rows(scope: Scope) -> Iterator[Row]:
    """The octets of each connection."""
    for name, connection in connections(scope):
        yield (name,), (int(connection.received), int(connection.output.sent))


def octet_total(scope: Scope) -> Values:
    """The octets of all connections, those included that are closed."""
    past = scope.node.broker.context.counters.closed
    live = scope.node.connections.all()
    return (
        int(past.recv_oct) + sum(int(connection.received) for connection in live),
        int(past.send_oct) + sum(int(connection.output.sent) for connection in live),
    )


def connection_total(scope: Scope) -> Values:
    """The reads and writes of all connections, those included that are closed."""
    past = scope.node.broker.context.counters.closed
    live = scope.node.connections.all()
    return (
        int(past.recv_cnt) + sum(int(connection.reads) for connection in live),
        int(past.send_cnt) + sum(int(connection.output.writes) for connection in live),
        sum(1 for connection in live if connection.output.pending),
        sum(len(connection.channels.all()) for connection in live),
    )


def connection_rows(scope: Scope) -> Iterator[Row]:
    """The reads and writes of each connection."""
    for name, connection in connections(scope):
        output = connection.output
        waiting = 1 if output.pending else 0  # everything that waits goes out in one write
        yield (
            (name,),
            (int(connection.reads), int(output.writes), waiting, len(connection.channels.all())),
        )


DELIVERED: Final = (
    ("get_ack_total", "Total number of messages fetched with basic.get in manual acknowledgement mode"),
    ("get_total", "Total number of messages fetched with basic.get in automatic acknowledgement mode"),
    ("messages_delivered_ack_total", "Total number of messages delivered to consumers in manual acknowledgement mode"),
    ("messages_delivered_total", "Total number of messages delivered to consumers in automatic acknowledgement mode"),
    ("messages_redelivered_total", "Total number of messages redelivered to consumers"),
    ("messages_acked_total", "Total number of messages acknowledged by consumers"),
    ("get_empty_total", "Total number of times basic.get operations fetched no message"),
)
"""In the order of delivery_values()."""

QUEUE: Final = ("vhost", "queue")
QUEUE_COARSE: Final = Family(
    "queue_coarse_metrics",
    QUEUE,
    (
        gauge("queue_messages_ready", "Messages ready to be delivered to consumers"),
        gauge("queue_messages_unacked", "Messages delivered to consumers but not yet acknowledged"),
        gauge("queue_messages", "Sum of ready and unacknowledged messages - total queue depth"),
    ),
    coarse_rows,
)
QUEUE_CONSUMERS: Final = Family(
    "queue_consumer_count", QUEUE, (gauge("queue_consumers", "Consumers on a queue"),), consumer_rows
)
QUEUE_METRICS: Final = Family(
    "queue_metrics",
    QUEUE,
    (
        gauge("queue_consumers", "Consumers on a queue"),
        gauge("queue_consumer_capacity", "Consumer capacity"),
        gauge("queue_consumer_utilisation", "Same as consumer capacity"),
        gauge("queue_process_memory_bytes", "Memory in bytes used by the Erlang queue process"),
        gauge("queue_messages_ram", "Ready and unacknowledged messages stored in memory"),
        gauge("queue_messages_ram_bytes", "Size of ready and unacknowledged messages stored in memory"),
        gauge("queue_messages_ready_ram", "Ready messages stored in memory"),
        gauge("queue_messages_unacked_ram", "Unacknowledged messages stored in memory"),
        gauge("queue_messages_bytes", "Size in bytes of ready and unacknowledged messages"),
        gauge("queue_messages_ready_bytes", "Size in bytes of ready messages"),
        gauge("queue_messages_unacked_bytes", "Size in bytes of all unacknowledged messages"),
        gauge("queue_messages_paged_out", "Messages paged out to disk"),
        gauge("queue_messages_paged_out_bytes", "Size in bytes of messages paged out to disk"),
        gauge("queue_head_message_timestamp", "Timestamp of the first message in the queue, if any"),
    ),
    queue_rows,
)
QUEUE_DELIVERY: Final = Family(
    "queue_delivery_metrics",
    QUEUE,
    tuple(counter(f"queue_{name}", text) for name, text in DELIVERED),
    queue_delivery_rows,
)
QUEUE_PUBLISHED: Final = Family(
    "channel_queue_exchange_metrics",
    ("queue_vhost", "queue"),
    (counter("queue_messages_published_total", "Total number of messages published to queues"),),
    published_rows,
    published_total,
)
EXCHANGE_METRICS: Final = Family(
    "exchange_metrics",
    ("vhost", "exchange"),
    (counter("exchange_messages_published_total", "Total number of messages published into an exchange"),),
    exchange_rows,
)
CHANNEL_METRICS: Final = Family(
    "channel_metrics",
    ("channel",),
    (
        gauge("channel_consumers", "Consumers on a channel"),
        gauge("channel_messages_unacked", "Delivered but not yet acknowledged messages"),
        gauge("channel_messages_unconfirmed", "Published but not yet confirmed messages"),
        gauge("channel_messages_uncommitted", "Messages received in a transaction but not yet committed"),
        gauge("channel_acks_uncommitted", "Message acknowledgements in a transaction not yet committed"),
        gauge("consumer_prefetch", "Limit of unacknowledged messages for each consumer"),
        gauge("channel_prefetch", "Total limit of unacknowledged messages for all consumers on a channel"),
    ),
    channel_rows,
)
CHANNEL_PUBLISH: Final = Family(
    "channel_exchange_metrics",
    ("channel", "vhost"),
    (
        counter("channel_messages_published_total", "Total number of messages published into an exchange on a channel"),
        counter(
            "channel_messages_confirmed_total",
            "Total number of messages published into an exchange and confirmed on the channel",
        ),
        counter(
            "channel_messages_unroutable_returned_total",
            "Total number of messages published as mandatory into an exchange and returned to the publisher as "
            "unroutable",
        ),
        counter(
            "channel_messages_unroutable_dropped_total",
            "Total number of messages published as non-mandatory into an exchange and dropped as unroutable",
        ),
    ),
    channel_publish_rows,
    lambda scope: publish_values(broker_traffic(scope.node.broker)),
)
CHANNEL_DELIVERY: Final = Family(
    "channel_queue_metrics",
    ("channel", "vhost"),
    tuple(counter(f"channel_{name}", text) for name, text in DELIVERED),
    channel_delivery_rows,
    lambda scope: delivery_values(broker_traffic(scope.node.broker)),
)
CONNECTION_COARSE: Final = Family(
    "connection_coarse_metrics",
    ("channel",),
    (
        counter("connection_incoming_bytes_total", "Total number of bytes received on a connection"),
        counter("connection_outgoing_bytes_total", "Total number of bytes sent on a connection"),
    ),
    octet_rows,
    octet_total,
)
CONNECTION_METRICS: Final = Family(
    "connection_metrics",
    ("channel",),
    (
        counter("connection_incoming_packets_total", "Total number of packets received on a connection"),
        counter("connection_outgoing_packets_total", "Total number of packets sent on a connection"),
        gauge("connection_pending_packets", "Number of packets waiting to be sent on a connection"),
        gauge("connection_channels", "Channels on a connection"),
    ),
    connection_rows,
    connection_total,
)
