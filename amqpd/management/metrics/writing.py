"""Families as text, in slices: message traffic goes on while ten thousand queues are written down.

prometheus-client writes what has one row or a few. It takes about 40 us for a line, so rows of objects are lines of our
own, each object's labels made once; a test compares them with what prometheus-client makes of the same rows.

Rule: what may live here writes, and knows nothing of what it writes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from prometheus_client.core import Metric as Collected
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from amqpd.management.metrics.family import COUNTER, Family, Metric, Scope, Values
from amqpd.management.slices import STEP, Slices, steps

CHUNK: Final = 4096  # lines that are joined at once
FEW: Final = 8  # rows that prometheus-client writes


class One(Collector):
    """A collector of one metric."""

    def __init__(self, metric: Collected) -> None:
        self._metric = metric

    def collect(self) -> list[Collected]:
        return [self._metric]


async def write(prefix: str, family: Family, scope: Scope, summed: bool, slices: Slices) -> AsyncIterator[bytes]:
    """A family, metric by metric.

    Args:
        prefix: of the names, without the underscore behind it.
        summed: all objects together, not each one.
        slices: of the time.
    """
    if summed:
        labels, rows = await all_together(family, scope, slices)
    else:
        labels, rows = family.labels, []
        for row in family.rows(scope):
            rows.append(row)
            if len(rows) % STEP == 0:
                await slices.next()
    if len(rows) <= FEW:
        for place, metric in enumerate(family.metrics):
            yield generate_latest(One(collected(prefix, metric, labels, rows, place)))
            await slices.next()
        return
    texts: list[str] = []
    for some in steps(rows):
        texts += [label_text(labels, names) for names, _ in some]
        await slices.next()
    for place, metric in enumerate(family.metrics):
        yield header(prefix, metric)
        name = f"{prefix}_{metric.name}"
        for labelled in steps(list(zip(texts, rows, strict=True))):
            pairs = [(text, row[1][place]) for text, row in labelled]
            lines = [f"{name}{text} {float(value)}\n" for text, value in pairs if value is not None]
            yield "".join(lines).encode()
            await slices.next()


async def all_together(
    family: Family, scope: Scope, slices: Slices
) -> tuple[tuple[str, ...], list[tuple[Sequence[str], Values]]]:
    """The labels and rows of a family when objects are not told apart."""
    if family.total is not None:
        return (), [((), family.total(scope))]
    if not family.labels or family.labels[0] == "protocol":  # it is about the broker anyway
        return family.labels, list(family.rows(scope))
    sums: list[float] = [0] * len(family.metrics)
    for number, (_, values) in enumerate(family.rows(scope)):
        for place, value in enumerate(values):
            sums[place] += value or 0
        if number % STEP == 0:
            await slices.next()
    return (), [((), sums)]


def collected(
    prefix: str, metric: Metric, labels: Sequence[str], rows: Sequence[tuple[Sequence[str], Values]], place: int
) -> Collected:
    """A metric as prometheus-client has it; it adds the _total of a counter itself."""
    full = f"{prefix}_{metric.name}"
    found = Collected(full.removesuffix("_total") if metric.kind == COUNTER else full, metric.help, metric.kind)
    for names, values in rows:
        value = values[place]
        if value is not None:
            found.add_sample(full, dict(zip(labels, map(printable, names), strict=True)), value)
    return found


def header(prefix: str, metric: Metric) -> bytes:
    """The lines before the samples."""
    return generate_latest(One(collected(prefix, metric, (), (), 0)))


def label_text(labels: Sequence[str], names: Sequence[str]) -> str:
    """Labels as they stand behind a name, sorted as prometheus-client does."""
    pairs = sorted(zip(labels, map(printable, names), strict=True))
    return "{" + ",".join(f'{label}="{escaped(name)}"' for label, name in pairs) + "}"


def escaped(text: str) -> str:
    """A label's value in quotes."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def printable(text: str) -> str:
    """A name whose octets are no UTF-8 has surrogates, which no scraper takes."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
