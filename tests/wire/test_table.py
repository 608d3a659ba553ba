"""Field tables: every type survives, untouched octets stay untouched, and no octets can do harm."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pamqp import decode as pamqp_decode

from amqpd.wire.table import EMPTY_TABLE, MAX_DEPTH, TYPE_NAMES, Field, FieldValue, Table, TableError, scan_table

octet_texts = st.binary(max_size=12).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
names = st.text(max_size=12) | octet_texts


SIGNED = {"b": 8, "s": 16, "I": 32, "l": 64, "L": 64}
UNSIGNED = {"B": 8, "u": 16, "i": 32, "T": 64}


def numbers(tag: str, least: int, most: int) -> st.SearchStrategy[Field]:
    return st.integers(least, most).map(lambda value: Field(tag, value))


plain_fields = st.one_of(
    *(numbers(tag, -(1 << bits - 1), (1 << bits - 1) - 1) for tag, bits in SIGNED.items()),
    *(numbers(tag, 0, (1 << bits) - 1) for tag, bits in UNSIGNED.items()),
    octet_texts.map(lambda value: Field("S", value)),
    st.binary(max_size=12).map(lambda value: Field("x", value)),
    st.booleans().map(lambda value: Field("t", value)),
    st.floats(width=32).map(lambda value: Field("f", value)),
    st.floats().map(lambda value: Field("d", value)),
    st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1)).map(lambda value: Field("D", value)),
    st.just(Field("V", None)),
)


def containers(inside: st.SearchStrategy[Field]) -> st.SearchStrategy[Field]:
    arrays = st.lists(inside, max_size=4).map(lambda elements: Field("A", tuple(elements)))
    nested = st.dictionaries(names, inside, max_size=4).map(lambda values: Field("F", Table.of(values)))
    return arrays | nested


fields = st.recursive(plain_fields, containers, max_leaves=8)
field_maps = st.dictionaries(names, fields, max_size=6)


def entry(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + value


def counted(octets: bytes) -> bytes:
    return struct.pack(">I", len(octets)) + octets


def nested(depth: int, tag: bytes) -> bytes:
    """The inside of so many tables, or arrays, in each other; the outermost is a table."""
    inside = b""
    for level in range(depth - 1):
        outermost = level == depth - 2
        inside = (b"\x01n" if tag == b"F" or outermost else b"") + tag + counted(inside)
    return inside


# One entry of each type with its octets as RabbitMQ writes them (spec_probe.py E90).
EVERY_TYPE: dict[str, tuple[bytes, FieldValue]] = {
    "b": (b"\xfb", -5),
    "B": (b"\xc8", 200),
    "s": (b"\xfe\xd4", -300),
    "u": (b"\xea\x60", 60000),
    "I": (b"\xff\xfe\xee\x90", -70000),
    "i": (b"\xee\x6b\x28\x00", 4_000_000_000),
    "l": (b"\xff\xff\xff\x00\x00\x00\x00\x00", -(2**40)),
    "L": (b"\xff\xff\xff\xff\xff\xff\xff\xff", -1),
    "f": (b"\x3f\xc0\x00\x00", 1.5),
    "d": (b"\x40\x04\x00\x00\x00\x00\x00\x00", 2.5),
    "t": (b"\x01", True),
    "S": (b"\x00\x00\x00\x03str", "str"),
    "x": (b"\x00\x00\x00\x02\x00\x01", b"\x00\x01"),
    "D": (b"\x02\xff\xff\xff\xff", (2, 2**32 - 1)),
    "T": (b"\xff\xff\xff\xff\xff\xff\xff\xff", 2**64 - 1),
    "V": (b"", None),
    "F": (b"\x00\x00\x00\x03\x01nV", Table.of({"n": None})),
    "A": (b"\x00\x00\x00\x03Vt\x00", (Field("V", None), Field("t", False))),
}


@pytest.mark.parametrize("tag", EVERY_TYPE)
def test_every_type_has_the_octets_and_the_value_of_its_tag(tag: str) -> None:
    octets, value = EVERY_TYPE[tag]
    raw = entry(b"k", tag.encode() + octets)

    field = Table(raw).get("k")

    assert field is not None
    assert (field.tag, field.value) == (tag, value)
    assert type(field.value) is type(value)
    assert Table.of({"k": Field(tag, value)}).raw == raw


def test_the_types_are_exactly_those_of_rabbitmq() -> None:
    accepted = set()
    for octet in range(256):
        # Behind the tag: a length of 0 for what is counted, and enough for the widest number.
        for size in range(9):
            try:
                scan_table(entry(b"k", bytes([octet]) + bytes(size)), 0, 3 + size)
            except TableError:
                continue
            accepted.add(chr(octet))
    assert accepted == set("SITDFbdflLstxVABui") == set(TYPE_NAMES) == set(EVERY_TYPE)


def test_integers_are_the_numbers_that_rabbitmq_validates_as_integer() -> None:
    assert {tag for tag, (_, value) in EVERY_TYPE.items() if Field(tag, value).is_integer} == set("bBsuIilL")


def test_type_names_are_those_of_rabbitmqs_texts() -> None:
    assert Field("S", "").type_name == "longstr"
    assert Field("L", 1).type_name == Field("l", 1).type_name == "long"


@given(field_maps)
def test_fields_survive_encoding_and_decoding(values: dict[str, Field]) -> None:
    table = Table.of(values)

    assert Table(table.raw).items() == list(values.items())
    assert [field.tag for _, field in Table(table.raw).items()] == [field.tag for field in values.values()]


@given(field_maps)
def test_a_table_goes_out_as_it_came_in(values: dict[str, Field]) -> None:
    raw = Table.of(values).raw
    table = Table(raw)
    table.items()

    assert table.encode() == counted(raw)


def test_what_no_python_value_carries_goes_out_as_it_came_in() -> None:
    # A true that is not 1, a signaling NaN, one name twice.
    raw = entry(b"t", b"t\x02") + entry(b"n", b"f\x7f\x80\x00\x01") + entry(b"t", b"t\x00")

    assert Table(raw).encode() == counted(raw)
    assert Table(raw).replaced({"new": Field("V", None)}).raw == raw + entry(b"new", b"V")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=12), inside, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=12), json_values, max_size=5))
def test_pamqp_reads_the_values_of_the_tables_written_here(values: dict[str, object]) -> None:
    consumed, decoded = pamqp_decode.field_table(Table.of(values).encode())

    assert decoded == values
    assert consumed == len(Table.of(values).encode())


def test_python_values_get_the_types_that_rabbitmqs_tools_give_them() -> None:
    values = {"str": "é", "bytes": b"\xff", "bool": True, "int": 2**31 - 1, "least": -(2**31), "long": 2**31}
    values |= {"least long": -(2**63), "below": -(2**31) - 1, "float": 1.0, "none": None, "list": [1], "tuple": ()}
    values |= {"dict": {}, "table": EMPTY_TABLE, "field": Field("u", 1)}

    tags = {name: field.tag for name, field in Table.of(values).items()}

    assert "".join(tags.values()) == "SxtIIllldVAAFFu"
    assert Field.long(1).tag == "l"


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**63) - 1, object(), {1}, Field("b", 128), Field("B", -1), Field("D", (256, 0)), Field("f", 1e300)],
)
def test_a_value_that_no_field_can_hold_is_refused(value: object) -> None:
    with pytest.raises(TableError):
        Table.of({"k": value})


@pytest.mark.parametrize(
    "field", [Field("S", 1), Field("I", "1"), Field("A", Table(b"")), Field("V", 0), Field("?", 1), Field("d", 1)]
)
def test_a_value_that_is_not_of_its_tag_is_refused(field: Field) -> None:
    with pytest.raises(TableError):
        Table.of({"k": field})


def test_names_hold_255_octets() -> None:
    name = "é" * 127 + "e"
    assert Table(Table.of({name: 1}).raw).get(name) == Field("I", 1)
    with pytest.raises(TableError):
        Table.of({name + "e": 1})


def test_half_a_surrogate_pair_is_refused_as_name_and_as_value() -> None:
    for values in ({"\ud800": 1}, {"k": "\ud800"}):
        with pytest.raises(TableError):
            Table.of(values)


def test_of_duplicates_the_first_counts_and_all_are_listed() -> None:
    table = Table(entry(b"a", b"B\x01") + entry(b"a", b"B\x02") + entry(b"", b"B\x03"))

    assert table.get("a") == Field("B", 1)
    assert [(name, field.value) for name, field in table.items()] == [("a", 1), ("a", 2), ("", 3)]
    assert len(table) == 3


def test_a_table_answers_like_a_mapping() -> None:
    table = Table.of({"a": 1, "text": "t", "octets": b"t"})

    assert "a" in table
    assert "b" not in table
    assert 1 not in table
    assert table.get("b") is None
    assert table
    assert not EMPTY_TABLE
    assert len(EMPTY_TABLE) == 0


def test_text_is_only_what_is_a_longstr() -> None:
    table = Table.of({"number": 1, "text": "t", "octets": b"t"})

    assert [table.text(name) for name in ("number", "text", "octets", "missing")] == [None, "t", None, None]


def test_tables_and_fields_show_what_they_hold() -> None:
    assert repr(Table.of({"a": [1]})) == "Table({'a': Field('A', (Field('I', 1),))})"


# Identity.


@given(st.data(), field_maps)
def test_the_order_on_the_wire_makes_no_other_table(data: st.DataObject, values: dict[str, Field]) -> None:
    shuffled = dict(data.draw(st.permutations(list(values.items()))))
    one = Table.of(values | {"nested": Field.of(values)})
    other = Table.of({"nested": Field.of(shuffled)} | {key: shuffled[key] for key in shuffled if key != "nested"})

    assert one == other
    assert hash(one) == hash(other)


@given(field_maps, field_maps)
@example({"a": Field("d", float("nan"))}, {"a": Field("d", float("nan"))})
@example({"a": Field("I", 1)}, {"a": Field("l", 1)})
@example({"a": Field("t", True)}, {"a": Field("B", 1)})
@example({"a": Field("S", "x")}, {"a": Field("x", b"x")})
def test_tables_are_equal_when_their_fields_are(left: dict[str, Field], right: dict[str, Field]) -> None:
    assert (Table.of(left) == Table.of(right)) is (left == right)
    assert Table.of(left) == Table.of(dict(left))


def test_types_tell_fields_apart_but_l_and_capital_l_are_one_type() -> None:
    assert Field("I", 1) != Field("l", 1)
    assert Field("L", 1) == Field("l", 1)
    assert len({Field("L", 1), Field("l", 1), Field("s", 1)}) == 2
    assert Table.of({"a": [Field("L", 1)]}) == Table.of({"a": [Field("l", 1)]})


def test_a_field_equals_itself_even_as_nan_so_that_a_binding_can_be_found_again() -> None:
    assert Table.of({"a": float("nan")}) == Table.of({"a": float("nan")})


def test_nothing_else_equals_a_table_or_a_field() -> None:
    assert EMPTY_TABLE != b""
    assert Field("I", 1) != 1


# Changing.


@given(field_maps, field_maps, st.sets(names, max_size=3))
def test_replaced_is_what_a_dict_would_do(old: dict[str, Field], new: dict[str, Field], removed: set[str]) -> None:
    kept = {name: field for name, field in old.items() if name not in removed or name in new}

    assert Table.of(old).replaced(new, removed).items() == list((kept | new).items())


@given(field_maps.filter(bool), st.data())
def test_replaced_keeps_the_octets_of_every_other_entry(values: dict[str, Field], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(values)))
    parts = [Table.of({name: field}).raw for name, field in values.items()]
    index = list(values).index(name)

    changed = Table.of(values).replaced({name: Field("V", None)})

    assert changed.raw == b"".join([*parts[:index], Table.of({name: None}).raw, *parts[index + 1 :]])


def test_replacing_one_of_duplicates_leaves_the_new_one_alone() -> None:
    table = Table(entry(b"a", b"B\x01") + entry(b"b", b"V") + entry(b"a", b"B\x02"))

    assert table.replaced({"a": Field("B", 9)}).raw == entry(b"a", b"B\x09") + entry(b"b", b"V")
    assert table.replaced({}, {"a"}).raw == entry(b"b", b"V")


# What comes from outside.


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A table with one octet changed: most of these are broken in a place that random octets never reach."""
    raw = bytearray(Table.of(draw(field_maps.filter(bool))).raw)
    raw[draw(st.integers(0, len(raw) - 1))] = draw(st.integers(0, 255))
    return bytes(raw)


