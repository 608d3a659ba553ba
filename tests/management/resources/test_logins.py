"""Attempts to log in and hashes of passwords over HTTP."""

from __future__ import annotations

import pytest

from amqpd.auth.password import matches
from amqpd.auth.users import User
from tests.auth.passwords import BCRYPT_OF_SECRET
from tests.management.api import API, error


@pytest.fixture
def api() -> API:
    return API()


def test_attempts_are_counted_by_protocol_until_they_are_reset(api: API) -> None:
    path = f"/auth/attempts/{api.node.name}"
    api.get("/whoami", ("guest", "wrong"))
    api.world.client()
    rows = {row["protocol"]: row for row in api.get(path).json()}
    assert rows["http"] == {
        "protocol": "http",
        "auth_attempts": 2,
        "auth_attempts_failed": 1,
        "auth_attempts_succeeded": 1,
    }
    (amqp,) = [row for name, row in rows.items() if name != "http"]
    assert (amqp["auth_attempts"], amqp["auth_attempts_failed"]) == (1, 0)
    assert api.get(path + "/source").json() == []
    assert api.delete(path).status_code == 204
    assert [row["auth_attempts"] for row in api.get(path).json()] == [1]  # this question
    assert api.get("/auth/attempts/other").status_code == 404


def test_a_password_is_hashed(api: API) -> None:
    found = api.get("/auth/hash_password/s%C3%A9cret").json()
    assert matches("s\u00e9cret".encode(), found["ok"])


def test_who_may_ask(api: API) -> None:
    manager = api.add_user("manager", "management")
    assert error(api.get(f"/auth/attempts/{api.node.name}", manager))[2] == "Not monitor user"
    assert error(api.get("/auth/hash_password/x", manager))[2] == "Not administrator user"


def test_a_user_with_bcrypt_can_use_the_api(api: API) -> None:
    api.world.users.put(User("slow", BCRYPT_OF_SECRET, "bcrypt", ["management"]))
    for _ in range(2):
        assert api.get("/whoami", ("slow", "secret")).json()["name"] == "slow"
    assert api.get("/whoami", ("slow", "wrong")).status_code == 401
    assert api.get("/whoami", ("nobody", "secret")).status_code == 401
