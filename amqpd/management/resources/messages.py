"""Messages over HTTP: publishing one to an exchange, getting some from a queue."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Final

import anyio
from pamqp import commands

from amqpd.errors import AccessRefused, AMQPError
from amqpd.management.actions import channel
from amqpd.management.answer import Answer
from amqpd.management.errors import APIError, BadRequest
from amqpd.management.request import Request, checked_text, shown
from amqpd.management.router import route
from amqpd.management.slices import Slices
from amqpd.management.values import properties_as_json, table, text
from amqpd.protocol.direct import DirectChannel, Got
from amqpd.wire.methods import make
from amqpd.wire.properties import FLAGS, Properties
from amqpd.wire.table import Table

CONFIRM_SECONDS: Final = 30.0
NUMBERS: Final = {"delivery_mode": 0xFF, "priority": 0xFF, "timestamp": (1 << 63) - 1}
ACKMODES: Final = ("ack_requeue_true", "ack_requeue_false", "reject_requeue_true", "reject_requeue_false")
ENCODINGS: Final = ("auto", "base64")
# Octets of payload in one answer; no more messages are taken then.
MOST_OCTETS: Final = 128 * 1024 * 1024


# Publishing.


async def publish(request: Request) -> Answer:
    """Publish one message, and say whether it reached a queue."""
    vhost = request.vhost_to_change()
    request.need("properties", "routing_key", "payload", "payload_encoding")
    properties, body = properties_of(request), payload_of(request)
    with channel(request, vhost) as opened:
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        opened.answers.on_confirm = lambda: None if confirmed.done() else confirmed.set_result(None)
        try:
            opened.publish(request.name("exchange"), request.text("routing_key"), properties, body)
        except AccessRefused:
            raise
        except AMQPError as error:
            raise BadRequest(f"{error.code} {error.reply_text}") from None
        with anyio.move_on_after(CONFIRM_SECONDS) as scope:
            await confirmed
        if scope.cancelled_caught:
            raise APIError(503, "timeout", f"The message was not confirmed after {CONFIRM_SECONDS:g} s.")
        if opened.answers.refused:
            raise BadRequest("rejected Unable to publish message. Check queue limits.")
        return Answer(content={"routed": not opened.answers.returned})


def payload_of(request: Request) -> bytes:
    """The octets to publish.

    Raises:
        BadRequest: they cannot be had from the payload.
    """
    payload, encoding = request.body["payload"], request.body["payload_encoding"]
    if not isinstance(payload, str):
        raise BadRequest("payload_not_string")
    if encoding == "string":
        return checked_text("payload", payload).encode()
    if encoding != "base64":
        raise BadRequest(f"Unsupported encoding {shown(encoding)}. Please use string or base64.")
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(f"The payload is not base64: {shown(payload)}") from None


def properties_of(request: Request) -> Properties:
    """The properties to publish with. Unknown names are ignored.

    Raises:
        BadRequest: one of them has a value that it cannot have.
    """
    given = request.body["properties"]
    if given == []:  # RabbitMQ's JSON has [] for an empty object
        return Properties.of()
    if not isinstance(given, dict):
        raise BadRequest(f"properties must be an object, and are {shown(given)}")
    values = {name: property_value(name, given[name]) for name in FLAGS if given.get(name) is not None}
    try:
        return Properties.of(**values)
    except ValueError as error:
        raise BadRequest(str(error)) from None


def property_value(name: str, value: object) -> str | int | Table:
    """The value of one property.

    Raises:
        BadRequest: it is of the wrong type.
    """
    if name == "headers":
        try:
            return table(value)
        except ValueError as error:
            raise BadRequest(f"headers must be an object that can be a field table: {error}") from None
    if name in NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= NUMBERS[name]:
            raise BadRequest(f"{name} must be a number from 0 to {NUMBERS[name]}, and is {shown(value)}")
        return value
    if not isinstance(value, str):
        raise BadRequest(f"{name} must be a text, and is {shown(value)}")
    return checked_text(name, value)


# Getting.


async def get(request: Request) -> Answer:
    """Get messages; what becomes of them then says ``ackmode``."""
    vhost = request.vhost_to_change()
    acknowledge, requeue = ackmode(request)
    encoding, count = request.text("encoding", "auto"), request.integer("count")
    if encoding not in ENCODINGS:
        raise BadRequest("Unsupported encoding. Please use auto or base64.")
    cut = request.integer("truncate") if "truncate" in request.body else None
    slices = Slices(request.node.clock)
    rows: list[object] = []
    octets = 0
    with channel(request, vhost) as opened:
        while len(rows) < count and octets < MOST_OCTETS:
            got = opened.get(request.path["queue"], no_ack=acknowledge and not requeue)
            if got is None:
                break
            rows.append(message_row(got, encoding, cut))
            octets += min(len(got.body), len(got.body) if cut is None else cut)
            await slices.next()
        if not acknowledge and rows:
            refuse_all(opened, requeue)
    return Answer(content=rows)


def refuse_all(opened: DirectChannel, requeue: bool) -> None:
    """Nothing that was got is acknowledged. (What is to be requeued without a refusal, closing the channel does.)"""
    opened.do(make(commands.Basic.Nack, delivery_tag=0, multiple=True, requeue=requeue))


def ackmode(request: Request) -> tuple[bool, bool]:
    """Whether messages are acknowledged rather than rejected, and whether they return to the queue.

    Raises:
        BadRequest: it is not said, or there is no such mode.
    """
    mode = request.body.get("ackmode")
    if mode is None and "requeue" in request.body:  # what RabbitMQ had before 3.7
        return True, request.boolean("requeue")
    request.need("ackmode")
    if mode not in ACKMODES:
        raise BadRequest(f"Unknown ackmode {shown(mode)}. Please use one of {', '.join(ACKMODES)}.")
    assert isinstance(mode, str)
    return mode.startswith("ack"), mode.endswith("true")


def message_row(got: Got, encoding: str, cut: int | None) -> dict[str, object]:
    """One message.

    Args:
        cut: at so many octets of its body; None for none.
    """
    body = got.body
    payload, used = encoded(body if cut is None else body[: max(cut, 0)], encoding)
    return {
        "payload_bytes": len(body),
        "redelivered": got.redelivered,
        "exchange": text(got.exchange),
        "routing_key": text(got.routing_key),
        "message_count": got.message_count,
        "properties": properties_as_json(got.properties),
        "payload": payload,
        "payload_encoding": used,
    }


def encoded(body: bytes, encoding: str) -> tuple[str, str]:
    """A body as text, and how: as it is, if it is UTF-8 and may be."""
    if encoding == "auto":
        try:
            return body.decode(), "string"
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), "base64"


ROUTES: Final = (
    route("/exchanges/{vhost}/{exchange}/publish", post=publish),
    route("/queues/{vhost}/{queue}/get", post=get),
)
