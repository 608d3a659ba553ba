"""How often clients have tried to log in: /api/auth/attempts."""

from __future__ import annotations

from typing import Final

from amqpd.management.answer import Answer
from amqpd.management.auth import Tag
from amqpd.management.request import Request
from amqpd.management.resources.nodes import find
from amqpd.management.router import route


def show(request: Request) -> Answer:
    """By protocol."""
    attempts = find(request).services.login.attempts
    rows = [
        {
            "protocol": protocol,
            "auth_attempts": count.all,
            "auth_attempts_failed": count.failed,
            "auth_attempts_succeeded": count.succeeded,
        }
        for protocol, count in sorted(attempts.by_protocol.items())
    ]
    return Answer(content=rows)


def show_sources(request: Request) -> Answer:
    """By address and user: that is not counted, as in RabbitMQ by default."""
    find(request)
    return Answer(content=[])


def reset(request: Request) -> Answer:
    """Count anew."""
    find(request).services.login.attempts.reset()
    return Answer(204)


ROUTES: Final = (
    route("/auth/attempts/{node}", Tag.MONITORING, get=show, delete=reset),
    route("/auth/attempts/{node}/source", Tag.MONITORING, get=show_sources, delete=reset),
)