@given(damaged() | st.binary(max_size=60))
def test_any_octets_are_a_table_that_can_be_used_or_a_table_error(octets: bytes) -> None:
    try:
        table = Table(octets)
    except TableError:
        return
    assert table.replaced({}).raw == octets
    assert len(table.items()) == len(table)
    assert table == Table(octets)
    assert hash(table) == hash(Table(octets))


@given(field_maps.filter(bool), st.data())
def test_a_table_cut_short_is_broken_unless_cut_between_entries(values: dict[str, Field], data: st.DataObject) -> None:
    raw = Table.of(values).raw
    ends = {len(Table.of(dict(list(values.items())[:count])).raw) for count in range(len(values) + 1)}
    cut = data.draw(st.integers(0, len(raw)))

    if cut in ends:
        assert len(Table(raw[:cut])) < len(values) or cut == len(raw)
    else:
        with pytest.raises(TableError):
            Table(raw[:cut])


@pytest.mark.parametrize(
    "raw",
    [
        b"\x01",
        b"\x01k",
        b"\xffk",
        entry(b"k", b"Q123"),
        entry(b"k", b"S\x00\x00\x00"),
        entry(b"k", b"S\x00\x00\x00\x02a"),
        entry(b"k", b"S\xff\xff\xff\xff"),
        entry(b"k", b"F" + counted(b"\x01")),
        entry(b"k", b"A" + counted(b"\x01")),
        entry(b"k", b"A" + counted(b"F" + counted(b"\x01k?"))),
    ],
)
def test_broken_tables_are_refused_when_built(raw: bytes) -> None:
    with pytest.raises(TableError):
        Table(raw)


@pytest.mark.parametrize("tag", [b"F", b"A"])
def test_nesting_ends_at_the_limit(tag: bytes) -> None:
    Table(nested(MAX_DEPTH, tag)).canonical()
    with pytest.raises(TableError):
        Table(nested(MAX_DEPTH + 1, tag))
    with pytest.raises(TableError):
        Table(nested(20_000, tag))


def test_scan_looks_at_its_part_of_the_buffer_only() -> None:
    raw = Table.of({"a": 1}).raw
    buffer = b"??" + raw + b"??"

    scan_table(buffer, 2, 2 + len(raw))
    for start, end in ((2, 3 + len(raw)), (2, 1 + len(raw)), (1, 2 + len(raw)), (-1, 0), (3, 2), (0, 99)):
        with pytest.raises(TableError):
            scan_table(buffer, start, end)
