"""What the three patterns of a permission allow."""

from __future__ import annotations

import pytest

from amqpd.auth.permissions import Access, Permission, Permissions
from tests.builders import World
from tests.listener import Listener

ALL = Permission(".*", ".*", ".*")
NOTHING = Permission("", "", "")


@pytest.mark.parametrize(
    ("pattern", "name", "allowed"),
    [
        (".*", "anything", True),
        ("", "anything", False),
        ("", "", False),
        ("^$", "anything", False),
        ("b", "abc", True),  # searched, not anchored
        ("^b", "abc", False),
        ("^(orders|bills)$", "bills", True),
        ("^(orders|bills)$", "bills2", False),
        ("^amq\\.default$", "", True),  # the default exchange's name
        ("^$", "", False),
        (".*", "grün", True),
        (".*", "\udcff", True),
    ],
)
def test_a_pattern_is_searched_in_the_name(pattern: str, name: str, allowed: bool) -> None:
    assert Permission(pattern, "", "").may(Access.CONFIGURE, name) is allowed
    assert Permission("", pattern, "").may(Access.WRITE, name) is allowed
    assert Permission("", "", pattern).may(Access.READ, name) is allowed


def test_each_kind_of_access_has_its_own_pattern() -> None:
    permission = Permission("^c", "^w", "^r")
    allowed = {
        (kind, name)
        for kind in (Access.CONFIGURE, Access.WRITE, Access.READ)
        for name in ("c", "w", "r")
        if permission.may(kind, name)
    }
    assert allowed == {(Access.CONFIGURE, "c"), (Access.WRITE, "w"), (Access.READ, "r")}


def test_a_pattern_that_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a regular expression"):
        Permission("(", "", "")


def test_permissions_are_found_by_user_and_vhost() -> None:
    rows = Permissions()
    rows.set("u", "/", ALL)
    rows.set("u", "v", NOTHING)
    assert (rows.find("u", "/"), rows.find("u", "v"), rows.find("u", "w"), rows.find("w", "/")) == (
        ALL,
        NOTHING,
        None,
        None,
    )
    rows.set("u", "/", NOTHING)
    assert rows.find("u", "/") is NOTHING
    assert sorted(row[:2] for row in rows) == [("u", "/"), ("u", "v")]


def test_permissions_end_with_clear_with_their_user_and_with_their_vhost() -> None:
    rows = Permissions()
    for user in "ab":
        for vhost in "xyz":
            rows.set(user, vhost, ALL)
    assert rows.clear("a", "x")
    assert not rows.clear("a", "x")
    rows.forget_vhost("y")
    assert sorted(row[:2] for row in rows) == [("a", "z"), ("b", "x"), ("b", "z")]
    rows.forget_user("b")
    assert sorted(row[:2] for row in rows) == [("a", "z")]


def test_changes_of_permissions_are_told_with_who_wanted_them() -> None:
    world = World()
    permissions, listener = world.users.permissions, Listener(world)
    permissions.set("guest", "/", Permission("c", "w", "r"), "someone")
    assert permissions.clear("guest", "/", "another")
    assert not permissions.clear("guest", "/", "another")
    created, deleted = listener.heard()
    which = {"user": "guest", "vhost": "/"}
    patterns = {"configure": "c", "write": "w", "read": "r"}
    assert (created.key, deleted.key) == ("permission.created", "permission.deleted")
    assert created.plain == {**which, **patterns, "user_who_performed_action": "someone"}
    assert deleted.plain == {**which, "user_who_performed_action": "another"}
