"""One broker and what a program makes it do.

Rule: what may live here sends steps to one broker and notes what comes back, in names that mean the same on every
broker: `@q1` for a name of this run, `$1` and `%1` for the first queue name and the first consumer tag that the broker
made up. Nothing here knows the other broker, and nothing waits: `waiting` says whether an answer is still to come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from interop.differential.channel import Channel, Observation
from interop.differential.link import Event, Link
from interop.differential.program import DROP, Program, Step

CONTROL: Final = "Z"  # the connection that belongs to no program
CAPABLE: Final = "AZ"  # connections whose client understands a basic.cancel from the broker
FIRST_WATCH: Final = 100
TIDY: Final = 99  # the channel for cleaning up; programs use the channels below
_MADE_UP: Final = re.compile(r"amq\.(gen|ctag)-[\w-]{22}")
_PLACEHOLDER: Final = re.compile(r"\$(\d)")


@dataclass
class Watch:
    """A queue whose counts are asked for after each step, on its own channel: asking for none closes that."""

    link: str
    channel: int
    counts: tuple[int, int] | str = ""
    asked: int = 0
    drained: list[Any] = field(default_factory=list)

    @property
    def gone(self) -> bool:
        return isinstance(self.counts, str) and bool(self.counts)


class Side:
    """A broker, driven by one program at a time.

    Args:
        name: the broker's name.
        port: its AMQP port.
    """

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self._port = port
        self._links: dict[str, Link] = {}
        self._channels: dict[tuple[str, int], Channel] = {}
        self._watches: dict[str, Watch] = {}
        self._closed: dict[str, Any] = {}  # connections closed in this step
        self._prefix = ""
        self._made_up: dict[str, str] = {}
        self._next_watch = FIRST_WATCH

    def begin(self, prefix: str) -> None:
        """Forget the last program; names of the next one start with the prefix."""
        self._prefix = prefix
        self._made_up.clear()
        self._watches.clear()
        self._next_watch = FIRST_WATCH
        self.begin_step()

    def begin_step(self) -> None:
        """Forget what the last step brought about."""
        for watch in self._watches.values():
            watch.drained.clear()
        self._closed = {}
        self._watches = {queue: watch for queue, watch in self._watches.items() if not watch.gone}
        for channel in self._channels.values():
            channel.begin_step()

    # Sending.

    def send(self, step: Step) -> None:
        """Send a step, and before it whatever it takes to have its channel open.

        Raises:
            Silence: a new connection is refused.
        """
        link = self._link(step.link)
        if step.method == DROP:
            link.close()
            self._forget(step.link)
        elif step.method == "connection.close":
            link.send(0, "connection.close", reply_code=200)
        else:
            self._opened(step.link, step.channel).send(link, step, self._wire(step.values))
        if link.open:
            link.flush()

    def ask(self) -> None:
        """Ask every channel for a sign of life, and every queue for its counts."""
        for (name, number), channel in self._channels.items():
            if number < FIRST_WATCH:
                channel.ask(self._links[name])
        for queue, watch in self._watches.items():
            self._ask_queue(queue, watch)
        for link in self._links.values():
            link.flush()

    def open_channels(self) -> list[tuple[str, int]]:
        """The channels that the program left open."""
        return [key for key, channel in self._channels.items() if key[1] < TIDY and channel.open]

    @property
    def queues(self) -> list[str]:
        """The queues that are left, in neutral names."""
        return [self._neutral(queue) for queue, watch in self._watches.items() if not watch.gone]

    def drain(self, neutral: str) -> None:
        """Take every message out of a queue."""
        for queue, watch in self._watches.items():
            if self._neutral(queue) == neutral and isinstance(watch.counts, tuple):
                link = self._links[watch.link]
                for _ in range(watch.counts[0] + 1):
                    link.send(watch.channel, "basic.get", queue=queue, no_ack=True)
                    watch.asked += 1
                link.flush()

    def delete_own(self) -> None:
        """Delete the exclusive queues, each on its owner's connection."""
        for queue, watch in self._watches.items():
            if watch.link != CONTROL:
                self._link(watch.link).send(self._tidy(watch.link), "queue.delete", queue=queue, nowait=True)
        self._watches.clear()
        self.ask()

    def delete_all(self, program: Program) -> None:
        """Delete everything else that the program may have declared; see tidy."""
        channel, link = self._tidy(CONTROL), self._link(CONTROL)
        generated = [name for name, placeholder in self._made_up.items() if placeholder.startswith("$")]
        queues = [*generated, *(self._wire(name) for name in _declared(program, "queue"))]
        for name in _declared(program, "exchange"):
            link.send(channel, "exchange.delete", exchange=self._wire(name), nowait=True)
        for queue in queues:
            link.send(channel, "queue.delete", queue=queue, nowait=True)
        self.ask()

    @property
    def tidy(self) -> bool:
        """False when something could not be deleted: it belongs to another connection."""
        return all(channel.open for (_, number), channel in self._channels.items() if number == TIDY)

    def close(self) -> None:
        """Close every connection; the next step opens new ones."""
        for name, link in list(self._links.items()):
            link.close()
            self._forget(name)

    def _link(self, name: str) -> Link:
        link = self._links.get(name)
        if link is None or not link.open:
            self._forget(name)
            link = self._links[name] = Link(self._port, name in CAPABLE)
        return link

    def _forget(self, name: str) -> None:
        """The connection is gone, and with it its channels and exclusive queues."""
        self._links.pop(name, None)
        self._channels = {key: channel for key, channel in self._channels.items() if key[0] != name}
        self._watches = {queue: watch for queue, watch in self._watches.items() if watch.link != name}

    def _opened(self, name: str, number: int) -> Channel:
        link = self._link(name)  # first: a new connection forgets the channels of the old one
        channel = self._channels.get((name, number))
        if channel is None or not channel.open:
            view = channel.view if channel else {}
            channel = self._channels[name, number] = Channel(number, view)
            channel.opened(link)
        return channel

    def _tidy(self, name: str) -> int:
        """A channel for cleaning up, on that connection."""
        return self._opened(name, TIDY).number

    def _ask_queue(self, queue: str, watch: Watch) -> None:
        if not watch.gone:
            self._opened(watch.link, watch.channel)
            self._links[watch.link].send(watch.channel, "queue.declare", queue=queue, passive=True)
            watch.asked += 1

    # Receiving.

    @property
    def links(self) -> list[Link]:
        """The connections that something may come in on."""
        return [link for link in self._links.values() if link.open]

    @property
    def waiting(self) -> bool:
        """True while an answer is still to come."""
        return any(channel.waiting for channel in self._channels.values()) or any(
            watch.asked for watch in self._watches.values()
        )

    def absorb(self) -> None:
        """Note what the connections have read."""
        for name, link in list(self._links.items()):
            events, link.events = link.events, []
            for event in events:
                self._on_event(name, event)

    def observation(self) -> Observation:
        """What the step has brought about so far."""
        found: Observation = {f"connection {name}": closed for name, closed in self._closed.items()}
        for (name, number), channel in self._channels.items():
            if number < TIDY and (view := channel.observed()):
                found[f"channel {name}{number}"] = view
        for queue, watch in self._watches.items():
            found[f"queue {self._neutral(queue)}"] = [watch.counts, *watch.drained]
        return found

    def _on_event(self, name: str, event: Event) -> None:
        values = self._neutral(event.values)
        if event.channel == 0:
            self._on_connection(name, event.name, values)
        elif event.channel >= FIRST_WATCH:
            self._on_watch(name, event, values)
        elif channel := self._channels.get((name, event.channel)):
            step = channel.on_event(event, values, self._neutral(event.properties))
            if event.name == "queue.declare_ok" and step is not None:
                self._watch(name, event.values["queue"], bool(step.values.get("exclusive")))

    def _on_connection(self, name: str, method: str, values: dict[str, Any]) -> None:
        if method in ("connection.close", "connection.close_ok", "eof"):
            self._closed.setdefault(name, [method, values])
            if self._links[name].open:
                self._links[name].close()
            self._forget_channels(name)

    def _forget_channels(self, name: str) -> None:
        for key, channel in self._channels.items():
            if key[0] == name:
                channel.closed()
        self._watches = {queue: watch for queue, watch in self._watches.items() if watch.link != name}

    def _watch(self, name: str, queue: str, exclusive: bool) -> None:
        if queue not in self._watches or self._watches[queue].gone:
            link = name if exclusive else CONTROL
            self._link(link)  # first: a new connection forgets the watches of the old one
            self._watches[queue] = Watch(link, self._next_watch)
            self._next_watch += 1

    def _on_watch(self, name: str, event: Event, values: dict[str, Any]) -> None:
        watches = [w for w in self._watches.values() if (w.link, w.channel) == (name, event.channel)]
        if event.name == "channel.close":
            self._channels[name, event.channel].closed()
        for watch in watches:
            self._on_answer(watch, event, values)

    def _on_answer(self, watch: Watch, event: Event, values: dict[str, Any]) -> None:
        if event.name == "channel.close":
            watch.counts = f"{values['reply_code']} {values['reply_text']}"
            watch.asked = 0
        elif event.name == "queue.declare_ok":
            watch.counts = values["message_count"], values["consumer_count"]
            watch.asked -= 1
        elif event.name == "basic.get_ok":
            content = {"properties": self._neutral(event.properties), "body": event.body.decode()}
            del values["delivery_tag"]  # which depends on the programs before
            watch.drained.append(values | content)
            watch.asked -= 1
        elif event.name == "basic.get_empty":
            watch.drained.append("empty")
            watch.asked -= 1

    # Names.

    def _wire(self, value: Any) -> Any:
        """A value of a program as this broker gets it."""
        if isinstance(value, str):
            value = value.replace("@", self._prefix)
            return _PLACEHOLDER.sub(lambda found: self._generated(found[0]), value) if "$" in value else value
        return _mapped(value, self._wire)

    def _neutral(self, value: Any) -> Any:
        """A value of this broker as programs name it."""
        if isinstance(value, str):
            value = value.replace(self._prefix, "@")
            return _MADE_UP.sub(lambda found: self._placeholder(found[0]), value) if "amq." in value else value
        return _mapped(value, self._neutral)

    def _generated(self, placeholder: str) -> str:
        return next((name for name, known in self._made_up.items() if known == placeholder), "nothing-generated")

    def _placeholder(self, name: str) -> str:
        sign = "$" if name.startswith("amq.gen") else "%"
        same = sum(known[0] == sign for known in self._made_up.values())
        return self._made_up.setdefault(name, f"{sign}{same + 1}")


def _mapped(value: Any, change: Any) -> Any:
    """The same structure with every leaf changed."""
    if isinstance(value, dict):
        return {change(name): change(content) for name, content in value.items()}
    if isinstance(value, list):
        return [change(element) for element in value]
    if isinstance(value, tuple):
        return value[0], change(value[1])
    return value


def _declared(program: Program, kind: str) -> list[str]:
    """The names of queues or exchanges that a program declares."""
    names = {step.values.get(kind, "") for step in program if step.method == f"{kind}.declare"}
    return sorted(name for name in names if name.startswith("@"))
