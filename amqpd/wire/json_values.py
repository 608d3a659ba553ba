"""Field tables as JSON and back, as RabbitMQ's HTTP API and its definitions have them.

JSON has fewer types: every integer becomes a long, a timestamp comes back as a number, octets as text. What a client
declared is the same to the eye then, and for a queue's arguments also to the broker.

Rule: what may live here turns fields into what the json module writes, and what it reads into fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from amqpd.wire.table import Field, Table


def json_of_table(table: Table) -> dict[str, object]:
    """The table as a JSON object. Of duplicate names the first counts."""
    found: dict[str, object] = {}
    for name, field in table.items():
        found.setdefault(name, json_of_field(field))
    return found


def json_of_field(field: Field) -> object:
    """The value as JSON. Octets that are no UTF-8 are surrogate escapes, as in every text from the wire."""
    value = field.value
    if isinstance(value, Table):
        return json_of_table(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if field.tag == "A":
        return [json_of_field(element) for element in cast("tuple[Field, ...]", value)]
    if field.tag == "D":
        scale, unsigned = cast("tuple[int, int]", value)
        return float(unsigned / 10**scale) if scale else unsigned
    return value


def table_of_json(values: Mapping[str, object]) -> Table:
    """The table that a JSON object means.

    Raises:
        TableError: a number that does not fit 64 bits, a name longer than 255 octets, a text without UTF-8, too many
            tables inside each other.
    """
    return Table.of({name: field_of_json(value) for name, value in values.items()})


def field_of_json(value: object) -> Field:
    """The field that a JSON value means; RabbitMQ makes every integer a long.

    Raises:
        TableError: as table_of_json.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return Field("l", value)
    if isinstance(value, list):
        return Field("A", tuple([field_of_json(element) for element in value]))
    if isinstance(value, dict):
        return Field("F", table_of_json(value))
    return Field.of(value)
