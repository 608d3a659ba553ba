"""Series: what counters were; nothing is kept of what does not change."""

from __future__ import annotations

import random

import pytest

from amqpd.management.series import Level, Series

LEVEL = Level(1, 10)


def test_what_does_not_change_adds_no_row() -> None:
    series = Series(LEVEL, 0, {"a": 0, "b": 7})
    for tick in range(1, 6):
        series.add(tick, {"a": 0, "b": 7})
    assert len(series) == 1
    series.add(6, {"a": 1, "b": 7})
    assert len(series) == 2
    assert series.values("a", [8, 6, 5, 0]) == [1, 1, 0, 0]
    assert series.values("b", [8, 0]) == [7, 7]


def test_it_forgets_what_nobody_can_ask_for_and_keeps_what_was_true_before() -> None:
    series = Series(LEVEL, 0, {"a": 0})
    for tick in range(1, 31):
        series.add(tick, {"a": tick})
        series.forget(tick, 100)
    assert len(series) == LEVEL.most + 1
    assert series.values("a", [30, 20]) == [30, 20]


def test_it_is_idle_when_all_that_changed_is_long_ago() -> None:
    series = Series(LEVEL, 0, {"a": 0})
    series.add(1, {"a": 1})
    for tick in range(2, 11):
        series.forget(tick, 100)
        assert not series.idle(tick)
    series.forget(11, 100)
    assert series.idle(11)


@pytest.mark.parametrize("seed", range(10))
def test_it_says_what_a_plain_list_would(seed: int) -> None:
    chance = random.Random(seed)
    series, truth = Series(LEVEL, 0, {"a": 0, "b": 0}), [{"a": 0, "b": 0}]
    for tick in range(1, 60):
        before = truth[-1]
        truth.append({name: value + chance.choice([0, 0, 0, 3]) for name, value in before.items()})
        series.add(tick, truth[-1])
        series.forget(tick, 100)
        ticks = list(range(tick, max(tick - LEVEL.most, 0), -1))
        for name in ("a", "b"):
            assert series.values(name, ticks) == [truth[at][name] for at in ticks]
            for at in ticks[:-1]:
                assert series.change(name, at) == truth[at][name] - truth[at - 1][name]


def test_no_more_rows_than_allowed_are_kept() -> None:
    series = Series(LEVEL, 0, {"a": 0})
    for tick in range(1, 20):
        series.add(tick, {"a": tick})
        series.forget(tick, 3)
    assert len(series) == 3
    assert series.values("a", [19, 18, 17, 12]) == [19, 18, 17, 17]
