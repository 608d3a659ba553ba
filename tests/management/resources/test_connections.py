"""/api/connections and /api/channels."""

from __future__ import annotations

import pytest
from pamqp import commands

from tests.builders import Client
from tests.management.api import API, error

NAME = "127.0.0.1:40000 -> 127.0.0.1:5672"
QUOTED = "127.0.0.1:40000%20-%3E%20127.0.0.1:5672"
NOT_OURS = (401, "not_authorised", "User not authorised to access object")


@pytest.fixture
def api() -> API:
    return API()


@pytest.fixture
def client(api: API) -> Client:
    client = api.world.client(heartbeat=30)
    client.open(1)
    client.open(7)
    return client


@pytest.mark.usefixtures("client")
def test_a_connection_is_told_of(api: API) -> None:
    (row,) = api.get("/connections").json()
    assert row == api.get(f"/connections/{QUOTED}").json()
    assert (row["name"], row["user"], row["vhost"], row["state"]) == (NAME, "guest", "/", "running")
    assert (row["peer_host"], row["peer_port"], row["host"], row["port"]) == ("127.0.0.1", 40000, "127.0.0.1", 5672)
    assert (row["channels"], row["timeout"], row["frame_max"], row["channel_max"]) == (2, 30, 131_072, 2047)
    assert (row["protocol"], row["auth_mechanism"], row["ssl"], row["type"]) == (
        "AMQP 0-9-1",
        "PLAIN",
        False,
        "network",
    )
    assert row["connected_at"] == 1_700_000_000_000
    assert row["client_properties"]["capabilities"]["basic.nack"] is True
    assert row["recv_oct"] > 0
    assert row["send_oct"] > 0


def test_a_connection_is_closed_for_a_reason(api: API, client: Client) -> None:
    response = api.request("DELETE", f"/connections/{QUOTED}", headers={"x-reason": "because"})
    assert response.status_code == 204
    assert client.connection_closed() == (320, "CONNECTION_FORCED - because")
    assert api.get(f"/connections/{QUOTED}").status_code == 404
    assert api.delete(f"/connections/{QUOTED}").status_code == 404


def test_without_a_reason_the_client_is_told_who_closed_it(api: API, client: Client) -> None:
    api.delete(f"/connections/{QUOTED}")
    assert client.connection_closed() == (320, "CONNECTION_FORCED - Closed via management plugin")


@pytest.mark.usefixtures("client")
def test_everybody_sees_their_own_connections_and_monitors_see_all(api: API) -> None:
    other, monitor = api.add_user("other", "management"), api.add_user("monitor", "monitoring")
    assert api.get("/connections", other).json() == []
    assert api.get("/channels", other).json() == []
    assert error(api.get(f"/connections/{QUOTED}", other)) == NOT_OURS
    assert error(api.get(f"/channels/{QUOTED}%20(1)", other)) == NOT_OURS
    assert len(api.get("/connections", monitor).json()) == 1
    assert api.get(f"/connections/{QUOTED}", monitor).status_code == 200


def test_only_administrators_close_the_connections_of_others(api: API, client: Client) -> None:
    monitor = api.add_user("monitor", "monitoring")
    assert error(api.delete(f"/connections/{QUOTED}", monitor)) == NOT_OURS
    assert error(api.delete("/connections/username/guest", monitor)) == NOT_OURS
    assert client.take() == b""


def test_the_connections_of_a_user_are_listed_and_closed_together(api: API, client: Client) -> None:
    assert api.get("/connections/username/guest").json() == [
        {"name": NAME, "vhost": "/", "user": "guest", "node": api.node.name}
    ]
    assert api.get("/connections/username/nobody").json() == []
    assert api.delete("/connections/username/guest").status_code == 204
    assert client.connection_closed()[0] == 320


@pytest.mark.usefixtures("client")
def test_connections_and_channels_can_be_asked_for_by_vhost(api: API) -> None:
    assert len(api.get("/vhosts/%2F/connections").json()) == 1
    assert len(api.get("/vhosts/%2F/channels").json()) == 2
    assert api.get("/vhosts/nope/connections").status_code == 404


def test_a_channel_is_told_of(api: API, client: Client) -> None:
    client.declare("q")
    client.send(1, commands.Confirm.Select)
    client.send(1, commands.Basic.Qos, prefetch_count=5)
    client.send(1, commands.Basic.Consume, queue="q", consumer_tag="t")
    client.publish(1, "", "q", b"x")
    row = api.get(f"/channels/{QUOTED}%20(1)").json()
    assert (row["name"], row["number"], row["user"], row["vhost"]) == (f"{NAME} (1)", 1, "guest", "/")
    assert (row["confirm"], row["transactional"], row["state"]) == (True, False, "running")
    assert (row["prefetch_count"], row["global_prefetch_count"], row["consumer_count"]) == (5, 0, 1)
    assert (row["messages_unacknowledged"], row["messages_unconfirmed"]) == (1, 0)
    assert row["connection_details"] == {"name": NAME, "peer_host": "127.0.0.1", "peer_port": 40000}
    assert [consumer["consumer_tag"] for consumer in row["consumer_details"]] == ["t"]
    assert (row["message_stats"]["publish"], row["message_stats"]["deliver"]) == (1, 1)


def test_what_a_transaction_holds_is_counted(api: API, client: Client) -> None:
    client.declare("q")
    client.publish(1, "", "q", b"x")
    client.send(7, commands.Tx.Select)
    client.send(7, commands.Basic.Get, queue="q")
    client.publish(7, "", "q", b"y")
    client.send(7, commands.Basic.Ack, delivery_tag=1)
    row = api.get(f"/channels/{QUOTED}%20(7)").json()
    assert (row["transactional"], row["messages_uncommitted"], row["acks_uncommitted"]) == (True, 1, 1)
    assert row["messages_unacknowledged"] == 1


@pytest.mark.usefixtures("client")
def test_channels_are_listed_and_idle_ones_have_no_message_stats(api: API) -> None:
    rows = api.get("/channels").json()
    assert [row["number"] for row in rows] == [1, 7]
    assert api.get(f"/connections/{QUOTED}/channels").json() == rows
    assert "message_stats" not in rows[0]
    assert api.get(f"/channels/{QUOTED}%20(2)").status_code == 404


def test_a_blocked_connection_says_so(api: API, client: Client) -> None:
    api.world.broker.alarms.set("memory")
    client.publish(1, "", "nowhere")
    assert api.get(f"/connections/{QUOTED}").json()["state"] == "blocked"
