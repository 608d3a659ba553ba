"""Listening to what the broker itself publishes: events and the firehose's copies."""

from __future__ import annotations

from amqpd.broker.message import Message
from amqpd.broker.queues.base import Queue, QueueSpec
from amqpd.broker.vhost import VHost
from amqpd.wire.table import EMPTY_TABLE, Field, Table
from tests.builders import World


class Heard:
    """One message: its routing key, and its headers with their types."""

    def __init__(self, message: Message) -> None:
        self.key = message.routing_key
        self.headers = message.properties.headers or EMPTY_TABLE
        self.message = message

    def __getitem__(self, name: str) -> object:
        """A header as a plain value."""
        field = self.headers.get(name)
        assert field is not None, f"{self.key} has no {name}"
        return plain(field)

    @property
    def plain(self) -> dict[str, object]:
        """All headers as plain values, but for the time."""
        values = {name: plain(field) for name, field in self.headers.items()}
        values.pop("timestamp_in_ms", None)
        return values

    @property
    def tags(self) -> dict[str, str]:
        """The types of all headers."""
        return {name: field.tag for name, field in self.headers.items()}


class Listener:
    """A queue that is bound to an exchange; what it hears before it is made does not count."""

    def __init__(
        self, world: World, exchange: str = "amq.rabbitmq.event", key: str = "#", vhost: VHost | None = None
    ) -> None:
        self._world = world
        self._vhost = vhost or world.vhost
        self.queue: Queue = self._vhost.create_queue("listener", QueueSpec(False, None, False, EMPTY_TABLE))
        self._vhost.bind(self._vhost.exchange(exchange), self.queue, key, EMPTY_TABLE)
        self.heard()

    def heard(self) -> list[Heard]:
        """What came since the last call, oldest first."""
        self._world.finish()
        heard = []
        while (delivery := self.queue.get()) is not None:
            heard.append(Heard(delivery.message))
        return heard

    def heard_keys(self) -> list[str]:
        """The routing keys of heard()."""
        return [event.key for event in self.heard()]

    def only(self, key: str) -> Heard:
        """The one message with this key among heard()."""
        (found,) = [event for event in self.heard() if event.key == key]
        return found


def plain(field: Field) -> object:
    """A field without types."""
    value = field.value
    if isinstance(value, Table):
        return {name: plain(inner) for name, inner in value.items()}
    if field.tag == "A" and isinstance(value, tuple):
        return [plain(inner) for inner in value if isinstance(inner, Field)]
    return value
