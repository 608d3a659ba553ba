"""The confirm class (RabbitMQ, publisher confirms)."""

from __future__ import annotations

from pamqp import commands

from amqpd.errors import PreconditionFailed
from amqpd.protocol.channel import Channel
from amqpd.protocol.confirms import Confirms
from amqpd.wire.methods import make


def select(channel: Channel, method: commands.Confirm.Select) -> None:
    """Number publishes from now on and confirm each."""
    if channel.transaction is not None:
        raise PreconditionFailed("cannot switch from tx to confirm mode")
    if channel.confirms is None:
        channel.confirms = Confirms(
            channel.number, channel.output, channel.context.turn, channel.context.storage.commits
        )
    if not method.nowait:
        channel.send(make(commands.Confirm.SelectOk))
