"""Streams: /api/stream. What tells of clients of the stream protocol is empty, for it is not served; the rest is there
for streams that are used over AMQP.
"""

from __future__ import annotations

from typing import Final

from amqpd.auth.permissions import Access
from amqpd.broker.queues.stream.queue import StreamQueue
from amqpd.broker.super_stream import (
    MOST_PARTITIONS,
    SuperStreamError,
    SuperStreamSpec,
    create_super_stream,
    numbered,
)
from amqpd.management.actions import session
from amqpd.management.answer import CREATED, Answer, Columns, Listing
from amqpd.management.errors import BadRequest, Missing
from amqpd.management.request import Request
from amqpd.management.router import route
from amqpd.wire.json_values import field_of_json
from amqpd.wire.table import TableError

NOTHING: Final = Columns({})


def no_clients(request: Request) -> Listing:
    """Connections, publishers or consumers of the stream protocol."""
    request.vhosts()
    return Listing(NOTHING, [], paged=True)


def no_client(request: Request) -> Listing:
    """One of them."""
    raise Missing


def tracking(request: Request) -> Answer:
    """The places that consumers of a stream have given names to."""
    found = request.vhost().queues.get(request.path["stream"])
    if not isinstance(found, StreamQueue):
        raise Missing
    return Answer(content={"offsets": dict(sorted(found.cursor_places().items())), "writers": {}})


def declare_super_stream(request: Request) -> Answer:
    """Make a super stream: an exchange, and a stream for each partition."""
    vhost = request.vhost_to_change()
    spec = SuperStreamSpec(request.path["name"], keys_of(request), "direct", arguments_of(request))
    opened = session(request, vhost)
    opened.check_exchange(Access.CONFIGURE, spec.name)
    for stream in spec.streams:
        opened.check_queue(Access.CONFIGURE, stream)
    try:
        create_super_stream(vhost, spec, request.user.name)
    except SuperStreamError as error:
        raise BadRequest(error.text) from None
    return CREATED


def keys_of(request: Request) -> list[str]:
    """The binding keys of the partitions.

    Raises:
        BadRequest: neither they nor the number of partitions is there, or both are.
    """
    keys = request.body.get("binding-keys")
    if (keys is None) == ("partitions" not in request.body):
        raise BadRequest("Specify either partitions or binding-keys")
    if keys is None:
        partitions = request.integer("partitions")
        if not 1 <= partitions <= MOST_PARTITIONS:
            raise BadRequest(f"partitions must be a number from 1 to {MOST_PARTITIONS}")
        return numbered(partitions)
    if not isinstance(keys, str):
        raise BadRequest("binding-keys must be a text with commas between the keys")
    return [key.strip() for key in keys.split(",")]


def arguments_of(request: Request) -> dict[str, object]:
    """The arguments of the streams.

    Raises:
        BadRequest: they cannot be any.
    """
    given = request.body.get("arguments") or {}
    if not isinstance(given, dict):
        raise BadRequest("arguments must be an object")
    try:
        return {name: field_of_json(value) for name, value in given.items() if name != "x-queue-type"}
    except TableError as error:
        raise BadRequest(f"arguments cannot be a field table: {error}") from None


ROUTES: Final = (
    route("/stream/connections", get=no_clients),
    route("/stream/connections/{vhost}", get=no_clients),
    route("/stream/connections/{vhost}/{name}", get=no_client, delete=no_client),
    route("/stream/connections/{vhost}/{name}/publishers", get=no_client),
    route("/stream/connections/{vhost}/{name}/consumers", get=no_client),
    route("/stream/publishers", get=no_clients),
    route("/stream/publishers/{vhost}", get=no_clients),
    route("/stream/publishers/{vhost}/{stream}", get=no_clients),
    route("/stream/consumers", get=no_clients),
    route("/stream/consumers/{vhost}", get=no_clients),
    route("/stream/{vhost}/{stream}/tracking", get=tracking),
    route("/stream/super-streams/{vhost}/{name}", put=declare_super_stream),
)
