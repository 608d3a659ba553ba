"""/api/queues, and messages in and out of them over HTTP."""

from __future__ import annotations

import base64

import pytest
from pamqp import commands

from amqpd.wire.properties import Properties
from amqpd.wire.table import Table
from tests.builders import Client
from tests.management.api import API, error


@pytest.fixture
def api() -> API:
    return API()


@pytest.fixture
def client(api: API) -> Client:
    client = api.world.client()
    client.open()
    return client


def declare(api: API, name: str = "q", **body: object) -> None:
    assert api.put(f"/queues/%2F/{name}", body).status_code == 201


# Declaring and deleting.


def test_the_queues_that_a_user_has_declared_are_listed(api: API, client: Client) -> None:
    ann = api.add_user("ann", "management")
    assert api.put("/queues/%2F/hers", {}, user=ann).status_code == 201
    declare(api, "his")
    client.send(1, commands.Queue.Declare, queue="hers")  # it is there already, and stays hers
    assert [row["name"] for row in api.get("/users/ann/queues").json()] == ["hers"]
    assert [row["name"] for row in api.get("/users/guest/queues").json()] == ["his"]
    assert api.get("/users/nobody/queues").status_code == 404
    assert api.get("/users/ann/queues", user=ann).status_code == 401


def test_a_queue_is_declared_once(api: API) -> None:
    body = {"durable": True, "arguments": {"x-max-length": 3}}
    assert api.put("/queues/%2F/q", body).status_code == 201
    again = api.put("/queues/%2F/q", body)
    assert (again.status_code, again.content) == (204, b"")
    assert api.world.vhost.queues["q"].spec.durable


def test_what_is_not_said_is_false(api: API) -> None:
    declare(api)
    spec = api.world.vhost.queues["q"].spec
    assert (spec.durable, spec.auto_delete, spec.owner) == (False, False, None)


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        (
            "q",
            {"durable": False},
            "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'",
        ),
        (
            "new",
            {"arguments": {"x-message-ttl": "abc"}},
            "invalid arg 'x-message-ttl' for queue 'new' in vhost '/': ",
        ),
        ("new", {"node": "rabbit@other"}, "Node rabbit@other could not be contacted"),
        ("new", {"arguments": [1]}, "arguments must be an object that can be a field table: it is no object"),
        ("new", {"arguments": {"x": 2**70}}, "arguments must be an object that can be a field table: "),
        ("n" * 256, {}, ""),
    ],
)
def test_what_cannot_be_declared_is_refused_as_over_amqp(
    api: API, name: str, body: dict[str, object], reason: str
) -> None:
    declare(api, durable=True)
    status, kind, told = error(api.put(f"/queues/%2F/{name}", body))
    assert (status, kind) == (400, "bad_request")
    assert told.startswith(reason)
    assert set(api.world.vhost.queues) == {"q"}


def test_reserved_names_are_refused(api: API) -> None:
    assert error(api.put("/queues/%2F/amq.x", {})) == (401, "not_authorised", "Access refused.")


def test_a_name_that_is_no_utf8_is_refused(api: API) -> None:
    assert error(api.put("/queues/%2F/%FF", {}))[0] == 400


def test_a_queue_is_deleted_once(api: API) -> None:
    declare(api)
    assert api.delete("/queues/%2F/q").status_code == 204
    assert error(api.delete("/queues/%2F/q")) == (404, "Object Not Found", "Not Found")


def test_conditions_of_deletion_hold(api: API, client: Client) -> None:
    declare(api)
    client.publish(1, "", "q", b"x")
    assert error(api.delete("/queues/%2F/q?if-empty=true"))[2] == "queue 'q' in vhost '/' not empty"
    client.send(1, commands.Basic.Consume, queue="q")
    assert error(api.delete("/queues/%2F/q?if-unused=true"))[2] == "queue 'q' in vhost '/' in use"
    assert api.delete("/queues/%2F/q").status_code == 204


def test_an_exclusive_queue_belongs_to_its_connection(api: API, client: Client) -> None:
    client.declare("mine", exclusive=True)
    assert error(api.delete("/queues/%2F/mine"))[2].startswith("405 RESOURCE_LOCKED - ")
    row = api.get("/queues/%2F/mine").json()
    assert row["exclusive"]
    assert row["owner_pid_details"] == {
        "name": "127.0.0.1:40000 -> 127.0.0.1:5672",
        "peer_host": "127.0.0.1",
        "peer_port": 40000,
    }


