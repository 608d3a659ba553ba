"""Field tables as JSON and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.wire.json_values import json_of_table, table_of_json
from amqpd.wire.table import Field, Table, TableError

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8")),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abcdef-x", max_size=9), VALUES, max_size=5))
def test_json_comes_back_as_it_was(values: dict[str, object]) -> None:
    assert json_of_table(table_of_json(json.loads(json.dumps(values)))) == values


def test_every_integer_is_a_long_as_in_rabbitmq() -> None:
    assert table_of_json({"n": 1, "in": [2], "t": True}).items() == [
        ("n", Field("l", 1)),
        ("in", Field("A", (Field("l", 2),))),
        ("t", Field("t", True)),
    ]


def test_types_that_json_lacks_become_the_nearest_one() -> None:
    table = Table.of(
        {
            "octets": Field("x", b"ab\xff"),
            "time": Field("T", 1_700_000_000),
            "decimal": Field("D", (2, 314)),
            "whole": Field("D", (0, 7)),
            "small": Field("b", -1),
            "nothing": Field("V", None),
            "inner": Field("F", Table.of({"a": 1})),
        }
    )
    assert json_of_table(table) == {
        "octets": "ab\udcff",
        "time": 1_700_000_000,
        "decimal": 3.14,
        "whole": 7,
        "small": -1,
        "nothing": None,
        "inner": {"a": 1},
    }


def test_of_duplicates_the_first_counts() -> None:
    twice = Table(Table.of({"a": 1}).raw + Table.of({"a": 2}).raw)
    assert json_of_table(twice) == {"a": 1}


@pytest.mark.parametrize("value", [2**63, {"n" * 256: 1}, "\ud800", [[2**70]]])
def test_what_no_table_holds_is_refused(value: object) -> None:
    with pytest.raises(TableError):
        table_of_json({"x": value})


def test_tables_inside_each_other_have_an_end() -> None:
    value: object = 1
    for _ in range(70):
        value = {"x": value}
    with pytest.raises(TableError, match="nested"):
        table_of_json({"x": value})
