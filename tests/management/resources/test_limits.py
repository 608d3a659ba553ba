"""Limits of virtual hosts and users over HTTP."""

from __future__ import annotations

import pytest

from tests.management.api import API, error


@pytest.fixture
def api() -> API:
    return API()


def test_limits_of_a_vhost(api: API) -> None:
    assert api.get("/vhost-limits").json() == []
    assert api.put("/vhost-limits/%2F/max-connections", {"value": 50}).status_code == 204
    assert api.put("/vhost-limits/%2F/max-queues", {"value": -1}).status_code == 204
    row = {"vhost": "/", "value": {"max-connections": 50, "max-queues": -1}}
    assert api.get("/vhost-limits").json() == api.get("/vhost-limits/%2F").json() == [row]
    vhost = api.world.broker.vhosts["/"]
    assert (vhost.max_connections, vhost.max_queues) == (50, None)
    for name in ("max-connections", "max-connections", "max-queues", "bogus"):
        assert api.delete(f"/vhost-limits/%2F/{name}").status_code == 204
    assert api.get("/vhost-limits").json() == []
    assert vhost.max_connections is None


def test_limits_of_a_user(api: API) -> None:
    assert api.put("/user-limits/guest/max-channels", {"value": 5}).status_code == 204
    row = {"user": "guest", "value": {"max-channels": 5}}
    assert api.get("/user-limits").json() == api.get("/user-limits/guest").json() == [row]
    assert api.delete("/user-limits/guest/bogus").status_code == 204
    assert api.delete("/user-limits/guest/max-channels").status_code == 204
    assert api.get("/user-limits/guest").json() == []
    assert api.get("/user-limits/nope").status_code == 404
    assert api.put("/user-limits/nope/max-channels", {"value": 5}).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        (
            "/vhost-limits/%2F/bogus",
            {"value": 5},
            'Validation failed\n\nUnrecognised terms [{<<"bogus">>,5}] in limits\n',
        ),
        (
            "/vhost-limits/%2F/max-queues",
            {"value": "a"},
            'Validation failed\n\nmax-queues should be a number, actually was <<"a">>\n',
        ),
        ("/vhost-limits/%2F/max-queues", {}, "[{key_missing,value}]"),
        ("/user-limits/guest/bogus", {"value": 5}, 'Unrecognised terms [{<<"bogus">>,5}] in user-limits'),
        ("/user-limits/guest/max-channels", {"value": True}, "max-channels should be a number, actually was true"),
        ("/user-limits/guest/max-channels", {}, "[{key_missing,value}]"),
    ],
)
def test_what_cannot_be_a_limit_is_refused_with_rabbitmqs_text(
    api: API, path: str, body: dict[str, object], reason: str
) -> None:
    assert error(api.put(path, body)) == (400, "bad_request", reason)


def test_limits_are_set_by_administrators(api: API) -> None:
    maker = api.add_user("maker", "policymaker")
    for path in ("/vhost-limits/%2F/max-queues", "/user-limits/guest/max-channels"):
        assert error(api.put(path, {"value": 1}, maker)) == (401, "not_authorised", "Not administrator user")
