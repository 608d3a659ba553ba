"""Resource alarms: while one is set, publishers are not read from (RabbitMQ, connection.blocked).

A connection is blocked only when it publishes; those that consume are left alone.
"""

from __future__ import annotations

from amqpd.broker.events import Events
from amqpd.broker.publisher import Publisher

MEMORY = "memory"
DISK = "disk"


class Alarms:
    """The alarms of one broker.

    Args:
        events: told when an alarm is set or cleared.
    """

    def __init__(self, events: Events | None = None) -> None:
        self._events = events
        self._set: dict[str, None] = {}
        self._blocked: dict[Publisher, None] = {}
        self.active = False

    @property
    def reason(self) -> str:
        """What connection.blocked says: ``low on memory``, ``low on disk``, or both joined."""
        return "low on " + " & ".join(self._set)

    def is_set(self, resource: str) -> bool:
        """True while the alarm for MEMORY or DISK is set."""
        return resource in self._set

    def resources(self) -> list[str]:
        """What is scarce."""
        return list(self._set)

    def set(self, resource: str) -> bool:
        """Raise the alarm for MEMORY or DISK. False if it was set already."""
        if resource in self._set:
            return False
        self._set[resource] = None
        self.active = True
        if self._events is not None:
            self._events.alarm_set(resource)
        return True

    def clear(self, resource: str) -> bool:
        """The resource is there again. False if the alarm was not set."""
        if resource not in self._set:
            return False
        del self._set[resource]
        self.active = bool(self._set)
        if self._events is not None:
            self._events.alarm_cleared(resource)
        if not self.active:
            blocked, self._blocked = self._blocked, {}
            for publisher in blocked:
                publisher.unblock()
        return True

    def wait(self, publisher: Publisher) -> None:
        """Call unblock() on this publisher once no alarm is set."""
        self._blocked[publisher] = None

    def forget(self, publisher: Publisher) -> None:
        """The publisher is gone."""
        self._blocked.pop(publisher, None)
