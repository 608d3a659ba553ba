"""Terms come out as Erlang/OTP's io_lib printed them."""

from __future__ import annotations

import pytest

from amqpd.broker.erlang import atom, binary, plain, string, term, typed
from amqpd.wire.table import Field


@pytest.mark.parametrize(
    ("octets", "printed"),
    [
        (b"5", '<<"5">>'),
        (b"", "<<>>"),
        (b'a"b\\', '<<"a\\"b\\\\">>'),
        ("\u00e9".encode(), '<<"\u00c3\u00a9">>'),
        ("\u65e5".encode(), "<<230,151,165>>"),
        (b"a\nb\tc\r\v\b\f\x1b", '<<"a\\nb\\tc\\r\\v\\b\\f\\e">>'),
        (b"\x00", "<<0>>"),
        (b"\x7f", "<<127>>"),
        (b"\x9f", "<<159>>"),
        (b"\xa0\xff", '<<"\u00a0\u00ff">>'),
        (b"\x01\x02\x03", "<<1,2,3>>"),
    ],
)
def test_binaries_are_quoted_when_printable_latin_1(octets: bytes, printed: str) -> None:
    assert binary(octets) == printed


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("unsupported queue mode 'foo'", "\"unsupported queue mode 'foo'\""),
        ('a"b', '"a\\"b"'),
        ("\u65e5x", "[26085,120]"),
        ("\u00e9", '"\u00e9"'),
        ("", "[]"),
    ],
)
def test_strings_are_quoted_when_printable_latin_1(text: str, printed: str) -> None:
    assert string(text) == printed


@pytest.mark.parametrize(
    ("text", "printed"),
    [("direct", "direct"), ("amqp_0_9@1", "amqp_0_9@1"), ("x-random", "'x-random'"), ("Topic", "'Topic'"), ("", "''")],
)
def test_atoms_are_quoted_unless_they_are_plain_words(text: str, printed: str) -> None:
    assert atom(text) == printed


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        (0.0001, "0.0001"),
        (0.001, "0.001"),
        (1000.0, "1.0e3"),
        (100.0, "100.0"),
        (12345.0, "12345.0"),
        (1.5, "1.5"),
        (-123.456, "-123.456"),
        (1.0e22, "1.0e22"),
        (123456789012345680.0, "1.2345678901234568e17"),
        (9007199254740992.0, "9.007199254740992e15"),
        (9007199254740991.0, "9007199254740991.0"),
        (4503599627370496.0, "4503599627370496.0"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1.0e-5, "1.0e-5"),
        (1.25e-5, "1.25e-5"),
        (-2.5e-7, "-2.5e-7"),
        (3.0e8, "3.0e8"),
        (1.1e3, "1.1e3"),
        (5.0e-324, "5.0e-324"),
        (1.7976931348623157e308, "1.7976931348623157e308"),
    ],
)
def test_floats_have_the_shortest_digits_and_an_exponent_where_that_is_shorter(number: float, printed: str) -> None:
    assert term(Field("d", number)) == printed


def test_infinities_and_nan_are_printed_somehow() -> None:
    assert [term(Field("d", float(name))) for name in ("inf", "-inf", "nan")] == ["inf", "-inf", "nan"]


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ({"a": 1}, '{table,[{<<"a">>,signedint,1}]}'),
        (["x", 1], '{array,[{longstr,<<"x">>},{signedint,1}]}'),
        (None, "{void,undefined}"),
        (True, "{bool,true}"),
        (False, "{bool,false}"),
        ({}, "{table,[]}"),
        ([], "{array,[]}"),
        (Field("D", (0, 5)), "{decimal,{0,5}}"),
        (b"a", '{binary,<<"a">>}'),
    ],
)
def test_a_typed_value_is_a_pair(value: object, printed: str) -> None:
    assert typed(Field.of(value)) == printed


@pytest.mark.parametrize(
    ("value", "text"),
    [("ae", "ae"), ("\u65e5", "\u65e5"), (b"ae", "ae"), ("\udcc3(", "\u00c3("), (1000, "1000"), (True, "true")],
)
def test_plain_values_are_the_text_they_hold_and_always_utf_8(value: object, text: str) -> None:
    assert plain(Field.of(value)) == text
