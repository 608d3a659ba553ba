"""Forms: a body of ``multipart/form-data``, as browsers and ``curl -F`` send a file.

Rule: what may live here takes a form apart.
"""

from __future__ import annotations

import io
from typing import Final, NamedTuple

import python_multipart
from python_multipart.exceptions import FormParserError

from amqpd.management.errors import BadRequest
from amqpd.management.request import Request

FORM: Final = "multipart/form-data"
IN_MEMORY: Final = 1 << 40  # octets up to which parts are kept in memory: the body is there already


class Form(NamedTuple):
    """What a form of definitions has.

    Args:
        file: the part ``file``.
        redirect: where the browser is to go afterwards; empty to stay.
    """

    file: bytes
    redirect: str


def is_form(request: Request) -> bool:
    """The body is a form."""
    return request.headers.get("content-type", "").lower().startswith(FORM)


def form_of(request: Request) -> Form:
    """The form in a body. Without a part ``file`` that is an empty text, which is no JSON object.

    Raises:
        BadRequest: it cannot be taken apart.
    """
    parts: dict[str, bytes] = {}

    def on_field(field: python_multipart.multipart.Field) -> None:
        parts[text_of(field.field_name)] = field.value or b""

    def on_file(file: python_multipart.multipart.File) -> None:
        file.file_object.seek(0)
        parts[text_of(file.field_name)] = file.file_object.read()

    headers = {"Content-Type": request.headers["content-type"].encode("latin-1")}
    try:
        parser = python_multipart.create_form_parser(
            headers, on_field, on_file, config={"MAX_MEMORY_FILE_SIZE": IN_MEMORY}
        )
        stream = io.BytesIO(request.content)
        while chunk := stream.read(1 << 20):
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise BadRequest(f"The form cannot be read: {error}.") from None
    return Form(parts.get("file", b'""'), parts.get("redirect", b"").decode("latin-1"))


def text_of(name: bytes | None) -> str:
    """The name of a part."""
    return "" if name is None else name.decode("utf-8", "replace")
