"""Rates and counts that samplers keep, as keys of rows.

Rule: every key that comes from a sampler is made here.
"""

from __future__ import annotations

from amqpd.management.answer import ABSENT
from amqpd.management.request import Request


def message_stats(request: Request, item: object) -> object:
    """How many messages went through an object; absent while none did."""
    return ABSENT
