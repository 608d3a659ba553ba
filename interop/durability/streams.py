"""A stream in the crash test: publishers with confirms, a consumer with a cursor, retention, and what all must find.

Offsets are dense and never reused, what was delivered under one stays there, every confirmed record is between the
first that is kept and the end, and the cursor never passes over a record that was not acknowledged.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from pika.exceptions import AMQPError

from interop.durability.clients import NAP_SECONDS, WINDOW, Link, linked

STREAM: Final = "durability.stream"
ARGUMENTS: Final[dict[str, object]] = {
    "x-queue-type": "stream",
    "x-stream-max-segment-size-bytes": 200_000,
    "x-max-length-bytes": 3_000_000,
}
CURSOR: Final = "worker"
PUBLISHERS: Final = 2
MOST_FAULTS: Final = 20
READ_SECONDS: Final = 60.0


class StreamLedger:
    """What is known of the stream.

    Attributes:
        confirmed: numbers of messages; those of publisher n leave n when they are divided by PUBLISHERS.
        first: a consumer was led past everything below this offset, for retention had removed it. What the broker was
            about to remove when it was killed may be there again.
        acknowledged: by the consumer with the cursor.
        checks: how often the whole stream was read.
    """

    def __init__(self) -> None:
        self.published = 0
        self.confirmed: set[int] = set()
        self.first = 0
        self.acknowledged: set[int] = set()
        self.delivered = 0
        self.again = 0
        self.checks = 0
        self.faults: list[str] = []
        self._serials = [0] * PUBLISHERS
        self._numbers: dict[int, int] = {}  # by offset
        self._not_acknowledged = 0  # the lowest offset
        self._young = 0  # what is above this offset is not removed while a consumer comes back

    def write(self, publisher: int) -> tuple[int, bytes]:
        """Number and body of a message that is published now."""
        number = self._serials[publisher] * PUBLISHERS + publisher
        self._serials[publisher] += 1
        self.published += 1
        return number, body_of(number)

    def acknowledge(self, offsets: Iterable[int]) -> None:
        """The cursor may pass over them."""
        self.acknowledged.update(offsets)
        while self._not_acknowledged in self.acknowledged:
            self._not_acknowledged += 1

    def deliver(self, offset: int, body: bytes) -> None:
        """Somebody was given this under that offset."""
        self.delivered += 1
        number = int(body.split(b" ", 1)[0])
        if body != body_of(number):
            self.fault(f"offset {offset}: a message that nobody published: {body[:60]!r}")
        if self._numbers.setdefault(offset, number) != number:
            self.fault(f"offset {offset}: {number}, but it was {self._numbers[offset]}")

    def continue_at(self, offset: int) -> None:
        """The consumer with the cursor was given this first."""
        lowest = max(self._not_acknowledged, self.first)
        while lowest in self.acknowledged:
            lowest += 1
        if offset > lowest > self._young:
            self.fault(f"the cursor is at {offset}, but {lowest} was not acknowledged")
        self.again += max(lowest - offset, 0)

    def removed_below(self, offset: int) -> None:
        """The consumer with the cursor was led past what is before this offset."""
        self.first = max(self.first, offset)

    def check(self, found: dict[int, int]) -> None:
        """All that is there, by offset."""
        self.checks += 1
        offsets = sorted(found)
        if not offsets:
            if self.confirmed:
                self.fault("the stream is empty")
            return
        if offsets != list(range(offsets[0], offsets[-1] + 1)):
            self.fault(f"offsets between {offsets[0]} and {offsets[-1]} are not dense")
        self.first = max(self.first, offsets[0])
        self._young = (offsets[0] + offsets[-1]) // 2
        for publisher in range(PUBLISHERS):
            mine = [number for number in found.values() if number % PUBLISHERS == publisher]
            order = [found[offset] for offset in offsets if found[offset] % PUBLISHERS == publisher]
            if order != sorted(set(order)):
                self.fault(f"publisher {publisher}: not in the order of publishing")
            least = min(mine, default=0)
            confirmed = {n for n in self.confirmed if n % PUBLISHERS == publisher and n >= least}
            if missing := sorted(confirmed - set(mine)):
                self.fault(f"lost: {missing[:5]} and {len(missing)} together")

    def fault(self, text: str) -> None:
        """Something that must not be."""
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(f"{STREAM}, check {self.checks}: {text}")


def body_of(number: int) -> bytes:
    """Says what it is; how long it is depends on its number."""
    return b"%d " % number + b"%d" % (number % 10) * (20_000 if number % 97 == 0 else number % 300)


class StreamPublisher:
    """Publishes, many messages before the first is confirmed."""

    def __init__(self, number: int, link: Link, ledger: StreamLedger, rng: random.Random) -> None:
        self._number = number
        self._link = link
        self._ledger = ledger
        self._rng = rng
        self._sent = 0
        self._flying: deque[tuple[int, int]] = deque()  # publish tags and message numbers

    async def run(self) -> None:
        """Publish until the connection is dead."""
        while self._link.alive:
            try:
                for _ in range(self._rng.randint(0, WINDOW - len(self._flying))):
                    number, body = self._ledger.write(self._number)
                    self._sent += 1
                    self._flying.append((self._sent, number))
                    self._link.channel.basic_publish("", STREAM, body)
            except AMQPError:
                break
            await asyncio.sleep(self._rng.random() * NAP_SECONDS)
            self._note_confirmed()
        await self._link.dead
        self._note_confirmed()

    def _note_confirmed(self) -> None:
        while self._flying and self._flying[0][0] <= self._link.confirmed:
            tag, number = self._flying.popleft()
            if tag not in self._link.refused:
                self._ledger.confirmed.add(number)


class StreamConsumer:
    """Consumes with a cursor, and acknowledges in batches."""

    def __init__(self, link: Link, ledger: StreamLedger, rng: random.Random) -> None:
        self._link = link
        self._ledger = ledger
        self._rng = rng
        self._here: deque[tuple[int, int]] = deque()  # delivery tags and offsets
        self._next = -1

    async def run(self) -> None:
        """Settle what comes until the connection is dead."""
        if not self._link.channel.is_open:
            return  # the broker was killed before this task's first step
        arguments = {"x-stream-cursor": CURSOR, "x-stream-offset": "first"}
        self._link.channel.basic_consume(STREAM, self._on_message, arguments=arguments)
        while self._link.alive:
            try:
                self._settle(self._rng.randint(0, len(self._here)))
            except AMQPError:
                break
            await asyncio.sleep(self._rng.random() * NAP_SECONDS)
        await self._link.dead

    def _settle(self, count: int) -> None:
        if count > 0:
            settled = [self._here.popleft() for _ in range(count)]
            self._ledger.acknowledge(offset for _, offset in settled)
            self._link.channel.basic_ack(settled[-1][0], multiple=True)

    def _on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        offset: int = properties.headers["x-stream-offset"]
        self._ledger.deliver(offset, body)
        if self._next < 0:
            self._ledger.continue_at(offset)
        elif offset > self._next:
            self._ledger.removed_below(offset)
        elif offset < self._next:
            self._ledger.fault(f"offset {offset} came, {self._next} was the next one")
        self._next = offset + 1
        self._here.append((method.delivery_tag, offset))


async def declare_stream(port: int) -> None:
    """Declare it."""
    (link,) = await linked(port, 1)
    await _count(link)
    await link.close()


async def check_stream(port: int, ledger: StreamLedger) -> None:
    """Read all that is there, while nobody publishes.

    Raises:
        TimeoutError: it does not come.
    """
    (link,) = await linked(port, 1)
    found: dict[int, int] = {}
    whole: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_message(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        offset: int = properties.headers["x-stream-offset"]
        ledger.deliver(offset, body)
        found[offset] = int(body.split(b" ", 1)[0])
        if len(found) % 100 == 0:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if len(found) == count and not whole.done():
            whole.set_result(None)

    count = await _count(link)
    link.channel.basic_consume(STREAM, on_message, arguments={"x-stream-offset": "first"})
    if count > 0:
        await asyncio.wait_for(whole, READ_SECONDS)
    ledger.check(found)
    await link.close()


async def stream_work(port: int, ledger: StreamLedger, rng: random.Random, dying: asyncio.Future[None]) -> None:
    """Publish and consume until the broker is dead.

    Args:
        dying: done when the broker was killed.
    """
    links = await linked(port, PUBLISHERS + 1)
    jobs: list[asyncio.Task[None]] = []
    for number, link in enumerate(links):
        own = random.Random(rng.random())
        if number < PUBLISHERS:
            jobs.append(asyncio.create_task(StreamPublisher(number, link, ledger, own).run()))
        else:
            jobs.append(asyncio.create_task(StreamConsumer(link, ledger, own).run()))
    await dying
    for job in jobs:
        await job


async def _count(link: Link) -> int:
    """Records that are there; declares the stream."""
    counted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    link.channel.queue_declare(
        STREAM,
        durable=True,
        arguments=ARGUMENTS,
        callback=lambda frame: counted.set_result(frame.method.message_count),
    )
    return await counted
