"""What ``amqpd check-data`` says: for people as lines, for machines as a dictionary.

Rule: what may live here turns a Report into text; it looks at no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

from amqpd.check.findings import Finding, QueueReport, Report, StoreReport
from amqpd.cli.tables import count_text, printable, table

HEADINGS: Final = ("VHOST", "QUEUE", "TYPE", "SEGMENTS", "ON DISK", "RECORDS", "MESSAGES", "BODIES", "ACKED")
LEFT: Final = 3  # so many of those columns hold texts
_UNITS: Final = ("kB", "MB", "GB", "TB")
_TABLES: Final = {
    "vhosts": ("virtual host", "virtual hosts"),
    "exchanges": ("exchange", "exchanges"),
    "queues": ("queue", "queues"),
    "bindings": ("binding", "bindings"),
    "policies": ("policy", "policies"),
    "users": ("user", "users"),
    "permissions": ("permission", "permissions"),
}


def lines(report: Report, repaired: bool) -> Iterator[str]:
    """The report for people, line by line; the last one tells how it stands."""
    yield f"{report.directory}: data format {report.format}"
    yield f"catalog: {catalog_line(report)}"
    if report.queues:
        yield ""
        yield from table([HEADINGS, *(queue_row(queue) for queue in report.queues), total_row(report)], LEFT)
    labels = {store.folder: queue.label for queue in report.queues for store in queue.stores}
    labels |= {queue.cursors.folder: queue.label for queue in report.queues if queue.cursors.folder}
    yield from section("corrupt", findings(report.corrupt, labels))
    yield from section("notes", findings(report.notes, labels))
    yield from section("mended", map(printable, report.mended))
    yield ""
    yield verdict(report, repaired)


def section(name: str, entries: Iterable[str]) -> Iterator[str]:
    """Lines under a heading, if there are any."""
    found = list(entries)
    if found:
        yield ""
        yield f"{name}:"
        yield from (f"  {entry}" for entry in found)


def catalog_line(report: Report) -> str:
    """What the catalog holds."""
    catalog = report.catalog
    if not catalog.counts:
        return f"{size_text(catalog.octets)}, nothing is declared" if catalog.readable else "cannot be read"
    held = ", ".join(
        count_text(catalog.counts[name], *words) for name, words in _TABLES.items() if name in catalog.counts
    )
    return f"{size_text(catalog.octets)}, schema {catalog.schema}, {held}"


def queue_row(queue: QueueReport) -> tuple[str, ...]:
    """A queue's line in the table."""
    names = ("?", queue.number, "?") if queue.name is None else (queue.vhost or "", queue.name, queue.kind or "")
    numbers = sums(queue.stores)
    if queue.kind == "stream":
        numbers = (*numbers[:-1], "-")  # nothing is acknowledged there
    return (*map(printable, names), *numbers)


def total_row(report: Report) -> tuple[str, ...]:
    """The last line of the table."""
    return ("", "total", "", *sums(report.stores))


def sums(stores: list[StoreReport]) -> tuple[str, ...]:
    """What stores come to together."""
    stored, live = sum(store.stored for store in stores), sum(store.live for store in stores)
    return (
        f"{sum(store.segments for store in stores):,}",
        size_text(sum(store.octets for store in stores)),
        f"{sum(store.records for store in stores):,}",
        f"{live:,}",
        size_text(sum(store.bodies for store in stores)),
        f"{100 * (stored - live) // stored} %" if stored else "-",
    )


def findings(found: list[Finding], labels: dict[str, str]) -> Iterator[str]:
    """Findings in the order of their places."""
    for finding in sorted(found, key=attrgetter("path", "position")):
        label = labels.get(finding.path.rpartition("/")[0]) or labels.get(finding.path)
        queue = f" ({label})" if label else ""
        yield printable(f"{finding.path}{place(finding)}{queue}: {finding.text}")


def place(finding: Finding) -> str:
    """Where in its file something is, if it is in a part of it."""
    if finding.length == 0:
        return f", octet {finding.position:,}" if finding.position else ""
    if finding.position == 0:
        return f", {size_text(finding.length)}"
    return f", octets {finding.position:,} to {finding.position + finding.length - 1:,}"


def verdict(report: Report, repaired: bool) -> str:
    """How it stands, in one sentence."""
    held = f"{messages_text(live_of(report))} in {places_text(report.queues)}"
    lost = f"; {messages_text(report.lost)} that nobody acknowledged {'is' if report.lost == 1 else 'are'} lost"
    end = lost if report.lost else ""
    if report.kept_in is not None:
        end += f"; what was taken out is in {report.kept_in}"
    if not report.corrupt:
        return f"Sound{' now' if report.mended else ''}: {held}{end}."
    places = count_text(len(report.corrupt), "place is", "places are")
    return f"Corrupt: {places} damaged{end}; {held} can be read{way_out(report, repaired)}."


def way_out(report: Report, repaired: bool) -> str:
    """What can be done about it."""
    if repaired or report.incurable == len(report.corrupt):
        return "; that cannot be mended, restore it from a backup"
    some = (
        f" all but {report.incurable} of them" if report.incurable else " it" if len(report.corrupt) == 1 else " them"
    )
    return f"; --repair mends{some}"


def live_of(report: Report) -> int:
    """Messages that are not acknowledged."""
    return sum(store.live for store in report.stores)


def places_text(queues: list[QueueReport]) -> str:
    """So many queues; exchanges are told if there are any."""
    exchanges = sum(queue.what == "exchange" for queue in queues)
    text = count_text(len(queues) - exchanges, "queue", "queues")
    return f"{text} and {count_text(exchanges, 'exchange', 'exchanges')}" if exchanges else text


def messages_text(number: int) -> str:
    """So many messages."""
    return count_text(number, "message", "messages")


def size_text(octets: int) -> str:
    """Octets as people read them: 1.2 MB."""
    if octets < 1000:
        return f"{octets} B"
    size = float(octets)
    for unit in _UNITS:
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size:.1f} {_UNITS[-1]}"


def as_dict(report: Report) -> dict[str, object]:
    """The report for machines."""
    catalog = report.catalog
    return {
        "directory": report.directory,
        "format": report.format,
        "sound": not report.corrupt,
        "messages": live_of(report),
        "lost": report.lost,
        "catalog": {"octets": catalog.octets, "schema": catalog.schema, "readable": catalog.readable, **catalog.counts},
        "queues": [queue_dict(queue) for queue in report.queues],
        "corrupt": [finding._asdict() for finding in report.corrupt],
        "notes": [finding._asdict() for finding in report.notes],
        "incurable": report.incurable,
        "mended": report.mended,
        "kept_in": report.kept_in,
    }


def queue_dict(queue: QueueReport) -> dict[str, object]:
    """A queue for machines."""
    names = ("segments", "octets", "records", "stored", "live", "bodies", "lost")
    numbers = {name: sum(getattr(store, name) for store in queue.stores) for name in names}
    names_and_type = {"id": queue.number, "vhost": queue.vhost, "name": queue.name, "type": queue.kind}
    return {**names_and_type, **numbers, "cursors": queue.cursors.cursors}
