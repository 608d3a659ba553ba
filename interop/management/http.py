"""Requests to a management API, without a client library that would have its own ideas of paths and statuses."""

from __future__ import annotations

import base64
import http.client
import json
from dataclasses import dataclass
from typing import Any

from interop.broker import Broker

SECONDS = 20.0
BOUNDARY = "interop-boundary"


@dataclass(frozen=True)
class Response:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Management:
    """The management API of a running broker.

    Args:
        broker: it, for AMQP.
        port: of HTTP.
        node: the broker's name for itself.
    """

    broker: Broker
    port: int
    node: str

    def request(
        self, method: str, path: str, body: str | None = None, user: str = "guest:guest", form: bool = False
    ) -> Response:
        """The answer to one request; the path stands behind /api/ and is sent as it is.

        Args:
            form: the body goes as the file of an HTML form.
        """
        headers = {"authorization": "Basic " + base64.b64encode(user.encode()).decode()}
        if form:
            headers["content-type"] = f"multipart/form-data; boundary={BOUNDARY}"
            disposition = 'Content-Disposition: form-data; name="file"; filename="definitions.json"'
            body = f"--{BOUNDARY}\r\n{disposition}\r\n\r\n{body}\r\n--{BOUNDARY}--\r\n"
        elif path == "login":
            headers["content-type"] = "application/x-www-form-urlencoded"
        elif body is not None:
            headers["content-type"] = "application/json"
        connection = http.client.HTTPConnection(self.broker.host, self.port, timeout=SECONDS)
        try:
            connection.request(method, f"/api/{path}", None if body is None else body.encode(), headers)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, found, response.read())
        finally:
            connection.close()