def test_a_queue_is_purged(api: API, client: Client) -> None:
    declare(api)
    client.publish(1, "", "q", b"x")
    assert api.delete("/queues/%2F/q/contents").status_code == 204
    assert api.world.vhost.queues["q"].message_count == 0
    assert api.get("/queues/%2F/q/contents").status_code == 405
    assert api.delete("/queues/%2F/nope/contents").status_code == 404


def test_mirrors_can_be_synchronised_though_there_are_none(api: API) -> None:
    declare(api)
    assert api.post("/queues/%2F/q/actions", {"action": "sync"}).status_code == 204
    assert error(api.post("/queues/%2F/q/actions", {"action": "nosuch"}))[0] == 400


# Rows.


def test_counts_are_those_of_this_moment(api: API, client: Client) -> None:
    declare(api)
    for _ in range(3):
        client.publish(1, "", "q", b"four")
    client.send(1, commands.Basic.Get, queue="q")
    row = api.get("/queues/%2F/q").json()
    assert (row["messages"], row["messages_ready"], row["messages_unacknowledged"]) == (3, 2, 1)
    assert (row["message_bytes"], row["message_bytes_ready"], row["message_bytes_unacknowledged"]) == (12, 8, 4)
    assert (row["message_stats"]["publish"], row["message_stats"]["get"]) == (3, 1)


def test_a_fresh_queue_has_no_message_stats(api: API) -> None:
    declare(api)
    assert "message_stats" not in api.get("/queues/%2F/q").json()


def test_each_type_has_its_own_keys(api: API) -> None:
    rows = {}
    for kind in ("classic", "quorum", "stream"):
        declare(api, kind, durable=True, arguments={"x-queue-type": kind})
        rows[kind] = api.get(f"/queues/%2F/{kind}").json()
        assert rows[kind]["type"] == kind
    node = api.node.name
    assert rows["quorum"]["leader"] == rows["stream"]["leader"] == node
    assert rows["quorum"]["members"] == rows["stream"]["online"] == [node]
    assert "members" not in rows["classic"]
    assert "single_active_consumer_tag" in rows["classic"]
    assert "single_active_consumer_ctag" in rows["quorum"]
    assert rows["stream"]["readers"] == {node: 0}


def test_consumers_are_told_of(api: API, client: Client) -> None:
    declare(api, "sac", arguments={"x-single-active-consumer": True})
    client.send(1, commands.Basic.Qos, prefetch_count=7)
    for tag in ("one", "two"):
        client.send(1, commands.Basic.Consume, queue="sac", consumer_tag=tag, arguments={"x-priority": 5})
    row = api.get("/queues/%2F/sac").json()
    assert row["consumers"] == 2
    assert row["single_active_consumer_tag"] == "one"
    first, second = row["consumer_details"]
    assert (first["active"], first["activity_status"]) == (True, "single_active")
    assert (second["active"], second["activity_status"]) == (False, "waiting")
    assert first["arguments"] == {"x-priority": 5}
    assert first["prefetch_count"] == 7
    assert first["queue"] == {"name": "sac", "vhost": "/"}
    assert first["channel_details"] == {
        "connection_name": "127.0.0.1:40000 -> 127.0.0.1:5672",
        "name": "127.0.0.1:40000 -> 127.0.0.1:5672 (1)",
        "node": api.node.name,
        "number": 1,
        "peer_host": "127.0.0.1",
        "peer_port": 40000,
        "user": "guest",
    }
    assert api.get("/consumers").json() == api.get("/consumers/%2F").json() == [first, second]
    assert first["consumer_timeout"] == 1_800_000


def test_the_bindings_of_a_queue_begin_with_that_of_the_default_exchange(api: API) -> None:
    declare(api)
    api.post("/bindings/%2F/e/amq.direct/q/q", {"routing_key": "k"})
    rows = api.get("/queues/%2F/q/bindings").json()
    assert [(row["source"], row["routing_key"]) for row in rows] == [("", "q"), ("amq.direct", "k")]


def test_a_vhost_named_detailed_is_hidden_by_a_route(api: API) -> None:
    declare(api)
    assert api.get("/queues/detailed").json() == api.get("/queues").json()


# Publishing.


def publish(api: API, **body: object) -> object:
    content = {"properties": {}, "routing_key": "q", "payload": "hi", "payload_encoding": "string", **body}
    response = api.post("/exchanges/%2F/amq.default/publish", content)
    return response.json() if response.status_code == 200 else error(response)


def test_a_published_message_is_routed_or_not(api: API) -> None:
    declare(api)
    assert publish(api) == {"routed": True}
    assert publish(api, routing_key="nowhere") == {"routed": False}
    assert api.post("/exchanges/%2F//publish", {**BODY, "routing_key": "q"}).json() == {"routed": True}


