"""Cross-origin requests: the headers that let pages of other origins use the API, if that is configured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

MAX_AGE: Final = "1800"
ANY: Final = "*"


def origin_headers(allowed: Sequence[str], origin: str | None) -> dict[str, str]:
    """The headers of every answer to a page of this origin; none if it is not allowed, or nothing is.

    Args:
        allowed: origins, such as ``http://localhost:3000``; a port ``*`` stands for every one, ``*`` for all origins.
    """
    if origin is None or not allowed:
        return {}
    if ANY in allowed:
        return {"access-control-allow-origin": ANY}
    if not any(matches(pattern, origin) for pattern in allowed):
        return {}
    return {"access-control-allow-origin": origin, "access-control-allow-credentials": "true"}


def matches(pattern: str, origin: str) -> bool:
    """True if the origin is the one that is allowed, or another port of it where any is."""
    if not pattern.endswith(":*"):
        return pattern == origin
    host, _, port = origin.rpartition(":")
    return pattern == origin + ":*" or (host + ":*" == pattern and port.isdecimal())


def preflight_headers(headers: Mapping[str, str], methods: str) -> dict[str, str]:
    """The headers of the answer to a preflight request."""
    if "origin" not in headers or "access-control-request-method" not in headers:
        return {}
    found = {"access-control-allow-methods": methods, "access-control-max-age": MAX_AGE}
    wanted = headers.get("access-control-request-headers")
    return found if wanted is None else {**found, "access-control-allow-headers": wanted}
