"""Passwords and their hashes: in no answer, page of metrics, event, refusal or log, but where RabbitMQ has hashes, too.

What users keep in parameters and arguments is theirs: it is shown and exported as it is, passwords in URIs included.
"""

from __future__ import annotations

import json
import logging
from urllib.parse import quote

import pytest

from amqpd.management.auth import Tag
from amqpd.management.routes import ROUTES
from tests.listener import Listener
from tests.management.api import API
from tests.management.metrics.scraper import Scraper
from tests.management.test_samples import CONNECTION, named_client, traffic

PASSWORD = "correct-horse-battery"
URI = "amqp://shop:staple@example"
# Who manages users sees their hashes, in RabbitMQ too.
WITH_HASHES = {"/definitions", "/all-configuration", "/users", "/users/without-permissions", "/users/{user}"}
# There is no stream protocol yet, so nothing that could be found under these.
EMPTY = ("/stream/connections/{vhost}/{name}", "/stream/publishers/{vhost}/{stream}", "/stream/{vhost}/{stream}/")
GETS = [route.path for route in ROUTES if "GET" in route.handlers]
NAMES = {"/policies": "policy", "/operator-policies": "operator", "/global-parameters": "uri", "/parameters": "limits"}


@pytest.fixture(scope="module")
def api() -> API:
    """A broker with something to show under every path."""
    api = API()
    for user in ("shop", "nowhere"):
        api.put(f"/users/{user}", {"password": PASSWORD, "tags": "monitoring,policymaker"})
    api.put("/permissions/%2F/shop", {"configure": "", "write": "", "read": ""})
    api.put("/topic-permissions/%2F/shop", {"exchange": "amq.topic", "write": "", "read": ""})
    client = named_client(api)
    client.open(1)
    client.open(2)
    for queue in ("classic", "quorum"):
        client.declare(queue, durable=True, arguments={"x-queue-type": queue})
    traffic(client)
    api.post("/bindings/%2F/e/amq.topic/q/classic", {"routing_key": "k"})
    api.put("/policies/%2F/policy", {"pattern": "^p", "definition": {"max-length": 1}})
    api.put("/operator-policies/%2F/operator", {"pattern": "^p", "definition": {"max-length": 1}})
    api.put("/vhost-limits/%2F/max-queues", {"value": 100})
    api.put("/global-parameters/uri", {"value": URI})
    api.post("/vhosts/%2F/deletion/protection")
    return api


def filled(api: API, path: str) -> str:
    """A path with something that there is in the place of every variable."""
    known = {
        "node": api.node.name,
        "connection": CONNECTION,
        "channel": f"{CONNECTION}%20(1)",
        "username": "guest",
        "user": "nowhere" if path == "/users/{user}" else "shop",
        "vhost": "%2F",
        "exchange": "amq.topic",
        "source": "amq.topic",
        "kind": "q",
        "queue": "classic",
        "destination": "classic",
        "props": "k",
        "stream": "s",
        "component": "vhost-limits",
        "name": next((name for start, name in NAMES.items() if path.startswith(start)), "none"),
        "password": PASSWORD,
        "port": "5672",
        "protocol": "amqp",
        "within": "1",
        "unit": "days",
        "pattern": ".*",
    }
    return path.format_map(known)


def secrets(api: API) -> list[str]:
    """Everything that must not be shown: passwords, their hashes, in the forms in which texts carry them."""
    hashes = [user.password_hash for user in api.world.services.users]
    assert len(hashes) == 3
    assert all(hashes)
    return [
        form for secret in (PASSWORD, *hashes) for form in {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}
    ]


@pytest.mark.parametrize("path", GETS)
def test_an_answer_shows_no_password_and_a_hash_to_managers_of_users_only(api: API, path: str) -> None:
    answer = api.get(filled(api, path))
    expected = (200, 204, 404) if path.startswith(EMPTY) else (200, 204)
    assert answer.status_code in expected
    shown = [secret for secret in secrets(api) if secret in answer.text + str(answer.headers)]
    assert bool(shown) == (path in WITH_HASHES)
    assert PASSWORD not in answer.text


@pytest.mark.parametrize("path", sorted(WITH_HASHES))
def test_hashes_are_shown_to_administrators_only(api: API, path: str) -> None:
    assert api.get(filled(api, path), ("shop", PASSWORD)).status_code == 401
    assert next(route for route in ROUTES if route.path == path).tag is Tag.ADMINISTRATOR


@pytest.mark.parametrize("path", ["/metrics", "/metrics/per-object", "/metrics/detailed?family=connection_metrics"])
def test_metrics_show_neither(api: API, path: str) -> None:
    page = Scraper(api.world).get(path).text
    assert "rabbitmq_" in page
    assert [secret for secret in secrets(api) if secret in page] == []


def test_what_users_keep_in_parameters_is_exported_as_it_is(api: API) -> None:
    exported = api.get("/definitions").json()
    assert {"name": "uri", "value": URI} in exported["global_parameters"]
    keys = {key for user in exported["users"] for key in user}
    assert keys == {"name", "password_hash", "hashing_algorithm", "tags", "limits"}


def test_events_tell_of_passwords_and_show_none() -> None:
    api = API()
    listener = Listener(api.world)
    for password in (PASSWORD, PASSWORD + "!"):
        api.put("/users/shop", {"password": password, "tags": ""})
    heard = listener.heard()
    assert "user.password.changed" in [event.key for event in heard]
    user = api.world.users.find("shop")
    assert user is not None
    assert [
        event.key for event in heard if PASSWORD in str(event.plain) or user.password_hash in str(event.plain)
    ] == []


BAD_USERS = [
    {"password": 4711_4711, "tags": ""},
    {"password": {"secret": 4711_4711}, "tags": ""},
    {"password": ["4711_4711", 4711_4711], "tags": ""},
    {"password_hash": 4711_4711, "tags": ""},
    {"password_hash": "4711-4711", "tags": ""},
    {"password_hash": "47114711", "hashing_algorithm": "none", "tags": ""},
    {"password": "47114711", "password_hash": "47114711", "tags": ""},
    {"password": "47114711\ud800", "tags": ""},
    {"password": "47114711"},
]


@pytest.mark.parametrize("user", BAD_USERS, ids=[str(number) for number in range(len(BAD_USERS))])
def test_a_refusal_does_not_repeat_a_password(user: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    api = API()
    answers = [api.put("/users/shop", user), api.post("/definitions", {"users": [{"name": "shop", **user}]})]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert [answer.text for answer in answers if "4711" in answer.text] == []
    assert [record for record in caplog.records if "4711" in str(record.__dict__)] == []


def test_a_document_that_is_no_json_is_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answer = API().post("/definitions", b'{"users": [{"name": "shop", "tags": "", "password": "' + PASSWORD.encode())
    assert answer.status_code == 400
    assert PASSWORD not in answer.text
    assert [record for record in caplog.records if PASSWORD in str(record.__dict__)] == []


def test_the_uri_of_a_shovel_that_is_left_out_is_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    shovel = {"component": "shovel", "vhost": "/", "name": "s", "value": {"src-uri": URI}}
    assert API().post("/definitions", {"parameters": [shovel]}).status_code == 204
    assert [record.getMessage() for record in caplog.records].count("definitions.skipped") == 1
    assert [record for record in caplog.records if "staple" in str(record.__dict__)] == []