BODY = {"properties": {}, "routing_key": "q", "payload": "hi", "payload_encoding": "string"}
PROPERTIES = {
    "delivery_mode": 2,
    "headers": {"a": 1, "b": True, "c": [1, "x"], "d": {"e": 1.5}},
    "priority": 1,
    "expiration": "60000",
    "message_id": "mid",
    "timestamp": 1700000000,
    "type": "t",
    "user_id": "guest",
    "app_id": "app",
    "content_type": "text/plain",
    "content_encoding": "utf-8",
    "correlation_id": "cid",
    "reply_to": "rt",
}


def test_properties_and_octets_arrive_as_they_were_given(api: API) -> None:
    declare(api)
    assert publish(api, properties=PROPERTIES, payload="AP8=", payload_encoding="base64") == {"routed": True}
    (got,) = api.post("/queues/%2F/q/get", GET).json()
    assert got["properties"] == PROPERTIES
    assert (got["payload"], got["payload_encoding"], got["payload_bytes"]) == ("AP8=", "base64", 2)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"properties": {"priority": "a"}}, 'priority must be a number from 0 to 255, and is "a"'),
        ({"properties": {"priority": 256}}, "priority must be a number from 0 to 255, and is 256"),
        ({"properties": {"timestamp": True}}, "timestamp must be a number"),
        ({"properties": {"message_id": 1}}, "message_id must be a text, and is 1"),
        ({"properties": {"message_id": "x" * 256}}, ""),
        ({"properties": {"headers": 1}}, "headers must be an object"),
        ({"properties": 1}, "properties must be an object, and are 1"),
        ({"payload": {"a": 1}}, "payload_not_string"),
        ({"payload": "\ud800"}, "payload is no text that UTF-8 can encode"),
        ({"payload": "!!", "payload_encoding": "base64"}, 'The payload is not base64: "!!"'),
        ({"payload_encoding": "x"}, 'Unsupported encoding "x". Please use string or base64.'),
        ({"properties": {"user_id": "someone"}}, "406 PRECONDITION_FAILED - user_id property set to 'someone' but "),
        ({"routing_key": "k" * 256}, "406 PRECONDITION_FAILED - "),
    ],
)
def test_what_cannot_be_published_is_refused(api: API, body: dict[str, object], reason: str) -> None:
    refused = publish(api, **body)
    assert isinstance(refused, tuple)
    assert refused[:2] == (400, "bad_request")
    assert refused[2].startswith(reason)


def test_all_keys_are_needed(api: API) -> None:
    response = api.post("/exchanges/%2F/amq.default/publish", {"routing_key": "q"})
    missing = "[{key_missing,properties},{key_missing,payload},{key_missing,payload_encoding}]"
    assert error(response) == (400, "bad_request", missing)


def test_an_unknown_exchange_is_told_as_rabbitmq_does(api: API) -> None:
    refused = (400, "bad_request", "404 NOT_FOUND - no exchange 'nope' in vhost '/'")
    assert error(api.post("/exchanges/%2F/nope/publish", BODY)) == refused


