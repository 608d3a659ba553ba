"""A request, as handlers see it: who, what, and a body whose values are read as clients write them.

Rule: what may live here reads. What is done with it is the matter of the resources.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from amqpd.auth.users import User
from amqpd.broker.vhost import VHost
from amqpd.management.auth import may_enter, may_see, visible_vhosts
from amqpd.management.errors import NO_VHOST_ACCESS, BadRequest, Missing, NotAuthorised, missing_keys, no_vhost
from amqpd.management.node import Node
from amqpd.management.ranges import ranges_of
from amqpd.management.values import table
from amqpd.wire.table import Table

DEFAULT_EXCHANGE: Final = "amq.default"
NOTHING: Final = frozenset({"", "null", "undefined"})
SECRETS: Final = frozenset({"password", "password_hash"})
"""Keys whose values no refusal repeats."""
DOUBLY_ENCODED: Final = "invalid payload: the request body JSON-decoded to a string. Is the input doubly-JSON-encoded?"


class Request:
    """One request of a user who was let in.

    Args:
        path: the variables of its route, decoded.
        query: the first value of every query parameter.
        headers: with lower-case names.
        content: the body.
        peer: the address it comes from.

    ``ranges`` are the samples that it asks for, by group.

    Raises:
        BadRequest: it asks for samples that there cannot be.
    """

    def __init__(
        self,
        node: Node,
        user: User,
        path: Mapping[str, str],
        query: Mapping[str, str],
        headers: Mapping[str, str],
        content: bytes = b"",
        peer: str = "127.0.0.1",
    ) -> None:
        self.node = node
        self.user = user
        self.path = path
        self.query = query
        self.headers = headers
        self.content = content
        self.peer = peer
        self.ranges = ranges_of(query)
        self._body: dict[str, object] | None = None

    # Where.

    def vhost(self) -> VHost:
        """The virtual host of the path, which the user may look at; an empty name is ``/``.

        Raises:
            Missing: there is none.
            NotAuthorised: the user has nothing to do there.
        """
        return self._vhost(Missing())

    def vhost_to_change(self) -> VHost:
        """The same, for something that is to be changed in it.

        Raises:
            Missing, NotAuthorised: as vhost(), and whoever looks without permissions there may not change anything.
        """
        found = self._vhost(no_vhost())
        if not may_enter(self.node, self.user, found.name):
            raise NotAuthorised(NO_VHOST_ACCESS)
        return found

    def _vhost(self, missing: Missing) -> VHost:
        name = self.path.get("vhost") or "/"
        found = self.node.broker.vhosts.get(name)
        if found is None:
            raise missing
        if not may_see(self.node, self.user, name):
            raise NotAuthorised(NO_VHOST_ACCESS)
        return found

    def vhosts(self) -> list[VHost]:
        """The virtual hosts that a list is about: of the path, of the header ``x-vhost``, or all visible ones."""
        if "vhost" in self.path:
            return [self.vhost()]
        visible = visible_vhosts(self.node, self.user)
        wanted = self.headers.get("x-vhost")
        return [vhost for vhost in visible if not wanted or vhost.name == wanted]

    def name(self, variable: str) -> str:
        """A variable of the path; an exchange's may be the alias of the default exchange."""
        value = self.path[variable]
        return "" if value == DEFAULT_EXCHANGE and variable in ("exchange", "source") else value

    # What.

    def flag(self, name: str) -> bool:
        """A query parameter that is either there and true, or not."""
        return self.query.get(name, "").lower() == "true"

    @property
    def body(self) -> dict[str, object]:
        """The body's object; an empty body is an empty one.

        Raises:
            BadRequest: it is something else.
        """
        if self._body is None:
            self._body = object_of(self.content)
        return self._body

    def need(self, *names: str) -> None:
        """Refuse a body without these keys.

        Raises:
            BadRequest: naming all that are missing.
        """
        missing = [name for name in names if name not in self.body]
        if missing:
            raise missing_keys(missing)

    def boolean(self, name: str, default: bool = False) -> bool:
        """A key that is true or false, or the word for it; null is the default.

        Raises:
            BadRequest: it is something else.
        """
        value = self.body.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return value == "true"
        raise BadRequest(f"{name} must be true or false, and is {shown(value)}")

    def integer(self, name: str, default: int | None = None) -> int:
        """A key that is a whole number, or the text of one.

        Raises:
            BadRequest: it is something else, or not there and has no default.
        """
        value = self.body.get(name, default)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) < 20:
            return int(value)
        raise BadRequest(f"{name} must be a whole number, and is {shown(value)}")

    def text(self, name: str, default: str | None = None) -> str:
        """A key that is a text.

        Raises:
            BadRequest: it is something else, or not there and has no default.
        """
        value = self.body.get(name, default)
        if isinstance(value, str):
            return checked_text(name, value)
        raise BadRequest(f"{name} must be a text" + ("" if name in SECRETS else f", and is {shown(value)}"))

    def table(self, name: str) -> Table:
        """A key that is an object, as a field table; without the key an empty one.

        Raises:
            BadRequest: it is something else, or cannot be a field table.
        """
        try:
            return table(self.body.get(name))
        except ValueError as error:
            raise BadRequest(f"{name} must be an object that can be a field table: {error}") from None


def object_of(content: bytes) -> dict[str, object]:
    """The JSON object in a body.

    Raises:
        BadRequest: it is no JSON, or no object.
    """
    try:
        decoded = content.decode("utf-8-sig").strip()
        value: object = {} if decoded in NOTHING else json.loads(decoded)
    except (ValueError, RecursionError):
        raise BadRequest("not_json") from None
    if isinstance(value, str):
        raise BadRequest(DOUBLY_ENCODED)
    if not isinstance(value, dict):
        raise BadRequest("not_json")
    return value


def checked_text(name: str, value: str) -> str:
    """The text, if it can be on the wire: JSON can have halves of surrogate pairs, which nothing else can.

    Raises:
        BadRequest: it cannot.
    """
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise BadRequest(f"{name} is no text that UTF-8 can encode") from None
    return value


def shown(value: object) -> str:
    """A value of a body in a refusal, not longer than a line."""
    written = json.dumps(value)
    return written if len(written) <= 80 else written[:77] + "..."
