"""/api/bindings and /api/exchanges."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from pamqp import commands

from amqpd.management.resources.bindings import properties_key
from amqpd.wire.table import EMPTY_TABLE, Field, Table
from tests.management.api import API, error

BETWEEN = "/bindings/%2F/e/amq.topic/q/q"


@pytest.fixture
def api() -> API:
    api = API()
    api.put("/queues/%2F/q")
    return api


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("", "~"),
        ("order.created", "order.created"),
        ("order.*.eu", "order.%2A.eu"),
        ("tilde~only", "tilde%7Eonly"),
        ("a b/#", "a+b%2F%23"),
        ("ä", "%C3%A4"),
    ],
)
def test_a_key_alone_is_quoted_as_rabbitmq_does(key: str, expected: str) -> None:
    assert properties_key(key, EMPTY_TABLE) == expected


def test_arguments_add_a_hash_that_is_the_same_for_the_same_values() -> None:
    narrow, wide = Table.of({"a": 1, "b": "x"}), Table.of({"b": "x", "a": Field.long(1)})
    key = properties_key("k", narrow)
    assert key.startswith("k~")
    assert len(key) == len("k~") + 6
    assert key == properties_key("k", wide)
    assert key != properties_key("k", Table.of({"a": 2, "b": "x"}))
    assert properties_key("", narrow).startswith("~")


@pytest.mark.parametrize(
    ("body", "location"),
    [
        (None, "q/~"),
        ({"routing_key": "z"}, "q/z"),
        ({"routing_key": "a b/#~"}, "q/a%2Bb%252F%2523%257E"),
    ],
)
def test_the_location_of_a_new_binding_is_its_key_quoted_once_more(api: API, body: object, location: str) -> None:
    response = api.post(BETWEEN, body)
    assert (response.status_code, response.headers["location"], response.content) == (201, location, b"")


def test_a_binding_is_found_and_removed_by_its_key(api: API) -> None:
    assert api.post(BETWEEN, {"routing_key": "a b/#~", "arguments": {"x": 1}}).status_code == 201
    (row,) = api.get(BETWEEN).json()
    assert row["routing_key"] == "a b/#~"
    assert (row["source"], row["destination"], row["destination_type"], row["vhost"]) == (
        "amq.topic",
        "q",
        "queue",
        "/",
    )
    path = f"{BETWEEN}/{quote(row['properties_key'], safe='')}"
    assert api.get(path).json() == row
    assert api.delete(path).status_code == 204
    assert error(api.delete(path)) == (404, "Object Not Found", "Not Found")


def test_binding_again_is_the_same_even_over_amqp_with_narrower_numbers(api: API) -> None:
    client = api.world.client()
    client.open()
    ends = {"queue": "q", "exchange": "amq.topic", "routing_key": "k"}
    client.call(1, commands.Queue.Bind, commands.Queue.BindOk, arguments={"a": 1}, **ends)
    assert api.post(BETWEEN, {"routing_key": "k", "arguments": {"a": 1}}).status_code == 201
    assert len(api.get(BETWEEN).json()) == 1


def test_exchanges_are_bound_to_exchanges(api: API) -> None:
    response = api.post("/bindings/%2F/e/amq.topic/e/amq.fanout", {"routing_key": "z"})
    assert (response.status_code, response.headers["location"]) == (201, "amq.fanout/z")
    source = api.get("/exchanges/%2F/amq.topic/bindings/source").json()
    assert source == api.get("/exchanges/%2F/amq.fanout/bindings/destination").json()
    assert source[0]["destination_type"] == "exchange"
    assert api.delete("/bindings/%2F/e/amq.topic/e/amq.fanout/z").status_code == 204


def test_the_bindings_of_the_default_exchange_are_listed_and_cannot_be_changed(api: API) -> None:
    assert api.get("/bindings").json() == [
        {
            "source": "",
            "vhost": "/",
            "destination": "q",
            "destination_type": "queue",
            "routing_key": "q",
            "arguments": {},
            "properties_key": "q",
        }
    ]
    for path in ("/bindings/%2F/e//q/q", "/bindings/%2F/e/amq.default/q/q"):
        assert len(api.get(path).json()) == 1
        assert error(api.post(path, {"routing_key": "x"})) == (401, "not_authorised", "Access refused.")
        assert error(api.delete(f"{path}/q")) == (401, "not_authorised", "Access refused.")


def test_bindings_are_sorted_by_their_ends(api: API) -> None:
    api.put("/queues/%2F/a")
    for source, queue, key in [("amq.topic", "q", "2"), ("amq.topic", "q", "1"), ("amq.direct", "q", "3")]:
        api.post(f"/bindings/%2F/e/{source}/q/{queue}", {"routing_key": key})
    rows = api.get("/bindings/%2F").json()
    assert [row["routing_key"] for row in rows] == ["a", "q", "3", "1", "2"]


def test_ends_that_are_not_there_are_named(api: API) -> None:
    refused = (404, "not_found", "no exchange 'nope' in vhost '/'")
    assert error(api.post("/bindings/%2F/e/nope/q/q", {})) == refused
    assert error(api.post("/bindings/%2F/e/amq.topic/q/nope", {})) == (404, "not_found", "no queue 'nope' in vhost '/'")
    for path in ("/bindings/%2F/e/amq.topic/q/nope", "/bindings/%2F/e/amq.topic/x/q", f"{BETWEEN}/nope"):
        assert error(api.get(path)) == (404, "Object Not Found", "Not Found")


def test_a_binding_needs_the_permissions_that_amqp_asks_for(api: API) -> None:
    user = api.add_user("u", "management", read="^$")
    assert error(api.post(BETWEEN, {}, user)) == (401, "not_authorised", "Access refused.")


# Exchanges.


def test_a_fresh_vhost_has_rabbitmqs_exchanges(api: API) -> None:
    found = {row["name"]: row["type"] for row in api.get("/exchanges/%2F").json()}
    found.pop("amq.rabbitmq.event")
    assert found == {
        "": "direct",
        "amq.direct": "direct",
        "amq.fanout": "fanout",
        "amq.headers": "headers",
        "amq.match": "headers",
        "amq.rabbitmq.trace": "topic",
        "amq.topic": "topic",
    }


def test_an_exchange_is_declared_once_and_knows_by_whom(api: API) -> None:
    body = {"type": "topic", "durable": True, "arguments": {"alternate-exchange": "amq.fanout"}}
    assert api.put("/exchanges/%2F/x", body).status_code == 201
    assert api.put("/exchanges/%2F/x", body).status_code == 204
    row = api.get("/exchanges/%2F/x").json()
    assert (row["type"], row["durable"], row["internal"], row["auto_delete"]) == ("topic", True, False, False)
    assert row["arguments"] == {"alternate-exchange": "amq.fanout"}
    assert row["user_who_performed_action"] == "guest"
    other = error(api.put("/exchanges/%2F/x", {"type": "fanout", "durable": True}))
    assert other[2] == "inequivalent arg 'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'topic'"
    assert error(api.put("/exchanges/%2F/y", {"type": "nosuch"}))[2] == "unknown exchange type 'nosuch'"


def test_an_exchange_in_use_is_kept_if_asked(api: API) -> None:
    api.put("/exchanges/%2F/x")
    api.post("/bindings/%2F/e/x/q/q")
    assert error(api.delete("/exchanges/%2F/x?if-unused=true"))[2] == "exchange 'x' in vhost '/' in use"
    assert api.delete("/exchanges/%2F/x").status_code == 204
    assert error(api.delete("/exchanges/%2F/amq.direct")) == (401, "not_authorised", "Access refused.")


def test_what_goes_through_an_exchange_is_counted(api: API) -> None:
    api.post(BETWEEN, {"routing_key": "k"})
    client = api.world.client()
    client.open()
    for key in ("k", "nowhere"):
        client.publish(1, "amq.topic", key)
    assert api.get("/exchanges/%2F/amq.topic").json()["message_stats"]["publish_in"] == 2
    assert api.get("/exchanges/%2F/amq.topic").json()["message_stats"]["publish_out"] == 1
    assert "message_stats" not in api.get("/exchanges/%2F/amq.direct").json()
