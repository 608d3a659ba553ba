"""The HTTP API of a broker, as tests ask it."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import Any

from interop.broker import Broker
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

    @property
    def url(self) -> str:
        """Where it is, with the login."""
        return f"http://{self.broker.username}:{self.broker.password}@{self.broker.host}:{self.port}"

    def wait(self) -> None:
        """Wait until it answers."""
        eventually(self._answers, "the HTTP API answers", START_SECONDS)

    def _answers(self) -> bool:
        try:
            return self.request("GET", "/whoami")[0] == 200
        except OSError:
            return False

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and decoded body of an answer.

        Args:
            path: behind /api.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.broker.host}:{self.port}/api{path}", data, method=method)
        login = base64.b64encode(f"{self.broker.username}:{self.broker.password}".encode()).decode()
        request.add_header("authorization", f"Basic {login}")
        request.add_header("content-type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, decoded(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, decoded(error.read())

    def get(self, path: str) -> Any:
        """What is there.

        Raises:
            AssertionError: nothing is.
        """
        status, found = self.request("GET", path)
        assert status == 200, (path, status, found)
        return found

    def change(self, method: str, path: str, body: object = None) -> None:
        """Change something.

        Raises:
            AssertionError: it was refused.
        """
        status, found = self.request(method, path, body)
        assert status in (200, 201, 204), (path, status, found)


def decoded(body: bytes) -> Any:
    """JSON, or None."""
    return json.loads(body) if body else None
