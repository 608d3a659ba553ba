"""Users over HTTP."""

from __future__ import annotations

import pytest

from amqpd.auth.users import User
from tests.management.api import API, error

HASH = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"  # of test12


@pytest.fixture
def api() -> API:
    return API()


def user(api: API, name: str) -> User:
    found = api.world.users.find(name)
    assert found is not None
    return found


def test_a_user_has_a_password_and_tags(api: API) -> None:
    assert api.put("/users/u", {"password": "secret", "tags": "management, own"}).status_code == 201
    assert user(api, "u").has_password(b"secret")
    row = api.get("/users/u").json()
    assert row == {
        "name": "u",
        "password_hash": user(api, "u").password_hash,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": ["management", "own"],
        "limits": {},
    }
    assert api.put("/users/u", {"password": "other", "tags": ["a"]}).status_code == 204
    assert user(api, "u").has_password(b"other")


def test_a_known_hash_is_kept_byte_by_byte(api: API) -> None:
    api.put("/users/u", {"password_hash": HASH, "tags": ""})
    assert api.get("/users/u").json()["password_hash"] == HASH
    assert user(api, "u").has_password(b"test12")


@pytest.mark.parametrize("body", [{"tags": "a"}, {"tags": "a", "password_hash": ""}, {"tags": "a", "password": ""}])
def test_without_a_password_nobody_logs_in_with_one(api: API, body: dict[str, object]) -> None:
    api.put("/users/u", {"password": "secret", "tags": ""})
    assert api.put("/users/u", body).status_code == 204
    assert user(api, "u").password_hash == ""
    assert not user(api, "u").has_password(b"secret")


def test_limits_and_permissions_may_come_along(api: API) -> None:
    permission = {"configure": "a", "write": "b", "read": "c"}
    body = {"password": "p", "tags": "", "limits": {"max-connections": 3}, "permissions": {"/": permission}}
    assert api.put("/users/u", body).status_code == 201
    assert api.get("/users/u").json()["limits"] == {"max-connections": 3}
    assert api.get("/permissions/%2F/u").json() == {"user": "u", "vhost": "/", **permission}
    api.put("/users/u", {"password": "p", "tags": ""})
    assert api.get("/users/u").json()["limits"] == {"max-connections": 3}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "tags_not_present"),
        ({"password": "p"}, "tags_not_present"),
        ({"tags": "", "password": "p", "password_hash": HASH}, "both_password_and_password_hash_are_provided"),
        ({"tags": "", "password_hash": "%%%"}, "the password hash is not base64."),
        ({"tags": "", "password_hash": HASH, "hashing_algorithm": "x"}, "there is no password hashing algorithm x."),
        ({"tags": "", "password": 5}, "password must be a text"),
        ({"tags": 5}, "tags must be a list of texts, or a text with commas."),
        ({"tags": "", "limits": {"x": 1}}, "limits has whole numbers for max-connections and max-channels."),
        ({"tags": "", "permissions": {"nope": {}}}, "vhost_or_user_not_found"),
        (
            {"tags": "", "permissions": {"/": {"read": ""}}},
            "Permissions have the three keys configure, write and read.",
        ),
    ],
)
def test_what_cannot_be_a_user_is_refused(api: API, body: dict[str, object], reason: str) -> None:
    assert error(api.put("/users/u", body)) == (400, "bad_request", reason)
    assert api.world.users.find("u") is None


def test_users_are_listed_and_deleted(api: API) -> None:
    for name in ("b", "a"):
        api.put(f"/users/{name}", {"tags": ""})
    assert [row["name"] for row in api.get("/users/").json()] == ["a", "b", "guest"]
    assert [row["name"] for row in api.get("/users/without-permissions").json()] == ["a", "b"]
    assert api.delete("/users/a").status_code == 204
    assert api.delete("/users/a").status_code == 404
    assert api.get("/users/a").status_code == 404


def test_bulk_delete_deletes_all_or_nobody(api: API) -> None:
    for name in ("a", "b, c"):
        api.put(f"/users/{name}", {"tags": ""})
    assert error(api.post("/users/bulk-delete", {"users": ["a", "nope"]}))[2] == "There is no user 'nope'."
    assert api.world.users.find("a") is not None
    assert api.post("/users/bulk-delete", {"users": ["a", "b, c"]}).status_code == 204
    assert [row["name"] for row in api.get("/users").json()] == ["guest"]
    assert error(api.post("/users/bulk-delete", {}))[2] == "[{key_missing,users}]"
    assert error(api.post("/users/bulk-delete", {"users": "a"}))[2] == "users must be a list of names."


def test_a_protected_user_is_changed_and_deleted_by_definitions_only(api: API) -> None:
    api.put("/users/u", {"password": "secret", "tags": "administrator,protected"})
    api.put("/users/v", {"tags": ""})
    expected = (401, "not_authorised", "User 'u' has the tag 'protected' and cannot be changed over the HTTP API.")
    assert error(api.put("/users/u", {"password": "other", "tags": ""})) == expected
    assert error(api.delete("/users/u")) == expected
    assert error(api.post("/users/bulk-delete", {"users": ["v", "u"]})) == expected
    assert user(api, "u").has_password(b"secret")
    assert user(api, "v")
    assert api.get("/whoami", ("u", "secret")).status_code == 200
    assert api.post("/definitions", {"users": [{"name": "u", "password_hash": HASH, "tags": ""}]}).status_code == 204
    assert api.delete("/users/u").status_code == 204


def test_only_administrators_see_users(api: API) -> None:
    monitor = api.add_user("monitor", "monitoring")
    for path in ("/users", "/users/guest", "/users/without-permissions", "/permissions"):
        assert error(api.get(path, monitor)) == (401, "not_authorised", "Not administrator user")
