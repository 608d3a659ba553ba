"""Power loss at any moment leaves a broker with what its stream confirmed and keeps, and with a consumer's cursor."""

from __future__ import annotations

import random
from hashlib import sha256
from pathlib import Path

import pytest
from pamqp import commands

from amqpd.broker.broker import Broker
from amqpd.broker.context import Context
from amqpd.broker.queues.stream.queue import StreamQueue
from amqpd.broker.recovery import Recovery
from amqpd.broker.storage import Storage
from amqpd.catalog.rows import Topology
from amqpd.clock import Timers
from amqpd.log.commit import Commits
from amqpd.turn import Turn
from amqpd.wire.properties import Properties
from tests.builders import Client, Content, World
from tests.faults.worlds import CrashStore, Watch, small_disk
from tests.stores import KeptProgress

RUNS = 12
STEPS = 150
STATES = 4000  # at least, together
STREAM = {"x-queue-type": "stream", "x-stream-max-segment-size-bytes": 600, "x-stream-max-length": 8, "x-max-age": "4s"}
CURSOR = "me"
PREFETCH = 4


class StreamWatch(Watch):
    """Starts a broker on what a power loss leaves, and reads its stream. Message n has the offset n - 1.

    Attributes:
        first: the first offset that is kept; what is before it may be there or not.
        confirmed: messages that count.
        done: offsets whose acknowledgement was sent.
        cursors: places at which the cursor was found.
    """

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng, every=1)
        self.world: World | None = None
        self.confirmed: set[int] = set()
        self.done: set[int] = set()
        self.cursors: set[int] = set()
        self.removed = 0  # states in which retention had been at work

    @property
    def first(self) -> int:
        stream = None if self.world is None else self.world.vhost.queues.get("s")
        return stream.first_offset if isinstance(stream, StreamQueue) else 0

    def _look(self, topology: Topology) -> None:
        self.states += 1
        timers, turn = Timers(self.clock), Turn()
        commits = Commits(turn, timers)
        commits.execute = lambda commit: None  # nothing is written any more
        storage = Storage(commits, small_disk(self.files.crashes(self.rng), commits, self.clock))
        broker = Broker(Context(self.clock, timers, turn, lambda size: bytes(size), storage), "amqpd@found")
        progress = KeptProgress()
        Recovery(broker, topology, progress).run()
        assert progress.left_out == []
        stream = broker.vhosts["/"].queues.get("s")
        if not isinstance(stream, StreamQueue):
            assert not self.confirmed
            return
        found = read(stream)
        assert {offset + 1 for offset in found} >= {number for number in self.confirmed if number > self.first}
        assert all(number == offset + 1 for offset, number in found.items())
        assert stream.next_offset >= max(self.confirmed, default=0), "offsets would be given again"
        self.removed += stream.first_offset > 0
        self._check_cursor(stream)

    def _check_cursor(self, stream: StreamQueue) -> None:
        place = stream.cursor_places().get(CURSOR)
        if place is not None:
            not_done = next(offset for offset in range(self.first, 1 << 30) if offset not in self.done)
            assert place <= max(not_done, self.first), f"{place}, but {not_done} was not settled"
            assert place <= stream.next_offset
            self.cursors.add(place)


def read(stream: StreamQueue) -> dict[int, int]:
    """Offsets and the numbers of their messages."""
    found: dict[int, int] = {}
    store, offset = stream._store, stream.first_offset
    while offset < store.end and (page := store.page_at(offset)) is not None:
        for place, message in enumerate(page.messages):
            offset = int(page.first) + place
            if stream.first_offset <= offset < store.end:
                found[offset] = number_of(message.body)
        offset = int(page.next)
    return found


def number_of(body: bytes) -> int:
    number, digest = body.split(b" ", 1)
    assert digest.startswith(sha256(number).digest())
    return int(number)


class Work:
    """A publisher to the stream and to a queue at once, and a consumer with a cursor that comes and goes."""

    def __init__(self, folder: Path, watch: StreamWatch) -> None:
        self.watch = watch
        self.world = watch.world = World(store=CrashStore(folder, watch), clock=watch.clock)
        self._client = self.world.client()
        self._client.open(1)
        call = self._client.call
        call(1, commands.Exchange.Declare, commands.Exchange.DeclareOk, exchange="f", exchange_type="fanout")
        for name, arguments in (("s", STREAM), ("q", {})):
            self._client.declare(name, durable=True, arguments=arguments)
            call(1, commands.Queue.Bind, commands.Queue.BindOk, queue=name, exchange="f")
        call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
        self.world.hold_commits()
        self._count = 0
        self._consumer: Client | None = None
        self._here: list[tuple[int, int]] = []  # delivery tags and offsets

    def step(self) -> None:
        chance = self.watch.rng.random()
        if chance < 0.4:
            self._publish()
        elif chance < 0.5:
            self._come_or_go()
        elif chance < 0.65:
            self._settle()
        elif chance < 0.75:
            self.world.advance(self.watch.rng.random())
        elif self.world.held_commits:
            self.world.run_commit()
        self._listen()

    def _publish(self) -> None:
        self._count += 1
        number = b"%d" % self._count
        body = number + b" " + sha256(number).digest() * self.watch.rng.choice((1, 1, 2, 20))
        self._client.publish(1, "f", "", body, Properties.of(delivery_mode=2))

    def _come_or_go(self) -> None:
        if self._consumer is not None:
            self._consumer.lose()
            self._consumer = None
            self._here = []
            return
        self._consumer = self.world.client()
        self._consumer.open()
        self._consumer.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=PREFETCH)
        arguments = {"x-stream-cursor": CURSOR, "x-stream-offset": "first"}
        self._consumer.send(1, commands.Basic.Consume, queue="s", consumer_tag="c", arguments=arguments)

    def _settle(self) -> None:
        if self._consumer is not None and self._here:
            tag, offset = self._here.pop(self.watch.rng.randrange(len(self._here)))
            self.watch.done.add(offset)
            self._consumer.send(1, commands.Basic.Ack, delivery_tag=tag)

    def _listen(self) -> None:
        for _, item in self._client.received():
            assert isinstance(item, commands.Basic.Ack), item
            last = item.delivery_tag or 0
            self.watch.confirmed |= set(range(1, last + 1)) if item.multiple else {last}
        for _, item in [] if self._consumer is None else self._consumer.received():
            if isinstance(item, Content):
                number = number_of(item.body)
                assert number in self.watch.confirmed, "delivered before it was safe"
                self._here.append((item.method.delivery_tag or 0, number - 1))


def test_what_was_confirmed_and_is_kept_is_there(tmp_path_factory: pytest.TempPathFactory) -> None:
    watches = []
    for seed in range(RUNS):
        watch = StreamWatch(random.Random(seed))
        work = Work(tmp_path_factory.mktemp("run"), watch)
        for _ in range(STEPS):
            work.step()
        assert work.world.observer.crashes == []
        watches.append(watch)
    assert sum(watch.states for watch in watches) >= STATES
    assert sum(watch.removed for watch in watches) >= STATES // 4
    assert all(len(watch.confirmed) > 10 and len(watch.cursors) > 2 for watch in watches)
