"""Sorting of long lists, in slices: 100,000 rows sorted in one piece would hold everybody else for 0.2 s.

Runs of a few hundred rows are sorted, each in one piece, and merged only as far as somebody wants to see them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from heapq import merge
from itertools import islice
from typing import Any, Final

from amqpd.management.answer import ABSENT, Absent, Columns, Listing
from amqpd.management.request import Request
from amqpd.management.slices import Slices

RUN: Final = 512  # rows
NUMBERS: Final = {int, float, Absent}  # and not bool


async def ordered(
    items: Sequence[object], keys: list[Any] | None, reverse: bool, most: int, slices: Slices
) -> list[object]:
    """The first items in the order of their keys. Items with equal keys keep theirs, or the opposite of it.

    Args:
        keys: used up. Any: of whatever is comparable. None leaves the items as they are.
        reverse: begin at the end.
        most: so many of them.
    """
    if keys is None:
        return list(islice(reversed(items) if reverse else items, most))
    ranges = (range(start, min(start + RUN, len(keys))) for start in range(0, len(keys), RUN))
    runs = await slices.all_of((sorted(run, key=keys.__getitem__) for run in ranges), step=1)
    if reverse:
        runs = [run[::-1] for run in reversed(runs)]
    places = merge(*runs, key=keys.__getitem__, reverse=reverse)
    found = await slices.all_of(items[place] for place in islice(places, most))
    await slices.forget(keys)
    return found


async def keys_of(
    request: Request, listing: Listing, items: Sequence[object], columns: Columns, slices: Slices
) -> list[Any] | None:
    """By what the items of a list are sorted: by what ``sort`` names, and by their natural order where that is equal.

    Returns:
        None if they are to stay as they are.
    """
    natural = None if listing.order is None else await slices.all_of(map(listing.order, items))
    path = [part for part in request.query.get("sort", "").split(".") if part]
    if not path or path[0] not in columns.table:
        return natural
    values = await slices.all_of(columns.value(request, item, path) for item in items)
    keys = await comparable(values, slices)
    return keys if natural is None else list(zip(keys, natural, strict=True))


async def comparable(values: list[object], slices: Slices) -> list[Any]:
    """Keys that sort as sort_key() does; values themselves if they can be compared, which is much faster."""
    kinds = set(map(type, values))
    if kinds <= NUMBERS:
        return [0 if value is ABSENT else value for value in values]
    return values if kinds == {str} else await slices.all_of(map(sort_key, values))


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
