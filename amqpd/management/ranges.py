"""Which samples a request asks for: ``msg_rates_age=60&msg_rates_incr=5`` and the like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from amqpd.management.errors import BadRequest

GROUPS: Final = ("msg_rates", "lengths", "data_rates", "node_stats")
MOST_SAMPLES: Final = 500


@dataclass(frozen=True)
class Range:
    """The last ``age`` seconds, in steps of ``incr``."""

    age: int
    incr: int


def range_of(query: Mapping[str, str], group: str) -> Range | None:
    """What is asked for of one group; None if nothing is.

    Raises:
        BadRequest: it cannot be.
    """
    age, incr = query.get(f"{group}_age"), query.get(f"{group}_incr")
    if age is None or incr is None:
        return None
    if not (age.isdecimal() and incr.isdecimal() and len(age) < 10 and len(incr) < 10):
        raise BadRequest(f"Invalid range parameters: age {age}, incr {incr}")
    found = Range(int(age), int(incr))
    if found.age <= 0 or found.incr <= 0 or found.age // found.incr > MOST_SAMPLES:
        raise BadRequest(f"Invalid range parameters: age {age}, incr {incr}")
    return found


def ranges_of(query: Mapping[str, str]) -> dict[str, Range]:
    """All that are asked for, by group.

    Raises:
        BadRequest: one of them cannot be.
    """
    found = {group: range_of(query, group) for group in GROUPS}
    return {group: asked for group, asked in found.items() if asked is not None}
