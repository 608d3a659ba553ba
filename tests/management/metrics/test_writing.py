"""Writing families: our own lines are prometheus-client's, and traffic goes on between them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from amqpd.clock import SystemClock
from amqpd.management.metrics.family import Family, Row, Scope, counter, gauge
from amqpd.management.metrics.writing import FEW, One, collected, write
from amqpd.management.node import Node
from amqpd.management.slices import Slices
from tests.builders import World

METRICS = (gauge("a", "first"), counter("b_total", "second"))


def family_of(names: list[str]) -> Family:
    def rows(scope: Scope) -> Iterator[Row]:
        for place, name in enumerate(names):
            yield (name, "v"), (place if place % 3 else None, place / 4)

    return Family("family", ("queue", "vhost"), METRICS, rows)


def scope() -> Scope:
    return Scope(Node(World().services), None, "detailed")


async def text_of(family: Family, summed: bool = False) -> bytes:
    pieces = write("x", family, scope(), summed, Slices(SystemClock()))
    return b"".join([piece async for piece in pieces])


def test_many_rows_are_written_as_prometheus_client_would() -> None:
    family = family_of([f'q{place}"\\\n\udcff' for place in range(FEW * 3)])
    rows = list(family.rows(scope()))
    expected = b"".join(
        generate_latest(One(collected("x", metric, family.labels, rows, place))) for place, metric in enumerate(METRICS)
    )
    assert asyncio.run(text_of(family)) == expected


def test_sums_leave_out_what_an_object_does_not_have() -> None:
    found = {
        family.name: [sample.value for sample in family.samples]
        for family in text_string_to_metric_families(
            asyncio.run(text_of(family_of(["a", "b", "c", "d"]), summed=True)).decode()
        )
    }
    assert found == {"x_a": [3.0], "x_b": [1.5]}


def test_others_have_their_turn_while_many_rows_are_written() -> None:
    family = family_of([str(place) for place in range(20_000)])

    async def measure() -> tuple[int, float]:
        turns, longest = 0, 0.0
        writing = asyncio.ensure_future(text_of(family))
        clock = SystemClock()
        while not writing.done():
            before = clock.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, clock.monotonic() - before)
            turns += 1
        await writing
        return turns, longest

    turns, _ = asyncio.run(measure())
    assert turns > 20
