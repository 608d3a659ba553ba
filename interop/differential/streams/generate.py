"""Random programs about streams; a seed always gives the same one.

Rule: what may live here chooses. A step that names what is not there (any more) is skipped when it is run, so a program
stays a program when steps are left out of it.

    X1 queue.declare(queue='@s1', durable=True, arguments={'x-queue-type': 'stream'})
    Z1 publish(exchange='', routing_key='@s1', messages=[{}, {'priority': 3}], start=0, size=10, commit=False)
    A1 basic.consume(queue='@s1', consumer_tag='c1', offset='first', prefetch=5)
    A1 ack(consumer_tag='c1', place=2, multiple=True)      # place: among what is not acknowledged
    A1 end()                                               # closes the channel; A0 end() drops the connection
    X1 scan(queue='@s1')                                   # reads all that is kept
"""

from __future__ import annotations

import random
from typing import Any, Final

from interop.differential.program import Program, Step

KEYS: Final = ("a", "a.b", "a.b.c", "b", "b.b", "")
PATTERNS: Final = ("#", "a.*", "a.#", "*.b", "*", "b")
EXCHANGES: Final = ("fanout", "topic", "direct")
STREAM: Final = {"x-queue-type": "stream"}
HARMLESS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {},
    {"x-max-age": "1D"},
    {"x-max-age": "3h"},
    {"x-stream-max-segment-size-bytes": 100_000_000},
    {"x-initial-cluster-size": 1},
    {"x-queue-leader-locator": "client-local"},
    {"x-somebody-elses": "argument"},
)
WRONG: Final[tuple[dict[str, Any], ...]] = (
    {"x-max-age": "5"},
    {"x-max-age": "0D"},
    {"x-max-age": "1d"},
    {"x-max-age": "abc"},
    {"x-max-age": 5},
    {"x-max-length-bytes": -1},
    {"x-max-length-bytes": "9"},
    {"x-stream-max-segment-size-bytes": -1},
    {"x-stream-max-segment-size-bytes": ("l", 3_000_000_001)},
    {"x-stream-filter-size-bytes": 15},
    {"x-initial-cluster-size": 0},
    {"x-queue-leader-locator": "foo"},
    {"x-message-ttl": 1000},
    {"x-max-length": 5},
    {"x-overflow": "reject-publish"},
    {"x-dead-letter-exchange": ""},
    {"x-single-active-consumer": True},
    {"x-delivery-limit": 3},
)
WRONG_FLAGS: Final = ({"durable": False}, {"exclusive": True}, {"auto_delete": True})
WRONG_OFFSETS: Final[tuple[Any, ...]] = ("5", "1x", "0s", "h1", "abc", "", "First", 1.5, True, None, {"a": 1}, "-1h")
HEADERS: Final[tuple[Any, ...]] = (
    1,
    -5,
    "text",
    "",
    True,
    1.5,
    b"\x00\xff",
    None,
    ("l", 1 << 40),
    ("s", -300),
    ("T", 1_700_000_000),
    ("f", 0.5),
    ("b", -1),
    {"a": 1},
    [1, "two"],
)
PROPERTIES: Final[dict[str, tuple[Any, ...]]] = {
    "content_type": ("text/plain", ""),
    "content_encoding": ("utf-8",),
    "delivery_mode": (1, 2),
    "priority": (0, 9, 255),
    "correlation_id": ("c", "", "x" * 255),
    "reply_to": ("nowhere",),
    "expiration": ("0", "1000", "007"),
    "message_id": ("m",),
    "timestamp": (0, 1_700_000_000),
    "type": ("t",),
    "user_id": ("guest",),
    "app_id": ("a",),
    "cluster_id": ("lost",),
}


def program(seed: str) -> Program:
    """The program of a seed."""
    return _Author(random.Random(seed)).write()


