"""Filtering by regular expression: the right names, and no pattern may take long."""

from __future__ import annotations

import asyncio

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from amqpd.clock import SystemClock
from amqpd.management import matching as module
from amqpd.management.errors import BadRequest
from amqpd.management.matching import is_tame, matching
from amqpd.management.slices import Slices

PIECES = ["a", "B", "-", ".", "^", "$", "a*", ".+", "[a-]", "[^a]", "b?", "|", r"\.", r"\d", "(a|B)", "a{1,2}", "7"]


def places(pattern: str, names: list[str]) -> list[int]:
    """Where the pattern is found."""
    clock = SystemClock()
    return asyncio.run(matching(pattern, names, clock, Slices(clock)))


@given(
    pattern=st.lists(st.sampled_from(PIECES), min_size=1, max_size=5), names=st.lists(st.text("aAbB-.7", max_size=6))
)
def test_it_is_found_where_the_library_finds_it(pattern: list[str], names: list[str]) -> None:
    expected = [place for place, name in enumerate(names) if regex.search("".join(pattern), name, regex.IGNORECASE)]
    assert places("".join(pattern), names) == expected


@pytest.mark.parametrize("pattern", ["^orders", "7$", "^order.*7$", "a|b|c", r"\.dlq$", "[0-9]+", "eu.west"])
def test_what_people_look_for_needs_no_thread(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(module, "found")
    assert places(pattern, ["none of them"] * 3) is not None
    assert is_tame(pattern)


@pytest.mark.parametrize("pattern", ["(a|aa)+b", "a*a*b", "(a)", "a{1,9}", r"\X*b", "(?:a|a)", "a*?"])
def test_what_may_take_long_is_not_tame(pattern: str) -> None:
    assert not is_tame(pattern)


@pytest.mark.parametrize("pattern", [".*[0-9]", r"\w+[-_]", "[a-z]*[0-9]", "|".join(["[ab]"] * 200), "[ab]" * 249])
def test_a_tame_pattern_is_quick_with_the_longest_name(pattern: str) -> None:
    assert is_tame(pattern)
    name, clock = "a" * module.SHORT, SystemClock()
    begun = clock.monotonic()
    places(pattern, [name])
    assert clock.monotonic() - begun < 0.2, "a few milliseconds; others run on this machine too"


@pytest.mark.parametrize("name", ["a" * 255, "a" * 256])
@pytest.mark.parametrize("pattern", ["[a-z]*7", "(a|aa)+7$"])
def test_all_names_together_have_a_time_limit(pattern: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.0)
    with pytest.raises(BadRequest, match="takes more than 0 s"):
        places(pattern, [name] * 100)


def test_names_that_are_too_long_are_left_to_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(module, "found_at_once")
    assert places("^a+$", ["a" * (module.SHORT + 1)]) == [0]


@pytest.mark.parametrize("pattern", ["[", "*", "a**b{", ")"])
def test_what_is_no_regular_expression_is_refused(pattern: str) -> None:
    with pytest.raises(BadRequest, match="Invalid regular expression"):
        places(pattern, [])
