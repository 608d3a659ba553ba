"""What events tell of connections, channels and consumers (see broker/events).

Rule: what may live here turns objects of the protocol into the fields of an event, when somebody wants it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amqpd.broker.events import ACTOR

if TYPE_CHECKING:
    from amqpd.broker.events import Events
    from amqpd.protocol.channel import Channel
    from amqpd.protocol.connection import Connection
    from amqpd.protocol.consumer import ChannelConsumer
    from amqpd.protocol.session import Session

PROTOCOL: Final = "AMQP 0-9-1"


def login_succeeded(events: Events, connection: Connection) -> None:
    """A client has logged in."""
    if events.wanted:
        events.emit("user.authentication.success", login_fields(connection))


def login_failed(events: Events, connection: Connection, error: Exception) -> None:
    """A client could not log in; the reason is one that the client is not told."""
    if events.wanted:
        reason = connection.handshake.refusal or str(error)
        events.emit("user.authentication.failure", {**login_fields(connection), "error": reason})


def connection_opened(events: Events, connection: Connection, session: Session) -> None:
    """A connection runs."""
    if not events.wanted:
        return
    address, handshake = connection.address, connection.handshake
    fields: dict[str, object] = {
        "name": session.name,
        "user": session.user.name,
        "vhost": session.vhost.name,
        "node": events.node,
        "pid": session.name,
        "type": "network",
        "protocol": PROTOCOL,
        "auth_mechanism": handshake.mechanism,
        "host": address.host,
        "port": address.port,
        "peer_host": address.peer_host,
        "peer_port": address.peer_port,
        "ssl": address.tls is not None,
        "timeout": handshake.heartbeat,
        "frame_max": handshake.frame_max,
        "channel_max": handshake.channel_max,
        "client_properties": session.client_properties,
        "connected_at": int(connection.connected_at),
        "user_provided_name": session.client_properties.text("connection_name"),
        ACTOR: session.user.name,
    }
    events.emit("connection.created", fields)


def connection_closed(events: Events, session: Session) -> None:
    """A connection that ran has ended."""
    if not events.wanted:
        return
    fields: dict[str, object] = {
        "name": session.name,
        "node": events.node,
        "pid": session.name,
        "client_properties": session.client_properties,
        "user_provided_name": session.client_properties.text("connection_name"),
        ACTOR: session.user.name,
    }
    events.emit("connection.closed", fields)


def channel_opened(channel: Channel) -> None:
    """A channel was opened."""
    events, session = channel.vhost.events, channel.session
    if not events.wanted:
        return
    fields: dict[str, object] = {
        "name": channel_name(channel),
        "number": int(channel.number),
        "user": session.user.name,
        "vhost": session.vhost.name,
        "connection": session.name,
        "pid": channel_name(channel),
        ACTOR: session.user.name,
    }
    events.emit("channel.created", fields)


def channel_closed(channel: Channel) -> None:
    """A channel is no more."""
    events = channel.vhost.events
    if events.wanted:
        events.emit("channel.closed", {"pid": channel_name(channel), ACTOR: channel.session.user.name})


def consumer_started(channel: Channel, consumer: ChannelConsumer) -> None:
    """A consumer was started."""
    events = channel.vhost.events
    if not events.wanted:
        return
    fields = consumer_fields(channel, consumer)
    fields["ack_required"] = not consumer.no_ack
    fields["exclusive"] = consumer.exclusive
    fields["prefetch_count"] = consumer.prefetch
    fields["arguments"] = consumer.arguments
    fields[ACTOR] = channel.session.user.name
    events.emit("consumer.created", fields)


def consumer_ended(channel: Channel, consumer: ChannelConsumer) -> None:
    """A consumer was cancelled, by its client or by the broker."""
    events = channel.vhost.events
    if events.wanted:
        events.emit("consumer.deleted", {**consumer_fields(channel, consumer), ACTOR: channel.session.user.name})


def channel_name(channel: Channel) -> str:
    """RabbitMQ's name of a channel: its connection's, and its number."""
    return f"{channel.session.name} ({channel.number})"


def consumer_fields(channel: Channel, consumer: ChannelConsumer) -> dict[str, object]:
    """Which consumer an event is about."""
    return {
        "consumer_tag": consumer.tag,
        "queue": consumer.queue.name,
        "vhost": channel.vhost.name,
        "channel": channel_name(channel),
    }


def login_fields(connection: Connection) -> dict[str, object]:
    """What an event says of an attempt to log in."""
    address, handshake = connection.address, connection.handshake
    return {
        "connection_type": "network",
        "name": handshake.login or None,
        "connection_name": str(address),
        "host": address.host,
        "port": address.port,
        "peer_host": address.peer_host,
        "peer_port": address.peer_port,
        "protocol": PROTOCOL,
        "auth_mechanism": handshake.mechanism,
        "ssl": address.tls is not None,
    }
