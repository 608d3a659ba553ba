"""Counters and their details in the rows of the HTTP API."""

from __future__ import annotations

from typing import Any

import pytest
from pamqp import commands

from tests.builders import Client, publish_bytes
from tests.management.api import API


@pytest.fixture
def api() -> API:
    api = API()
    api.node.rates.start()
    return api


@pytest.fixture
def client(api: API) -> Client:
    client = api.world.client()
    client.open()
    client.declare("q")
    client.feed(publish_bytes(1, "", "q") * 50)
    api.world.advance(5)
    return client


def row(api: API, path: str) -> Any:
    answer = api.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_counters_have_the_rate_of_the_last_five_seconds(api: API, client: Client) -> None:
    queue = row(api, "/queues/%2F/q")
    assert queue["message_stats"]["publish_details"] == {"rate": 10.0}
    assert queue["message_stats"]["deliver_get_details"] == {"rate": 0.0}
    assert queue["messages_ready_details"] == {"rate": 10.0}
    assert row(api, "/exchanges/%2F/amq.default")["message_stats"]["publish_in_details"] == {"rate": 10.0}
    assert row(api, "/overview")["message_stats"]["publish_details"] == {"rate": 10.0}
    assert row(api, "/overview")["queue_totals"]["messages_details"] == {"rate": 10.0}
    assert row(api, "/overview")["churn_rates"]["queue_declared_details"] == {"rate": 0.2}
    assert row(api, "/vhosts/%2F")["message_stats"]["publish_details"] == {"rate": 10.0}
    (channel,) = row(api, "/channels")
    assert channel["message_stats"]["publish_details"] == {"rate": 10.0}
    (connection,) = row(api, "/connections")
    assert connection["recv_oct_details"]["rate"] == connection["recv_oct"] / 5


def test_samples_come_when_they_are_asked_for(api: API, client: Client) -> None:
    api.world.advance(5)
    queue = row(api, "/queues/%2F/q?msg_rates_age=10&msg_rates_incr=5&lengths_age=5&lengths_incr=5")
    details = queue["message_stats"]["publish_details"]
    assert [sample["sample"] for sample in details["samples"]] == [50, 50, 0]
    assert (details["avg_rate"], details["rate"]) == (5.0, 0.0)
    assert len(queue["messages_details"]["samples"]) == 2
    overview = row(api, "/overview?msg_rates_age=60&msg_rates_incr=5&lengths_age=60&lengths_incr=5")
    assert len(overview["message_stats"]["publish_details"]["samples"]) == 13
    assert len(overview["queue_totals"]["messages_details"]["samples"]) == 13
    (node,) = row(api, "/nodes?node_stats_age=60&node_stats_incr=5")
    assert len(node["mem_used_details"]["samples"]) == 13


def test_a_queue_is_idle_since_something_last_happened(api: API, client: Client) -> None:
    api.world.advance(60)
    assert row(api, "/queues/%2F/q")["idle_since"] == "2023-11-14T22:13:25.000+00:00"
    client.send(1, commands.Basic.Get, queue="q")
    assert "idle_since" not in row(api, "/queues/%2F/q")


def test_the_overview_of_several_virtual_hosts_adds_them_up(api: API, client: Client) -> None:
    api.world.broker.create_vhost("other")
    api.world.advance(5)
    client.feed(publish_bytes(1, "", "q") * 5)
    api.world.advance(5)
    found = row(api, "/overview")["message_stats"]
    assert (found["publish"], found["publish_details"]["rate"]) == (55, 1.0)


def test_what_a_deleted_virtual_host_counted_stays_with_the_broker(api: API, client: Client) -> None:
    api.world.broker.create_vhost("other")
    assert api.world.broker.delete_vhost("/")
    counters = api.world.context.counters
    assert counters.past.publish == 50
    assert counters.deleted_queues["classic"].publish == 50
