"""What there can be more and more of in a broker, and a load that meets it.

Rule: what may live here prepares a broker and names messages; it measures nothing.
"""

from __future__ import annotations

import socket
from typing import ClassVar, Final

from pamqp import commands, frame

from interop.bench.idle import CHANNEL, connect, open_channel, send, wait_for
from interop.bench.steady import Load, Receiver, published
from interop.bench.topology import exchange_all

QUEUE: Final = "scaling"
SECONDS: Final = 300.0  # for an answer while a lot is being prepared
KEYS: Final = 1_000  # distinct routing keys or queues that take turns
PREFETCH: Final = 5
BACKLOG_PREFETCH: Final = 200
BLOCK: Final = 1_000


def decades(last: int) -> tuple[int, ...]:
    """1, 10, 100 ... last."""
    return tuple(10**power for power in range(len(str(last))) if 10**power <= last)


class Axis:
    """Something that grows.

    Attributes:
        sizes: how much of it.
        most, most_of_others: no more of it for amqpd, and for other brokers.
    """

    sizes: ClassVar[tuple[int, ...]]
    most: ClassVar[int] = 10**9
    most_of_others: ClassVar[int] = 10**9

    def __init__(self, port: int) -> None:
        self._port = port
        self._sockets: list[socket.socket] = []
        self._control = self._open()

    def at(self, size: int) -> Load:
        """Let there be so much, and return the load for it. Sizes only grow."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connections."""
        for sock in self._sockets:
            sock.close()

    def _open(self) -> socket.socket:
        sock = connect(self._port)
        sock.settimeout(SECONDS)
        open_channel(sock)
        self._sockets.append(sock)
        return sock

    def _call(self, *methods: frame.FrameTypes) -> None:
        exchange_all(self._control, methods)

    def _consumer(self, queue: str) -> Receiver:
        """A connection that consumes a queue with auto-ack."""
        sock = self._open()
        send(sock, CHANNEL, commands.Basic.Consume(queue=queue, no_ack=True))
        wait_for(sock, commands.Basic.ConsumeOk)
        return Receiver(sock)


class Connections(Axis):
    """Connections that publish in turn, a message each, into one queue."""

    sizes = decades(10_000)

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._call(commands.Queue.Declare(queue=QUEUE))
        self._receiver = self._consumer(QUEUE)
        self._senders: list[socket.socket] = []

    def at(self, size: int) -> Load:
        while len(self._senders) < size:
            self._senders.append(self._open())
        return Load(self._senders, [published("", QUEUE)], [self._receiver])


class Queues(Axis):
    """Queues with a consumer each; each message goes to another one."""

    sizes = decades(100_000)
    most_of_others = 10_000

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._made = 0
        self._sock = self._open()
        self._receiver = Receiver(self._sock)

    def at(self, size: int) -> Load:
        names = [f"{QUEUE}-{number}" for number in range(self._made, size)]
        self._call(*(commands.Queue.Declare(queue=name) for name in names))
        exchange_all(self._sock, (commands.Basic.Consume(queue=name, no_ack=True) for name in names))
        self._made = size
        return Load([self._control], [published("", f"{QUEUE}-{number}") for number in range(size)], [self._receiver])


class Bindings(Axis):
    """Bindings of one queue; each message matches one, and each another one."""

    sizes = decades(1_000_000)
    most_of_others = 100_000
    kind: ClassVar[str]

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._made = 0
        declare = commands.Exchange.Declare(exchange=QUEUE, exchange_type=self.kind)
        self._call(commands.Queue.Declare(queue=QUEUE), declare)
        self._receiver = self._consumer(QUEUE)

    def at(self, size: int) -> Load:
        exchange_all(self._control, (self._bind(number) for number in range(self._made, size)))
        self._made = size
        keys = min(size, KEYS)
        messages = [self._message(place * size // keys) for place in range(keys)]
        return Load([self._control], messages, [self._receiver])

    def _bind(self, number: int) -> commands.Queue.Bind:
        return commands.Queue.Bind(queue=QUEUE, exchange=QUEUE, routing_key=f"device.{number}")

    def _message(self, number: int) -> bytes:
        return published(QUEUE, f"device.{number}")


class DirectBindings(Bindings):
    """Of a direct exchange."""

    kind = "direct"


class TopicBindings(Bindings):
    """Of a topic exchange, with a wildcard in each pattern."""

    kind = "topic"

    def _bind(self, number: int) -> commands.Queue.Bind:
        return commands.Queue.Bind(queue=QUEUE, exchange=QUEUE, routing_key=f"device.{number}.*")

    def _message(self, number: int) -> bytes:
        return published(QUEUE, f"device.{number}.temperature")


class HeadersBindings(Bindings):
    """Of a headers exchange, each with two headers that must match, one of which all have in common."""

    kind = "headers"
    most_of_others = 1_000

    def _bind(self, number: int) -> commands.Queue.Bind:
        arguments = {"x-match": "all", "kind": "device", "number": number}
        return commands.Queue.Bind(queue=QUEUE, exchange=QUEUE, arguments=arguments)  # type: ignore[arg-type]  # dict

    def _message(self, number: int) -> bytes:
        return published(QUEUE, "", {"kind": "device", "number": number})


class Consumers(Axis):
    """Consumers of one queue, each on a channel of its own with a small prefetch, each message acknowledged."""

    sizes = decades(1_000)

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._made = 0
        self._call(commands.Queue.Declare(queue=QUEUE))
        self._sock = connect(port)
        self._sock.settimeout(SECONDS)
        self._sockets.append(self._sock)
        self._receiver = Receiver(self._sock, acks=True)

    def at(self, size: int) -> Load:
        for channel in range(self._made + 1, size + 1):
            send(self._sock, channel, commands.Channel.Open())
            wait_for(self._sock, commands.Channel.OpenOk)
            send(self._sock, channel, commands.Basic.Qos(prefetch_count=PREFETCH))
            wait_for(self._sock, commands.Basic.QosOk)
            send(self._sock, channel, commands.Basic.Consume(queue=QUEUE))
            wait_for(self._sock, commands.Basic.ConsumeOk)
        self._made = size
        return Load([self._control], [published("", QUEUE)], [self._receiver])


class Backlog(Axis):
    """Persistent messages that wait in a durable queue while as many are published as are consumed."""

    sizes = (0, *decades(10_000_000)[3:])
    most_of_others = 1_000_000

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._made = 0
        self._declare = commands.Queue.Declare(queue=QUEUE, durable=True)
        self._call(self._declare)
        self._receiver: Receiver | None = None

    def at(self, size: int) -> Load:
        message = published("", QUEUE, persistent=True) + bytes(16) + b"\xce"
        while self._made < size:
            block = min(BLOCK, size - self._made)
            self._control.sendall(message * block)
            self._made += block
        self._call(self._declare)  # when it is answered, all of them have come
        if self._receiver is None:
            sock = self._open()
            send(sock, CHANNEL, commands.Basic.Qos(prefetch_count=BACKLOG_PREFETCH))
            wait_for(sock, commands.Basic.QosOk)
            send(sock, CHANNEL, commands.Basic.Consume(queue=QUEUE))
            wait_for(sock, commands.Basic.ConsumeOk)
            self._receiver = Receiver(sock, paced=True)
        return Load([self._control], [published("", QUEUE, persistent=True)], [self._receiver], keeps=True)


AXES: Final[dict[str, type[Axis]]] = {
    "connections": Connections,
    "queues": Queues,
    "topic": TopicBindings,
    "direct": DirectBindings,
    "headers": HeadersBindings,
    "consumers": Consumers,
    "backlog": Backlog,
}
