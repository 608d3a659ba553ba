"""Logging in: how often it was tried (/api/auth/attempts), and hashes of passwords (/api/auth/hash_password)."""

from __future__ import annotations

from typing import Final

from amqpd.auth.attempts import Attempts
from amqpd.auth.password import PasswordError
from amqpd.management.answer import DONE, Answer, Listing
from amqpd.management.auth import Tag
from amqpd.management.errors import BadRequest, Missing
from amqpd.management.request import Request
from amqpd.management.resources.users import store_of
from amqpd.management.router import route
from amqpd.management.rows import listed, row_columns

COLUMNS: Final = row_columns("protocol", "auth_attempts", "auth_attempts_failed", "auth_attempts_succeeded")


def attempts_of(request: Request) -> Attempts:
    """The attempts at the node of the path.

    Raises:
        Missing: it is another node.
    """
    if request.path["node"] != request.node.name:
        raise Missing
    return request.node.services.login.attempts


def show_attempts(request: Request) -> Listing:
    """How often it was tried to log in, by protocol."""
    return listed(
        COLUMNS,
        (
            {
                "protocol": protocol,
                "auth_attempts": count.all,
                "auth_attempts_failed": count.failed,
                "auth_attempts_succeeded": count.succeeded,
            }
            for protocol, count in sorted(attempts_of(request).by_protocol.items())
        ),
    )


def show_sources(request: Request) -> Answer:
    """Attempts by address and user are not counted, as in a RabbitMQ that was not told to."""
    attempts_of(request)
    return Answer(content=[])


def reset_attempts(request: Request) -> Answer:
    """Count anew."""
    attempts_of(request).reset()
    return DONE


def hash_password(request: Request) -> Answer:
    """The hash of a password, for definitions and PUT /api/users.

    Raises:
        BadRequest: the rules do not allow the password.
    """
    try:
        return Answer(content={"ok": store_of(request).hash(request.path["password"].encode())})
    except (PasswordError, UnicodeEncodeError) as error:
        raise BadRequest(f"{error}.") from None


ROUTES: Final = (
    route("/auth/attempts/{node}", Tag.MONITORING, get=show_attempts, delete=reset_attempts),
    route("/auth/attempts/{node}/source", Tag.MONITORING, get=show_sources, delete=reset_attempts),
    route("/auth/hash_password/{password}", Tag.ADMINISTRATOR, get=hash_password),
)
