"""Metrics: RabbitMQ's names, types, texts and labels, so that its dashboards fill; and the numbers are the counters."""

from __future__ import annotations

from pathlib import Path

import pytest
from pamqp import commands

from amqpd.wire.properties import Properties
from tests.builders import Client, World, publish_bytes
from tests.management.metrics.scraper import Scraper, label_names

REFERENCE = Path(__file__).with_name("rabbitmq_metrics.tsv")

# The metrics that the official dashboard RabbitMQ-Overview asks for, with the labels by which it tells them apart.
DASHBOARD = {
    "rabbitmq_build_info": {"rabbitmq_version", "prometheus_plugin_version", "erlang_version"},
    "rabbitmq_channels": set(),
    "rabbitmq_channels_closed_total": set(),
    "rabbitmq_channels_opened_total": set(),
    "rabbitmq_connections": set(),
    "rabbitmq_connections_closed_total": set(),
    "rabbitmq_connections_opened_total": set(),
    "rabbitmq_disk_space_available_bytes": set(),
    "rabbitmq_disk_space_available_limit_bytes": set(),
    "rabbitmq_erlang_uptime_seconds": set(),
    "rabbitmq_global_consumers": {"protocol"},
    "rabbitmq_global_messages_acknowledged_total": {"protocol", "queue_type"},
    "rabbitmq_global_messages_confirmed_total": {"protocol"},
    "rabbitmq_global_messages_delivered_consume_auto_ack_total": {"protocol", "queue_type"},
    "rabbitmq_global_messages_delivered_consume_manual_ack_total": {"protocol", "queue_type"},
    "rabbitmq_global_messages_delivered_get_auto_ack_total": {"protocol", "queue_type"},
    "rabbitmq_global_messages_delivered_get_manual_ack_total": {"protocol", "queue_type"},
    "rabbitmq_global_messages_delivered_total": {"protocol", "queue_type"},
    "rabbitmq_global_messages_get_empty_total": {"protocol", "queue_type"},
    "rabbitmq_global_messages_received_confirm_total": {"protocol"},
    "rabbitmq_global_messages_received_total": {"protocol"},
    "rabbitmq_global_messages_redelivered_total": {"protocol", "queue_type"},
    "rabbitmq_global_messages_routed_total": {"protocol"},
    "rabbitmq_global_messages_unroutable_dropped_total": {"protocol"},
    "rabbitmq_global_messages_unroutable_returned_total": {"protocol"},
    "rabbitmq_global_publishers": {"protocol"},
    "rabbitmq_identity_info": {
        "rabbitmq_node",
        "rabbitmq_cluster",
        "rabbitmq_cluster_permanent_id",
        "rabbitmq_endpoint",
    },
    "rabbitmq_message_size_bytes": {"protocol", "le"},
    "rabbitmq_process_max_fds": set(),
    "rabbitmq_process_open_fds": set(),
    "rabbitmq_process_resident_memory_bytes": set(),
    "rabbitmq_queue_messages_ready": set(),
    "rabbitmq_queue_messages_unacked": set(),
    "rabbitmq_queues": set(),
    "rabbitmq_queues_created_total": set(),
    "rabbitmq_queues_declared_total": set(),
    "rabbitmq_queues_deleted_total": set(),
    "rabbitmq_resident_memory_limit_bytes": set(),
}

# What RabbitMQ 3.10 has and amqpd has not, by how its name begins. docs/metrics.md says why.
LEFT_OUT = (
    "rabbitmq_auth_attempts_detailed",
    "rabbitmq_erlang_gc",
    "rabbitmq_erlang_net_ticktime",
    "rabbitmq_erlang_processes",
    "rabbitmq_erlang_scheduler",
    "rabbitmq_global_stream_error",
    "rabbitmq_io_",
    "rabbitmq_msg_store_",
    "rabbitmq_queue_disk_",
    "rabbitmq_queue_index_",
    "rabbitmq_queue_messages_persistent",
    "rabbitmq_raft_",
    "rabbitmq_schema_db_",
    "telemetry_",
)
LEFT_OUT_INSIDE = ("process_reductions", "queue_disk_", "queue_messages_persistent")
# Labels that amqpd does not tell apart: traffic of a channel is counted for the channel, that of a queue for the queue.
MERGED = {"exchange", "queue", "channel", "exchange_vhost"}


