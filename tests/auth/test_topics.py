"""Topic permissions: which routing keys are allowed, and who is told of changes."""

from __future__ import annotations

import pytest

from amqpd.auth.permissions import Access
from amqpd.auth.topics import TopicPermission, TopicPermissions
from tests.builders import World
from tests.listener import Listener

NAMES = {"username": "anna", "vhost": "a.b"}


@pytest.mark.parametrize(
    ("pattern", "key", "allowed"),
    [
        (".*", "k", True),
        ("", "k", False),
        ("b", "abc", True),  # searched, not anchored
        ("^b", "abc", False),
        ("^{username}$", "anna", True),
        ("^{username}$", "ben", False),
        ("^{vhost}-{username}$", "a.b-anna", True),
        ("^{vhost}$", "axb", True),  # put in as it is, so that a dot is any character (RabbitMQ)
        ("^{client_id}$", "{client_id}", True),  # AMQP has none
        ("^a{2}$", "aa", True),
    ],
)
def test_the_pattern_is_searched_in_the_key_with_the_variables_put_in(pattern: str, key: str, allowed: bool) -> None:
    for permission, access in (
        (TopicPermission(pattern, ""), Access.WRITE),
        (TopicPermission("", pattern), Access.READ),
    ):
        assert permission.may(access, key, NAMES) is allowed
        assert permission.may(access, key, NAMES) is allowed, "from memory"
        other = Access.READ if access is Access.WRITE else Access.WRITE
        assert not permission.may(other, key, NAMES)


def test_a_name_that_makes_the_pattern_wrong_matches_nothing() -> None:
    assert not TopicPermission("^{username}", "").may(Access.WRITE, "(", {"username": "("})


def test_a_pattern_that_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a regular expression"):
        TopicPermission(".*", "[")


def test_rows_are_found_by_user_virtual_host_and_exchange() -> None:
    rows, one, two = TopicPermissions(), TopicPermission("1", ""), TopicPermission("2", "")
    rows.set("u", "/", "x", one)
    rows.set("u", "/", "y", two)
    assert (rows.find("u", "/", "x"), rows.find("u", "/", "y")) == (one, two)
    assert rows.find("u", "/", "z") is rows.find("u", "v", "x") is rows.find("v", "/", "x") is None
    assert sorted((user, vhost, name) for user, vhost, name, _ in rows) == [("u", "/", "x"), ("u", "/", "y")]


def test_one_row_is_cleared_or_all_of_a_user_in_a_virtual_host() -> None:
    rows, row = TopicPermissions(), TopicPermission("", "")
    for vhost in ("/", "v"):
        for name in ("x", "y"):
            rows.set("u", vhost, name, row)
    assert rows.clear("u", "/", "x")
    assert not rows.clear("u", "/", "x")
    assert [key[:3] for key in rows] == [("u", "/", "y"), ("u", "v", "x"), ("u", "v", "y")]
    assert rows.clear("u", "v")
    assert not rows.clear("u", "v")
    assert [key[:3] for key in rows] == [("u", "/", "y")]


def test_rows_go_with_their_user_or_virtual_host() -> None:
    rows, row = TopicPermissions(), TopicPermission("", "")
    for user in ("u", "v"):
        for vhost in ("/", "w"):
            rows.set(user, vhost, "x", row)
    rows.forget_user("u")
    rows.forget_vhost("w")
    assert [key[:3] for key in rows] == [("v", "/", "x")]


def test_changes_are_told() -> None:
    world = World()
    listener = Listener(world)
    world.users.topic_permissions.set("u", "/", "x", TopicPermission("w", "r"), "someone")
    world.users.topic_permissions.clear("u", "/", "x", "another")
    fields = {"user": "u", "vhost": "/", "exchange": "x"}
    assert [(event.key, event.plain) for event in listener.heard()] == [
        ("topic.permission.created", {**fields, "write": "w", "read": "r", "user_who_performed_action": "someone"}),
        ("topic.permission.deleted", {**fields, "user_who_performed_action": "another"}),
    ]
