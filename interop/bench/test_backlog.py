"""A short run of the backlog's measurement. A long one: python -m interop.bench.backlog."""

from __future__ import annotations

import pytest

from interop.bench.backlog import Limits, measure
from interop.bench.idle import row

MESSAGES = 200_000  # more than a queue has in memory
GENEROUS = Limits(memory=150, restart=10, drain=0.2)  # a machine that is busy with something else


@pytest.mark.timeout(180)
def test_a_backlog_is_cheap_and_comes_back_in_order_after_a_kill() -> None:
    backlog = measure(MESSAGES, "", row)
    assert backlog.broken(GENEROUS) == []
