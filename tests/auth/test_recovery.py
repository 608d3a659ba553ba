"""Users and permissions over a restart, and what a new data directory has."""

from __future__ import annotations

from pathlib import Path

import pytest

from amqpd.auth.password import PasswordRules
from amqpd.auth.permissions import Access, Permission
from amqpd.auth.seed import FirstUser, seed
from amqpd.auth.topics import TopicPermission
from amqpd.auth.users import User, UserStore
from amqpd.broker.broker import Broker
from amqpd.broker.events import EVENT_EXCHANGE
from amqpd.broker.queues.base import QueueSpec
from amqpd.catalog.rows import PermissionRow, TopicPermissionRow, UserRow
from amqpd.wire.table import EMPTY_TABLE
from tests.auth.passwords import BCRYPT_OF_SECRET
from tests.builders import World
from tests.stores import Store


def everything(users: UserStore) -> list[object]:
    """All that is known of users, to be compared."""
    return [
        sorted((user.name, user.password_hash, user.algorithm, user.tags, str(user.limits)) for user in users),
        sorted((user, vhost, row.configure, row.write, row.read) for user, vhost, row in users.permissions),
        sorted((user, vhost, name, row.write, row.read) for user, vhost, name, row in users.topic_permissions),
    ]


def test_a_new_data_directory_has_guest_an_administrator_who_may_do_everything(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    guest = world.users.find("guest")
    assert guest is not None
    assert guest.has_password(b"guest")
    assert guest.tags == ("administrator",)
    permission = world.users.permissions.find("guest", "/")
    assert permission is not None
    assert all(permission.may(access, "anything") for access in Access)
    assert len(world.users) == 1
    assert world.vhost.metadata.description == "Default virtual host"


def test_users_and_permissions_come_back_as_they_were(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    users = world.users
    users.add("anna", b"p", ["monitoring", "other"])
    users.put(User("ben", BCRYPT_OF_SECRET, "bcrypt"))
    users.set_limits("anna", {"max-channels": 3, "max-connections": -1})
    users.permissions.set("anna", "/", Permission("^c", "", "^r"))
    users.permissions.set("ben", "/", Permission("", "", ""))
    users.permissions.clear("ben", "/")
    users.topic_permissions.set("anna", "/", "amq.topic", TopicPermission("^{username}", ".*"))
    users.topic_permissions.set("anna", "/", "x", TopicPermission("", ""))
    users.topic_permissions.clear("anna", "/", "x")
    users.add("carl", b"p")
    users.permissions.set("carl", "/", Permission("", "", ""))
    users.delete("carl")
    world.finish()
    again = world.killed()
    assert everything(again.users) == everything(users)
    assert again.recovered.left_out == []
    ben = again.users.find("ben")
    assert ben is not None
    assert ben.has_password(b"secret")
    assert again.users.decoy is ben


def test_nothing_is_told_of_what_comes_back(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    queue = world.vhost.create_queue("heard", QueueSpec(True, None, False, EMPTY_TABLE))
    world.vhost.bind(world.vhost.exchange(EVENT_EXCHANGE), queue, "#", EMPTY_TABLE)
    world.users.topic_permissions.set("guest", "/", "amq.topic", TopicPermission("", ""))
    world.finish()
    queue.purge()
    world.finish()
    again = world.killed()
    again.finish()
    heard = again.vhost.queues["heard"]
    keys = [delivery.message.routing_key for delivery in iter(heard.get, None)]
    assert [key for key in keys if key != "binding.created"] == []


def test_who_deleted_the_first_user_does_not_find_it_again(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    world.users.delete("guest")
    world.finish()
    assert list(world.restarted().users) == []


def test_a_change_of_the_first_user_stays(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    world.users.add("guest", b"another", [])
    world.users.permissions.set("guest", "/", Permission("", "", ""))
    world.finish()
    again = world.restarted()
    assert everything(again.users) == everything(world.users)


def test_a_start_that_was_killed_before_its_commit_leaves_nothing_of_the_first_user(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))  # nothing is committed before the turn ends
    again = world.killed()
    assert [user.name for user in again.users] == ["guest"]
    assert list(again.broker.vhosts) == ["/"]


def test_the_first_user_is_as_configured() -> None:
    world = World()
    broker = Broker(world.context, "amqpd@test", "production", recovers=True)
    users = UserStore(broker, rules=PasswordRules(100))
    seed(broker, users, FirstUser("admin", b"s3cret", ("administrator", "x"), "^a", "^b", "^c"))
    assert list(broker.vhosts) == ["production"]
    admin = users.find("admin")
    assert admin is not None
    assert (admin.has_password(b"s3cret"), admin.tags) == (True, ("administrator", "x"))
    assert [(name, vhost) for name, vhost, _ in users.permissions] == [("admin", "production")]
    assert "amq.rabbitmq.event" in broker.vhosts["production"].exchanges


def test_a_first_user_without_a_pattern_that_is_right_is_refused() -> None:
    world = World()
    with pytest.raises(ValueError, match="is not a regular expression"):
        seed(world.broker, world.users, FirstUser(configure="("))


def test_what_cannot_be_brought_back_is_left_out_and_told(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    catalog = world.storage.changing()
    assert catalog is not None
    catalog.add_user(UserRow("tags", "", "rabbit_password_hashing_sha256", '"a"', "{}"))
    catalog.add_user(UserRow("limits", "", "rabbit_password_hashing_sha256", "[]", '{"max-channels": "x"}'))
    catalog.add_permission(PermissionRow("guest", "other", "(", "", ""))
    world.finish()
    again = world.killed()
    assert [user.name for user in again.users] == ["guest"]
    assert [what for what, _ in again.recovered.left_out] == [
        "user 'limits'",
        "user 'tags'",
        "the permission of user 'guest' in virtual host 'other'",
    ]


def test_a_topic_permission_that_cannot_be_read_refuses_everything(tmp_path: Path) -> None:
    """Left out, it would allow what it was there to refuse."""
    world = World(store=Store(tmp_path))
    catalog = world.storage.changing()
    assert catalog is not None
    catalog.add_topic_permission(TopicPermissionRow("guest", "/", "amq.topic", "(", ".*"))
    world.finish()
    again = world.killed()
    permission = again.users.topic_permissions.find("guest", "/", "amq.topic")
    assert permission is not None
    assert not permission.may(Access.READ, "a")
    assert len(again.recovered.left_out) == 1
