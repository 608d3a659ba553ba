"""What ``amqpd bench`` says: a line while it runs, a summary for people, a dictionary for programs.

Rule: what may live here turns a plan and its totals into text; it measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from amqpd.bench.client.histogram import Histogram
from amqpd.bench.plan import Plan
from amqpd.bench.totals import Totals
from amqpd.cli.tables import count_text, table

NS_PER_MS: Final = 1e6
PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9}
COUNT_HEADINGS: Final = ("", "MESSAGES", "PER SECOND", "MB PER SECOND")
LATENCY_HEADINGS: Final = ("MILLISECONDS", *(name.upper() for name in PERCENTILES), "MAX", "OF")


def live_text(plan: Plan, totals: Totals, seconds: float) -> str:
    """How it stands."""
    rates = totals.rates_now
    parts = [f"{max(seconds, 0.0):5.1f} s"]
    if plan.publishers:
        parts.append(f"published {rates.published:,.0f}/s")
    if plan.window:
        parts.append(f"confirmed {rates.confirmed:,.0f}/s")
    if plan.consumers:
        parts.append(f"delivered {rates.delivered:,.0f}/s")
    if plan.publishers and plan.consumers:
        parts.append(f"lag {lag(plan, totals):,}")
    if totals.latencies_now.count:
        now = totals.latencies_now
        parts.append(f"p50 {milliseconds(now.percentile(50))} ms  p99 {milliseconds(now.percentile(99))} ms")
    if totals.counts.late:
        parts.append(f"behind schedule by {totals.counts.late:,}")
    if totals.blocked:
        parts.append(f"blocked by the broker: {totals.blocked}")
    return "  ".join(parts)


def lag(plan: Plan, totals: Totals) -> int:
    """Messages that were published and have not arrived: in queues, and on their way."""
    counts = totals.counts
    return max(counts.published * plan.copies - counts.delivered, 0)


def summary(plan: Plan, totals: Totals) -> Iterator[str]:
    """What it came to, for people."""
    yield from load_lines(plan)
    yield f"measured for {totals.seconds:.1f} s"
    yield ""
    yield from table([COUNT_HEADINGS, *count_rows(plan, totals)], 1)
    latencies = list(latency_rows(totals))
    if latencies:
        yield ""
        yield from table([LATENCY_HEADINGS, *latencies], 1)
    notes = list(note_lines(plan, totals))
    if notes:
        yield ""
        yield from notes


def load_lines(plan: Plan) -> Iterator[str]:
    """The load in words: who and where; what and how."""
    queues = count_text(len(plan.queues), "", "").strip()
    kind = f"{'' if plan.durable else 'transient '}{plan.queue_type} {'queue' if queues == '1' else 'queues'}"
    clients = f"{count_text(plan.publishers, 'publisher', 'publishers')}, "
    clients += count_text(plan.consumers, "consumer", "consumers")
    yield f"{clients}, {queues} {kind}{' behind a fanout exchange' if plan.fans_out else ''}"
    parts = [
        f"{plan.size:,} octets{', persistent' if plan.persistent else ''}",
        f"{plan.rate:,.0f}/s" if plan.rate else "as fast as possible",
    ]
    if plan.window:
        parts.append(f"{plan.window:,} unconfirmed")
    if plan.consumers:
        parts.append(f"ack every {plan.ack_every:,}, prefetch {plan.prefetch:,}" if plan.ack_every else "auto-ack")
    yield ", ".join(parts)


def count_rows(plan: Plan, totals: Totals) -> Iterator[tuple[str, ...]]:
    """The table of messages."""
    counts, rates = totals.measured, totals.rates_measured
    if plan.publishers:
        yield count_row("published", counts.published, rates.published, rates.published * plan.size)
    if plan.window:
        yield count_row("confirmed", counts.confirmed, rates.confirmed)
    if counts.nacked:
        yield count_row("refused (nack)", counts.nacked, rates.nacked)
    if counts.returned:
        yield count_row("returned", counts.returned, rates.returned)
    if plan.consumers:
        yield count_row("delivered", counts.delivered, rates.delivered, rates.octets)


def count_row(what: str, messages: int, rate: float, octets: float | None = None) -> tuple[str, ...]:
    """A line of it."""
    return what, f"{messages:,}", f"{rate:,.0f}", "" if octets is None else f"{octets / 1e6:,.1f}"


def latency_rows(totals: Totals) -> Iterator[tuple[str, ...]]:
    """The table of latencies."""
    for what, found in (("until delivered", totals.latencies), ("until confirmed", totals.confirms)):
        if found.count:
            ranks = [milliseconds(found.percentile(percent)) for percent in PERCENTILES.values()]
            yield what, *ranks, milliseconds(float(found.largest)), f"{int(found.count):,}"


def milliseconds(ns: float) -> str:
    """Three digits that mean something, whatever the size."""
    ms = ns / NS_PER_MS
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.1f}" if ms >= 10 else f"{ms:.2f}" if ms >= 1 else f"{ms:.3f}"


def note_lines(plan: Plan, totals: Totals) -> Iterator[str]:
    """What should not be overlooked."""
    counts = totals.counts
    if plan.publishers and plan.consumers and lag(plan, totals):
        yield f"At the end {count_text(lag(plan, totals), 'message was', 'messages were')} in the queue or on the way."
    if counts.late:
        yield (
            f"The publishers were late: {count_text(counts.late, 'message', 'messages')} of the schedule had not been "
            "sent at the end, for the broker or this machine was too slow."
        )
    if plan.consumers and plan.publishers and not totals.latencies.count and totals.measured.delivered:
        yield "Latency was not measured: that takes messages of 16 octets or more."


def as_dict(plan: Plan, totals: Totals) -> dict[str, object]:
    """What it came to, for programs. Latencies are in milliseconds."""
    counts, rates = totals.measured, totals.rates_measured
    return {
        "load": {
            "publishers": plan.publishers,
            "consumers": plan.consumers,
            "queues": len(plan.queues),
            "queue_type": plan.queue_type,
            "durable": plan.durable,
            "persistent": plan.persistent,
            "fanout": plan.fans_out,
            "exchange": plan.exchange,
            "size": plan.size,
            "rate": plan.rate or None,
            "confirms": plan.window or None,
            "ack_every": plan.ack_every or None,
            "prefetch": plan.prefetch or None,
        },
        "seconds": totals.seconds,
        "published": counts.published,
        "confirmed": counts.confirmed,
        "nacked": counts.nacked,
        "returned": counts.returned,
        "delivered": counts.delivered,
        "published_per_s": rates.published,
        "confirmed_per_s": rates.confirmed,
        "delivered_per_s": rates.delivered,
        "lag": lag(plan, totals),
        "late": totals.counts.late,
        "latency_ms": latency_dict(totals.latencies),
        "confirm_ms": latency_dict(totals.confirms),
    }


def latency_dict(found: Histogram) -> dict[str, float] | None:
    """Latencies for programs; None if there are none."""
    if not found.count:
        return None
    ranks = {name: found.percentile(percent) / NS_PER_MS for name, percent in PERCENTILES.items()}
    return {**ranks, "max": float(found.largest) / NS_PER_MS}
