"""A scraper: what Prometheus would take from a broker on a manual clock, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import httpx
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from amqpd.management.metrics.app import make_metrics_app
from amqpd.management.node import Node
from tests.builders import World


class Scraper:
    """Scrapes one World."""

    def __init__(self, world: World) -> None:
        self.node = Node(world.services, memory_limit=1_000_000, disk_free_limit=1000)
        self.app = make_metrics_app(self.node)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """The answer to one request."""
        return asyncio.run(self._get(path, headers))

    async def _get(self, path: str, headers: Mapping[str, str] | None) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:15692") as client:
            return await client.get(path, headers=headers)

    def metrics(self, path: str = "/metrics") -> dict[str, Metric]:
        """What was scraped, by name; a counter's ends in _total."""
        found = {}
        for family in text_string_to_metric_families(self.get(path).text):
            found[family.name + "_total" if family.type == "counter" else family.name] = family
        return found

    def value(self, name: str, path: str = "/metrics", **labels: str) -> float:
        """The value of the one sample with this name and at least these labels."""
        samples = [
            sample
            for family in self.metrics(path).values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert len(samples) == 1, f"{len(samples)} samples of {name} {labels}"
        return samples[0].value


def label_names(samples: Iterable[Sample]) -> set[str]:
    """The names of all labels of some samples."""
    return {name for sample in samples for name in sample.labels}
