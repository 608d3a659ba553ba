"""/api/overview, /api/nodes, health checks, streams: what is there once."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pamqp import commands

from amqpd.management.node import Listener
from amqpd.net.tls import ShownCertificate
from tests.management.api import API, error


@pytest.fixture
def api() -> API:
    return API()


def test_the_overview_adds_everything_up(api: API) -> None:
    client = api.world.client()
    client.open()
    client.declare("q")
    for _ in range(3):
        client.publish(1, "", "q", b"x")
    client.send(1, commands.Basic.Get, queue="q")
    client.send(1, commands.Basic.Consume, queue="q", no_ack=True)
    found = api.get("/overview").json()
    assert found["queue_totals"]["messages"] == found["queue_totals"]["messages_unacknowledged"] == 1
    assert found["object_totals"] == {
        "channels": 1,
        "connections": 1,
        "consumers": 1,
        "exchanges": len(api.world.vhost.exchanges),
        "queues": 1,
    }
    assert (found["message_stats"]["publish"], found["message_stats"]["deliver_get"]) == (3, 3)
    assert found["churn_rates"]["queue_declared"] == 1
    assert [row["protocol"] for row in found["listeners"]] == ["amqp", "http"]
    assert found["rabbitmq_version"] == "4.0.5"


def test_an_empty_broker_has_objects_and_no_arrays_in_the_overview(api: API) -> None:
    found = api.get("/overview").json()
    names = ("messages", "messages_ready", "messages_unacknowledged")
    still = {f"{name}_details": {"rate": 0.0} for name in names}
    assert found["queue_totals"] == {**dict.fromkeys(names, 0), **still}
    assert isinstance(found["message_stats"], dict)


def test_who_may_not_see_the_node_is_not_told_of_it(api: API) -> None:
    found = api.get("/overview", api.add_user("u", "management")).json()
    assert not {"node", "listeners", "contexts"} & set(found)
    assert "consumers" not in found["object_totals"]


def test_the_node_is_for_monitors(api: API) -> None:
    assert error(api.get("/nodes", api.add_user("u", "management"))) == (401, "not_authorised", "Not monitor user")
    (row,) = api.get("/nodes", api.add_user("m", "monitoring")).json()
    assert set(row) == set(api.get(f"/nodes/{api.node.name}").json())
    assert (row["running"], row["type"], row["os_pid"], row["partitions"]) == (True, "disc", "4711", [])
    assert (row["mem_limit"], row["mem_alarm"], row["being_drained"]) == (1_000_000, False, False)
    assert row["processors"] == os.cpu_count()
    assert "rabbitmq_management" in row["enabled_plugins"]
    assert {"name": "rabbit", "version": "4.0.5"}.items() <= row["applications"][1].items()


def test_another_node_is_404(api: API) -> None:
    assert api.get("/nodes/nope").status_code == 404


def test_the_uptime_grows(api: API) -> None:
    api.world.advance(12.5)
    assert api.get("/nodes").json()[0]["uptime"] == 12_500


def test_the_memory_can_be_asked_for_alone_or_with_the_node(api: API) -> None:
    alone = api.get(f"/nodes/{api.node.name}/memory").json()["memory"]
    assert alone["total"]["rss"] > 0
    assert alone["strategy"] == "rss"
    assert set(api.get(f"/nodes/{api.node.name}?memory=true").json()["memory"]) == set(alone)


def test_the_cluster_has_a_name_that_administrators_change(api: API) -> None:
    assert api.get("/cluster-name").json() == {"name": api.world.broker.cluster_name}
    assert api.put("/cluster-name", {"name": "ours"}).status_code == 204
    assert api.get("/cluster-name").json() == {"name": "ours"}
    assert error(api.put("/cluster-name", {})) == (400, "bad_request", "[{key_missing,name}]")
    assert api.put("/cluster-name", {"name": "x"}, api.add_user("u", "management")).status_code == 401


def test_the_version_needs_no_login(api: API) -> None:
    assert api.get("/version", user=None).json() == "4.0.5"


def test_what_has_nothing_to_do_says_so(api: API) -> None:
    assert api.post("/rebalance/queues").status_code == 204
    assert api.delete("/reset").status_code == 204
    assert api.get("/extensions").json() == []
    assert api.get("//cli/rabbitmqadmin").status_code == 404


def test_a_login_form_is_checked(api: API) -> None:
    assert api.post("/login", b"username=guest&password=guest", user=None).json() == "ok"
    assert api.post("/login", b"username=guest&password=x", user=None).status_code == 401
    assert api.get("/login", user=None).status_code == 405


def test_a_password_is_hashed_for_definitions(api: API) -> None:
    hashed = api.get("/auth/hash_password/secret").json()["ok"]
    api.put("/users/u", {"password_hash": hashed, "tags": "management"})
    assert api.get("/whoami", ("u", "secret")).status_code == 200


# Health checks.

WELL = [
    "/health/checks/alarms",
    "/health/checks/local-alarms",
    "/health/checks/virtual-hosts",
    "/health/checks/port-listener/5672",
    "/health/checks/protocol-listener/amqp091",
    "/health/checks/protocol-listener/http,AMQP",
    "/health/checks/certificate-expiration/1/months",
    "/health/checks/node-is-quorum-critical",
    "/health/checks/node-is-mirror-sync-critical",
    "/healthchecks/node",
    "/aliveness-test/%2F",
]


@pytest.mark.parametrize("path", WELL)
def test_while_all_is_well_checks_say_so(api: API, path: str) -> None:
    response = api.get(path)
    assert (response.status_code, response.json()["status"]) == (200, "ok")


@pytest.mark.parametrize(
    "check", ["is-in-service", "ready-to-serve-clients", "below-node-connection-limit", "reached-target-cluster-size"]
)
def test_what_orchestrators_ask_needs_no_login(api: API, check: str) -> None:
    assert api.get(f"/health/checks/{check}", user=None).status_code == 200


def test_an_alarm_fails_the_checks(api: API) -> None:
    api.world.broker.alarms.set("memory")
    for path in ("/health/checks/alarms", "/health/checks/local-alarms", "/healthchecks/node"):
        response = api.get(path)
        assert (response.status_code, response.json()["status"]) == (503, "failed")
        assert response.json()["alarms"] == [{"node": api.node.name, "resource": "memory"}]
    assert api.get("/nodes").json()[0]["mem_alarm"] is True


def test_what_nobody_listens_on_fails(api: API) -> None:
    response = api.get("/health/checks/port-listener/9999")
    assert response.status_code == 503
    assert response.json() == {
        "status": "failed",
        "reason": "No active listener",
        "missing": 9999,
        "ports": [5672, 15672],
    }
    response = api.get("/health/checks/protocol-listener/mqtt")
    assert response.status_code == 503
    assert (response.json()["missing"], response.json()["protocols"]) == ("mqtt", ["amqp", "http"])
    assert error(api.get("/health/checks/port-listener/abc")) == (400, "bad_request", "Invalid port")
    assert api.get("/health/checks/certificate-expiration/1/bogus").status_code == 400
    assert api.get("/aliveness-test/nope").status_code == 404


def test_a_certificate_that_ends_soon_fails_the_check(api: API) -> None:
    ends = datetime.fromtimestamp(1_700_000_000, UTC) + timedelta(days=10)
    api.node.certificates = lambda: [ShownCertificate("", Path("cert.pem"), ends)]
    path = "/health/checks/certificate-expiration"
    assert api.get(f"{path}/9/days").status_code == 200
    for within in ("10/days", "2/weeks", "1/months", "1/years"):
        response = api.get(f"{path}/{within}")
        assert (response.status_code, response.json()["reason"]) == (503, "Certificates expiring")
        assert response.json()["expired"][0]["certfile"] == "cert.pem"
    assert error(api.get(f"{path}/x/days"))[0] == 400


def test_a_protocol_answers_under_both_keys(api: API) -> None:
    found = api.get("/health/checks/protocol-listener/amqp0-9-1").json()
    assert found == {"status": "ok", "protocol": "amqp", "protocols": ["amqp"]}


def test_the_aliveness_test_leaves_nothing_behind(api: API) -> None:
    assert api.get("/aliveness-test/%2F").json() == {"status": "ok"}
    assert api.world.vhost.queues == {}


# Streams.


@pytest.mark.parametrize("path", ["connections", "publishers", "consumers", "connections/%2F", "publishers/%2F/s"])
def test_nobody_speaks_the_stream_protocol(api: API, path: str) -> None:
    assert api.get(f"/stream/{path}").json() == []


def test_a_super_stream_is_made_with_permissions_for_all_of_it(api: API) -> None:
    path = "/stream/super-streams/%2F/orders"
    assert api.put(path, {"partitions": 2, "arguments": {"x-max-age": "1h"}}).status_code == 201
    assert set(api.world.vhost.queues) == {"orders-0", "orders-1"}
    assert api.world.vhost.queues["orders-0"].settings.max_age == 3_600_000
    assert error(api.put(path, {"partitions": 2}))[0] == 400
    assert api.put("/stream/super-streams/%2F/p", {"binding-keys": "a,b"}).status_code == 201
    assert error(api.put("/stream/super-streams/%2F/x", {}))[2] == "Specify either partitions or binding-keys"
    user = api.add_user("u", "management", configure="^y$")
    assert error(api.put("/stream/super-streams/%2F/y", {"partitions": 1}, user))[2] == "Access refused."


def test_the_named_places_in_a_stream_are_its_tracking(api: API) -> None:
    client = api.world.client()
    client.open()
    client.declare("s", durable=True, arguments={"x-queue-type": "stream"})
    client.send(1, commands.Basic.Qos, prefetch_count=1)
    arguments = {"x-stream-cursor": "me", "x-stream-offset": "first"}
    client.send(1, commands.Basic.Consume, queue="s", arguments=arguments)
    assert api.get("/stream/%2F/s/tracking").json() == {"offsets": {"me": 0}, "writers": {}}
    assert api.get("/stream/%2F/nope/tracking").status_code == 404


def test_a_port_is_one_context_on_however_many_addresses_it_listens(api: API) -> None:
    api.node.listeners.append(Listener("http", "::1", 15672))
    assert [found["port"] for found in api.get("/overview").json()["contexts"]] == ["15672"]
