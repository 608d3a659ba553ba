"""The HTTP API over a broker on a manual clock, without a socket.

api = API()
assert api.get("/whoami").json()["name"] == "guest"
"""

from __future__ import annotations

import asyncio
import json
import logging

import httpx

from amqpd.auth.permissions import Permission
from amqpd.management.app import make_app
from amqpd.management.node import Listener, Node
from tests.builders import World

GUEST = ("guest", "guest")


class API:
    """The API of one World.

    Args:
        world: the broker; None makes a new one.
    """

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        listeners = [Listener("amqp", "127.0.0.1", 5672), Listener("http", "127.0.0.1", 15672)]
        self.node = Node(self.world.services, listeners, pid=4711, memory_limit=1_000_000, disk_free_limit=1000)
        self.app = make_app(self.node, logging.getLogger("amqpd.test"))
        self.peer = "127.0.0.1"

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        user: tuple[str, str] | None = GUEST,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """The answer to one request.

        Args:
            path: behind /api, or a whole path that starts with //.
            body: octets, or something that is sent as JSON.
        """
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return asyncio.run(self._request(method, path, content, user, headers))

    async def _request(
        self,
        method: str,
        path: str,
        content: bytes | None,
        user: tuple[str, str] | None,
        headers: dict[str, str] | None,
    ) -> httpx.Response:
        loop = asyncio.get_running_loop()
        turn = self.world.turn
        turn.wake = lambda: loop.call_soon(turn.finish)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(self.peer, 40000))
        url = path[1:] if path.startswith("//") else "/api" + path
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:15672") as client:
                return await client.request(method, url, content=content, auth=user, headers=headers)
        finally:
            turn.wake = None
            self.world.finish()

    def get(self, path: str, user: tuple[str, str] | None = GUEST, **headers: str) -> httpx.Response:
        return self.request("GET", path, None, user, headers)

    def put(self, path: str, body: object = None, user: tuple[str, str] | None = GUEST) -> httpx.Response:
        return self.request("PUT", path, body, user)

    def post(self, path: str, body: object = None, user: tuple[str, str] | None = GUEST) -> httpx.Response:
        return self.request("POST", path, body, user)

    def delete(self, path: str, user: tuple[str, str] | None = GUEST) -> httpx.Response:
        return self.request("DELETE", path, None, user)

    def add_user(self, name: str, *tags: str, vhost: str | None = "/", **permission: str) -> tuple[str, str]:
        """A user with these tags and permissions, everything in one virtual host by default; returns its login."""
        self.world.users.add(name, b"pw", tags=tags)
        if vhost is not None:
            patterns = {"configure": ".*", "write": ".*", "read": ".*", **permission}
            self.world.users.permissions.set(name, vhost, Permission(**patterns))
        return (name, "pw")


def error(response: httpx.Response) -> tuple[int, str, str]:
    """Status, error and reason of a refusal."""
    content = response.json()
    assert set(content) == {"error", "reason"}
    return response.status_code, content["error"], content["reason"]
