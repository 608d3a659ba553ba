"""What is always there: who answers, which versions, how large messages are, and the process under its usual names.

Rule: what may live here is a prometheus-client collector. One look takes well under a millisecond.
"""

from __future__ import annotations

import base64
import hashlib
import platform
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import GC_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, UntypedMetricFamily
from prometheus_client.registry import Collector

from amqpd.management.metrics.family import Scope
from amqpd.management.metrics.totals import PROTOCOL
from amqpd.protocol.handshake import COMPATIBLE_VERSION, PRODUCT

# The labels as RabbitMQ has them: dashboards compare them letter by letter.
BOUNDS: Final = ("100.0", "1000.0", "10000.0", "100000.0", "1e+06", "1e+07", "5e+07", "1e+08", "+Inf")


class Identity(Collector):
    """RabbitMQ's identity and build, to which dashboards join everything else.

    Args:
        scope: what is asked for.
        lag: seconds that the event loop took just now until it came to something that was ready.
    """

    def __init__(self, scope: Scope, lag: float) -> None:
        self._scope = scope
        self._lag = lag

    def collect(self) -> Iterator[UntypedMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        node = self._scope.node
        labels = {
            "rabbitmq_node": node.name,
            "rabbitmq_cluster": node.broker.cluster_name,
            "rabbitmq_cluster_permanent_id": permanent_id(f"{node.name} {node.data_dir}"),
            "rabbitmq_endpoint": self._scope.endpoint,
        }
        identity = UntypedMetricFamily(
            "rabbitmq_identity_info", "RabbitMQ node & cluster identity info", labels=list(labels)
        )
        identity.add_metric(list(labels.values()), 1)
        yield identity
        yield self._build()
        yield self._sizes()
        yield GaugeMetricFamily(
            "amqpd_event_loop_lag_seconds", "How long something waited for its turn when this was asked", self._lag
        )

    def _build(self) -> UntypedMetricFamily:
        from importlib.metadata import version  # 0.7 MB of memory that only scraping needs

        ours = self._scope.node.services.version
        labels = {
            "rabbitmq_version": COMPATIBLE_VERSION,
            "prometheus_plugin_version": COMPATIBLE_VERSION,
            "prometheus_client_version": version("prometheus-client"),
            "erlang_version": f"n/a (Python {platform.python_version()})",
            "product_name": PRODUCT,
            "product_version": COMPATIBLE_VERSION,
            "amqpd_version": ours,
        }
        build = UntypedMetricFamily("rabbitmq_build_info", "RabbitMQ & Erlang/OTP version info", labels=list(labels))
        build.add_metric(list(labels.values()), 1)
        return build

    def _sizes(self) -> HistogramMetricFamily:
        sizes = self._scope.node.broker.context.counters.sizes
        for connection in self._scope.node.connections.all():
            for channel in connection.channels.all():
                channel.publishing.count_sizes()
        counts = accumulate(int(count) for count in sizes.counts)
        family = HistogramMetricFamily(
            "rabbitmq_message_size_bytes", "Size of messages received from publishers", labels=["protocol"]
        )
        family.add_metric([PROTOCOL], list(zip(BOUNDS, counts, strict=True)), int(sizes.octets))
        return family


def permanent_id(text: str) -> str:
    """An id that stays the same as long as name and data directory do, in RabbitMQ's form."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:16]
    return "rabbitmq-cluster-id-" + base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")


def registry_of(scope: Scope, lag: float) -> CollectorRegistry:
    """What is always answered."""
    registry = CollectorRegistry()
    registry.register(Identity(scope, lag))
    registry.register(PROCESS_COLLECTOR)
    registry.register(GC_COLLECTOR)
    return registry
