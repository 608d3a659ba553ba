"""What the expiration property may say; the texts are RabbitMQ's (conformance rows of basic.publish)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.expiration import MAX_EXPIRATION, check_expiration
from amqpd.errors import PreconditionFailed


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("0", 0), ("1", 1), ("+5", 5), ("-0", 0), ("007", 7), ("315360000000", MAX_EXPIRATION)],
)
def test_a_whole_number_of_milliseconds_is_taken(text: str, milliseconds: int) -> None:
    assert check_expiration(text) == milliseconds


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_integer"),
        (None, "no_integer"),
        ("abc", "no_integer"),
        (" 5", "no_integer"),
        ("+", "no_integer"),
        ("\u0661", "no_integer"),  # a digit, but none of ASCII
        ("1.5", '{leftover_string,".5"}'),
        ("5 ", '{leftover_string," "}'),
        ("0x10", '{leftover_string,"x10"}'),
        ("-1", "{value_negative,-1}"),
        ("315360000001", "{value_too_large,315360000001}"),
        ("99999999999999999999", "{value_too_large,\n" + " " * 44 + "99999999999999999999}"),
    ],
)
def test_anything_else_is_refused_with_rabbitmqs_reason(text: str | None, reason: str) -> None:
    with pytest.raises(PreconditionFailed) as refused:
        check_expiration(text)
    assert refused.value.reply_text == f"PRECONDITION_FAILED - invalid expiration '{text or ''}': {reason}"


@given(st.integers(0, MAX_EXPIRATION))
def test_every_number_in_range_comes_back(value: int) -> None:
    assert check_expiration(str(value)) == value


@given(st.text(max_size=255))
def test_any_text_is_a_number_or_refused(text: str) -> None:
    with suppress(PreconditionFailed):
        assert 0 <= check_expiration(text) <= MAX_EXPIRATION
