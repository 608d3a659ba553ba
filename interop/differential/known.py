"""What the author of a program knows of the queues and channels that it has written about.

Rule: what may live here are facts that decide what RabbitMQ itself leaves open; choosing is generate.py's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class KnownQueue:
    """A queue that was declared, if nothing went wrong."""

    name: str
    values: dict[str, Any]
    link: str = ""  # of the owner, if it is exclusive

    @property
    def quorum(self) -> bool:
        return bool(self.values.get("arguments", {}).get("x-queue-type") == "quorum")

    @property
    def buries(self) -> bool:
        """Between two queues a dead letter is as fast as the publisher's next message."""
        return "x-dead-letter-exchange" in self.values.get("arguments", {})

    @property
    def by_priority(self) -> bool:
        """Of messages that come in together, amqpd hands out the most urgent first, RabbitMQ the first."""
        return "x-max-priority" in self.values.get("arguments", {})

    @property
    def refuses_late(self) -> bool:
        """A quorum queue tells publishers that it is full; what is on its way then still gets in."""
        return self.quorum and self.values["arguments"].get("x-overflow", "").startswith("reject")

    @property
    def hurried(self) -> bool:
        """RabbitMQ finds a message of TTL 0 expired in the next millisecond; until then it counts against limits."""
        return self.quorum and self.values["arguments"].get("x-message-ttl") == 0


@dataclass
class KnownChannel:
    """A channel and what it was used for."""

    link: str
    number: int
    mode: str = "plain"
    tags: dict[str, str] = field(default_factory=dict)  # consumer tag to queue
    common_prefetch: bool = False
    fetched: bool = False
    used: set[str] = field(default_factory=set)  # queues that it consumed or fetched from

    @property
    def mixed(self) -> bool:
        return len(set(self.tags.values())) > 1
