"""Who is asking: /api/whoami, and what tells how to log in."""

from __future__ import annotations

from typing import Final

from amqpd.management.answer import Answer
from amqpd.management.auth import Tag
from amqpd.management.request import Request
from amqpd.management.router import route


def whoami(request: Request) -> Answer:
    """The user."""
    return Answer(content={"name": request.user.name, "tags": sorted(request.user.tags), "is_internal_user": True})


def auth(request: Request) -> Answer:
    """There is no way to log in but with name and password."""
    return Answer(content={"oauth_enabled": False, "enable_uaa": False})


ROUTES: Final = (
    route("/whoami", get=whoami),
    route("/auth", Tag.NOBODY, get=auth),
)
