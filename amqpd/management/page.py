"""Query parameters of lists: paging, filter, sort, columns (RabbitMQ's texts for what is wrong with them).

Rule: what may live here decides which objects of a listing are wanted, in which order, and what is told of them.
Reading all of them takes long when there are many, so what looks at each is a coroutine that gives way now and then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from amqpd.management.answer import ABSENT, Columns, Listing
from amqpd.management.errors import APIError, BadRequest
from amqpd.management.matching import matching
from amqpd.management.request import Request
from amqpd.management.slices import Slices, steps

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

    def envelope(self, total: int, filtered: int, items: Sequence[object]) -> dict[str, object]:
        """The answer around the rows of this page.

        Args:
            total: how many objects there are.
            filtered: how many of them the filter leaves.
            items: the rows of this page.
        """
        return {
            "filtered_count": filtered,
            "item_count": len(items),
            "items": items,
            "page": self.number,
            "page_count": -(-filtered // self.size),
            "page_size": self.size,
            "total_count": total,
        }

    def cut(self, items: Sequence[object]) -> Sequence[object]:
        """The objects of this page.

        Raises:
            APIError: there is no such page.
        """
        start = (self.number - 1) * self.size
        if start and start >= len(items):
            reason = f"Page out of range, page: {self.number} page size: {self.size}, len: {len(items)}"
            raise APIError(400, "page_out_of_range", reason)
        return items[start : start + self.size]


def _number(value: str) -> int:
    if not NUMBER.fullmatch(value):
        raise BadRequest("Pagination parameters are invalid")
    return int(value)


async def filtered(request: Request, listing: Listing) -> Sequence[object]:
    """The objects whose name matches the parameter ``name``.

    Raises:
        BadRequest: it is no regular expression, or one that takes too long.
    """
    wanted = request.query.get("name", "")
    if not wanted or listing.name is None:
        return listing.items
    names = [listing.name(item) for item in listing.items]
    if request.flag("use_regex"):
        chosen = await matching(wanted, names, request.node.clock)
    else:
        folded = wanted.casefold()
        chosen = [place for place, name in enumerate(names) if folded in name.casefold()]
    return [listing.items[place] for place in chosen]


async def ordered(request: Request, columns: Columns, items: Sequence[object], slices: Slices) -> Sequence[object]:
    """The objects in the order that ``sort`` and ``sort_reverse`` ask for."""
    path = [part for part in request.query.get("sort", "").split(".") if part]
    if path:
        column = columns.table.get(path[0])
        keys = []
        for some in steps(items):
            values = [ABSENT if column is None else column(request, item) for item in some]
            keys += [sort_key(descend(value, path[1:])) for value in values]
            await slices.next()
        places = sorted(range(len(items)), key=keys.__getitem__)
        items = [items[place] for place in places]
    return list(reversed(items)) if request.flag("sort_reverse") else items


def descend(value: object, path: Sequence[str]) -> object:
    """What stands at a path inside of a value; ABSENT if nothing does."""
    for part in path:
        if not isinstance(value, Mapping):
            return ABSENT
        value = value.get(part, ABSENT)
    return value


def sort_key(value: object) -> tuple[int, float, str]:
    """A key by which values of all kinds can be compared: numbers, then the rest. What is missing sorts as 0."""
    if value is ABSENT:
        return (0, 0.0, "")
    if isinstance(value, bool) or value is None:
        return (1, 0.0, json.dumps(value))
    if isinstance(value, int | float):
        return (0, float(value), "")
    if isinstance(value, str):
        return (3, 0.0, value)
    return (2, 0.0, json.dumps(value))


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
    return value


def wanted_columns(request: Request, columns: Columns) -> Columns:
    """The columns of a list: fewer with ``disable_stats=true``."""
    if not request.flag("disable_stats") or not columns.basic:
        return columns
    names = columns.basic | columns.totals if request.flag("enable_queue_totals") else columns.basic
    return Columns({name: column for name, column in columns.table.items() if name in names})
