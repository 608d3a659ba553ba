"""The expiration property: a decimal number of milliseconds as text (RabbitMQ, per-message TTL)."""

from __future__ import annotations

import re
from typing import Final

from mypy_extensions import i64

from amqpd.errors import PreconditionFailed
from amqpd.wire.properties import EXPIRATION, Properties

MAX_EXPIRATION: Final = 315_360_000_000  # ten years, in milliseconds
_NUMBER: Final = re.compile(r"([+-]?\d+)(.*)", re.ASCII | re.DOTALL)


def deadline_of(properties: Properties, ttl: int | None, now: i64) -> i64:
    """When a message that enters a queue now expires: the smaller of the queue's TTL and its own expiration counts.

    Args:
        ttl: of the queue, in milliseconds; None is none.
        now: milliseconds since the epoch.

    Returns:
        Milliseconds since the epoch, 0 for never.
    """
    if properties.flags & EXPIRATION:
        own = check_expiration(properties.expiration)
        ttl = own if ttl is None else min(ttl, own)
    return 0 if ttl is None else now + ttl


def check_expiration(text: str | None) -> int:
    """The milliseconds that an expiration property asks for.

    Raises:
        PreconditionFailed: no whole number from 0 to ten years, with RabbitMQ's reason.
    """
    shown = text or ""
    number = _NUMBER.match(shown)
    if number is None:
        raise _invalid(shown, "no_integer")
    if number[2]:
        raise _invalid(shown, f'{{leftover_string,"{number[2]}"}}')
    value = int(number[1])
    if value < 0:
        raise _invalid(shown, f"{{value_negative,{value}}}")
    if value > MAX_EXPIRATION:
        raise _invalid(shown, too_large_term(value, len(f"invalid expiration '{shown}': ")))
    return value


def too_large_term(value: int, column: int) -> str:
    """Erlang's rendering of the reason; its printer breaks the tuple when the line would pass 80 columns."""
    term = f"{{value_too_large,{value}}}"
    if column + len(term) <= 80:
        return term
    return f"{{value_too_large,\n{' ' * (column + 1)}{value}}}"


def _invalid(text: str, reason: str) -> PreconditionFailed:
    return PreconditionFailed(f"invalid expiration '{text}': {reason}")
