"""Answers as HTTP responses: JSON, in one piece if it is short, streamed in slices if it is long.

Rule: what may live here turns what handlers return into a Starlette response, and knows no resource.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Final

from starlette.responses import Response, StreamingResponse

from amqpd.management.answer import Listing, One
from amqpd.management.page import Choice, Page, filtered, wanted_columns
from amqpd.management.pieces import dumps, pieces
from amqpd.management.request import Request
from amqpd.management.router import Result
from amqpd.management.slices import Slices
from amqpd.management.sorting import keys_of, ordered

JSON: Final = "application/json"
# What has more characters is streamed, without a content-length.
LONG: Final = 512 * 1024
CHUNK: Final = 64 * 1024
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
    choice = Choice(request.query.get("columns", ""))
    slices = Slices(request.node.clock)
    if isinstance(result, Listing):
        return await document(200, await rows(request, result, choice, slices), {}, slices)
    if isinstance(result, One):
        return complete(200, choice.row(request, result.columns, result.item))
    if result.media_type or result.content is None:
        return complete(result.status, result.content, result.headers, result.media_type)
    return await document(result.status, choice.pruned(result.content), result.headers, slices)


def complete(status: int, content: object, headers: Mapping[str, str] | None = None, media_type: str = "") -> Response:
    """A response in one piece.

    Args:
        content: a value for JSON; with a media_type the body itself; None for no body.
    """
    found = {**COMMON_HEADERS, **(headers or {})}
    if content is None:
        return Response(None, status, found)
    body = content if media_type and isinstance(content, str | bytes) else dumps(content)
    return Response(body, status, found, media_type or JSON)


async def document(status: int, content: object, headers: Mapping[str, str], slices: Slices) -> Response:
    """A response in JSON, streamed if it is long.

    Args:
        content: as pieces() takes it.
    """
    found = {**COMMON_HEADERS, **headers}
    made: list[str] = []
    size = 0
    rest = pieces(content)
    for piece in rest:
        made.append(piece)
        size += len(piece)
        if size > LONG:
            return StreamingResponse(stream(made, rest, slices), status, found, JSON)
        await slices.next()
    return Response("".join(made), status, found, JSON)


async def stream(made: list[str], rest: Iterator[str], slices: Slices) -> AsyncIterator[bytes]:
    """A long document, chunk by chunk; in between everybody else has a turn.

    Args:
        made: the pieces that are there already.
    """
    yield "".join(made).encode("ascii")
    chunk: list[str] = []
    size = 0
    for piece in rest:
        chunk.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield "".join(chunk).encode("ascii")
            chunk, size = [], 0
        await slices.next()
    yield "".join(chunk).encode("ascii")


async def rows(request: Request, listing: Listing, choice: Choice, slices: Slices) -> object:
    """The rows of a list, each to be made when it is its turn: a page in its envelope, or all.

    Raises:
        APIError: there is no such page.
    """
    page = Page.of(request.query) if listing.paged else None
    items = await slices.all_of(listing.items)
    chosen: Sequence[object] = items
    if page is not None:
        chosen = await filtered(request, listing, items, slices)
        page.check(len(chosen))
    columns = wanted_columns(request, listing.columns)
    keys = await keys_of(request, listing, chosen, columns, slices)
    most = sys.maxsize if page is None else page.end
    shown = await ordered(chosen, keys, request.flag("sort_reverse"), most, slices)
    if page is None:
        return (choice.row(request, columns, item) for item in shown)
    shown = shown[page.start :]
    return page.envelope(len(items), len(chosen), len(shown), (choice.row(request, columns, item) for item in shown))
