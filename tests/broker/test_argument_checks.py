"""Ages and integers, as arguments carry them."""

from __future__ import annotations

import pytest

from amqpd.broker.argument_checks import age_in_ms, integer_of
from amqpd.wire.table import Field

DAY = 86_400_000


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("5s", 5_000),
        ("4m", 240_000),
        ("3h", 10_800_000),
        ("7D", 7 * DAY),
        ("2M", 60 * DAY),
        ("1Y", 365 * DAY),
        ("007s", 7_000),
    ],
)
def test_an_age_is_digits_and_a_unit(text: str, milliseconds: int) -> None:
    assert age_in_ms(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", "5", "D", "0D", "000s", "1d", "-1D", "+1D", "1 D", "1D2h", "1D\n", "\u0661D", "1_0s"]
)
def test_anything_else_is_no_age(text: str) -> None:
    assert age_in_ms(text) is None


def test_an_age_with_thousands_of_digits_is_a_very_long_one() -> None:
    age = age_in_ms("9" * 10_000 + "s")
    assert age is not None
    assert age > 1_000_000 * 365 * DAY


def test_only_integers_are_integers() -> None:
    assert integer_of(Field("L", 2**40)) == 2**40
    for field in (None, Field("t", True), Field("T", 5), Field("d", 5.0), Field("S", "5"), Field("D", (0, 5))):
        assert integer_of(field) is None
