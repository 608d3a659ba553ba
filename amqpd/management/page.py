"""Query parameters of lists: paging, filter, columns (RabbitMQ's texts for what is wrong with them).

Rule: what may live here decides which objects of a listing are wanted, and what is told of them; their order is
sorting.py's. Reading all of them takes long when there are many, so what looks at each gives way now and then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from amqpd.management.answer import ABSENT, Columns, Listing
from amqpd.management.errors import APIError, BadRequest
from amqpd.management.matching import containing, matching
from amqpd.management.request import Request
from amqpd.management.slices import Slices

DEFAULT_SIZE: Final = 100
LARGEST_SIZE: Final = 500
NUMBER: Final = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True)
class Page:
    """Which page of a list is wanted."""

    number: int
    size: int

    @staticmethod
    def of(query: Mapping[str, str]) -> Page | None:
        """The page that the parameters ask for; None without ``page``.

        Raises:
            APIError: they make no sense.
        """
        if "page" not in query:
            return None
        number, size = _number(query["page"]), _number(query.get("page_size", str(DEFAULT_SIZE)))
        if number < 1 or not 1 <= size <= LARGEST_SIZE:
            shown = size if "page_size" in query else "undefined"
            reason = f"Invalid pagination parameters: page number {number}, page size {shown}"
            raise APIError(400, "invalid_pagination_parameters", reason)
        return Page(number, size)

    @property
    def start(self) -> int:
        """The place of its first object."""
        return (self.number - 1) * self.size

    @property
    def end(self) -> int:
        """The place behind its last object."""
        return self.number * self.size

    def check(self, count: int) -> None:
        """Refuse a page behind the last one.

        Args:
            count: of all objects.

        Raises:
            APIError: there is no such page.
        """
        if self.start and self.start >= count:
            reason = f"Page out of range, page: {self.number} page size: {self.size}, len: {count}"
            raise APIError(400, "page_out_of_range", reason)

    def envelope(self, total: int, filtered: int, shown: int, rows: Iterator[object]) -> dict[str, object]:
        """The answer around the rows of this page.

        Args:
            total: how many objects there are.
            filtered: how many of them the filter leaves.
            shown: how many of those are on this page.
        """
        return {
            "filtered_count": filtered,
            "item_count": shown,
            "items": rows,
            "page": self.number,
            "page_count": -(-filtered // self.size),
            "page_size": self.size,
            "total_count": total,
        }


def _number(value: str) -> int:
    if not NUMBER.fullmatch(value):
        raise BadRequest("Pagination parameters are invalid")
    return int(value)


async def filtered(request: Request, listing: Listing, items: Sequence[object], slices: Slices) -> Sequence[object]:
    """The objects whose name matches the parameter ``name``.

    Raises:
        BadRequest: it is no regular expression, or one that takes too long.
    """
    wanted = request.query.get("name", "")
    if not wanted or listing.name is None:
        return items
    names = await slices.all_of(map(listing.name, items))
    if request.flag("use_regex"):
        places = await matching(wanted, names, request.node.clock, slices)
    else:
        places = await containing(wanted, names, slices)
    return [items[place] for place in places]


class Choice:
    """Which keys of a row are wanted.

    Args:
        parameter: ``columns``: names with commas between them, dots lead into objects and lists. Empty: all.
    """

    def __init__(self, parameter: str) -> None:
        self.tree: dict[str, object] = {}
        for name in parameter.split(","):
            if name.strip():
                self._add(name.strip().split("."))

    def _add(self, path: list[str]) -> None:
        node = self.tree
        for part in path:
            child = node.setdefault(part, {})
            assert isinstance(child, dict)  # so it was made
            node = child

    def row(self, request: Request, columns: Columns, item: object) -> dict[str, object]:
        """The row of an object, as far as it is wanted."""
        if not self.tree:
            return columns.row(request, item)
        row = {}
        for name, below in self.tree.items():
            column = columns.table.get(name)
            value = ABSENT if column is None else column(request, item)
            if value is not ABSENT:
                row[name] = prune(value, below)
        return row

    def pruned(self, value: object) -> object:
        """A value that was made whole, as far as it is wanted."""
        return prune(value, self.tree)


def prune(value: object, tree: object) -> object:
    """A value with those keys only that are in the tree; an empty tree leaves it as it is."""
    if not tree:
        return value
    assert isinstance(tree, dict)  # see Choice
    if isinstance(value, Mapping):
        return {name: prune(value[name], below) for name, below in tree.items() if name in value}
    if isinstance(value, list | tuple):
        return [prune(element, tree) for element in value]
    if isinstance(value, Iterator):
        return (prune(element, tree) for element in value)
    return value


def wanted_columns(request: Request, columns: Columns) -> Columns:
    """The columns of a list: fewer with ``disable_stats=true``."""
    if not request.flag("disable_stats") or not columns.basic:
        return columns
    names = columns.basic | columns.totals if request.flag("enable_queue_totals") else columns.basic
    return Columns({name: column for name, column in columns.table.items() if name in names}, parts=columns.parts)
