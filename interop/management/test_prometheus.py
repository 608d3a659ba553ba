"""A real Prometheus scrapes amqpd, and has what RabbitMQ's dashboard asks it for."""

from __future__ import annotations

from collections.abc import Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from interop.amqpd_server import AmqpdServer
from interop.broker import Broker
from interop.management.prometheus import PrometheusServer
from interop.waiting import eventually, free_port

# The expression of a panel of RabbitMQ-Overview; how the variables stand in Grafana when there is one broker.
JOINED = (
    "sum({expression} * on(instance, job) group_left(rabbitmq_cluster) rabbitmq_identity_info"
    '{{rabbitmq_cluster=~".+", namespace="", rabbitmq_endpoint="aggregated"}})'
)
GAUGES = (
    "rabbitmq_connections",
    "rabbitmq_channels",
    "rabbitmq_queues",
    "rabbitmq_queue_messages_ready",
    "rabbitmq_queue_messages_unacked",
    "rabbitmq_global_publishers",
    "rabbitmq_global_consumers",
    "rabbitmq_resident_memory_limit_bytes - rabbitmq_process_resident_memory_bytes",
    "rabbitmq_process_max_fds - rabbitmq_process_open_fds",
    "rabbitmq_disk_space_available_bytes",
    "rabbitmq_erlang_uptime_seconds",
)
RATES = (
    "rabbitmq_global_messages_received_total",
    "rabbitmq_global_messages_received_confirm_total",
    "rabbitmq_global_messages_routed_total",
    "rabbitmq_global_messages_confirmed_total",
    "rabbitmq_global_messages_unroutable_dropped_total",
    "rabbitmq_global_messages_unroutable_returned_total",
    "rabbitmq_global_messages_delivered_total",
    "rabbitmq_global_messages_redelivered_total",
    "rabbitmq_global_messages_acknowledged_total",
    "rabbitmq_global_messages_get_empty_total",
    "rabbitmq_connections_opened_total",
    "rabbitmq_channels_closed_total",
    "rabbitmq_queues_declared_total",
    'rabbitmq_message_size_bytes_bucket{le="100.0"}',
    'rabbitmq_message_size_bytes_bucket{le="1e+06"}',
)


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def scraped(metrics_port: int) -> Iterator[Broker]:
    server = AmqpdServer(management_port=free_port(), options=("--metrics-port", str(metrics_port)))
    with server as running:
        yield running


@pytest.fixture(scope="module")
def session(scraped: Broker) -> Iterator[BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(scraped.url))
    channel = connection.channel()
    channel.queue_declare("orders", exclusive=True)
    channel.confirm_delivery()
    yield channel
    connection.close()


@pytest.fixture(scope="module")
def prometheus(metrics_port: int, session: BlockingChannel) -> Iterator[PrometheusServer]:
    with PrometheusServer(metrics_port) as running:
        yield running


def test_every_scrape_is_understood(prometheus: PrometheusServer) -> None:
    def up() -> bool:
        targets = prometheus.api("targets")["activeTargets"]
        return len(targets) == 3 and all(target["health"] == "up" for target in targets)

    eventually(up, "all three paths are scraped", 15)
    assert "error" not in prometheus.log().lower()


def wait_for(prometheus: PrometheusServer, expression: str, value: float) -> None:
    """Wait until an expression has a value: the three paths are scraped at different moments."""
    eventually(lambda: prometheus.value(expression) == value, f"{expression} is {value}", 10)


def test_what_a_client_does_is_what_prometheus_has(prometheus: PrometheusServer, session: BlockingChannel) -> None:
    for _ in range(7):
        session.basic_publish("", "orders", b"x" * 150)
    method, _, _ = session.basic_get("orders")
    expected = {
        'rabbitmq_queue_messages_ready{job="broker"}': 6,
        'rabbitmq_queue_messages_unacked{job="broker"}': 1,
        'sum(rabbitmq_global_messages_received_confirm_total{job="broker"})': 7,
        'sum(rabbitmq_global_messages_confirmed_total{job="broker"})': 7,
        'rabbitmq_message_size_bytes_bucket{job="broker",le="1000.0"}': 7,
        'rabbitmq_detailed_queue_messages_ready{vhost="/",queue="orders"}': 6,
        'rabbitmq_queue_messages{job="objects",queue="orders"}': 7,
    }
    for expression, value in expected.items():
        wait_for(prometheus, expression, value)
    session.basic_ack(method.delivery_tag)


@pytest.mark.parametrize("gauge", GAUGES)
def test_a_panel_of_the_overview_dashboard_has_a_number(prometheus: PrometheusServer, gauge: str) -> None:
    expression = JOINED.format(expression=f"({gauge})")
    assert eventually(lambda: prometheus.query(expression), f"{gauge} has a value", 10)


@pytest.mark.parametrize("counter", RATES)
def test_a_panel_of_the_overview_dashboard_has_a_rate(prometheus: PrometheusServer, counter: str) -> None:
    expression = JOINED.format(expression=f"rate({counter}[10s])")
    assert eventually(lambda: prometheus.query(expression), f"{counter} has a rate", 15)


def test_sums_of_automatic_and_manual_acknowledgement_have_both_sides(prometheus: PrometheusServer) -> None:
    both = (
        "rate(rabbitmq_global_messages_delivered_consume_auto_ack_total[10s])"
        " + rate(rabbitmq_global_messages_delivered_consume_manual_ack_total[10s])"
    )
    eventually(lambda: prometheus.query(JOINED.format(expression=f"({both})")), "both sides are there", 15)
