"""``amqpd stream``: the named cursors of a running broker's streams."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import click

from amqpd.cli.control import Broker, as_json, for_broker, show_json
from amqpd.cli.tables import printable, table

HEADINGS: Final = ("STREAM", "CURSOR", "OFFSET", "FIRST", "NEXT", "BEHIND")


@click.group()
def stream() -> None:
    """Show and move the cursors of streams.

    A cursor is where a consumer with a name (x-stream-cursor) or a group of them (x-stream-group) continues. The broker
    is one that is running.
    """


@stream.command()
@click.argument("stream", required=False)
@for_broker
@as_json
def cursors(stream: str | None, vhost: str, broker: Broker, as_json: bool) -> None:
    """Show the cursors of STREAM, or of all streams.

    OFFSET is where a cursor stands, FIRST the first offset that the stream still has, NEXT the one that the next
    message gets, BEHIND how many messages there are between the cursor and that.
    """
    found = broker.ask("stream.cursors", vhost=vhost, stream=stream)
    if as_json:
        show_json(found)
    elif found:
        click.echo("\n".join(table([HEADINGS, *map(row, found)], 2)))
    else:
        where = f"virtual host '{vhost}'" if stream is None else f"stream '{stream}'"
        click.echo(f"There are no cursors in {printable(where)}.")


def row(cursor: dict[str, Any]) -> tuple[str, ...]:
    """A line of the table."""
    offset, first, end = cursor["offset"], cursor["first_offset"], cursor["next_offset"]
    behind = max(end - max(offset, first), 0)
    numbers = [f"{number:,}" for number in (offset, first, end, behind)]
    return printable(cursor["stream"]), printable(cursor["cursor"]), *numbers


@stream.command("reset-cursor")
@click.argument("stream")
@click.argument("cursor")
@click.argument("offset")
@for_broker
@as_json
def reset_cursor(stream: str, cursor: str, offset: str, vhost: str, broker: Broker, as_json: bool) -> None:
    """Let CURSOR of STREAM stand at OFFSET; a cursor that is not there is made.

    OFFSET is first, last, next, a number, a time such as 2026-11-23T08:30:00 (local if it names no time zone) or an
    interval before now such as 1h or 7D. The cursor's consumers must be stopped first.
    """
    found = broker.ask("stream.reset_cursor", vhost=vhost, stream=stream, cursor=cursor, offset=with_zone(offset))
    if as_json:
        show_json(found)
    else:
        click.echo(printable(f"Cursor '{cursor}' of stream '{stream}' stands at offset {found['offset']:,} now."))


@stream.command("delete-cursor")
@click.argument("stream")
@click.argument("cursor")
@for_broker
@as_json
def delete_cursor(stream: str, cursor: str, vhost: str, broker: Broker, as_json: bool) -> None:
    """Forget CURSOR of STREAM. Its consumers must be stopped first."""
    found = broker.ask("stream.delete_cursor", vhost=vhost, stream=stream, cursor=cursor)
    if as_json:
        show_json(found)
    else:
        click.echo(printable(f"Cursor '{cursor}' of stream '{stream}' is deleted."))


def with_zone(offset: str) -> str:
    """The offset; a time that names no zone gets that of this machine, for the broker's may be another one."""
    if offset.isdigit():
        return offset  # 20261123 is a number
    try:
        moment = datetime.fromisoformat(offset)
        return offset if moment.tzinfo is not None else moment.astimezone().isoformat()
    except (ValueError, OverflowError):
        return offset
