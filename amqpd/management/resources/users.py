"""Users: /api/users."""

from __future__ import annotations

from typing import Final

from amqpd.auth.password import DEFAULT_ALGORITHM, PasswordError
from amqpd.auth.patterns import PatternError
from amqpd.auth.permissions import Permission
from amqpd.auth.users import User, UserStore
from amqpd.management.answer import DONE, Answer, Columns, Listing, One, put_answer
from amqpd.management.auth import Tag
from amqpd.management.errors import BadRequest, Missing, NotAuthorised
from amqpd.management.request import Request
from amqpd.management.router import route
from amqpd.management.words import limits_of, words

PROTECTED: Final = "protected"
"""The tag of users whom nobody changes or deletes over HTTP."""

COLUMNS: Final = Columns(
    {
        "name": lambda request, user: user.name,
        "password_hash": lambda request, user: user.password_hash,
        "hashing_algorithm": lambda request, user: user.algorithm,
        "tags": lambda request, user: list(user.tags),
        "limits": lambda request, user: dict(user.limits),
    }
)


def store_of(request: Request) -> UserStore:
    """The users of the node."""
    return request.node.services.users


def find(request: Request) -> User:
    """The user of the path.

    Raises:
        Missing: there is none.
    """
    found = store_of(request).find(request.path["user"])
    if found is None:
        raise Missing
    return found


def check_not_protected(user: User | None) -> None:
    """Refuse to change a user who is protected. Definitions are not asked: they are the way to take the tag away.

    Raises:
        NotAuthorised: it is.
    """
    if user is not None and PROTECTED in user.tags:
        raise NotAuthorised(f"User '{user.name}' has the tag 'protected' and cannot be changed over the HTTP API.")


def show_list(request: Request) -> Listing:
    """All users, by name."""
    return Listing(COLUMNS, all_users(request))


def all_users(request: Request) -> list[User]:
    """All users, by name."""
    return sorted(store_of(request), key=lambda user: user.name)


def show_without_permissions(request: Request) -> Listing:
    """The users who may open no virtual host."""
    permitted = {user for user, _, _ in store_of(request).permissions}
    return Listing(COLUMNS, [user for user in all_users(request) if user.name not in permitted])


def show(request: Request) -> One:
    """One user."""
    return One(COLUMNS, find(request))


def put(request: Request) -> Answer:
    """Make a user, or replace one: tags, and password or hash. Without either nobody can log in with a password."""
    store, name = store_of(request), request.path["user"]
    before = store.find(name)
    check_not_protected(before)
    permissions = permissions_of(request)
    try:
        store.put(user_of(request, name, before), request.user.name)
    except PasswordError as error:
        raise BadRequest(f"{error}.") from None
    if before is None:
        for vhost, permission in permissions.items():
            store.permissions.set(name, vhost, permission, request.user.name)
    return put_answer(before is None)


def user_of(request: Request, name: str, before: User | None) -> User:
    """The user that the body describes.

    Raises:
        BadRequest, PasswordError: it describes none that can be.
    """
    body = request.body
    if not name:
        raise BadRequest("A user has a name.")
    if body.get("tags") is None:
        raise BadRequest("tags_not_present")
    if body.get("password") is not None and body.get("password_hash") is not None:
        raise BadRequest("both_password_and_password_hash_are_provided")
    tags = words("tags", body["tags"])
    known = {} if before is None else before.limits
    limits = limits_of("limits", body["limits"]) if body.get("limits") is not None else known
    if body.get("password") is not None:
        return User(name, store_of(request).hash(request.text("password").encode()), DEFAULT_ALGORITHM, tags, limits)
    algorithm = request.text("hashing_algorithm", DEFAULT_ALGORITHM)
    return User(name, request.text("password_hash", ""), algorithm, tags, limits)


def permissions_of(request: Request) -> dict[str, Permission]:
    """The permissions that the body gives a new user, by virtual host.

    Raises:
        BadRequest: it gives none that can be.
    """
    given = request.body.get("permissions")
    if given is None or given == []:
        return {}
    if not isinstance(given, dict):
        raise BadRequest("permissions must be an object with the names of virtual hosts as keys.")
    found = {}
    for vhost, patterns in given.items():
        if vhost not in request.node.broker.vhosts:
            raise BadRequest("vhost_or_user_not_found")
        values = [patterns.get(key) if isinstance(patterns, dict) else None for key in ("configure", "write", "read")]
        texts = [value for value in values if isinstance(value, str)]
        if len(texts) != len(values):
            raise BadRequest("Permissions have the three keys configure, write and read.")
        try:
            found[vhost] = Permission(*texts)
        except PatternError as error:
            raise BadRequest(f"{error}.") from None
    return found


def delete(request: Request) -> Answer:
    """Delete a user, who loses all connections."""
    user = find(request)
    check_not_protected(user)
    store_of(request).delete(user.name, request.user.name)
    return DONE


def bulk_delete(request: Request) -> Answer:
    """Delete several users, or none if one of them does not exist."""
    request.need("users")
    given = request.body["users"]
    names = [name for name in given if isinstance(name, str)] if isinstance(given, list) else []
    if names != given:
        raise BadRequest("users must be a list of names.")
    store = store_of(request)
    unknown = [name for name in names if store.find(name) is None]
    if unknown:
        raise BadRequest(f"There is no user '{unknown[0]}'.")
    for name in names:
        check_not_protected(store.find(name))
    for name in names:
        store.delete(name, request.user.name)
    return DONE


ROUTES: Final = (
    route("/users", Tag.ADMINISTRATOR, get=show_list),
    route("/users/without-permissions", Tag.ADMINISTRATOR, get=show_without_permissions),
    route("/users/bulk-delete", Tag.ADMINISTRATOR, post=bulk_delete),
    route("/users/{user}", Tag.ADMINISTRATOR, get=show, put=put, delete=delete),
)
