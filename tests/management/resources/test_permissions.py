"""Permissions and topic permissions over HTTP."""

from __future__ import annotations

import pytest

from tests.management.api import API, error

ALL = {"configure": ".*", "write": ".*", "read": ".*"}


@pytest.fixture
def api() -> API:
    found = API()
    found.put("/users/u", {"password": "p", "tags": ""})
    found.put("/vhosts/v")
    return found


def test_a_permission_is_set_shown_and_taken_away(api: API) -> None:
    assert api.put("/permissions/v/u", ALL).status_code == 201
    assert api.put("/permissions/v/u", {**ALL, "configure": "^u"}).status_code == 204
    row = {"user": "u", "vhost": "v", **ALL, "configure": "^u"}
    assert api.get("/permissions/v/u").json() == row
    assert api.get("/users/u/permissions").json() == [row]
    assert api.get("/vhosts/v/permissions").json() == [{"user": "guest", "vhost": "v", **ALL}, row]
    assert len(api.get("/permissions").json()) == 3
    assert api.delete("/permissions/v/u").status_code == 204
    assert api.delete("/permissions/v/u").status_code == 404
    assert api.get("/permissions/v/u").status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/permissions/v/u", {"configure": ""}, "[{key_missing,write},{key_missing,read}]"),
        ("/permissions/nope/u", ALL, "vhost_or_user_not_found"),
        ("/permissions/v/nope", ALL, "vhost_or_user_not_found"),
        (
            "/permissions/v/u",
            {**ALL, "read": "["},
            "'[' is not a regular expression: unterminated character set at position 0.",
        ),
        ("/permissions/v/u", {**ALL, "read": 5}, "read must be a text, and is 5"),
        ("/topic-permissions/v/u", {"write": "", "read": ""}, "[{key_missing,exchange}]"),
        ("/topic-permissions/v/nope", {"exchange": "x", "write": "", "read": ""}, "vhost_or_user_not_found"),
    ],
)
def test_what_cannot_be_a_permission_is_refused(api: API, path: str, body: dict[str, object], reason: str) -> None:
    assert error(api.put(path, body)) == (400, "bad_request", reason)


def test_topic_permissions_are_one_for_each_exchange(api: API) -> None:
    for exchange in ("x", "y"):
        body = {"exchange": exchange, "write": "^a", "read": ".*"}
        assert api.put("/topic-permissions/v/u", body).status_code == 201
        assert api.put("/topic-permissions/v/u", body).status_code == 204
    rows = [{"user": "u", "vhost": "v", "exchange": name, "write": "^a", "read": ".*"} for name in ("x", "y")]
    for path in ("/topic-permissions", "/topic-permissions/v/u", "/users/u/topic-permissions"):
        assert api.get(path).json() == rows
    assert api.get("/vhosts/v/topic-permissions").json() == rows
    assert api.get("/topic-permissions/v/u/y").json() == rows[1:]
    assert api.delete("/topic-permissions/v/u/x").status_code == 204
    assert api.delete("/topic-permissions/v/u/x").status_code == 404
    assert api.delete("/topic-permissions/v/u").status_code == 204
    assert api.get("/topic-permissions/v/u").status_code == 404
    assert api.get("/topic-permissions").json() == []


def test_permissions_of_nobody_are_not_found(api: API) -> None:
    for path in ("/users/nope/permissions", "/users/nope/topic-permissions", "/vhosts/nope/permissions"):
        assert api.get(path).status_code == 404
