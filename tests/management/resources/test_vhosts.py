"""Virtual hosts over HTTP."""

from __future__ import annotations

import pytest
from pamqp import commands

from tests.management.api import API, error


@pytest.fixture
def api() -> API:
    return API()


def test_a_new_vhost_belongs_to_who_made_it(api: API) -> None:
    body = {"description": "d", "tags": "a, b", "default_queue_type": "quorum", "tracing": "true"}
    assert api.put("/vhosts/shop", body).status_code == 201
    found = api.get("/vhosts/shop").json()
    assert found["name"] == "shop"
    assert (found["description"], found["tags"], found["default_queue_type"]) == ("d", ["a", "b"], "quorum")
    assert found["metadata"] == {"description": "d", "tags": ["a", "b"], "default_queue_type": "quorum"}
    assert found["tracing"] is True
    assert found["cluster_state"] == {api.node.name: "running"}
    assert api.get("/permissions/shop/guest").json() == {
        "user": "guest",
        "vhost": "shop",
        "configure": ".*",
        "write": ".*",
        "read": ".*",
    }


def test_what_a_change_does_not_mention_stays(api: API) -> None:
    api.put("/vhosts/shop", {"description": "d", "tags": ["a"]})
    assert api.put("/vhosts/shop").status_code == 204
    assert api.put("/vhosts/shop", {"tags": ""}).status_code == 204
    found = api.get("/vhosts/shop").json()
    assert (found["description"], found["tags"], found["default_queue_type"]) == ("d", [], "undefined")


@pytest.mark.parametrize(
    "body", [{"default_queue_type": "nope"}, {"description": 5}, {"tags": 5}, {"tracing": "perhaps"}]
)
def test_metadata_that_cannot_be_is_refused_and_nothing_is_made(api: API, body: dict[str, object]) -> None:
    assert error(api.put("/vhosts/shop", body))[:2] == (400, "bad_request")
    assert "shop" not in api.world.broker.vhosts


def test_a_name_that_no_client_could_send_is_refused(api: API) -> None:
    assert error(api.put("/vhosts/" + "v" * 256)) == (
        400,
        "bad_request",
        "the name of a virtual host has 1 to 255 octets.",
    )


def test_a_deleted_vhost_is_gone(api: API) -> None:
    api.put("/vhosts/a%2Fb")
    assert api.delete("/vhosts/a%2Fb").status_code == 204
    assert api.delete("/vhosts/a%2Fb").status_code == 404
    assert api.get("/vhosts/a%2Fb/permissions").status_code == 404


def test_a_protected_vhost_is_not_deleted(api: API) -> None:
    api.put("/vhosts/shop", {"description": "d"})
    path = "/vhosts/shop/deletion/protection"
    assert api.get(path).status_code == 404
    assert api.post(path).status_code == 204
    assert api.get(path).status_code == 204
    assert api.get("/vhosts/shop").json()["protected_from_deletion"] is True
    status, name, reason = error(api.delete("/vhosts/shop"))
    assert (status, name) == (412, "precondition_failed")
    assert "DELETE /api/vhosts/shop/deletion/protection" in reason
    assert api.delete(path).status_code == 204
    assert api.get("/vhosts/shop").json()["description"] == "d"
    assert api.delete("/vhosts/shop").status_code == 204


def test_a_vhost_is_started_on_this_node_only(api: API) -> None:
    assert api.post(f"/vhosts/%2F/start/{api.node.name}").status_code == 204
    assert error(api.post("/vhosts/%2F/start/other"))[2] == "Request to node other failed with nodedown"


def test_who_sees_what(api: API) -> None:
    api.put("/vhosts/shop")
    manager = api.add_user("manager", "management")
    monitor = api.add_user("monitor", "monitoring", vhost=None)
    assert [row["name"] for row in api.get("/vhosts", manager).json()] == ["/"]
    assert [row["name"] for row in api.get("/vhosts", monitor).json()] == ["/", "shop"]
    assert error(api.put("/vhosts/x", None, manager))[0] == 401
    assert error(api.delete("/vhosts/shop", monitor))[0] == 401


def test_vhosts_are_paged(api: API) -> None:
    for name in ("a", "b", "c"):
        api.put(f"/vhosts/{name}")
    found = api.get("/vhosts?page=2&page_size=2&columns=name").json()
    assert (found["total_count"], found["items"]) == (4, [{"name": "b"}, {"name": "c"}])


def test_a_row_has_the_messages_of_all_queues_and_the_octets_of_all_connections(api: API) -> None:
    world = api.world
    gone, client = world.client(), world.client()
    gone.open(1)
    client.open(1)
    for queue in ("a", "b"):
        client.declare(queue)
        client.publish(1, "", queue, b"x")
        client.publish(1, "", queue, b"x")
    client.send(1, commands.Basic.Get, queue="a")
    gone.lose()
    api.put("/vhosts/idle")
    idle, row = api.get("/vhosts?sort=messages").json()
    assert (row["messages"], row["messages_ready"], row["messages_unacknowledged"]) == (4, 3, 1)
    both = [gone.connection, client.connection]
    assert row["recv_oct"] == sum(connection.received for connection in both)
    assert row["send_oct"] == sum(connection.output.sent for connection in both)
    details = [name for name in row if name.endswith("_details")]
    assert {row[name]["rate"] for name in details} == {0.0}
    assert (idle["messages"], idle["recv_oct"], idle["send_oct_details"]) == (0, 0, {"rate": 0.0})
    assert set(row) - set(idle) == {"message_stats"}