class _Author:
    """Writes one program."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._steps: Program = []
        self._streams: dict[str, dict[str, Any]] = {}
        self._exchanges: dict[str, str] = {}
        self._tags: list[tuple[str, str, int]] = []
        self._written = 0  # messages

    def write(self) -> Program:
        """All of it."""
        for _ in range(self._chance.randint(1, 3)):
            self._declare()
        if self._chance.random() < 0.6:
            self._declare_exchange()
        choices = [
            (self._publish, 10),
            (self._consume, 8),
            (self._acknowledge, 10),
            (self._misuse, 2),
            (self._redeclare, 1),
            (self._give_back, 1),
            (self._scan, 2),
            (self._cancel, 2),
            (self._end, 1),
            (self._declare, 1),
            (self._delete, 0.5),
            (self._bind, 1),
            (self._pass_time, 0.3),
        ]
        actions, weights = [action for action, _ in choices], [weight for _, weight in choices]
        for _ in range(self._chance.randint(8, 30)):
            self._chance.choices(actions, weights)[0]()
        for stream in list(self._streams):
            self._add("X", 1, "scan", queue=stream)
        return self._steps

    def _add(self, link: str, channel: int, method: str, /, **values: Any) -> None:
        self._steps.append(Step(link, channel, method, values))

    # Declarations.

    def _declare(self) -> None:
        chance, name = self._chance, f"@s{len(self._streams) + 1}"
        if chance.random() < 0.15:
            values: dict[str, Any] = {"queue": name, "durable": True, "arguments": STREAM | chance.choice(WRONG)}
            if chance.random() < 0.2:
                values |= {"arguments": STREAM, **chance.choice(WRONG_FLAGS)}
            self._add("X", 1, "queue.declare", **values)
            return
        arguments = STREAM | chance.choice(HARMLESS)
        if chance.random() < 0.25:
            segment = chance.choice((1000, 5000, 20_000))
            limit = segment * chance.randint(2, 6)
            arguments = STREAM | {"x-max-length-bytes": limit, "x-stream-max-segment-size-bytes": segment}
        self._streams[name] = arguments
        self._add("X", 1, "queue.declare", queue=name, durable=True, arguments=arguments)

    def _redeclare(self) -> None:
        name, arguments = self._a_stream()
        chance = self._chance
        arguments = chance.choice((arguments, STREAM, STREAM | chance.choice(HARMLESS), {}))
        values = {"queue": name, "durable": True, "arguments": arguments}
        if chance.random() < 0.2:
            values = {"queue": name, "passive": True}
        self._add("X", 1, "queue.declare", **values)

    def _declare_exchange(self) -> None:
        name, kind = f"@x{len(self._exchanges) + 1}", self._chance.choice(EXCHANGES)
        self._exchanges[name] = kind
        self._add("X", 1, "exchange.declare", exchange=name, type=kind)
        for _ in range(3):
            self._bind()

    def _bind(self) -> None:
        if not self._exchanges:
            self._declare_exchange()
            return
        exchange, kind = self._chance.choice(list(self._exchanges.items()))
        key = self._chance.choice(PATTERNS if kind == "topic" else KEYS)
        method = self._chance.choice(("queue.bind", "queue.bind", "queue.bind", "queue.unbind"))
        self._add("X", 1, method, queue=self._a_stream()[0], exchange=exchange, routing_key=key)

    def _delete(self) -> None:
        flags = {name: True for name in ("if_unused", "if_empty") if self._chance.random() < 0.3}
        name, arguments = self._a_stream()
        self._add("X", 1, "queue.delete", queue=name, **flags)
        if self._chance.random() < 0.5:
            self._add("X", 1, "queue.declare", queue=name, durable=True, arguments=arguments)

    def _a_stream(self) -> tuple[str, dict[str, Any]]:
        if not self._streams:
            self._streams["@s0"] = STREAM
            self._add("X", 1, "queue.declare", queue="@s0", durable=True, arguments=STREAM)
        return self._chance.choice(list(self._streams.items()))

    # Messages.

    def _publish(self) -> None:
        chance = self._chance
        exchange, key = "", self._a_stream()[0]
        if self._exchanges and chance.random() < 0.5:
            exchange, key = chance.choice(list(self._exchanges)), chance.choice(KEYS)
        self._write(exchange, key)

    def _write(self, exchange: str, key: str) -> None:
        chance = self._chance
        count = chance.choice((1, 1, 1, 2, 5, chance.randint(1, 60)))
        messages = [self._properties() for _ in range(count)]
        size = chance.choice((5, 50, 1000)) if count < 20 else chance.choice((5, 500))
        values = {"exchange": exchange, "routing_key": key, "messages": messages, "start": self._written}
        self._add("Z", 1, "publish", **values, size=size, commit=chance.random() < 0.1)
        self._written += count

    def _properties(self) -> dict[str, Any]:
        chance = self._chance
        if chance.random() < 0.6:
            return {}
        found: dict[str, Any] = {
            name: chance.choice(values) for name, values in PROPERTIES.items() if chance.random() < 0.3
        }
        if chance.random() < 0.6:
            names = chance.sample("abcdefgh", chance.randint(0, 4))
            found["headers"] = {name: chance.choice(HEADERS) for name in names}
            if chance.random() < 0.1:
                found["headers"][chance.choice(("CC", "BCC"))] = [chance.choice((*self._streams, "a.b"))]
            if chance.random() < 0.1:
                found["headers"]["x-stream-filter-value"] = "red"
            if chance.random() < 0.05:
                found["headers"]["x-stream-offset"] = ("l", 99)
        return found

    # Readers.

    def _consume(self) -> None:
        chance = self._chance
        offset = chance.choice(
            (
                *(None, "next", "last", "last", "first", "first", "1h", "7D", "1Y", ("T", 0), ("T", 4_000_000_000)),
                *(0, -1, ("b", 3), ("l", chance.randint(0, self._written + 5)), ("B", 200), chance.randint(0, 60)),
                *(("before batch", chance.randint(1, 9)), ("since batch", chance.randint(1, 9))),
            )
        )
        self._read(self._a_stream()[0], offset)

    def _read(self, queue: str, offset: Any) -> None:
        chance = self._chance
        tag, link, channel = f"c{len(self._tags)}", chance.choice("AB"), chance.randint(1, 4)
        self._tags.append((tag, link, channel))
        prefetch = chance.choice((1, 2, 5, 10, 1000))
        self._add(link, channel, "basic.consume", queue=queue, consumer_tag=tag, offset=offset, prefetch=prefetch)

    def _acknowledge(self) -> None:
        if self._tags:
            tag, link, channel = self._chance.choice(self._tags)
            place, multiple = self._chance.choice((0, 0, 1, 4, 1000)), self._chance.random() < 0.4
            self._add(link, channel, "ack", consumer_tag=tag, place=place, multiple=multiple)

    def _cancel(self) -> None:
        if self._tags:
            tag, link, channel = self._chance.choice(self._tags)
            self._add(link, channel, "basic.cancel", consumer_tag=tag)

    def _end(self) -> None:
        self._add(self._chance.choice("AB"), self._chance.choice((0, 1, 2, 3, 4)), "end")

    def _scan(self) -> None:
        self._add("X", 1, "scan", queue=self._a_stream()[0])

    def _give_back(self) -> None:
        how = self._chance.choice(("basic.nack", "basic.reject", "basic.recover"))
        values = {"queue": self._a_stream()[0], "how": how, "count": self._chance.choice((1, 3, 10))}
        self._add("Y", 1, "give_back", **values, requeue=self._chance.random() < 0.5)

    def _misuse(self) -> None:
        chance = self._chance
        values: dict[str, Any] = {"queue": self._a_stream()[0]}
        method = chance.choice(("basic.get", "queue.purge", *["basic.consume"] * 6))
        qos: list[tuple[int, bool]] = []
        if method == "basic.consume":
            qos = list(chance.choice(((), ((10, False),), ((10, False),), ((5, True),), ((10, False), (5, True)))))
            values |= {flag: True for flag in ("no_ack", "exclusive") if chance.random() < 0.3}
            values["arguments"] = self._misleading()
        self._add("X", 1, "refused", method=method, qos=qos, values=values)

    def _misleading(self) -> dict[str, Any]:
        """Arguments of a consumer, of which some make no sense."""
        chance = self._chance
        arguments: dict[str, Any] = {}
        if chance.random() < 0.5:
            arguments["x-stream-offset"] = chance.choice((*WRONG_OFFSETS, "first", 0))
        if chance.random() < 0.2:
            arguments["x-priority"] = chance.choice((5, "five"))
        if chance.random() < 0.2:
            arguments["x-unknown"] = 5
        return arguments

    def _pass_time(self) -> None:
        """Two batches with a whole second between them, and readers that start there."""
        queue = self._a_stream()[0]
        self._write("", queue)
        self._add("X", 1, "wait", milliseconds=1500)
        self._write("", queue)
        for offset in (("before batch", -1), ("since batch", -1)):
            self._read(queue, offset)
