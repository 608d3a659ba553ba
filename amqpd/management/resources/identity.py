"""Who is asking: /api/whoami, and what tells how to log in."""

from __future__ import annotations

import base64
from typing import Final
from urllib.parse import parse_qs

from amqpd.management.answer import Answer
from amqpd.management.auth import Tag, check_tag, user_of
from amqpd.management.request import Request
from amqpd.management.router import route


def whoami(request: Request) -> Answer:
    """The user."""
    return Answer(content={"name": request.user.name, "tags": sorted(request.user.tags), "is_internal_user": True})


def auth(request: Request) -> Answer:
    """There is no way to log in but with name and password."""
    return Answer(content={"oauth_enabled": False, "enable_uaa": False})


async def login(request: Request) -> Answer:
    """Does this name have this password? They come as an HTML form sends them."""
    form = parse_qs(request.content.decode("utf-8", "replace"))
    name, password = (form.get(key, [""])[0] for key in ("username", "password"))
    encoded = base64.b64encode(f"{name}:{password}".encode()).decode()
    check_tag(await user_of(request.node, f"Basic {encoded}", request.peer), Tag.MANAGEMENT)
    return Answer(content="ok")


ROUTES: Final = (
    route("/whoami", get=whoami),
    route("/auth", Tag.NOBODY, get=auth),
    route("/login", Tag.NOBODY, post=login),
)
