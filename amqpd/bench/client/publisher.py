"""A client that publishes: as fast as the broker takes it or at a steady rate, with confirms or without."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64
from pamqp import commands

from amqpd.bench.client.batch import LARGE, Batch
from amqpd.bench.client.histogram import Histogram
from amqpd.bench.client.pace import Pace
from amqpd.bench.client.session import CHANNEL, Role, Session
from amqpd.wire.methods import Method

UNLIMITED: Final = 1 << 62
LATE: Final = 20_000_000  # ns; less is the machine's doing, not the broker's
FORGET_AT: Final = 1000  # entries of what is confirmed


@final
class Unconfirmed:
    """The messages that wait for their confirms.

    Attributes:
        sent, settled: how many there were, and how many of them are confirmed or refused.
        latencies: from the moment a message was due until its confirm.
    """

    def __init__(self, latencies: Histogram) -> None:
        self.sent: i64 = 0
        self.settled: i64 = 0
        self.latencies = latencies
        self._up_to: i64 = 0  # all tags up to this one are settled
        self._early: set[int] = set()  # and these above it
        self._last: list[int] = []  # tags: the last one of each write
        self._moments: list[int] = []  # of each write
        self._first = 0  # index of the first write that is not settled

    def add(self, count: i64, moment: i64) -> None:
        """So many messages were sent that were due at a nanosecond."""
        # HOT: once per write
        self.sent += count
        self._last.append(int(self.sent))
        self._moments.append(int(moment))

    def settle(self, tag: i64, multiple: bool, now: i64) -> i64:
        """Count what a confirm is for, and return how many messages that are."""
        # HOT: once per confirm
        if multiple:
            return self._settle_up_to(self.sent if tag == 0 else tag, now)
        if tag != self._up_to + 1:
            return self._settle_early(tag, now)
        self._count(1, now - self._moment_of(tag))
        self._up_to = tag
        if self._early:
            self._skip_early()
        return 1

    def _settle_up_to(self, tag: i64, now: i64) -> i64:
        before = self.settled
        while self._up_to < tag:
            index = bisect_left(self._last, int(self._up_to) + 1, self._first)
            if index == len(self._last):
                break
            end: i64 = min(i64(self._last[index]), tag)
            early = self._drop_early(end) if self._early else 0
            self._count(end - self._up_to - early, now - i64(self._moments[index]))
            self._up_to = end
            self._first = index
        self._forget()
        if self._early:
            self._skip_early()
        return self.settled - before

    def _settle_early(self, tag: i64, now: i64) -> i64:
        if tag <= self._up_to or tag > self.sent or int(tag) in self._early:
            return 0
        self._early.add(int(tag))
        self._count(1, now - self._moment_of(tag))
        return 1

    def _skip_early(self) -> None:
        while int(self._up_to) + 1 in self._early:
            self._up_to += 1
            self._early.remove(int(self._up_to))

    def _drop_early(self, end: i64) -> i64:
        found = {tag for tag in self._early if tag <= int(end)}
        self._early -= found
        return len(found)

    def _moment_of(self, tag: i64) -> i64:
        index = bisect_left(self._last, int(tag), self._first)
        return i64(self._moments[index])

    def _count(self, count: i64, ns: i64) -> None:
        if count > 0:
            self.settled += count
            self.latencies.record(ns, count)

    def _forget(self) -> None:
        if self._first >= FORGET_AT:
            del self._last[: self._first]
            del self._moments[: self._first]
            self._first = 0


@final
class Publisher(Role):
    """One publisher.

    Args:
        exchange: where to.
        routing_keys: at least one; they take turns, write by write.
        run: number of the run.
        size: octets of a body.
        window: messages that may wait for their confirms; 0 for no confirms.
        rate: messages a second; 0 for as fast as possible.
        count: messages to publish; 0 for no end.
        now: the clock, in nanoseconds.
        confirm_latencies: told how long confirms took.

    Attributes:
        published, confirmed, nacked, returned: so many messages.
        ready, begun: it can publish; it does.
        on_ready, on_room: called when it can, and when it can again.
    """

    def __init__(
        self,
        exchange: str,
        routing_keys: list[str],
        run: int,
        size: int,
        persistent: bool,
        mandatory: bool,
        window: int,
        rate: float,
        count: int,
        now: Callable[[], int],
        confirm_latencies: Histogram,
    ) -> None:
        self.published: i64 = 0
        self.confirmed: i64 = 0
        self.nacked: i64 = 0
        self.returned: i64 = 0
        self.ready = False
        self.begun = False
        self.on_ready: Callable[[], None] | None = None
        self.on_room: Callable[[], None] | None = None
        self._exchange = exchange
        self._routing_keys = routing_keys
        self._run = run
        self._size = size
        self._persistent = persistent
        self._mandatory = mandatory
        self._window: i64 = window
        self._rate = rate
        self._left: i64 = count or UNLIMITED
        self._now = now
        self._session: Session | None = None
        self._batches: list[Batch] = []
        self._turn = 0
        self._pace: Pace | None = None
        self._unconfirmed = Unconfirmed(confirm_latencies)
        self._read_at: i64 = 0  # nanosecond of the read that is being understood, once it is asked for

    @property
    def done(self) -> bool:
        """All that was to be published is, and is confirmed."""
        return self._left == 0 and not self.waiting

    @property
    def waiting(self) -> int:
        """Messages whose confirms have not come."""
        return int(self._unconfirmed.sent - self._unconfirmed.settled) if self._window else 0

    @property
    def late(self) -> int:
        """Messages that were due a while ago and could not be sent."""
        return int(min(self._pace.due(self._now() - LATE), self._left)) if self._pace is not None else 0

    def stop(self) -> None:
        """Publish nothing more."""
        self._left = 0

    def begin(self, moment: int) -> None:
        """Publish from now on; the steady rate, if there is one, begins at this nanosecond."""
        self.begun = True
        if self._rate:
            self._pace = Pace(self._rate, moment)

    def opened(self, session: Session) -> None:
        self._session = session
        most = min(int(self._window) or LARGE, LARGE)
        for key in self._routing_keys:
            batch = Batch(
                CHANNEL,
                self._exchange,
                key,
                self._run,
                self._size,
                self._persistent,
                self._mandatory,
                session.frame_max,
                most,
            )
            self._batches.append(batch)
        if self._window:
            session.send(commands.Confirm.Select)
        else:
            self._can_publish()

    def method(self, method: Method) -> None:
        if isinstance(method, commands.Confirm.SelectOk):
            self._can_publish()
        elif isinstance(method, commands.Basic.Nack):
            self.nacked += self._settle(method.delivery_tag, method.multiple)
        elif isinstance(method, commands.Basic.Return):
            self.returned += 1

    def settled(self, tag: i64, multiple: bool) -> None:
        self.confirmed += self._settle(tag, multiple)

    def begin_read(self) -> None:
        self._read_at = 0

    def end_read(self) -> None:
        if self._read_at and self.on_room is not None:
            self.on_room()

    def resumed(self) -> None:
        if self.on_room is not None:
            self.on_room()

    def publish(self, now: i64) -> i64:
        """Write what is due and allowed, at most one batch of each tick.

        Returns:
            The nanosecond at which to call again; 0 when confirms, the broker or nothing more has to come first.
        """
        # HOT: once per write
        session = self._session
        if session is None or session.ended or session.held or not self.begun:
            return 0
        pace = self._pace
        if pace is None:
            return now if self._write(session, UNLIMITED, now) else 0
        if not pace.advance(now):
            return pace.moment
        count = self._write(session, pace.left, pace.moment)
        pace.left -= count
        return now if count else 0

    def _write(self, session: Session, most: i64, moment: i64) -> i64:
        """Write messages that were due at a moment, and return how many."""
        batch = self._batches[self._turn]
        count: i64 = min(batch.most, most, self._left)
        if self._window:
            count = min(count, self._window - (self._unconfirmed.sent - self._unconfirmed.settled))
        if count <= 0:
            return 0
        session.write(batch.stamped(count, moment))
        self._left -= count
        self.published += count
        if self._window:
            self._unconfirmed.add(count, moment)
        self._turn = self._turn + 1 if self._turn + 1 < len(self._batches) else 0
        return count

    def _can_publish(self) -> None:
        self.ready = True
        if self.on_ready is not None:
            self.on_ready()

    def _settle(self, tag: i64, multiple: bool) -> i64:
        if not self._read_at:
            self._read_at = self._now()
        return self._unconfirmed.settle(tag, multiple, self._read_at)
