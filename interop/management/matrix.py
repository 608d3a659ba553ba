"""The table matrix.txt, and where amqpd answers with another status than RabbitMQ 3.10.8."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("matrix.txt")
FORM = "FORM "  # before the body of a request that sends a file

NEWER = "RabbitMQ 4 has this, 3.10 does not"
DEVIATIONS: dict[str, tuple[int, str]] = {
    "GET nodes/nope": (404, "RabbitMQ 3.10 crashes; a node that is not there is 404"),
    'POST queues/mgmt/orders.backlog/get {"count":1,"ackmode":"bad","encoding":"auto"}': (
        400,
        "RabbitMQ 3.10 crashes; 4.x has 400 as well",
    ),
    'POST queues/mgmt/orders.backlog/get {"count":1,"requeue":true,"encoding":"auto"}': (
        200,
        "the key that RabbitMQ had before 3.7 is understood: old clients and recipes send it",
    ),
    "GET auth/hash_password/foo": (200, NEWER),
    "GET version": (200, NEWER),
    "GET health/checks/ready-to-serve-clients": (200, NEWER),
    "GET health/checks/is-in-service": (200, NEWER),
    "GET stream/connections": (200, "RabbitMQ's plugin rabbitmq_stream_management is built in"),
    "GET deprecated-features": (200, NEWER),
}


@dataclass(frozen=True)
class Ask:
    """One request of the table.

    Args:
        line: where it stands.
        status: RabbitMQ's.
        user: name and password.
    """

    line: int
    status: int
    user: str
    method: str
    path: str
    body: str | None
    form: bool

    @property
    def key(self) -> str:
        """How DEVIATIONS names it."""
        return f"{self.method} {self.path}" + ("" if self.body is None else f" {self.body}")

    def expected(self, broker: str) -> int:
        """The status that this broker is to answer with."""
        return DEVIATIONS[self.key][0] if broker == "amqpd" and self.key in DEVIATIONS else self.status


def table() -> list[Ask]:
    """All requests, in their order."""
    lines = enumerate(TABLE.read_text("utf-8").splitlines(), 1)
    return [ask_of(number, line) for number, line in lines if line and not line.startswith("#")]


def ask_of(number: int, line: str) -> Ask:
    """The request of one line."""
    status, who, method, path, *rest = line.split(" ", 4)
    user = "guest:guest" if who == "-" else who if ":" in who else f"{who}:pw"
    body = rest[0] if rest else None
    form = body is not None and body.startswith(FORM)
    return Ask(number, int(status), user, method, path, body.removeprefix(FORM) if body and form else body, form)
