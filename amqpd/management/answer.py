"""What handlers return: an answer that is complete, or a listing that is made while it is sent.

Rule: what may live here knows neither HTTP's framing nor where the objects come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from amqpd.management.request import Request


class Absent:
    """The value of a column that an object does not have: the key is left out."""


ABSENT: Final = Absent()

# Any: a column is a function of the resource's own objects, of which there are many classes.
Column: TypeAlias = Callable[[Request, Any], object]
# One key of a column's object.
Part: TypeAlias = Callable[[Request, Any, str], object]
# What objects are sorted by if nothing else is asked for.
Order: TypeAlias = Callable[[Any], tuple[str, ...]]


@dataclass(frozen=True)
class Columns:
    """The keys of a resource's rows, each with the function that makes its value.

    Making a row calls all of them; sorting and ``columns=`` call only those that they name.

    Args:
        table: by key, in the order of the row.
        basic: the keys that stay with ``disable_stats=true``.
        totals: those that come back with ``enable_queue_totals=true``.
        parts: of columns whose values are objects that take long to make: what makes one key of them, for sorting. A
            key that there is not is ABSENT, or something that is sorted as that.
    """

    table: Mapping[str, Column]
    basic: frozenset[str] = frozenset()
    totals: frozenset[str] = frozenset()
    parts: Mapping[str, Part] = field(default_factory=dict)

    def value(self, request: Request, item: object, path: Sequence[str]) -> object:
        """What stands at a path in one object's row; ABSENT if nothing does.

        Args:
            path: of one key at least, which is a column's.
        """
        if len(path) > 1 and path[0] in self.parts:
            return descend(self.parts[path[0]](request, item, path[1]), path[2:])
        return descend(self.table[path[0]](request, item), path[1:])

    def row(self, request: Request, item: object) -> dict[str, object]:
        """One object's row, complete."""
        row = {}
        for name, column in self.table.items():
            value = column(request, item)
            if value is not ABSENT:
                row[name] = value
        return row

    def plus(self, **more: Column) -> Columns:
        """The columns of a single object, which has more of them than a row of a list."""
        return Columns({**self.table, **more}, self.basic, self.totals)


def descend(value: object, path: Sequence[str]) -> object:
    """What stands at a path inside of a value; ABSENT if nothing does."""
    for part in path:
        if not isinstance(value, dict):
            return ABSENT
        value = value.get(part, ABSENT)
    return value


@dataclass(frozen=True)
class Answer:
    """A complete answer.

    Args:
        content: made JSON; None is an empty body.
        media_type: set for a content that is text already.
    """

    status: int = 200
    content: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = ""


@dataclass(frozen=True)
class One:
    """One object's row."""

    columns: Columns
    item: object


@dataclass(frozen=True)
class Listing:
    """A list of rows.

    Args:
        items: the objects. Where they have to be made and there are many, an iterator makes them in slices.
        paged: whether RabbitMQ pages this list; it answers the others whole, whatever is asked for.
        name: what the parameter ``name`` filters by.
        order: by which the objects are to be sorted, in slices; None if they are in their natural order already.
    """

    columns: Columns
    items: Iterable[object]
    paged: bool = False
    name: Callable[[Any], str] | None = None  # Any: see Column
    order: Order | None = None


CREATED: Final = Answer(201)
DONE: Final = Answer(204)


def put_answer(created: bool) -> Answer:
    """The answer to a PUT: 201 for something new, 204 otherwise."""
    return CREATED if created else DONE
