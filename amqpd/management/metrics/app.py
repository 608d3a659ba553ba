"""The ASGI application of the metrics: three paths, no login.

Rule: what may live here reads requests and says which families answer them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

from prometheus_client.exposition import generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from amqpd.management.compression import COMPRESSION
from amqpd.management.metrics.cluster import CLUSTER
from amqpd.management.metrics.family import Family, Scope
from amqpd.management.metrics.identity import registry_of
from amqpd.management.metrics.objects import (
    CHANNEL_DELIVERY,
    CHANNEL_METRICS,
    CHANNEL_PUBLISH,
    CONNECTION_COARSE,
    CONNECTION_METRICS,
    EXCHANGE_METRICS,
    QUEUE_COARSE,
    QUEUE_CONSUMERS,
    QUEUE_DELIVERY,
    QUEUE_METRICS,
    QUEUE_PUBLISHED,
)
from amqpd.management.metrics.totals import (
    ALARMS,
    CHURN,
    GLOBAL_ACTIVITY,
    GLOBAL_DEATHS,
    GLOBAL_DELIVERY,
    GLOBAL_PUBLISH,
    LOGINS,
    NODE,
    NODE_COARSE,
    OBJECTS,
)
from amqpd.management.metrics.writing import write
from amqpd.management.node import Node
from amqpd.management.slices import Slices

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "rabbitmq"
ALWAYS: Final = (
    ALARMS,
    CHURN,
    NODE_COARSE,
    NODE,
    LOGINS,
    QUEUE_COARSE,
    QUEUE_METRICS,
    CHANNEL_METRICS,
    CHANNEL_PUBLISH,
    CHANNEL_DELIVERY,
    CONNECTION_COARSE,
    CONNECTION_METRICS,
    QUEUE_PUBLISHED,
    OBJECTS,
    GLOBAL_ACTIVITY,
    GLOBAL_PUBLISH,
    GLOBAL_DELIVERY,
    GLOBAL_DEATHS,
)
"""What /metrics and /metrics/per-object answer."""

DETAILED: Final = {
    family.name: family
    for family in (
        QUEUE_COARSE,
        QUEUE_CONSUMERS,
        QUEUE_METRICS,
        QUEUE_DELIVERY,
        QUEUE_PUBLISHED,
        EXCHANGE_METRICS,
        CHANNEL_METRICS,
        CHANNEL_PUBLISH,
        CHANNEL_DELIVERY,
        CONNECTION_COARSE,
        CONNECTION_METRICS,
        CHURN,
        NODE_COARSE,
        NODE,
        LOGINS,
    )
}
WHOLE: Final = {family.name: family for family in CLUSTER}
LONG: Final = 512 * 1024  # octets; more are sent while they are made


def make_metrics_app(node: Node) -> Starlette:
    """The application.

    Args:
        node: what it tells of.
    """
    metrics = Metrics(node)
    routes = [
        Route("/metrics", metrics.aggregated),
        Route("/metrics/per-object", metrics.per_object),
        Route("/metrics/detailed", metrics.detailed),
    ]
    return Starlette(routes=routes, middleware=[COMPRESSION])


class Metrics:
    """Answers scrapers."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def aggregated(self, request: Request) -> Response:
        """Everything, objects not told apart."""
        scope = Scope(self._node, None, "aggregated")
        return await self._answer(scope, [(PREFIX, family) for family in ALWAYS], summed=True)

    async def per_object(self, request: Request) -> Response:
        """The same, object by object."""
        scope = Scope(self._node, None, "per-object")
        return await self._answer(scope, [(PREFIX, family) for family in ALWAYS], summed=False)

    async def detailed(self, request: Request) -> Response:
        """The families that are asked for, object by object; without any only who answers."""
        names = request.query_params.getlist("vhost")
        scope = Scope(self._node, frozenset(names) if names else None, "detailed")
        wanted = dict.fromkeys(request.query_params.getlist("family"))
        families = [(f"{PREFIX}_detailed", DETAILED[name]) for name in wanted if name in DETAILED]
        if "queue_metrics" in wanted:  # which has the number of consumers, too
            families = [found for found in families if found[1] is not QUEUE_CONSUMERS]
        families += [(f"{PREFIX}_cluster", WHOLE[name]) for name in wanted if name in WHOLE]
        return await self._answer(scope, families, summed=False)

    async def _answer(self, scope: Scope, families: Iterable[tuple[str, Family]], summed: bool) -> Response:
        made: list[bytes] = []
        size = 0
        rest = self._pieces(scope, families, summed)
        async for piece in rest:
            made.append(piece)
            size += len(piece)
            if size > LONG:
                return StreamingResponse(chained(made, rest), media_type=CONTENT_TYPE)
        return Response(b"".join(made), media_type=CONTENT_TYPE)

    async def _pieces(self, scope: Scope, families: Iterable[tuple[str, Family]], summed: bool) -> AsyncIterator[bytes]:
        clock = self._node.clock
        asked = clock.monotonic()
        await asyncio.sleep(0)
        yield generate_latest(registry_of(scope, clock.monotonic() - asked))
        slices = Slices(clock)
        for prefix, family in families:
            async for piece in write(prefix, family, scope, summed, slices):
                yield piece


async def chained(made: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What is there already in one piece, and what is still being made."""
    yield b"".join(made)
    async for piece in rest:
        yield piece
