"""Policies and operator policies over HTTP."""

from __future__ import annotations

import pytest

from amqpd.broker.queues.base import QueueSpec
from amqpd.wire.table import EMPTY_TABLE
from tests.management.api import API, error


@pytest.fixture
def api() -> API:
    return API()


@pytest.mark.parametrize("path", ["/policies", "/operator-policies"])
def test_a_policy_is_set_shown_and_deleted(api: API, path: str) -> None:
    body = {"pattern": "^a", "definition": {"max-length": 5}}
    assert api.put(path + "/%2F/p", body).status_code == 201
    assert api.put(path + "/%2F/p", {**body, "priority": 3, "apply-to": "queues"}).status_code == 204
    row = {"vhost": "/", "name": "p", **body, "priority": 3, "apply-to": "queues"}
    assert api.get(path + "/%2F/p").json() == row
    assert api.get(path + "/%2F").json() == api.get(path).json() == [row]
    assert api.delete(path + "/%2F/p").status_code == 204
    assert api.delete(path + "/%2F/p").status_code == 404
    assert api.get(path + "/%2F/p").status_code == 404


def test_a_policy_works_at_once(api: API) -> None:
    vhost = api.world.broker.vhosts["/"]
    vhost.create_queue("abc", QueueSpec(True, None, False, EMPTY_TABLE))
    api.put("/policies/%2F/p", {"pattern": "^a", "definition": {"max-length": 5}})
    policy = vhost.policies.policy_for_queue("abc", "classic")
    assert policy is not None
    assert policy.name == "p"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"definition": {"expires": 5}}, "[{key_missing,pattern}]"),
        ({"pattern": "x"}, "[{key_missing,definition}]"),
        ({"pattern": "x", "definition": {}}, "Validation failed\n\nno policy provided\n"),
        (
            {"pattern": "x", "definition": {"nosuch": 1}},
            'Validation failed\n\n[{<<"nosuch">>,1}] are not recognised policy settings\n',
        ),
        (
            {"pattern": "x", "definition": {"message-ttl": "a"}},
            'Validation failed\n\n<<"a">> is not a valid message TTL\n',
        ),
        (
            {"pattern": "x", "definition": {"expires": 5}, "priority": "1"},
            'Validation failed\n\npriority should be a number, actually was <<"1">>\n',
        ),
    ],
)
def test_the_texts_for_what_is_wrong_are_rabbitmqs(api: API, body: dict[str, object], reason: str) -> None:
    assert error(api.put("/policies/%2F/p", body)) == (400, "bad_request", reason)


def test_operators_may_set_limits_only(api: API) -> None:
    body = {"pattern": "x", "definition": {"dead-letter-exchange": "x"}}
    assert error(api.put("/operator-policies/%2F/p", body))[2] == (
        'Validation failed\n\n[{<<"dead-letter-exchange">>,<<"x">>}] are not recognised policy settings\n'
    )


def test_who_may_do_what(api: API) -> None:
    body = {"pattern": "^a", "definition": {"max-length": 5}}
    manager = api.add_user("manager", "management")
    maker = api.add_user("maker", "policymaker")
    stranger = api.add_user("stranger", "policymaker", vhost=None)
    assert error(api.put("/policies/%2F/p", body, manager))[0] == 401
    assert error(api.put("/policies/%2F/p", body, stranger))[0] == 401
    assert api.put("/policies/%2F/p", body, maker).status_code == 201
    assert error(api.put("/operator-policies/%2F/p", body, maker))[2] == "Not administrator user"
    assert len(api.get("/policies", manager).json()) == 1
    assert api.get("/policies", stranger).json() == []
    assert error(api.get("/policies/%2F", stranger))[0] == 401


def test_a_policy_in_an_unknown_vhost_is_not_found(api: API) -> None:
    body = {"pattern": "^a", "definition": {"max-length": 5}}
    assert error(api.put("/policies/nope/p", body)) == (404, "not_found", "vhost_not_found")
