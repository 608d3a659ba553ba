"""The route table: the routes of all resources."""

from __future__ import annotations

from typing import Final

from amqpd.management.resources import (
    bindings,
    channels,
    connections,
    consumers,
    exchanges,
    health,
    identity,
    messages,
    nodes,
    overview,
    queues,
    streams,
)

ROUTES: Final = (
    *overview.ROUTES,
    *nodes.ROUTES,
    *identity.ROUTES,
    *connections.ROUTES,
    *channels.ROUTES,
    *consumers.ROUTES,
    *exchanges.ROUTES,
    *queues.ROUTES,
    *bindings.ROUTES,
    *messages.ROUTES,
    *streams.ROUTES,
    *health.ROUTES,
)
