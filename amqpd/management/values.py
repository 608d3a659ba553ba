"""Values of AMQP as JSON and the other way: tables, properties, moments.

Rule: what may live here turns one value into another one, and knows nothing of requests.
"""

from __future__ import annotations

from datetime import UTC, datetime

from amqpd.wire.json_values import json_of_table, table_of_json
from amqpd.wire.properties import Properties
from amqpd.wire.table import EMPTY_TABLE, Table, TableError


def plain(value: Table) -> dict[str, object]:
    """A field table as JSON. Octets that are no UTF-8 become replacement characters."""
    if not value.raw:
        return {}
    found = clean(json_of_table(value))
    assert isinstance(found, dict)  # it was one
    return found


def clean(value: object) -> object:
    """JSON without the wire's surrogate escapes."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {text(name): clean(element) for name, element in value.items()}
    return [clean(element) for element in value] if isinstance(value, list) else value


def text(value: str) -> str:
    """A text that JSON can hold: the wire's surrogate escapes are octets that are no UTF-8."""
    if value.isascii():
        return value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def table(value: object) -> Table:
    """The field table of a JSON object; integers are 64-bit ones, as RabbitMQ makes them.

    Raises:
        ValueError: it is no object, or cannot be a table.
    """
    if value is None or value == []:  # RabbitMQ's JSON has [] for an empty table
        return EMPTY_TABLE
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    try:
        return table_of_json(value)
    except TableError as error:
        raise ValueError(str(error)) from None


def properties_as_json(properties: Properties) -> dict[str, object]:
    """Those of the properties that are set."""
    return {name: plain(value) if isinstance(value, Table) else clean(value) for name, value in properties.items()}


def moment(seconds: float) -> str:
    """A moment as RabbitMQ writes it: RFC 3339 with milliseconds and ``+00:00``.

    Args:
        seconds: since the epoch.
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