def reference(endpoint: str) -> dict[str, tuple[str, set[str], str]]:
    """What a RabbitMQ 3.10 answered: type, labels and text by name."""
    found = {}
    for line in REFERENCE.read_text().splitlines():
        where, name, kind, labels, text = line.split("\t")
        if where == endpoint:
            found[name] = (kind, set(labels.split()), text)
    return found


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World) -> Client:
    client = world.client()
    client.open()
    client.declare("q")
    client.feed(publish_bytes(1, "", "q", b"12345", Properties.of(timestamp=1_700_000_000)) * 3)
    client.send(1, commands.Basic.Get, queue="q")
    client.take()
    return client


@pytest.fixture
def scraper(world: World, client: Client) -> Scraper:
    return Scraper(world)


def left_out(name: str) -> bool:
    return name.startswith(LEFT_OUT) or any(part in name for part in LEFT_OUT_INSIDE)


PATHS = {
    "aggregated": "/metrics",
    "per-object": "/metrics/per-object",
    "detailed": "/metrics/detailed?family=queue_coarse_metrics&family=queue_metrics&family=channel_exchange_metrics"
    "&family=connection_coarse_metrics",
}


@pytest.mark.parametrize("endpoint", PATHS)
def test_every_metric_of_rabbitmq_is_there_or_left_out_on_purpose(scraper: Scraper, endpoint: str) -> None:
    found = scraper.metrics(PATHS[endpoint])
    wrong = []
    for name, (kind, labels, text) in reference(endpoint).items():
        if left_out(name):
            if name in found:
                wrong.append(f"{name} is there")
        elif name not in found:
            wrong.append(f"{name} is missing")
        else:
            family = found[name]
            if family.type != {"untyped": "unknown"}.get(kind, kind):
                wrong.append(f"{name} is a {family.type}")
            if family.documentation != text and name != "process_start_time_seconds":
                wrong.append(f"{name}: {family.documentation}")
            if labels - MERGED - label_names(family.samples):
                wrong.append(f"{name} has {label_names(family.samples)}")
    assert wrong == []


def test_the_dashboard_of_rabbitmq_finds_all_it_asks_for(scraper: Scraper) -> None:
    found = scraper.metrics()
    for name, labels in DASHBOARD.items():
        assert found[name].samples, name
        assert labels <= label_names(found[name].samples), name


def test_every_combination_of_labels_is_there_from_the_beginning() -> None:
    found = Scraper(World()).metrics()
    for name, labels in DASHBOARD.items():
        if "queue_type" in labels:
            kinds = {sample.labels["queue_type"] for sample in found[name].samples}
            assert kinds == {"rabbit_classic_queue", "rabbit_quorum_queue", "rabbit_stream_queue"}
            assert {sample.value for sample in found[name].samples} == {0}


def test_the_sizes_of_messages_are_a_histogram_with_the_bounds_that_dashboards_compare(scraper: Scraper) -> None:
    family = scraper.metrics()["rabbitmq_message_size_bytes"]
    buckets = {sample.labels["le"]: sample.value for sample in family.samples if sample.name.endswith("_bucket")}
    bounds = ["100.0", "1000.0", "10000.0", "100000.0", "1e+06", "1e+07", "5e+07", "1e+08", "+Inf"]
    assert buckets == dict.fromkeys(bounds, 3)
    assert scraper.value("rabbitmq_message_size_bytes_sum") == 15
    assert scraper.value("rabbitmq_message_size_bytes_count") == 3


