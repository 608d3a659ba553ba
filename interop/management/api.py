"""The HTTP API of a broker, as tests ask it that only care for what it says."""

from __future__ import annotations

import json
from typing import Any

from interop.broker import Broker
from interop.management.http import Management
from interop.waiting import eventually

START_SECONDS = 30.0


class API:
    """Asks a broker over HTTP.

    Args:
        broker: the broker.
        port: of its HTTP API.
    """

    def __init__(self, broker: Broker, port: int) -> None:
        self.broker = broker
        self.port = port
        self._management = Management(broker, port, "")

    @property
    def url(self) -> str:
        """Where it is, with the login."""
        return f"http://{self.broker.username}:{self.broker.password}@{self.broker.host}:{self.port}"

    def wait(self) -> None:
        """Wait until it answers."""
        eventually(self._answers, "the HTTP API answers", START_SECONDS)

    def _answers(self) -> bool:
        try:
            return self._ask("GET", "/whoami")[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> Any:
        """What is there.

        Args:
            path: behind /api.

        Raises:
            AssertionError: nothing is.
        """
        status, found = self._ask("GET", path)
        assert status == 200, (path, status, found)
        return found

    def change(self, method: str, path: str, body: object = None) -> None:
        """Change something.

        Raises:
            AssertionError: it was refused.
        """
        status, found = self._ask(method, path, body)
        assert status in (200, 201, 204), (path, status, found)

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        user = f"{self.broker.username}:{self.broker.password}"
        data = None if body is None else json.dumps(body)
        response = self._management.request(method, path.removeprefix("/"), data, user)
        return response.status, response.json() if response.body else None
