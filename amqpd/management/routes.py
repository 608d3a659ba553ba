"""The route table: the routes of all resources."""

from __future__ import annotations

from typing import Final

from amqpd.management.resources import (
    bindings,
    channels,
    connections,
    consumers,
    definitions,
    exchanges,
    features,
    health,
    identity,
    limits,
    logins,
    messages,
    nodes,
    overview,
    parameters,
    permissions,
    policies,
    queues,
    streams,
    users,
    vhosts,
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
    *definitions.ROUTES,
    *vhosts.ROUTES,
    *users.ROUTES,
    *permissions.ROUTES,
    *policies.ROUTES,
    *parameters.ROUTES,
    *limits.ROUTES,
    *logins.ROUTES,
    *features.ROUTES,
    *health.ROUTES,
)
