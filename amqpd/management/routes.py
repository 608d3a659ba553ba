"""The route table: the routes of all resources."""

from __future__ import annotations

from typing import Final

from amqpd.management.resources import (
    definitions,
    exchanges,
    features,
    identity,
    limits,
    parameters,
    permissions,
    policies,
    users,
    vhosts,
)

ROUTES: Final = (
    *identity.ROUTES,
    *exchanges.ROUTES,
    *definitions.ROUTES,
    *vhosts.ROUTES,
    *users.ROUTES,
    *permissions.ROUTES,
    *policies.ROUTES,
    *parameters.ROUTES,
    *limits.ROUTES,
    *features.ROUTES,
)
