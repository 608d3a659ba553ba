"""Sessions on an event loop.

Rule: what may live here moves octets and calls publishers when their moment has come.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from amqpd.bench.client.pace import NS
from amqpd.bench.client.publisher import Publisher
from amqpd.bench.client.session import Session
from amqpd.clock import Clock
from amqpd.net.amqp import set_no_delay
from amqpd.wire.output import Wire

BURST: Final = 8  # writes of a publisher, before the loop looks at other sockets


def nanoseconds(clock: Clock) -> int:
    """The monotonic clock in nanoseconds."""
    return int(clock.monotonic() * NS)


class TransportWire(Wire):
    """A transport, as a session sees it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def close(self) -> None:
        self._transport.close()


class ClientSocket(asyncio.Protocol):
    """One connected socket."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        set_no_delay(self.transport)
        self.transport.set_write_buffer_limits(high=0)  # what waits here is late already
        self.session.begin(TransportWire(self.transport))

    def data_received(self, data: bytes) -> None:
        self.session.receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.session.lost(str(exc) if exc is not None else "closed by the broker")

    def abort(self) -> None:
        """Cut it off."""
        if self.transport is not None:
            self.transport.abort()


class PublisherSocket(ClientSocket):
    """A socket whose publisher publishes whenever the socket takes it, the broker allows it and messages are due."""

    def __init__(self, session: Session, publisher: Publisher, clock: Clock) -> None:
        super().__init__(session)
        self._publisher = publisher
        self._clock = clock
        self._loop = asyncio.get_event_loop()
        self._paused = False
        self._next: asyncio.Handle | None = None
        publisher.on_room = self.publish

    @property
    def _full(self) -> bool:
        return self._paused

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self.publish()

    def publish(self) -> None:
        """Publish what can be published now, and see to it that the rest follows."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        for _ in range(BURST):
            if self._full:
                return
            now = nanoseconds(self._clock)
            when = self._publisher.publish(now)
            if when > now:
                self._next = self._loop.call_at(when / NS, self.publish)
            if when != now:
                return
        self._next = self._loop.call_soon(self.publish)
