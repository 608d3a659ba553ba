"""Attempts to log in over HTTP."""

from __future__ import annotations

from amqpd.auth.users import User
from tests.auth.passwords import BCRYPT_OF_SECRET
from tests.management.api import API

PATH = "/auth/attempts/amqpd@test"


def test_attempts_are_listed_by_protocol() -> None:
    api = API()
    api.world.client()
    assert api.get("/whoami", ("guest", "wrong")).status_code == 401
    rows = api.get(PATH).json()
    keys = ("protocol", "auth_attempts", "auth_attempts_failed", "auth_attempts_succeeded")
    assert rows == [dict(zip(keys, ("amqp091", 1, 0, 1), strict=True)), dict(zip(keys, ("http", 2, 1, 1), strict=True))]


def test_they_can_be_counted_anew_and_are_not_told_by_source() -> None:
    api = API()
    api.world.client()
    assert api.request("DELETE", PATH).status_code == 204
    assert [row["protocol"] for row in api.get(PATH).json()] == ["http"]
    assert api.get(f"{PATH}/source").json() == []


def test_another_node_is_not_found_and_others_than_monitors_may_not_look() -> None:
    api = API()
    assert api.get("/auth/attempts/other").status_code == 404
    api.world.users.add("manager", b"manager", ["management"])
    assert api.get(PATH, ("manager", "manager")).status_code == 401


def test_a_user_with_bcrypt_can_use_the_api() -> None:
    api = API()
    api.world.users.put(User("slow", BCRYPT_OF_SECRET, "bcrypt", ["management"]))
    for _ in range(2):
        assert api.get("/whoami", ("slow", "secret")).json()["name"] == "slow"
    assert api.get("/whoami", ("slow", "wrong")).status_code == 401
    assert api.get("/whoami", ("nobody", "secret")).status_code == 401
