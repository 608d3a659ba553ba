"""The table says whether the goal is reached; what it measures, it has from compare.py."""

from __future__ import annotations

from interop.bench.compare import LOADS, Figures
from interop.bench.table import COMPILED, HEADINGS, INTERPRETED, LAVINMQ, RABBITMQ, markdown


def figures(rate: float, p50_us: float = 100) -> Figures:
    return Figures(rate, rate, p50_us, 2 * p50_us, 1.5)


def cells(key: str, ours: Figures | None, theirs: Figures | None) -> list[str]:
    """The cells of one load's line."""
    medians = {COMPILED: ours, INTERPRETED: figures(1000), RABBITMQ: theirs}
    line = list(markdown({key: medians}))[-1]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_load_has_lavinmqs_figure() -> None:
    assert LAVINMQ.keys() == LOADS.keys()


def test_twice_lavinmqs_ratio_is_reached_or_not() -> None:
    reached = cells("W1", figures(16_400), figures(1000))
    assert reached[1:7] == ["16,400 · 1.50", "1,000 · 1.50", "1,000 · 1.50", "16.4", "8.2", "yes (2.0 x)"]
    assert cells("W1", figures(16_300), figures(1000))[6] == "**no** (2.0 x)"
    assert len(reached) == len(HEADINGS)


def test_latency_is_not_above_lavinmqs_or_is() -> None:
    assert cells("L1", figures(1000, 120), figures(1000, 300))[4:8] == [
        "p50 x 0.40",
        "p50 x 0.44",
        "yes (not above)",
        "0.12, 0.24",
    ]
    assert cells("L2", figures(1000, 120), figures(1000, 300))[6] == "**no** (above)"


def test_a_load_that_failed_is_no_success() -> None:
    assert cells("W3", None, figures(1000))[1:7] == ["failed", "1,000 · 1.50", "1,000 · 1.50", "-", "2.2", "-"]
