"""What users may do: /api/permissions and /api/topic-permissions, and the same of one user or one virtual host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from amqpd.auth.patterns import PatternError
from amqpd.auth.permissions import Permission
from amqpd.auth.topics import TopicPermission
from amqpd.definitions.exporting import permission_row, topic_permission_row
from amqpd.management.answer import DONE, Answer, Listing, One, put_answer
from amqpd.management.auth import Tag
from amqpd.management.errors import BadRequest, Missing
from amqpd.management.request import Request
from amqpd.management.resources.users import find, store_of
from amqpd.management.router import route
from amqpd.management.rows import listed, row_columns

COLUMNS: Final = row_columns("user", "vhost", "configure", "write", "read")
TOPIC_COLUMNS: Final = row_columns("user", "vhost", "exchange", "write", "read")

Row = dict[str, object]


def rows(request: Request) -> Iterator[Row]:
    """All permissions, by virtual host and user."""
    found = [(vhost, user, row) for user, vhost, row in store_of(request).permissions]
    for vhost, user, row in sorted(found, key=lambda place: place[:2]):
        yield permission_row(user, vhost, row)


def topic_rows(request: Request) -> Iterator[Row]:
    """All topic permissions, by virtual host, user and exchange."""
    found = [(vhost, user, name, row) for user, vhost, name, row in store_of(request).topic_permissions]
    for vhost, user, exchange, row in sorted(found, key=lambda place: place[:3]):
        yield topic_permission_row(user, vhost, exchange, row)


def show_list(request: Request) -> Listing:
    """All permissions."""
    return listed(COLUMNS, rows(request))


def show_topic_list(request: Request) -> Listing:
    """All topic permissions."""
    return listed(TOPIC_COLUMNS, topic_rows(request))


def show_of_user(request: Request) -> Listing:
    """One user's permissions."""
    name = find(request).name
    return listed(COLUMNS, (row for row in rows(request) if row["user"] == name))


def show_topics_of_user(request: Request) -> Listing:
    """One user's topic permissions."""
    name = find(request).name
    return listed(TOPIC_COLUMNS, (row for row in topic_rows(request) if row["user"] == name))


def show_in_vhost(request: Request) -> Listing:
    """The permissions in one virtual host."""
    name = request.vhost().name
    return listed(COLUMNS, (row for row in rows(request) if row["vhost"] == name))


def show_topics_in_vhost(request: Request) -> Listing:
    """The topic permissions in one virtual host."""
    name = request.vhost().name
    return listed(TOPIC_COLUMNS, (row for row in topic_rows(request) if row["vhost"] == name))


def place_of(request: Request) -> tuple[str, str]:
    """User and virtual host of the path, both known.

    Raises:
        BadRequest: one of them is not.
    """
    user, vhost = request.path["user"], request.path["vhost"] or "/"
    if store_of(request).find(user) is None or vhost not in request.node.broker.vhosts:
        raise BadRequest("vhost_or_user_not_found")
    return user, vhost


def show(request: Request) -> One:
    """One permission.

    Raises:
        Missing: there is none.
    """
    user, vhost = request.path["user"], request.path["vhost"] or "/"
    found = store_of(request).permissions.find(user, vhost)
    if found is None:
        raise Missing
    return One(COLUMNS, permission_row(user, vhost, found))


def put(request: Request) -> Answer:
    """Give a user permissions, instead of those that it had."""
    request.need("configure", "write", "read")
    user, vhost = place_of(request)
    try:
        permission = Permission(request.text("configure"), request.text("write"), request.text("read"))
    except PatternError as error:
        raise BadRequest(f"{error}.") from None
    permissions = store_of(request).permissions
    before = permissions.find(user, vhost)
    permissions.set(user, vhost, permission, request.user.name)
    return put_answer(before is None)


def delete(request: Request) -> Answer:
    """Take a user's permissions away."""
    if not store_of(request).permissions.clear(request.path["user"], request.path["vhost"] or "/", request.user.name):
        raise Missing
    return DONE


def show_topics(request: Request) -> Listing:
    """One user's topic permissions in one virtual host.

    Raises:
        Missing: there are none.
    """
    user, vhost, exchange = request.path["user"], request.path["vhost"] or "/", request.path.get("exchange")
    found = [
        row
        for row in topic_rows(request)
        if row["user"] == user and row["vhost"] == vhost and exchange in (None, row["exchange"])
    ]
    if not found:
        raise Missing
    return listed(TOPIC_COLUMNS, found)


def put_topic(request: Request) -> Answer:
    """Restrict which routing keys a user may use with an exchange."""
    request.need("exchange", "write", "read")
    user, vhost = place_of(request)
    try:
        permission = TopicPermission(request.text("write"), request.text("read"))
    except PatternError as error:
        raise BadRequest(f"{error}.") from None
    exchange = request.text("exchange")
    permissions = store_of(request).topic_permissions
    before = permissions.find(user, vhost, exchange)
    permissions.set(user, vhost, exchange, permission, request.user.name)
    return put_answer(before is None)


def delete_topics(request: Request) -> Answer:
    """Lift restrictions, for one exchange or for all."""
    user, vhost, exchange = request.path["user"], request.path["vhost"] or "/", request.path.get("exchange")
    if not store_of(request).topic_permissions.clear(user, vhost, exchange, request.user.name):
        raise Missing
    return DONE


ADMIN: Final = Tag.ADMINISTRATOR
ROUTES: Final = (
    route("/permissions", ADMIN, get=show_list),
    route("/permissions/{vhost}/{user}", ADMIN, get=show, put=put, delete=delete),
    route("/users/{user}/permissions", ADMIN, get=show_of_user),
    route("/vhosts/{vhost}/permissions", ADMIN, get=show_in_vhost),
    route("/topic-permissions", ADMIN, get=show_topic_list),
    route("/topic-permissions/{vhost}/{user}", ADMIN, get=show_topics, put=put_topic, delete=delete_topics),
    route("/topic-permissions/{vhost}/{user}/{exchange}", ADMIN, get=show_topics, delete=delete_topics),
    route("/users/{user}/topic-permissions", ADMIN, get=show_topics_of_user),
    route("/vhosts/{vhost}/topic-permissions", ADMIN, get=show_topics_in_vhost),
)
