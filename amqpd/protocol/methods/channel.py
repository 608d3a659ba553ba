"""The channel class (section 1.5), as far as an open channel handles it."""

from __future__ import annotations

from pamqp import commands

from amqpd.errors import NotImplementedByServer
from amqpd.protocol.channel import Channel
from amqpd.wire.methods import make


def flow(channel: Channel, method: commands.Channel.Flow) -> None:
    """RabbitMQ never stops deliveries on request; prefetch is the way to do that."""
    if not method.active:
        raise NotImplementedByServer("active=false")
    channel.send(make(commands.Channel.FlowOk, active=True))
