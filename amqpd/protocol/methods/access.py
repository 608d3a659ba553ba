"""The access class of AMQP 0-8, which old clients still send."""

from __future__ import annotations

from amqpd.protocol.channel import Channel
from amqpd.wire.methods import AccessRequest, AccessRequestOk, make


def request(channel: Channel, method: AccessRequest) -> None:
    """Permissions do not depend on tickets: everybody gets number 1."""
    channel.send(make(AccessRequestOk, ticket=1))
