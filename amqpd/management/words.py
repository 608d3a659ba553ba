"""Values of bodies that several resources have: tags, limits, and what is said of invalid ones.

Rule: what may live here reads one value, or makes one error.
"""

from __future__ import annotations

from amqpd.auth.users import USER_LIMITS
from amqpd.management.errors import BadRequest
from amqpd.management.request import checked_text


def words(name: str, value: object) -> tuple[str, ...]:
    """A list of texts, or one text with commas between them.

    Raises:
        BadRequest: it is something else.
    """
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list):
        raise BadRequest(f"{name} must be a list of texts, or a text with commas.")
    found = []
    for word in given:
        if not isinstance(word, str):
            raise BadRequest(f"{name} must be a list of texts, or a text with commas.")
        if word.strip():
            found.append(checked_text(name, word.strip()))
    return tuple(found)


def limits_of(name: str, value: object) -> dict[str, int]:
    """A user's limits.

    Raises:
        BadRequest: it is something else.
    """
    if value == []:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"{name} must be an object.")
    found = {}
    for key, number in value.items():
        if key not in USER_LIMITS or not isinstance(number, int) or isinstance(number, bool):
            raise BadRequest(f"{name} has whole numbers for {' and '.join(USER_LIMITS)}.")
        found[key] = number
    return found


def invalid(error: Exception) -> BadRequest:
    """The error for a policy or parameter that its validator refuses, as RabbitMQ words it."""
    return BadRequest(f"Validation failed\n\n{error}\n")
