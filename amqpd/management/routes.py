"""The route table: the routes of all resources."""

from __future__ import annotations

from typing import Final

from amqpd.management.resources import exchanges, identity

ROUTES: Final = (*identity.ROUTES, *exchanges.ROUTES)
