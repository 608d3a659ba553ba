"""The ASGI application: what becomes of a request, from its path to its response.

Rule: what may live here is the same for every resource: limits, login, tags, errors, waiting for the disk, headers.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Mapping
from email.utils import formatdate
from typing import Final

import anyio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route as StarletteRoute

from amqpd.errors import AMQPError
from amqpd.log.commit import Waiter
from amqpd.logs import ERROR, event
from amqpd.management.auth import ANONYMOUS, Tag, check_tag, user_of
from amqpd.management.compression import COMPRESSION
from amqpd.management.cors import origin_headers, preflight_headers
from amqpd.management.errors import APIError, BadRequest, Missing, of_amqp
from amqpd.management.index import index_page
from amqpd.management.node import Node
from amqpd.management.render import COMMON_HEADERS, complete, response
from amqpd.management.request import Request
from amqpd.management.router import Route, Router
from amqpd.management.routes import ROUTES

API: Final = "/api"
JSON_RANGES: Final = ("*/*", "application/*", "application/json")
BODY_SECONDS: Final = 60.0  # that a client has for the body of a request
REDIRECTS: Final = {
    "/": "/api/index.html",
    "/api": "/api/index.html",
    "/api/": "/api/index.html",
    "/doc/stats.html": "/api/index.html",
    "/stats": "/api/index.html",
    "/doc/mgmt.html": "/api/index.html",
}


def make_app(node: Node, logger: logging.Logger) -> Starlette:
    """The application.

    Args:
        node: what it serves.
        logger: for faults.
    """
    api = Application(node, Router(ROUTES), logger)
    methods = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE"]
    return Starlette(routes=[StarletteRoute("/{path:path}", api.serve, methods=methods)], middleware=[COMPRESSION])


class Application:
    """Serves requests.

    Args:
        node: what it serves.
        router: knows the paths.
        logger: for faults.
    """

    def __init__(self, node: Node, router: Router, logger: logging.Logger) -> None:
        self._node = node
        self._router = router
        self._logger = logger

    async def serve(self, http: HTTPRequest) -> Response:
        """The response to a request, whatever it is."""
        try:
            found = await self._answer(http)
        except APIError as error:
            found = refused(error)
        except AMQPError as refusal:
            found = refused(of_amqp(refusal))
        except ClientDisconnect:
            found = Response(None, 400)
        except Exception as fault:  # one of amqpd's own, of which the client learns nothing
            event(self._logger, ERROR, "management.fault", method=http.method, path=http.url.path, error=fault)
            found = complete(500, {"error": "internal_server_error", "reason": "see the log of amqpd"})
        found.headers["date"] = formatdate(self._node.clock.time(), usegmt=True)
        found.headers["server"] = "amqpd"
        for name, value in origin_headers(self._node.allowed_origins, http.headers.get("origin")).items():
            found.headers[name] = value
        return found

    async def _answer(self, http: HTTPRequest) -> Response:
        path = raw_path(http)
        if path in REDIRECTS:
            return RedirectResponse(absolute(http, REDIRECTS[path]), 301)
        if path == "/api/index.html":
            return complete(200, index_page(ROUTES), media_type="text/html")
        found = self._router.find(path.removeprefix(API)) if path.startswith(API + "/") else None
        if found is None:
            raise Missing
        route, variables = found
        method = "GET" if http.method == "HEAD" else http.method
        if method == "OPTIONS":
            return Response(None, 200, {"allow": route.allowed, **preflight_headers(http.headers, route.allowed)})
        if method not in route.handlers:
            return Response(None, 405, {**COMMON_HEADERS, "allow": route.allowed})
        request = await self._request(http, route, method, variables)
        return await self._handle(route, method, request)

    async def _request(self, http: HTTPRequest, route: Route, method: str, variables: Mapping[str, str]) -> Request:
        """The request, once its sender is known to be somebody who may send it."""
        peer = http.client.host if http.client is not None else ""
        tag = route.tag_for(method)
        user = ANONYMOUS
        if tag is not Tag.NOBODY:
            user = await user_of(self._node, http.headers.get("authorization"), peer)
            check_tag(user, tag)
        if method == "GET" and not accepts_json(http.headers.get("accept")):
            raise APIError(406, "not_acceptable", "Everything here is application/json.")
        content = await body_of(http, route.body_limit or self._node.body_limit) if method != "GET" else b""
        headers = dict(http.headers)
        return Request(
            self._node, user, variables, dict(reversed(http.query_params.multi_items())), headers, content, peer
        )

    async def _handle(self, route: Route, method: str, request: Request) -> Response:
        """Do it. A change is answered when it is kept."""
        result = route.handlers[method](request)
        if inspect.isawaitable(result):
            result = await result
        if method != "GET":
            await kept(self._node)
        return await response(request, result)


def refused(error: APIError) -> Response:
    """The response that tells of an error."""
    return complete(error.status, error.content, error.headers)


def raw_path(http: HTTPRequest) -> str:
    """The path as it was sent, not decoded."""
    raw: bytes | None = http.scope.get("raw_path")
    return (raw or http.url.path.encode()).partition(b"?")[0].decode("ascii", "surrogateescape")


def absolute(http: HTTPRequest, path: str) -> str:
    """A location with the host and port that the client used: some do not follow others."""
    return f"{http.url.scheme}://{http.url.netloc}{path}"


def accepts_json(header: str | None) -> bool:
    """False if the client says that it can do nothing with JSON."""
    ranges = [part.partition(";")[0].strip().lower() for part in (header or "*/*").split(",")]
    return any(found in JSON_RANGES for found in ranges)


async def body_of(http: HTTPRequest, limit: int) -> bytes:
    """The body of a request.

    Raises:
        BadRequest: it is longer than allowed; not more than that is read.
    """
    pieces = []
    size = 0
    with anyio.move_on_after(BODY_SECONDS) as scope:
        async for piece in http.stream():
            size += len(piece)
            if size > limit:
                raise BadRequest(f"The body has more than {limit} octets.")
            pieces.append(piece)
    if scope.cancelled_caught:
        raise APIError(408, "request_timeout", f"The body was not there after {BODY_SECONDS:g} s.")
    return b"".join(pieces)


class Kept(Waiter):
    """Wakes a request up when what it changed is on the disk."""

    def __init__(self, future: asyncio.Future[None]) -> None:
        self._future = future

    def committed(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


async def kept(node: Node) -> None:
    """Wait until every change of the topology so far is on the disk."""
    storage = node.broker.context.storage
    if storage.topology_ticket <= storage.commits.done:
        return
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    storage.commits.wait(Kept(future))
    await future