def test_the_numbers_are_those_of_the_broker(scraper: Scraper, client: Client) -> None:
    client.declare("r")
    assert scraper.value("rabbitmq_queues") == 2
    assert scraper.value("rabbitmq_queue_messages_ready") == 2
    assert scraper.value("rabbitmq_queue_messages_unacked") == 1
    assert scraper.value("rabbitmq_queue_messages_bytes") == 15
    assert scraper.value("rabbitmq_global_messages_received_total") == 3
    assert scraper.value("rabbitmq_global_messages_delivered_get_manual_ack_total", queue_type="rabbit_classic_queue")
    assert scraper.value("rabbitmq_global_publishers") == 1
    assert scraper.value("rabbitmq_resident_memory_limit_bytes") == 1_000_000
    assert scraper.value("rabbitmq_process_resident_memory_bytes") > 1_000_000
    assert scraper.value("rabbitmq_connection_incoming_bytes_total") == client.connection.received


def test_counters_never_go_back_when_objects_go(scraper: Scraper, client: Client) -> None:
    names = [name for name, family in scraper.metrics().items() if family.type == "counter" and "rabbitmq" in name]
    before = {name: sum(sample.value for sample in scraper.metrics()[name].samples) for name in names}
    client.send(1, commands.Queue.Delete, queue="q")
    client.lose()
    after = scraper.metrics()
    assert len(names) > 30
    for name in names:
        assert sum(sample.value for sample in after[name].samples) >= before[name], name


def test_objects_are_told_apart_by_their_names(scraper: Scraper, client: Client, world: World) -> None:
    client.declare('odd "name"\\')
    path = "/metrics/per-object"
    assert scraper.value("rabbitmq_queue_messages_ready", path, vhost="/", queue="q") == 2
    assert scraper.value("rabbitmq_queue_messages_ready", path, queue='odd "name"\\') == 0
    channel = "127.0.0.1:40000 -> 127.0.0.1:5672 (1)"
    assert scraper.value("rabbitmq_channel_messages_published_total", path, channel=channel) == 3


def test_detailed_answers_what_is_asked_for_and_nothing_else(scraper: Scraper, world: World) -> None:
    world.broker.create_vhost("other")
    plain = set(scraper.metrics("/metrics/detailed"))
    assert {"rabbitmq_identity_info", "rabbitmq_build_info"} <= plain
    assert not any(name.startswith("rabbitmq_detailed") for name in plain)
    path = "/metrics/detailed?family=queue_coarse_metrics&family=vhost_status&family=nonsense"
    added = set(scraper.metrics(path)) - plain
    assert added == {
        "rabbitmq_detailed_queue_messages_ready",
        "rabbitmq_detailed_queue_messages_unacked",
        "rabbitmq_detailed_queue_messages",
        "rabbitmq_cluster_vhost_status",
    }
    assert len(scraper.metrics(path + "&vhost=other")["rabbitmq_cluster_vhost_status"].samples) == 1
    assert not scraper.metrics(path + "&vhost=other")["rabbitmq_detailed_queue_messages"].samples


def test_each_endpoint_says_which_it_is(scraper: Scraper) -> None:
    for endpoint, path in PATHS.items():
        assert scraper.value("rabbitmq_identity_info", path, rabbitmq_endpoint=endpoint) == 1


def test_attempts_to_log_in_are_counted_by_protocol(scraper: Scraper, world: World) -> None:
    assert scraper.value("rabbitmq_auth_attempts_succeeded_total", protocol="amqp091") == 1
    assert scraper.value("rabbitmq_auth_attempts_failed_total", protocol="http") == 0


def test_alarms_are_1_while_they_are_set(scraper: Scraper, world: World) -> None:
    world.broker.alarms.set("memory")
    assert scraper.value("rabbitmq_alarms_memory_used_watermark") == 1
    assert scraper.value("rabbitmq_alarms_free_disk_space_watermark") == 0


def test_other_paths_are_not_there(scraper: Scraper) -> None:
    assert scraper.get("/").status_code == 404


def test_it_is_text_and_compressed_when_asked(scraper: Scraper) -> None:
    answer = scraper.get("/metrics", {"accept-encoding": "gzip"})
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["content-encoding"] == "gzip"
