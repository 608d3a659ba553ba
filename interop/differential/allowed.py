"""The differences that are no bug, each with its reason. Whatever is not here fails.

The RabbitMQ beside is Debian's 3.10.8; amqpd follows 4.0 (docs/compatibility.md). A Rewrite removes a difference from what
was seen, on both sides, and the program goes on. An Ending recognises a step after which the brokers are in different
states for a known reason: the program ends there, and counts as passed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from interop.differential.channel import Observation
from interop.differential.program import Step


@dataclass(frozen=True)
class Rewrite:
    """A difference in messages that is taken out on both sides.

    Args:
        name: what the summary calls it.
        reason: why it is no bug.
        change: alters a delivered or returned message in place, True when it did.
    """

    name: str
    reason: str
    change: Callable[[Observation], bool]


@dataclass(frozen=True)
class Ending:
    """A difference after which the program cannot go on.

    Args:
        name: what the summary calls it.
        reason: why it is no bug.
        recognise: given the step and what amqpd and RabbitMQ made of it.
    """

    name: str
    reason: str
    recognise: Callable[[Step, Observation, Observation], bool]


def _headers(message: Observation) -> dict[str, Any]:
    headers: dict[str, Any] = message["properties"].get("headers", {})
    return headers


def _drop(message: Observation, *names: str) -> bool:
    headers = _headers(message)
    return any([headers.pop(name, None) is not None for name in names])


def _drop_last_death(message: Observation) -> bool:
    return _drop(message, "x-last-death-reason", "x-last-death-queue", "x-last-death-exchange")


def _drop_first_delivery_count(message: Observation) -> bool:
    headers = _headers(message)
    if headers.get("x-delivery-count") != ("l", 0):
        return False
    del headers["x-delivery-count"]
    if not headers:
        del message["properties"]["headers"]
    return True


def _drop_copies_of_dead(message: Observation) -> bool:
    return "x-death" in _headers(message) and _drop(message, "CC")


def _drop_times(message: Observation) -> bool:
    deaths = [death for death in _headers(message).get("x-death", []) if isinstance(death, dict)]
    for death in deaths:
        death["time"] = "now"
    return bool(deaths)


def _closed_with(code: int, text: str) -> Callable[[Step, Observation, Observation], bool]:
    """Recognises that RabbitMQ alone closes, with this code and a text that holds this."""

    def recognise(step: Step, amqpd: Observation, rabbitmq: Observation) -> bool:
        return bool(_has_close(rabbitmq, code, text)) and not _has_close(amqpd, code, text)

    return recognise


def _has_close(seen: Observation, code: int, text: str) -> bool:
    closes = [view["closed by the broker"] for place, view in seen.items() if place[:7] == "channel" and _CLOSED in view]
    closes += [view[1] for place, view in seen.items() if place.startswith("connection") and view[1]]
    return any(close["reply_code"] == code and text in close["reply_text"] for close in closes)


_CLOSED: Final = "closed by the broker"

ALLOWED: Final[tuple[Rewrite | Ending, ...]] = (
    Rewrite("time of death", "two clocks", _drop_times),
    Rewrite("x-last-death-*", "J24: since 3.13", _drop_last_death),
    Rewrite("x-delivery-count 0", "J27: absent on the first delivery since 3.12", _drop_first_delivery_count),
    Rewrite("CC after a dead-letter key", "J23: kept since 3.13, removed before", _drop_copies_of_dead),
    Ending("unknown exchange type", "J5: closes the channel since 4.0, the connection before", _closed_with(503, "exchange type")),
    Ending("delivery mode 3", "J17: transient since 4.0, refused before", _closed_with(406, "delivery_mode_unknown")),
)