def test_a_refused_message_is_told(api: API) -> None:
    declare(api, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    assert publish(api) == {"routed": True}
    assert publish(api) == (400, "bad_request", "rejected Unable to publish message. Check queue limits.")


def test_publishing_needs_the_permission_to_write(api: API) -> None:
    user = api.add_user("u", "management", write="")
    assert error(api.post("/exchanges/%2F/amq.direct/publish", BODY, user)) == (
        401,
        "not_authorised",
        "Access refused.",
    )


# Getting.

GET = {"count": 5, "ackmode": "ack_requeue_true", "encoding": "auto"}


@pytest.fixture
def filled(api: API, client: Client) -> API:
    """A queue q with the messages 0, 1 and 2."""
    declare(api)
    for number in range(3):
        client.publish(1, "", "q", b"%d" % number)
    return api


def bodies(api: API, **body: object) -> list[str]:
    response = api.post("/queues/%2F/q/get", {**GET, **body})
    assert response.status_code == 200, response.text
    return [row["payload"] for row in response.json()]


def ready(api: API) -> int:
    return api.world.vhost.queues["q"].message_count


@pytest.mark.parametrize("mode", ["ack_requeue_true", "reject_requeue_true"])
def test_what_is_requeued_stands_where_it_stood(filled: API, mode: str) -> None:
    assert bodies(filled, count=2, ackmode=mode) == ["0", "1"]
    rows = filled.post("/queues/%2F/q/get", GET).json()
    assert [(row["payload"], row["redelivered"], row["message_count"]) for row in rows] == [
        ("0", True, 2),
        ("1", True, 1),
        ("2", False, 0),
    ]
    assert ready(filled) == 3


@pytest.mark.parametrize("mode", ["ack_requeue_false", "reject_requeue_false"])
def test_what_is_not_requeued_is_gone(filled: API, mode: str) -> None:
    assert bodies(filled, count="2", ackmode=mode) == ["0", "1"]
    assert ready(filled) == 1
    assert filled.world.vhost.queues["q"].unacknowledged == 0


def test_the_old_key_requeue_is_understood(filled: API) -> None:
    body = {"count": 1, "encoding": "auto"}
    assert filled.post("/queues/%2F/q/get", {**body, "requeue": True}).status_code == 200
    assert ready(filled) == 3
    assert filled.post("/queues/%2F/q/get", {**body, "requeue": False}).status_code == 200
    assert ready(filled) == 2


def test_rejected_messages_die(api: API, client: Client) -> None:
    declare(api, "dead")
    declare(api, "q", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    client.publish(1, "", "q", b"x")
    assert bodies(api, ackmode="reject_requeue_false") == ["x"]
    assert api.world.vhost.queues["dead"].message_count == 1


def test_a_row_has_what_rabbitmqs_has(api: API, client: Client) -> None:
    declare(api)
    headers = Table.of({"n": 1})
    client.publish(1, "", "q", "ä".encode(), Properties.of(content_type="text/plain", headers=headers))
    assert api.post("/queues/%2F/q/get", GET).json() == [
        {
            "payload_bytes": 2,
            "redelivered": False,
            "exchange": "",
            "routing_key": "q",
            "message_count": 0,
            "properties": {"content_type": "text/plain", "headers": {"n": 1}},
            "payload": "ä",
            "payload_encoding": "string",
        }
    ]


def test_payloads_are_cut_before_they_are_encoded(filled: API, client: Client) -> None:
    client.publish(1, "", "q", b"hello")
    row = filled.post("/queues/%2F/q/get", {**GET, "encoding": "base64", "truncate": 3}).json()[3]
    assert (row["payload"], row["payload_bytes"]) == (base64.b64encode(b"hel").decode(), 5)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"ackmode": "bad"}, "Unknown ackmode "),
        ({"ackmode": None}, "Unknown ackmode "),
        ({"encoding": "x"}, "Unsupported encoding. Please use auto or base64."),
        ({"count": "x"}, 'count must be a whole number, and is "x"'),
        ({"truncate": []}, "truncate must be a whole number, and is []"),
    ],
)
def test_what_cannot_be_got_is_refused(filled: API, body: dict[str, object], reason: str) -> None:
    status, kind, told = error(filled.post("/queues/%2F/q/get", {**GET, **body}))
    assert (status, kind) == (400, "bad_request")
    assert told.startswith(reason)


def test_an_unknown_queue_is_404_and_a_stream_is_not_got_from(api: API) -> None:
    refused = (404, "not_found", "no queue 'nope' in vhost '/'")
    assert error(api.post("/queues/%2F/nope/get", GET)) == refused
    declare(api, "s", durable=True, arguments={"x-queue-type": "stream"})
    assert error(api.post("/queues/%2F/s/get", GET))[2].startswith("540 ")


def test_getting_needs_the_permission_to_read(filled: API) -> None:
    user = filled.add_user("u", "management", read="")
    assert error(filled.post("/queues/%2F/q/get", GET, user)) == (401, "not_authorised", "Access refused.")


def test_a_row_tells_what_is_in_memory_and_when_its_head_was_made(api: API, client: Client) -> None:
    client.declare("heads")
    client.publish(1, "", "heads", b"123", Properties.of(timestamp=1_700_000_000))
    client.publish(1, "", "heads", b"4")
    row = api.get("/queues/%2F/heads").json()
    assert row["head_message_timestamp"] == 1_700_000_000
    assert (row["messages_ram"], row["messages_ready_ram"], row["messages_unacknowledged_ram"]) == (2, 2, 0)
    client.send(1, commands.Basic.Get, queue="heads")
    row = api.get("/queues/%2F/heads").json()
    assert row["head_message_timestamp"] is None
    assert (row["messages_ram"], row["messages_ready_ram"], row["messages_unacknowledged_ram"]) == (2, 1, 1)
    assert (row["message_bytes_ram"], row["messages_paged_out"], row["message_bytes_paged_out"]) == (4, 0, 0)
