"""Columns of rows that are dictionaries already: they are short, and made whole.

Rule: what may live here is the way from such rows to what handlers return.
"""

from __future__ import annotations

from collections.abc import Iterable

from amqpd.management.answer import ABSENT, Column, Columns, Listing


def row_columns(*names: str) -> Columns:
    """Columns that take their values from the row itself. A key that a row does not have is left out."""
    return Columns({name: _taken(name) for name in names})


def _taken(name: str) -> Column:
    return lambda request, row: row.get(name, ABSENT)


def listed(columns: Columns, rows: Iterable[dict[str, object]]) -> Listing:
    """A list of such rows, which RabbitMQ does not page."""
    return Listing(columns, list(rows))
