"""One broker and what a program about streams makes it do.

Rule: what may live here sends to one broker and keeps what it said, in names that mean the same on both; it judges
nothing. Requests on one connection follow each other, and each waits for its reply; deliveries lie in `delivered`.
"""

from __future__ import annotations

import select
import time
from dataclasses import dataclass, field
from typing import Any, Final

from interop.differential.link import Event, Link, Silence

REPLY_SECONDS: Final = 10.0
CONTROL: Final = ("X", 1)  # declares, deletes, and is refused things: a connection that may be closed at any time
CONFIRMS: Final = ("Z", 1)  # publishes
COMMITS: Final = ("Z", 2)  # publishes in transactions
ENDS: Final = frozenset({"channel.close", "connection.close", "eof"})

Place = tuple[str, int]  # connection and channel


@dataclass
class Delivery:
    """What came in for a consumer."""

    tag: int
    values: dict[str, Any]
    properties: dict[str, Any]
    body: str


@dataclass
class Delivered:
    """All that came in for a consumer, and whether the broker has cancelled it."""

    place: Place
    deliveries: list[Delivery] = field(default_factory=list)
    cancelled: bool = False


class StreamSide:
    """A broker, driven by one program at a time.

    Args:
        name: the broker's name.
        port: its AMQP port.
    """

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self._port = port
        self._links: dict[str, Link] = {}
        self._channels: set[Place] = set()
        self._confirmed: set[int] = set()
        self._published = 0
        self._prefix = ""
        self.delivered: dict[str, Delivered] = {}
        self.returned: list[str] = []
        self.stray: list[str] = []  # what nobody waits for

    def begin(self, prefix: str) -> None:
        """Forget the last program; names of the next one start with the prefix, which programs write as @."""
        self.close()
        self._prefix = prefix
        self.delivered, self.returned, self.stray = {}, [], []

    def close(self) -> None:
        """Close every connection without a word."""
        for link in self._links.values():
            link.close()
        self._links.clear()
        self._channels.clear()
        self._confirmed.clear()
        self._published = 0

    # Doing.

    def request(self, place: Place, method: str, **values: Any) -> list[Any]:
        """Send a method that has a reply; returns the reply's name and arguments in neutral names."""
        link = self._opened(place)
        link.send(place[1], method, **self._wire(values))
        event = self._wait(place, f"{method}_ok")
        return [event.name, self._neutral(event.values)]

    def consume(self, place: Place, tag: str, **values: Any) -> list[Any]:
        """Start a consumer."""
        self.delivered[tag] = Delivered(place)
        reply = self.request(place, "basic.consume", consumer_tag=tag, **values)
        if reply[0] != "basic.consume_ok":
            self.delivered.pop(tag, None)
        return reply

    def acknowledge(self, tag: str, delivery_tag: int, multiple: bool) -> None:
        """Acknowledge what a consumer has."""
        link, channel = self.delivered[tag].place
        self._links[link].send(channel, "basic.ack", delivery_tag=delivery_tag, multiple=multiple)
        self._links[link].flush()

    def refuse(self, place: Place, method: str, delivery_tag: int, requeue: bool) -> None:
        """basic.nack of everything up to a delivery, or basic.reject of one."""
        more = {"multiple": True} if method == "basic.nack" else {}
        self._links[place[0]].send(place[1], method, delivery_tag=delivery_tag, requeue=requeue, **more)
        self.flush()

    def publish(self, place: Place, values: dict[str, Any], properties: dict[str, Any], body: str) -> None:
        """Send a message; flush() writes it."""
        link = self._links[place[0]]
        link.publish(place[1], self._wire(values), self._wire(properties), body.encode())
        if place == CONFIRMS:
            self._published += 1

    def flush(self) -> None:
        """Write what is to be written."""
        for link in self._links.values():
            link.flush()

    def prepare_to_publish(self, place: Place) -> None:
        """Have the channel in the mode that it is for."""
        if place not in self._channels:
            self._opened(place)
            self.request(place, "confirm.select" if place == CONFIRMS else "tx.select")

    def wait_for_confirms(self) -> None:
        """Wait until everything that was published is confirmed.

        Raises:
            Silence: it is not.
        """
        deadline = time.monotonic() + REPLY_SECONDS
        while len(self._confirmed) < self._published:
            if time.monotonic() > deadline:
                raise Silence(f"{self.name}: {self._published - len(self._confirmed)} publishes are not confirmed")
            self.read(0.5)

    def ask(self) -> None:
        """Ask every channel with a consumer for a sign of life: what was sent before is then here."""
        for place in sorted({delivered.place for delivered in self.delivered.values()}):
            self._links[place[0]].send(place[1], "channel.flow", active=True)
            self._wait(place, "channel.flow_ok")

    def end(self, place: Place) -> None:
        """Close a channel, or the whole connection without a word if the channel is 0."""
        link, channel = place
        if link not in self._links:
            return
        if channel == 0:
            self._links.pop(link).close()
            self._forget(lambda one: one[0] == link)
        elif place in self._channels:
            self.request(place, "channel.close", reply_code=200)
            self._forget(lambda one: one == place)

    def has(self, place: Place) -> bool:
        """Whether that channel is open."""
        return place in self._channels

    # Reading.

    def read(self, seconds: float) -> None:
        """Take what comes within that time; returns when something has."""
        self.flush()
        links = list(self._links.values())
        readable, _, _ = select.select(links, [], [], seconds)
        for link in readable:
            link.read()
        for name, link in self._links.items():
            kept, link.events = link.events, []
            link.events = [event for event in kept if not self._absorb(name, event)]

    def _absorb(self, link: str, event: Event) -> bool:
        """Take what is no reply; False leaves it for who waits."""
        match event.name:
            case "basic.deliver":
                self._deliver(link, event)
            case "basic.ack" if (link, event.channel) == CONFIRMS:
                tag, multiple = event.values["delivery_tag"], event.values["multiple"]
                self._confirmed |= set(range(1, tag + 1)) if multiple else {tag}
            case "basic.return":
                self.returned.append(event.body.decode())
            case "basic.cancel":
                self.delivered[event.values["consumer_tag"]].cancelled = True
            case _:
                return False
        return True

    def _deliver(self, link: str, event: Event) -> None:
        values = self._neutral(event.values)
        tag, number = values.pop("consumer_tag"), values.pop("delivery_tag")
        delivered = self.delivered.get(tag)
        if delivered is None or delivered.place != (link, event.channel) or delivered.cancelled:
            self.stray.append(f"{event.body!r} for {tag}")
            return
        delivered.deliveries.append(Delivery(number, values, self._neutral(event.properties), event.body.decode()))

    def _wait(self, place: Place, name: str) -> Event:
        """The next reply on a channel: that method, or the end of the channel or connection."""
        deadline = time.monotonic() + REPLY_SECONDS
        while True:
            link = self._links[place[0]]
            for number, event in enumerate(link.events):
                if (event.channel == place[1] and event.name == name) or event.name in ENDS:
                    del link.events[number]
                    self._ended(place[0], event)
                    return event
            if time.monotonic() > deadline:
                raise Silence(f"{self.name}: no {name}")
            self.read(0.5)

    def _ended(self, link: str, event: Event) -> None:
        if event.name == "channel.close":
            self._forget(lambda one: one == (link, event.channel))
        elif event.name in ENDS:
            self._links.pop(link).close()
            self._forget(lambda one: one[0] == link)

    def _forget(self, gone: Any) -> None:
        """Channels have ended, and their consumers."""
        self._channels = {place for place in self._channels if not gone(place)}
        self.delivered = {tag: one for tag, one in self.delivered.items() if not gone(one.place)}

    def _opened(self, place: Place) -> Link:
        name, channel = place
        if name not in self._links:
            self._links[name] = Link(self._port, True)
        if place not in self._channels:
            self._channels.add(place)
            self._links[name].send(channel, "channel.open")
            self._wait(place, "channel.open_ok")
        return self._links[name]

    # Names.

    def _wire(self, value: Any) -> Any:
        return _renamed(value, "@", self._prefix)

    def _neutral(self, value: Any) -> Any:
        return _renamed(value, self._prefix, "@")


def _renamed(value: Any, old: str, new: str) -> Any:
    """The same structure with a part of every name replaced."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {name: _renamed(content, old, new) for name, content in value.items()}
    if isinstance(value, list):
        return [_renamed(element, old, new) for element in value]
    return value
