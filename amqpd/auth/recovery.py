"""Users and permissions as the catalog has them, back where they work.

Rule: what may live here turns rows into objects. What cannot be brought back is told and left out.
"""

from __future__ import annotations

import json

from amqpd.auth.permissions import Permission
from amqpd.auth.topics import TopicPermission
from amqpd.auth.users import User, UserStore
from amqpd.broker.recovery import Progress
from amqpd.catalog.rows import Topology, UserRow


def restore_accounts(users: UserStore, topology: Topology, progress: Progress) -> None:
    """Bring all users back, with their permissions. The virtual hosts are there already.

    Args:
        users: without any.
        topology: of the catalog.
        progress: told what is left out.
    """
    for row in topology.users:
        try:
            users.restore(user_of(row))
        except ValueError as error:
            progress.skipped(f"user '{row.name}'", str(error))
    _restore_permissions(users, topology, progress)


def _restore_permissions(users: UserStore, topology: Topology, progress: Progress) -> None:
    for row in topology.permissions:
        try:
            users.permissions.restore(row.user, row.vhost, Permission(row.configure, row.write, row.read))
        except ValueError as error:
            progress.skipped(f"the permission of user '{row.user}' in virtual host '{row.vhost}'", str(error))
    for topic in topology.topic_permissions:
        try:
            permission = TopicPermission(topic.write, topic.read)
        except ValueError as error:
            # Left out, it would allow what it is there to refuse.
            progress.skipped(f"the topic permission of user '{topic.user}' for '{topic.exchange}'", str(error))
            permission = TopicPermission("", "")
        users.topic_permissions.restore(topic.user, topic.vhost, topic.exchange, permission)


def user_of(row: UserRow) -> User:
    """A user from its row.

    Raises:
        ValueError: tags or limits are not what they have to be.
    """
    tags, limits = json.loads(row.tags), json.loads(row.limits)
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError("the tags are no list of texts")
    if not isinstance(limits, dict) or not all(isinstance(value, int) for value in limits.values()):
        raise ValueError("the limits are no whole numbers")
    return User(row.name, row.password_hash, row.algorithm, tags, limits)
