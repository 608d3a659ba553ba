"""Definitions: /api/definitions, of the broker or of one virtual host.

An import of 100,000 rows takes seconds. It is done in slices, between which everybody else has a turn; so is an export.
"""

from __future__ import annotations

import asyncio
from typing import Final

from amqpd import __version__
from amqpd.broker.vhost import VHost
from amqpd.definitions.exporting import Export, Product
from amqpd.definitions.importing import Import
from amqpd.definitions.parsing import NotJSON, Parsing
from amqpd.definitions.reading import DefinitionsError, Reading
from amqpd.definitions.rows import Definitions
from amqpd.logs import INFO, WARNING, event
from amqpd.management.answer import DONE, Answer
from amqpd.management.auth import Tag
from amqpd.management.errors import BadRequest, no_vhost
from amqpd.management.forms import Form, form_of, is_form
from amqpd.management.lasting import lasting
from amqpd.management.request import Request
from amqpd.management.router import route
from amqpd.management.slices import Slices
from amqpd.protocol.handshake import COMPATIBLE_VERSION

BODY_LIMIT: Final = 64_000_000  # octets: RabbitMQ's limit is 10 MB, which is 100,000 short rows
PRODUCT: Final = Product(COMPATIBLE_VERSION, "amqpd", __version__)


async def show(request: Request) -> Answer:
    """The definitions, as a file if ``download`` names one."""
    vhost = request.vhost() if "vhost" in request.path else None
    export = Export(request.node.broker, request.node.services.users, PRODUCT, vhost)
    await Slices(request.node.clock).through(export.steps())
    headers = {}
    if request.query.get("download"):
        headers["content-disposition"] = f"attachment; filename={header_text(request.query['download'])}"
    return Answer(content=export.drained(), headers=headers)


def header_text(text: str) -> str:
    """A text that can stand in a header."""
    return "".join(char for char in text if " " <= char <= "~" and char not in '";\\')


async def load(request: Request) -> Answer:
    """Import definitions: a JSON body, or the part ``file`` of a form, which may name a page to go to afterwards.

    Raises:
        BadRequest: they cannot be read, or cannot be imported; nothing was changed then.
    """
    vhost = vhost_of(request)
    form = form_of(request) if is_form(request) else Form(request.content, "")
    try:
        with lasting():
            loading = await imported(request, form.file, "" if vhost is None else vhost.name)
    except NotJSON as error:
        event(request.node.logger, WARNING, "definitions.refused", user=request.user.name, reason=str(error))
        raise BadRequest("failed_to_parse_json") from None
    except DefinitionsError as error:
        raise BadRequest(str(error)) from None
    event(request.node.logger, INFO, "definitions.imported", user=request.user.name, **loading.summary)
    return Answer(303, headers={"location": form.redirect}) if form.redirect else DONE


async def imported(request: Request, data: bytes, vhost: str) -> Import:
    """What has become of a document. Each of its forms is let go of when there is the next one.

    Args:
        data: the document.
        vhost: into which everything is to go; empty if the document says where.

    Raises:
        NotJSON, DefinitionsError: it cannot be imported; nothing was changed.
    """
    await asyncio.sleep(0)  # a long body was put together just now
    slices = Slices(request.node.clock)
    parsing = Parsing(data)
    await slices.through(parsing.steps())
    reading = Reading(parsing.document, vhost)
    await slices.through(reading.steps())
    for rows in parsing.sections():
        await slices.forget(rows)
    loading = import_of(request, reading.definitions)
    await slices.through(loading.steps())
    for read in reading.definitions.rows.values():
        await slices.forget(read)
    return loading


def vhost_of(request: Request) -> VHost | None:
    """The virtual host into which everything is to go, if the path names one.

    Raises:
        Missing: there is none of this name.
    """
    if "vhost" not in request.path:
        return None
    found = request.node.broker.vhosts.get(request.path["vhost"] or "/")
    if found is None:
        raise no_vhost()
    return found


def import_of(request: Request, definitions: Definitions) -> Import:
    """The import that a request asks for. What it leaves out is told in the log."""
    node = request.node

    def left_out(row: str, reason: str) -> None:
        event(node.logger, WARNING, "definitions.skipped", row=row, reason=reason)

    return Import(node.broker, node.services.users, definitions, request.user.name, left_out)


ROUTES: Final = (
    route("/definitions", Tag.ADMINISTRATOR, get=show, post=load, body_limit=BODY_LIMIT),
    route("/all-configuration", Tag.ADMINISTRATOR, get=show, post=load, body_limit=BODY_LIMIT),
    route("/definitions/{vhost}", Tag.ADMINISTRATOR, get=show, post=load, body_limit=BODY_LIMIT),
)
