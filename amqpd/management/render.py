"""Answers as HTTP responses: JSON, in one piece if it is short, streamed in slices if it is a long list.

Rule: what may live here turns what handlers return into a Starlette response, and knows no resource.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Final

from starlette.responses import Response, StreamingResponse

from amqpd.management.answer import Columns, Listing, One
from amqpd.management.page import Choice, Page, filtered, ordered, wanted_columns
from amqpd.management.request import Request
from amqpd.management.router import Result
from amqpd.management.slices import Slices

JSON: Final = "application/json"
# A list of more rows is streamed, without a content-length.
LONG: Final = 500
CHUNK: Final = 64 * 1024  # octets
COMMON_HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": "script-src 'self'; object-src 'self'",
    "vary": "accept, accept-encoding, origin",
}


async def response(request: Request, result: Result) -> Response:
    """The response for what a handler returned.

    Raises:
        APIError: the query parameters make no sense.
    """
    if isinstance(result, Listing):
        return await listing_response(request, result)
    choice = Choice(request.query.get("columns", ""))
    if isinstance(result, One):
        return complete(200, choice.row(request, result.columns, result.item))
    if result.media_type or result.content is None:
        return complete(result.status, result.content, dict(result.headers), result.media_type)
    return complete(result.status, choice.pruned(result.content), dict(result.headers))


def complete(status: int, content: object, headers: dict[str, str] | None = None, media_type: str = "") -> Response:
    """A response in one piece.

    Args:
        content: a value for JSON; with a media_type the body itself; None for no body.
    """
    found = {**COMMON_HEADERS, **(headers or {})}
    if content is None:
        return Response(None, status, found)
    body = content if media_type and isinstance(content, str | bytes) else dumps(content)
    return Response(body, status, found, media_type or JSON)


def dumps(value: object) -> str:
    """A value as JSON."""
    return json.dumps(value, separators=(",", ":"))


async def listing_response(request: Request, listing: Listing) -> Response:
    """The response for a list: a page in its envelope, or the rows of all."""
    slices = Slices(request.node.clock)
    page = Page.of(request.query) if listing.paged else None
    columns = wanted_columns(request, listing.columns)
    choice = Choice(request.query.get("columns", ""))
    if page is None:
        items = await ordered(request, columns, listing.items, slices)
        return await rows_response(request, columns, choice, items, slices)
    chosen = await filtered(request, listing)
    chosen_order = await ordered(request, columns, chosen, slices)
    rows = await rows_of(request, columns, choice, page.cut(chosen_order), slices)
    return complete(200, page.envelope(len(listing.items), len(chosen), rows))


async def rows_response(
    request: Request, columns: Columns, choice: Choice, items: Sequence[object], slices: Slices
) -> Response:
    """All rows, streamed if they are many."""
    if len(items) <= LONG:
        return complete(200, await rows_of(request, columns, choice, items, slices))
    pieces = stream(request, columns, choice, items, slices)
    return StreamingResponse(pieces, 200, COMMON_HEADERS, JSON)


async def rows_of(
    request: Request, columns: Columns, choice: Choice, items: Sequence[object], slices: Slices
) -> list[object]:
    """The rows of objects that are not too many."""
    rows: list[object] = []
    for item in items:
        rows.append(choice.row(request, columns, item))
        await slices.next()  # a row is no small step
    return rows


async def stream(
    request: Request, columns: Columns, choice: Choice, items: Sequence[object], slices: Slices
) -> AsyncIterator[bytes]:
    """The octets of a long list, chunk by chunk; in between everybody else has a turn."""
    pieces: list[str] = []
    size = 0
    separator = "["
    for item in items:
        row = separator + dumps(choice.row(request, columns, item))
        separator = ","
        pieces.append(row)
        size += len(row)
        if size >= CHUNK:
            yield "".join(pieces).encode("ascii")
            pieces, size = [], 0
        await slices.next()  # a row is no small step
    yield ("".join(pieces) + "]").encode("ascii")
