"""The store of users, and the loopback rule."""

from __future__ import annotations

import pytest

from amqpd.auth.password import PasswordError, PasswordRules
from amqpd.auth.permissions import Permission
from amqpd.auth.users import User, UserStore, is_loopback
from tests.builders import World
from tests.listener import Listener


def store() -> UserStore:
    return UserStore(random=lambda count: b"salt"[:count])


def test_adding_a_user_again_replaces_password_and_tags_but_not_permissions() -> None:
    users = store()
    users.add("u", b"old", ["monitoring"])
    users.permissions.set("u", "/", Permission("", "", ""))
    users.add("u", b"new")
    user = users.find("u")
    assert user is not None
    assert (user.has_password(b"old"), user.has_password(b"new"), user.tags) == (False, True, ())
    assert users.permissions.find("u", "/") is not None
    assert len(users) == 1


def test_a_user_with_an_empty_password_has_none() -> None:
    assert not store().add("u", b"").has_password(b"")


def test_a_deleted_user_is_gone_with_its_permissions() -> None:
    users = store()
    users.add("u", b"p")
    users.permissions.set("u", "/", Permission(".*", ".*", ".*"))
    assert users.delete("u")
    assert not users.delete("u")
    assert users.find("u") is None
    assert users.permissions.find("u", "/") is None


def test_a_user_can_be_added_with_a_hash_that_another_broker_made() -> None:
    users = store()
    users.put(User("u", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"))
    user = users.find("u")
    assert user is not None
    assert user.has_password(b"test12")


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("128.0.0.1", False),
        ("10.0.0.1", False),
        ("::", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_loopback_is_127_and_the_ipv6_one(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


def test_only_loopback_users_are_bound_to_the_brokers_machine() -> None:
    users = store()
    guest, other = users.add("guest", b"guest"), users.add("other", b"x")
    assert users.may_connect_from(guest, "::1")
    assert not users.may_connect_from(guest, "10.0.0.1")
    assert users.may_connect_from(other, "10.0.0.1")
    assert UserStore(loopback_users=()).may_connect_from(guest, "10.0.0.1")


# Events.


def test_changes_of_users_are_told_with_who_wanted_them() -> None:
    world = World()
    users, listener = world.users, Listener(world)
    users.add("u", b"first", actor="someone")
    users.add("u", b"second", ["monitoring", "management"], actor="another")
    users.put(User("u", "", tags=["management", "monitoring"]))
    assert users.delete("u", "someone")
    assert not users.delete("u", "someone")
    told = [(event.key, event.plain) for event in listener.heard()]
    tags = {"tags": ["monitoring", "management"]}
    assert told == [
        ("user.created", {"name": "u", "user_who_performed_action": "someone"}),
        ("user.password.changed", {"name": "u", "user_who_performed_action": "another"}),
        ("user.tags.set", {"name": "u", **tags, "user_who_performed_action": "another"}),
        ("user.password.cleared", {"name": "u", "user_who_performed_action": "rmq-internal"}),
        ("user.deleted", {"name": "u", "user_who_performed_action": "someone"}),
    ]


def test_a_new_user_with_tags_is_told_twice_and_one_put_unchanged_not_at_all() -> None:
    world = World()
    listener = Listener(world)
    user = world.users.add("u", b"p", ["monitoring"])
    assert listener.heard_keys() == ["user.created", "user.tags.set"]
    world.users.put(user)
    assert listener.heard_keys() == []


# Limits and rules.


def test_limits_are_set_one_by_one_and_a_negative_one_is_none() -> None:
    users = store()
    users.add("u", b"p")
    users.set_limits("u", {"max-connections": 3})
    user = users.set_limits("u", {"max-channels": -1})
    assert (user.max_connections, user.max_channels) == (3, None)
    assert user.limits == {"max-connections": 3, "max-channels": -1}
    user = users.clear_limit("u", "max-connections")
    assert (user.max_connections, user.limits) == (None, {"max-channels": -1})
    assert users.find("u") is user


def test_a_new_password_leaves_the_limits() -> None:
    users = store()
    users.add("u", b"p")
    users.set_limits("u", {"max-connections": 3})
    assert users.add("u", b"q").max_connections == 3


def test_limits_and_users_that_do_not_exist_are_refused() -> None:
    users = store()
    with pytest.raises(KeyError):
        users.set_limits("u", {"max-channels": 1})
    users.add("u", b"p")
    with pytest.raises(ValueError, match="no user limit max-fun"):
        users.set_limits("u", {"max-fun": 1})
    with pytest.raises(ValueError, match="no user limit max-fun"):
        users.clear_limit("u", "max-fun")


def test_changes_of_limits_are_told() -> None:
    world = World()
    world.users.add("u", b"p")
    listener = Listener(world)
    world.users.set_limits("u", {"max-channels": 1}, "someone")
    world.users.clear_limit("u", "max-channels", "someone")
    assert [(event.key, event.plain) for event in listener.heard()] == [
        ("user.limits.set", {"name": "u", "max-channels": 1, "user_who_performed_action": "someone"}),
        ("user.limits.cleared", {"name": "u", "limit": "max-channels", "user_who_performed_action": "someone"}),
    ]


def test_a_password_that_the_rules_do_not_allow_changes_nothing() -> None:
    users = UserStore(rules=PasswordRules(8))
    before = users.add("u", b"long enough")
    with pytest.raises(PasswordError, match="minimum required password length: 8"):
        users.add("u", b"short")
    assert users.find("u") is before


def test_a_hash_that_cannot_be_kept_changes_nothing() -> None:
    users = store()
    before = users.add("u", b"p")
    with pytest.raises(PasswordError):
        users.put(User("u", "!!"))
    assert users.find("u") is before
