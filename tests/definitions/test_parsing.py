"""Parsing documents: what json makes of them, a row a step, and the place of what is no JSON."""

from __future__ import annotations

import json

import pytest

from amqpd.definitions.parsing import NotJSON, Parsing, parse
from tests.definitions.documents import WHOLE


@pytest.mark.parametrize("data", [b"", b" \n", b"\xef\xbb\xbf", b"{}", b" { } "])
def test_nothing_is_an_empty_document(data: bytes) -> None:
    assert parse(data) == {}


def test_a_byte_order_mark_does_not_matter() -> None:
    assert parse(b"\xef\xbb\xbf" + json.dumps(WHOLE).encode()) == WHOLE


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"queues": [', "not JSON: Expecting value (line 1, column 13)"),
        (b"\xff{}", "not UTF-8 text (at byte 0)"),
        (b'{"a": NaN}', "not JSON: NaN is no number there"),
        (b"[" * 100_000, "not JSON that can be used: nested too deep"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(data: bytes, text: str) -> None:
    with pytest.raises(NotJSON) as caught:
        parse(data)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, {"b": [2]}, [3]], "c": {"d": [4]}, "e": null}',
        '\t{ "a" :[ ] , "a":[ 1 , 2 ]\r\n}\n',
        '{"\\u00e9\\"": "x"}',
        "[1, 2]",
        '"x"',
        "-1.5e3",
    ],
)
def test_it_is_what_json_makes_of_it(text: str) -> None:
    assert parse(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"a"',
        '{"a":',
        '{"a":1',
        '{"a":1,}',
        '{"a":1 "b":2}',
        "{1:2}",
        "{,}",
        '{"a" 1}',
        '{"a":[1,]}',
        '{"a":[1 2]}',
        '{"a":[,]}',
        '{"a":[1',
        '{"a":[1}',
        "{} x",
        "[1] 2",
        "}",
        "nul",
        '{"a":"\n"}',
        '{"a":["\\x"]}',
        '{"a":[{"b" 1}]}',
    ],
)
def test_what_json_refuses_is_refused_with_the_same_text_and_place(text: str) -> None:
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(text)
    with pytest.raises(NotJSON) as caught:
        parse(text.encode())
    error = expected.value
    assert str(caught.value) == f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})"


def test_a_row_is_a_step() -> None:
    parsing = Parsing(json.dumps({"queues": [{}] * 5, "bindings": [{}] * 2}).encode())
    assert len(list(parsing.steps())) == 8  # to decode it is one, too
    assert parsing.sections() == [[{}] * 5, [{}] * 2]
