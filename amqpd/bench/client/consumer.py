"""A client that consumes, acknowledges, and looks how old the messages of its run are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from librt.strings import BytesWriter, read_i64_be, write_i32_be, write_i64_be
from mypy_extensions import i64
from pamqp import commands

from amqpd.bench.client.batch import STAMPED
from amqpd.bench.client.histogram import Histogram
from amqpd.bench.client.session import CHANNEL, Role, Session
from amqpd.bench.faults import cancelled
from amqpd.wire.frames import ACK_SIZE, BASIC_ACK, FRAME_END, METHOD
from amqpd.wire.methods import Method

_TAG_LENGTH_AT: Final = 4  # in a basic.deliver: the consumer tag's length
_BODY_SIZE_AT: Final = 4  # in a content header
_MOMENT_AT: Final = 8  # in a body


@final
class Consumer(Role):
    """One consumer of one queue.

    Args:
        queue: its name.
        run: number of the run; messages of others are counted, but their age means nothing.
        prefetch: 0 for no limit.
        ack_every: acknowledge each so-many-th delivery with those before it; 0 for auto-ack.
        arguments: of basic.consume.
        now: the clock, in nanoseconds.
        latencies: told the age of every message of this run.

    Attributes:
        delivered, octets: messages, and octets of their bodies.
        ready: deliveries can come.
        on_ready: called when they can.
    """

    def __init__(
        self,
        queue: str,
        run: int,
        prefetch: int,
        ack_every: int,
        arguments: dict[str, object],
        now: Callable[[], int],
        latencies: Histogram,
    ) -> None:
        self.delivered: i64 = 0
        self.octets: i64 = 0
        self.ready = False
        self.on_ready: Callable[[], None] | None = None
        self._queue = queue
        self._run = run.to_bytes(8, "big")
        self._prefetch = prefetch
        self._ack_every: i64 = ack_every
        self._arguments = arguments
        self._now = now
        self._latencies = latencies
        self._session: Session | None = None
        self._tag: i64 = 0
        self._unacknowledged: i64 = 0
        self._body_left: i64 = 0
        self._fresh = False  # the next part of a body is its first
        self._read_at: i64 = 0  # nanosecond of the read that is being understood
        self._moment: i64 = 0  # that the last messages were due at,
        self._same: i64 = 0  # and how many of them had the same
        self._acks = BytesWriter()

    def opened(self, session: Session) -> None:
        self._session = session
        if self._prefetch:
            session.send(commands.Basic.Qos, prefetch_count=self._prefetch)
        else:
            self._consume(session)

    def method(self, method: Method) -> None:
        if isinstance(method, commands.Basic.QosOk):
            assert self._session is not None  # it sent the qos
            self._consume(self._session)
        elif isinstance(method, commands.Basic.ConsumeOk):
            self.ready = True
            if self.on_ready is not None:
                self.on_ready()
        elif isinstance(method, commands.Basic.Cancel) and self._session is not None:
            self._session.fail(cancelled(self._queue))

    def begin_read(self) -> None:
        # HOT: once per read
        self._read_at = self._now()

    def end_read(self) -> None:
        # HOT: once per read
        self._record()
        acks = self._acks
        if len(acks) and self._session is not None:
            self._session.write(acks.getvalue())
            acks.truncate(0)

    def deliver(self, payload: bytes) -> None:
        # HOT: once per delivered message
        self._tag = read_i64_be(payload, i64(payload[_TAG_LENGTH_AT]) + _TAG_LENGTH_AT + 1)

    def header(self, payload: bytes) -> None:
        # HOT: once per delivered message
        self._body_left = read_i64_be(payload, _BODY_SIZE_AT)
        self._fresh = True
        if self._body_left == 0:
            self._complete()

    def body(self, payload: bytes) -> None:
        # HOT: once per delivered message
        length: i64 = len(payload)
        if self._fresh:
            self._fresh = False
            if length >= STAMPED and payload.startswith(self._run):
                moment = read_i64_be(payload, _MOMENT_AT)
                if moment != self._moment:
                    self._record()
                    self._moment = moment
                self._same += 1
        self.octets += length
        self._body_left -= length
        if self._body_left <= 0:
            self._complete()

    def acknowledge_rest(self) -> None:
        """Acknowledge what was delivered and waits for more to come."""
        if self._unacknowledged and self._session is not None:
            self._ack(True)
            self.end_read()

    def _complete(self) -> None:
        # HOT: once per delivered message
        self.delivered += 1
        if self._ack_every:
            self._unacknowledged += 1
            if self._unacknowledged >= self._ack_every:
                self._ack(self._ack_every > 1)

    def _ack(self, multiple: bool) -> None:
        # HOT: once per acknowledgement
        self._unacknowledged = 0
        writer = self._acks
        writer.append(METHOD)
        writer.append(0)
        writer.append(CHANNEL)
        write_i32_be(writer, ACK_SIZE)
        write_i32_be(writer, BASIC_ACK)
        write_i64_be(writer, self._tag)
        writer.append(1 if multiple else 0)
        writer.append(FRAME_END)

    def _record(self) -> None:
        if self._same:
            self._latencies.record(self._read_at - self._moment, self._same)
            self._same = 0

    def _consume(self, session: Session) -> None:
        arguments: dict[str, object] = dict(self._arguments)
        session.send(commands.Basic.Consume, queue=self._queue, no_ack=not self._ack_every, arguments=arguments)
