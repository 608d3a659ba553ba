"""Routes: which handler a path leads to.

A path is split at its slashes first and decoded then, part by part: ``%2F`` is the virtual host ``/``, and a plus sign
is a plus sign. One slash at the end does not matter. A part may be empty: that is the default exchange, or the virtual
host ``/`` (RabbitMQ has 404 for the latter).

Rule: what may live here knows paths and methods, not what they do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import unquote

from amqpd.management.answer import Answer, Listing, One
from amqpd.management.auth import Tag
from amqpd.management.request import Request

Result: TypeAlias = Answer | One | Listing
Handler: TypeAlias = Callable[[Request], Result | Awaitable[Result]]

METHODS: Final = ("GET", "PUT", "POST", "DELETE")


@dataclass(frozen=True)
class Route:
    """One path and what its methods do.

    Args:
        path: behind ``/api``; ``{name}`` is a variable.
        handlers: by method. Whoever has GET has HEAD.
        tag: what a user needs.
        write_tag: what a user needs for everything but GET; None is the same.
        body_limit: the longest body, if it is another one than the node's.
    """

    path: str
    handlers: Mapping[str, Handler]
    tag: Tag
    write_tag: Tag | None = None
    body_limit: int | None = None

    @property
    def allowed(self) -> str:
        """The ``allow`` header."""
        names = [name for name in METHODS if name in self.handlers]
        return ", ".join(["HEAD", *names, "OPTIONS"] if "GET" in names else [*names, "OPTIONS"])

    def tag_for(self, method: str) -> Tag:
        """What a user needs to do this."""
        return self.tag if method == "GET" or self.write_tag is None else self.write_tag


def route(
    path: str,
    tag: Tag = Tag.MANAGEMENT,
    write_tag: Tag | None = None,
    *,
    get: Handler | None = None,
    put: Handler | None = None,
    post: Handler | None = None,
    delete: Handler | None = None,
    body_limit: int | None = None,
) -> Route:
    """A Route, its handlers by their methods' names."""
    handlers = {"GET": get, "PUT": put, "POST": post, "DELETE": delete}
    known = {name: handler for name, handler in handlers.items() if handler is not None}
    return Route(path, known, tag, write_tag, body_limit)


class Branch:
    """What may follow a part of a path."""

    def __init__(self) -> None:
        self.words: dict[str, Branch] = {}
        self.variable: tuple[str, Branch] | None = None
        self.route: Route | None = None


class Router:
    """All routes. A word wins over a variable at the same place, so a virtual host named ``detailed`` is hidden."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = Branch()
        for found in routes:
            self._add(found)

    def _add(self, added: Route) -> None:
        branch = self._root
        for part in parts_of(added.path):
            if not part.startswith("{"):
                branch = branch.words.setdefault(part, Branch())
                continue
            if branch.variable is None:
                branch.variable = (part[1:-1], Branch())
            assert branch.variable[0] == part[1:-1], f"{added.path}: two names for one variable"
            branch = branch.variable[1]
        assert branch.route is None, f"{added.path} is there twice"
        branch.route = added

    def find(self, raw_path: str) -> tuple[Route, dict[str, str]] | None:
        """The route of a path and its variables, or None.

        Args:
            raw_path: behind ``/api``, not decoded.
        """
        return find_below(self._root, [unquote(part, errors="surrogateescape") for part in parts_of(raw_path)])


def parts_of(path: str) -> list[str]:
    """The parts of a path; one slash at its end does not matter, nor does the first one."""
    parts = path.split("/")[1:]
    if len(parts) > 1 and not parts[-1]:
        parts.pop()
    return parts


def find_below(branch: Branch, parts: list[str]) -> tuple[Route, dict[str, str]] | None:
    """The route that is reached by these parts, words tried first."""
    if not parts:
        return None if branch.route is None else (branch.route, {})
    word = branch.words.get(parts[0])
    found = None if word is None else find_below(word, parts[1:])
    if found is None and branch.variable is not None:
        name, below = branch.variable
        found = find_below(below, parts[1:])
        if found is not None:
            found[1][name] = parts[0]
    return found
