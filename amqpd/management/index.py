"""The page /api/index.html: a list of what there is, made from the routes."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from amqpd.management.auth import Tag
from amqpd.management.router import Route

PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>amqpd: HTTP API</title>
<style>
body {{ font: 15px/1.5 sans-serif; margin: 2em; max-width: 60em }}
td, th {{ padding: .1em 1em .1em 0; text-align: left }}
</style>
</head>
<body>
<h1>amqpd: HTTP API</h1>
<p>It answers as RabbitMQ's management API does. Log in with HTTP Basic; write the virtual host <code>/</code> as
<code>%2F</code>: <code>curl -u guest:guest http://localhost:15672/api/queues/%2F</code></p>
<table>
<tr><th>path</th><th>methods</th><th>tag of the user</th></tr>
{rows}
</table>
</body>
</html>
"""


def index_page(routes: Iterable[Route]) -> str:
    """The page."""
    rows = [row(found) for found in sorted(routes, key=lambda found: found.path)]
    return PAGE.format(rows="\n".join(rows))


def row(found: Route) -> str:
    """The row of one path."""
    tags = word(found.tag)
    if found.write_tag is not None and found.write_tag is not found.tag:
        tags += f", to change: {word(found.write_tag)}"
    methods = found.allowed.replace("HEAD, ", "").replace(", OPTIONS", "")
    return f"<tr><td><code>/api{escape(found.path)}</code></td><td>{methods}</td><td>{tags}</td></tr>"


def word(tag: Tag) -> str:
    """A tag as people call it."""
    return "none" if tag is Tag.NOBODY else tag.name.lower()
