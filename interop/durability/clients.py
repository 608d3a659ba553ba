"""The clients: publishers with confirms in flight and consumers with acknowledgements, until the broker dies.

They are pika's, on one event loop. Whatever they meet once the broker is dead is what they wait for.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Any, Final

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import AMQPError

from interop.durability.ledger import ALL_QUEUES, DEAD, PRIORITIES, QUEUES, Ledger

BARRIERS: Final = "durability.barriers"
BARRIERS_KEPT: Final = 1000  # one that is dropped before it was written is confirmed at once, and proves nothing
WINDOW: Final = 200  # unconfirmed messages of a publisher
MOST: Final = 20_000  # messages of a queue: more than a queue has in memory
PREFETCH: Final = 300
NAP_SECONDS: Final = 0.01  # clients do something about so often
DRAIN_SECONDS: Final = 120.0


class Link:
    """A connection with one channel, on which confirms are on.

    Attributes:
        dead: done when the connection is gone.
    """

    def __init__(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        self.dead: asyncio.Future[None] = loop.create_future()
        self.confirmed = 0  # all publishes up to this one are
        self.channel: Any = None
        self._opened: asyncio.Future[None] = loop.create_future()
        self._unordered: set[int] = set()
        self.refused: set[int] = set()
        self._connection = AsyncioConnection(
            pika.ConnectionParameters("127.0.0.1", port, heartbeat=0),
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_end,
            on_close_callback=self._on_end,
        )

    async def open(self) -> None:
        """Return when the channel is there, or the connection is dead."""
        await asyncio.wait([self._opened, self.dead], return_when=asyncio.FIRST_COMPLETED)

    @property
    def alive(self) -> bool:
        """It can be used."""
        return self._opened.done() and not self.dead.done() and self.channel.is_open

    async def close(self) -> None:
        """Return when the connection is closed."""
        if not self.dead.done():
            self._connection.close()
        await self.dead

    def _on_open(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Any) -> None:
        self.channel = channel
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.confirm_delivery(self._on_confirm, callback=self._on_ready)

    def _on_ready(self, frame: Any) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    def _on_end(self, connection: Any, reason: Any) -> None:
        if not self.dead.done():
            self.dead.set_result(None)

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        first = self.confirmed + 1 if method.multiple else method.delivery_tag
        tags = range(first, method.delivery_tag + 1)
        if method.NAME == "Basic.Nack":
            self.refused.update(tags)
        self._unordered.update(tags)
        while self.confirmed + 1 in self._unordered:
            self.confirmed += 1
            self._unordered.remove(self.confirmed)


class Publisher:
    """Publishes to all queues, many messages before the first is confirmed."""

    def __init__(self, number: int, link: Link, ledger: Ledger, rng: random.Random) -> None:
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
                self._publish(self._rng.randint(0, WINDOW - len(self._flying)))
            except AMQPError:
                break
            await asyncio.sleep(self._rng.random() * NAP_SECONDS)
            self._note_confirmed()
        await self._link.dead
        self._note_confirmed()

    def _publish(self, count: int) -> None:
        for _ in range(count):
            queue = self._rng.choice(list(QUEUES))
            if self._ledger.backlog(queue) > MOST:
                continue
            letter = self._ledger.write(self._number, queue, self._rng.randrange(PRIORITIES) if "prio" in queue else 0)
            self._sent += 1
            self._flying.append((self._sent, letter.number))
            properties = pika.BasicProperties(delivery_mode=2, priority=letter.priority or None)
            self._link.channel.basic_publish("", queue, letter.body, properties)

    def _note_confirmed(self) -> None:
        done: list[int] = []
        while self._flying and self._flying[0][0] <= self._link.confirmed:
            tag, number = self._flying.popleft()
            if tag not in self._link.refused:
                done.append(number)
        self._ledger.confirm(done)


class Consumer:
    """Consumes one queue, acknowledges in batches, and returns or rejects a few.

    Now and then it publishes a barrier: when that is confirmed, the acknowledgements before it must be kept.
    """

    def __init__(self, queue: str, link: Link, ledger: Ledger, rng: random.Random) -> None:
        self._queue = queue
        self._link = link
        self._ledger = ledger
        self._rng = rng
        self._here: deque[tuple[int, int]] = deque()  # delivery tags and message numbers
        self._barriers = 0
        self._behind: list[int] = []  # acknowledged since the last barrier
        self._fenced: deque[tuple[int, list[int]]] = deque()  # barriers, and what was acknowledged before each
        link.channel.add_on_return_callback(self._on_return)

    def begin(self) -> None:
        """Subscribe."""
        self._link.channel.basic_consume(self._queue, self._on_message)

    async def run(self) -> None:
        """Settle what comes until the connection is dead."""
        if not self._link.channel.is_open:
            return  # the broker was killed before this task's first step
        self.begin()
        while self._link.alive:
            try:
                self._settle(self._rng.randint(0, len(self._here)))
            except AMQPError:
                break
            await asyncio.sleep(self._rng.random() * NAP_SECONDS)
            self._note_barriers()
        await self._link.dead
        self._note_barriers()

    async def drain(self) -> None:
        """Acknowledge everything until nothing is left.

        Raises:
            TimeoutError: there is always something left.
        """
        self.begin()
        async with asyncio.timeout(DRAIN_SECONDS):
            while True:
                self._acknowledge(len(self._here))
                arrived = len(self._here)
                if await self._count() == 0 and arrived == 0 and not self._here:
                    return

    async def _count(self) -> int:
        counted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._link.channel.queue_declare(
            self._queue, passive=True, callback=lambda frame: counted.set_result(frame.method.message_count)
        )
        return await counted

    def _on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self._here.append((method.delivery_tag, self._ledger.deliver(self._queue, body, method.redelivered)))

    def _on_return(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        raise AssertionError(f"returned: {method.reply_text}")

    def _settle(self, count: int) -> None:
        chance = self._rng.random()
        if not self._here:
            return
        if chance < 0.1:
            tag, _ = self._here.popleft()
            self._link.channel.basic_nack(tag, requeue=True)
        elif chance < 0.2 and "x-dead-letter-exchange" in ALL_QUEUES[self._queue]:
            tag, number = self._here.popleft()
            self._ledger.moved.add(number)
            self._link.channel.basic_reject(tag, requeue=False)
        else:
            self._acknowledge(count)
        if self._behind and chance > 0.6:
            self._raise_barrier()

    def _acknowledge(self, count: int) -> None:
        if count == 0:
            return
        settled = [self._here.popleft() for _ in range(count)]
        numbers = [number for _, number in settled if number >= 0]
        self._ledger.acknowledge(numbers)
        self._behind += numbers
        self._link.channel.basic_ack(settled[-1][0], multiple=True)

    def _raise_barrier(self) -> None:
        self._barriers += 1
        self._fenced.append((self._barriers, self._behind))
        self._behind = []
        self._link.channel.basic_publish("", BARRIERS, b"", pika.BasicProperties(delivery_mode=2))

    def _note_barriers(self) -> None:
        while self._fenced and self._fenced[0][0] <= self._link.confirmed:
            barrier, numbers = self._fenced.popleft()
            if barrier not in self._link.refused:
                self._ledger.safe.update(numbers)


async def linked(port: int, count: int) -> list[Link]:
    """So many links, those that could be opened; the others are dead."""
    links = [Link(port) for _ in range(count)]
    for link in links:
        await link.open()
    return [link for link in links if link.alive]


async def declare(port: int) -> None:
    """Declare all queues."""
    (link,) = await linked(port, 1)
    arguments = {**ALL_QUEUES, BARRIERS: {"x-max-length": BARRIERS_KEPT}}
    for queue, more in arguments.items():
        declared: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        link.channel.queue_declare(
            queue, durable=True, arguments=more, callback=lambda _, done=declared: done.set_result(None)
        )
        await declared
    await link.close()


async def drain(port: int, ledger: Ledger) -> None:
    """Take everything that is left out of all queues, the one that messages are moved to last."""
    for queue in [*QUEUES, DEAD]:
        (link,) = await linked(port, 1)
        await Consumer(queue, link, ledger, random.Random()).drain()
        await link.close()


async def work(port: int, ledger: Ledger, rng: random.Random, publishers: int, dying: asyncio.Future[None]) -> None:
    """Publish and consume until the broker is dead. Some queues have no consumer, so that they grow.

    Args:
        dying: done when the broker was killed.
    """
    consumed = [queue for queue in ALL_QUEUES if rng.random() < 0.7]
    links = await linked(port, publishers + len(consumed))
    jobs: list[asyncio.Task[None]] = []
    for number, link in enumerate(links):
        own = random.Random(rng.random())
        if number < publishers:
            jobs.append(asyncio.create_task(Publisher(number, link, ledger, own).run()))
        else:
            jobs.append(asyncio.create_task(Consumer(consumed[number - publishers], link, ledger, own).run()))
    await dying
    for job in jobs:
        await job
