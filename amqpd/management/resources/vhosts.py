"""Virtual hosts: /api/vhosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from amqpd.auth.permissions import Permission
from amqpd.broker.metadata import VHostMetadata
from amqpd.broker.vhost import VHost
from amqpd.definitions.exporting import metadata_of
from amqpd.management.answer import DONE, Answer, Column, Columns, Listing, One, put_answer
from amqpd.management.auth import Tag, visible_vhosts
from amqpd.management.errors import APIError, BadRequest, Missing
from amqpd.management.request import Request
from amqpd.management.router import route
from amqpd.management.slices import Slices
from amqpd.management.statistics import details_of, vhost_lengths, vhost_octet_details, vhost_octets, vhost_stats
from amqpd.management.words import words

UNDEFINED: Final = "undefined"  # RabbitMQ's word for no default queue type
PROTECTED: Final = "Cannot delete virtual host '{}': it is protected from deletion. To remove the protection, use {}"


@dataclass(frozen=True)
class Counted:
    """A virtual host, and how many messages are in its queues."""

    vhost: VHost
    lengths: Mapping[str, int]


def length_change(name: str) -> Column:
    """A column: how a number of messages in all queues changes."""
    return lambda request, item: details_of(request, item.vhost.totals, name, "lengths", lambda totals: item.lengths)


COLUMNS: Final = Columns(
    {
        "cluster_state": lambda request, item: {request.node.name: "running"},
        "default_queue_type": lambda request, item: item.vhost.metadata.default_queue_type or UNDEFINED,
        "description": lambda request, item: item.vhost.metadata.description,
        "message_stats": lambda request, item: vhost_stats(request, item.vhost),
        "messages": lambda request, item: item.lengths["messages"],
        "messages_details": length_change("messages"),
        "messages_ready": lambda request, item: item.lengths["messages_ready"],
        "messages_ready_details": length_change("messages_ready"),
        "messages_unacknowledged": lambda request, item: item.lengths["messages_unacknowledged"],
        "messages_unacknowledged_details": length_change("messages_unacknowledged"),
        "metadata": lambda request, item: metadata_of(item.vhost),
        "name": lambda request, item: item.vhost.name,
        "protected_from_deletion": lambda request, item: item.vhost.metadata.protected,
        "recv_oct": lambda request, item: vhost_octets(request, item.vhost, "recv_oct"),
        "recv_oct_details": lambda request, item: vhost_octet_details(request, item.vhost, "recv_oct"),
        "send_oct": lambda request, item: vhost_octets(request, item.vhost, "send_oct"),
        "send_oct_details": lambda request, item: vhost_octet_details(request, item.vhost, "send_oct"),
        "tags": lambda request, item: list(item.vhost.metadata.tags),
        "tracing": lambda request, item: item.vhost.firehose.on,
    }
)


async def show_list(request: Request) -> Listing:
    """The virtual hosts that the user may see."""
    slices = Slices(request.node.clock)
    vhosts = visible_vhosts(request.node, request.user)
    items = [Counted(vhost, await vhost_lengths(vhost, slices)) for vhost in vhosts]
    return Listing(COLUMNS, items, paged=True, name=lambda item: item.vhost.name)


async def show(request: Request) -> One:
    """One virtual host."""
    vhost = request.vhost()
    return One(COLUMNS, Counted(vhost, await vhost_lengths(vhost, Slices(request.node.clock))))


def put(request: Request) -> Answer:
    """Make a virtual host, or change what the body names. Whoever makes one may do everything in it."""
    broker, name = request.node.broker, request.path["vhost"] or "/"
    existing = broker.vhosts.get(name)
    actor = request.user.name
    tracing = request.boolean("tracing", False if existing is None else existing.firehose.on)
    try:
        metadata = changed(request, VHostMetadata() if existing is None else existing.metadata)
        if existing is None:
            found = broker.create_vhost(name, metadata, actor)
            request.node.services.users.permissions.set(actor, name, Permission(".*", ".*", ".*"), actor)
        else:
            found = broker.update_vhost(name, metadata)
    except ValueError as error:
        raise BadRequest(f"{error}.") from None
    if tracing != found.firehose.on:
        found.set_tracing(tracing)
    return put_answer(existing is None)


def changed(request: Request, before: VHostMetadata) -> VHostMetadata:
    """The metadata with what the body says; what it does not mention stays.

    Raises:
        ValueError: there is no such queue type.
    """
    body = request.body
    kind = body.get("default_queue_type", body.get("defaultqueuetype", before.default_queue_type))
    if kind in ("", UNDEFINED):
        kind = None
    if kind is not None and not isinstance(kind, str):
        raise ValueError("default_queue_type must be a text")
    description = request.text("description", before.description)
    tags = words("tags", body["tags"]) if body.get("tags") is not None else before.tags
    protected = request.boolean("protected_from_deletion", before.protected)
    return VHostMetadata(description, tags, kind, protected)


async def delete(request: Request) -> Answer:
    """Delete a virtual host with everything in it, in slices."""
    vhost = request.vhost()
    if vhost.metadata.protected:
        way_out = f"DELETE /api/vhosts/{vhost.name}/deletion/protection"
        raise APIError(412, "precondition_failed", PROTECTED.format(vhost.name, way_out))
    steps = request.node.broker.deletion_of(vhost.name, request.user.name)
    try:
        await Slices(request.node.clock).through(steps)
    finally:  # what a request that is cancelled has begun nobody else would finish
        for _ in steps:
            pass
    return DONE


def start(request: Request) -> Answer:
    """Start a virtual host on a node: here it runs always.

    Raises:
        BadRequest: it is another node.
    """
    request.vhost()
    if request.path["node"] != request.node.name:
        raise BadRequest(f"Request to node {request.path['node']} failed with nodedown")
    return DONE


def protect(request: Request) -> Answer:
    """Protect a virtual host from deletion."""
    return set_protection(request, True)


def unprotect(request: Request) -> Answer:
    """Let a virtual host be deleted again."""
    return set_protection(request, False)


def set_protection(request: Request, protected: bool) -> Answer:
    """Switch the protection of a virtual host."""
    vhost = request.vhost()
    before = vhost.metadata
    metadata = VHostMetadata(before.description, before.tags, before.default_queue_type, protected)
    request.node.broker.update_vhost(vhost.name, metadata)
    return DONE


def show_protection(request: Request) -> Answer:
    """Whether a virtual host is protected.

    Raises:
        Missing: it is not.
    """
    if not request.vhost().metadata.protected:
        raise Missing
    return DONE


ROUTES: Final = (
    route("/vhosts", get=show_list),
    route("/vhosts/{vhost}", Tag.ADMINISTRATOR, get=show, put=put, delete=delete),
    route("/vhosts/{vhost}/start/{node}", Tag.ADMINISTRATOR, post=start),
    route(
        "/vhosts/{vhost}/deletion/protection", Tag.ADMINISTRATOR, get=show_protection, post=protect, delete=unprotect
    ),
)
