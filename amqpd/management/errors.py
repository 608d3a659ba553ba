"""Errors of the HTTP API: a status and a body of ``error`` and ``reason``, and what becomes of AMQP's errors.

Rule: an error is raised where it is found, and becomes an answer in one place, in app.py. A reason is always one text.
"""

from __future__ import annotations

from typing import Final

from amqpd.errors import AccessRefused, AMQPError, NotAllowed, NotFound, PreconditionFailed

NO_VHOST_ACCESS: Final = "User not authorised to access virtual host"
REALM: Final = 'Basic realm="RabbitMQ Management"'


class APIError(Exception):
    """What a request is refused with.

    Args:
        status: the HTTP status.
        error: the short name that clients compare.
        reason: one sentence for people.
        headers: of the answer.
    """

    def __init__(self, status: int, error: str, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.error = error
        self.reason = reason
        self.headers = headers or {}

    @property
    def content(self) -> object:
        """The body."""
        return {"error": self.error, "reason": self.reason}


class BadRequest(APIError):
    """400: the request cannot be understood, or not be done."""

    def __init__(self, reason: str, error: str = "bad_request") -> None:
        super().__init__(400, error, reason)


class Missing(APIError):
    """404: there is no such object or route."""

    def __init__(self, error: str = "Object Not Found", reason: str = "Not Found") -> None:
        super().__init__(404, error, reason)


class NotAuthorised(APIError):
    """401: the user is known, and may not do this."""

    def __init__(self, reason: str) -> None:
        super().__init__(401, "not_authorised", reason)


class LoginFailed(APIError):
    """401: nobody has this name and password."""

    def __init__(self, reason: str = "Login failed") -> None:
        super().__init__(401, "not_authorized", reason, {"www-authenticate": REALM})


class LoginNeeded(APIError):
    """401: no user was given. RabbitMQ sends no body."""

    def __init__(self) -> None:
        super().__init__(401, "", "", {"www-authenticate": REALM})

    @property
    def content(self) -> object:
        return None


def no_vhost() -> Missing:
    """The error for a change in a virtual host that does not exist."""
    return Missing("not_found", "vhost_not_found")


def missing_keys(names: list[str]) -> BadRequest:
    """The error for a body without its mandatory keys: RabbitMQ's text, which is Erlang's notation."""
    return BadRequest("[" + ",".join(f"{{key_missing,{name}}}" for name in names) + "]")


def of_amqp(error: AMQPError) -> APIError:
    """What the HTTP API says where an AMQP client's channel or connection would be closed."""
    if isinstance(error, AccessRefused):
        return NotAuthorised("Access refused.")
    if isinstance(error, NotFound):
        return Missing("not_found", error.explanation)
    if isinstance(error, PreconditionFailed):
        return BadRequest(error.explanation)
    if isinstance(error, NotAllowed):
        return BadRequest(error.explanation)
    return BadRequest(f"{error.code} {error.reply_text}")
