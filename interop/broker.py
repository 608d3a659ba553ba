"""What a test may know of the broker it talks to: where it listens and how to log in."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Broker:
    """A running broker, whichever it is.

    Args:
        name: "amqpd" or "rabbitmq".
        host: address it listens on.
        port: its AMQP port.
        pid: process id of the broker.
        ports: all that it listens on, by name, where that is known.
    """

    name: str
    host: str
    port: int
    pid: int
    username: str = "guest"
    password: str = "guest"
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """AMQP URL of the vhost "/", spelled the way every client understands."""
        return f"amqp://{self.username}:{self.password}@{self.host}:{self.port}/%2F"
