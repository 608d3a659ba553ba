"""Limits of virtual hosts and of users: /api/vhost-limits and /api/user-limits."""

from __future__ import annotations

from typing import Final

from amqpd.auth.users import USER_LIMITS
from amqpd.broker.parameters import ParameterError
from amqpd.broker.policy import json_term
from amqpd.broker.vhost_limits import VHOST_LIMITS
from amqpd.management.answer import DONE, Answer, Listing
from amqpd.management.auth import Tag
from amqpd.management.errors import BadRequest
from amqpd.management.request import Request
from amqpd.management.resources.users import all_users, find, store_of
from amqpd.management.router import route
from amqpd.management.rows import listed, row_columns
from amqpd.management.words import invalid

VHOST_COLUMNS: Final = row_columns("vhost", "value")
USER_COLUMNS: Final = row_columns("user", "value")


def show_vhosts(request: Request) -> Listing:
    """The limits of all virtual hosts that have some, or of one."""
    limits = request.node.broker.limits
    found = [(vhost.name, limits.of(vhost)) for vhost in request.vhosts()]
    return listed(VHOST_COLUMNS, ({"vhost": name, "value": value} for name, value in found if value))


def put_vhost(request: Request) -> Answer:
    """Set one limit of a virtual host."""
    request.need("value")
    vhost, name = request.vhost(), request.path["name"]
    value = request.body["value"]
    if name in VHOST_LIMITS and (not isinstance(value, int) or isinstance(value, bool)):
        raise invalid(ParameterError(f"{name} should be a number, actually was {json_term(value)}"))
    if name not in VHOST_LIMITS or not isinstance(value, int):
        raise invalid(ParameterError(f"Unrecognised terms [{{{json_term(name)},{json_term(value)}}}] in limits"))
    request.node.broker.limits.set_one(vhost, name, value, request.user.name)
    return DONE


def delete_vhost(request: Request) -> Answer:
    """Take one limit of a virtual host away. One that is not set, or does not exist, is away already (RabbitMQ)."""
    vhost, name = request.vhost(), request.path["name"]
    if name in request.node.broker.limits.of(vhost):
        request.node.broker.limits.clear_one(vhost, name, request.user.name)
    return DONE


def show_users(request: Request) -> Listing:
    """The limits of all users who have some, or of one."""
    users = [find(request)] if "user" in request.path else all_users(request)
    return listed(USER_COLUMNS, ({"user": user.name, "value": dict(user.limits)} for user in users if user.limits))


def put_user(request: Request) -> Answer:
    """Set one limit of a user."""
    request.need("value")
    user, name = find(request), request.path["name"]
    value = request.body["value"]
    if name not in USER_LIMITS:
        raise BadRequest(f"Unrecognised terms [{{{json_term(name)},{json_term(value)}}}] in user-limits")
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequest(f"{name} should be a number, actually was {json_term(value)}")
    store_of(request).set_limits(user.name, {name: value}, request.user.name)
    return DONE


def delete_user(request: Request) -> Answer:
    """Take one limit of a user away, as delete_vhost does."""
    user, name = find(request), request.path["name"]
    if name in user.limits:
        store_of(request).clear_limit(user.name, name, request.user.name)
    return DONE


ADMIN: Final = Tag.ADMINISTRATOR
ROUTES: Final = (
    route("/vhost-limits", get=show_vhosts),
    route("/vhost-limits/{vhost}", get=show_vhosts),
    route("/vhost-limits/{vhost}/{name}", ADMIN, put=put_vhost, delete=delete_vhost),
    route("/user-limits", get=show_users),
    route("/user-limits/{user}", get=show_users),
    route("/user-limits/{user}/{name}", ADMIN, put=put_user, delete=delete_user),
)
