"""Values of AMQP as JSON and the other way: tables, properties, moments.

Rule: what may live here turns one value into another one, and knows nothing of requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from amqpd.wire.table import EMPTY_TABLE, Field, Table, TableError

PROPERTY_NAMES: Final = (
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
)


def plain(value: object) -> object:
    """A value of a field table as JSON has it. Octets that are no UTF-8 become replacement characters."""
    if isinstance(value, Field):
        return plain_decimal(value.value) if value.tag == "D" else plain(value.value)
    if isinstance(value, Table):
        return {text(name): plain(field) for name, field in value.items()}
    if isinstance(value, tuple | list):
        return [plain(element) for element in value]
    if isinstance(value, Mapping):
        return {text(str(name)): plain(element) for name, element in value.items()}
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value


def plain_decimal(value: object) -> float:
    """A decimal (scale and digits) as a number."""
    assert isinstance(value, tuple)  # the wire's rule
    scale, digits = value
    return float(digits) / float(10**scale)


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
        raise ValueError("not an object")
    try:
        return Table.of({name: field(element) for name, element in value.items()})
    except (TableError, UnicodeEncodeError) as error:
        raise ValueError(str(error)) from None


def field(value: object) -> Field:
    """The field of a JSON value.

    Raises:
        TableError: it is an integer of more than 64 bits, or nests too deep.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return Field.long(value)
    if isinstance(value, dict):
        return Field("F", Table.of({name: field(element) for name, element in value.items()}))
    if isinstance(value, list):
        return Field("A", tuple([field(element) for element in value]))
    return Field.of(value)


def moment(seconds: float) -> str:
    """A moment as RabbitMQ writes it: RFC 3339 with milliseconds and ``+00:00``.

    Args:
        seconds: since the epoch.
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
