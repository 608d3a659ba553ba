"""Power loss at any moment: what a durable delayed exchange confirmed is held, or in the queue that it leads to."""

from __future__ import annotations

import random
from hashlib import sha256
from pathlib import Path

import pytest
from pamqp import commands

from amqpd.broker.broker import Broker
from amqpd.broker.context import Context
from amqpd.broker.exchanges.delayed import DelayedExchange
from amqpd.broker.recovery import Recovery
from amqpd.broker.storage import Storage
from amqpd.catalog.rows import Topology
from amqpd.clock import Timers
from amqpd.log.commit import Commits
from amqpd.turn import Turn
from amqpd.wire.properties import Properties
from amqpd.wire.table import Table
from tests.builders import Content, World
from tests.faults.worlds import CrashStore, Watch, small_disk
from tests.stores import KeptProgress

RUNS = 5
STEPS = 120
STATES = 1000  # at least, together
DELAYS = (1, 50, 400, 3000)  # milliseconds


class DelayWatch(Watch):
    """Starts a broker on what a power loss leaves, and lets its messages come out.

    Attributes:
        due: the deadline of each message that was published, in seconds of the clock's time.
        confirmed: messages that must be there.
        done: messages whose acknowledgement was sent; they need not be there.
        both: states in which a message was held and in the queue at once: it comes twice, but is not lost.
    """

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng, every=1)
        self.due: dict[int, float] = {}
        self.confirmed: set[int] = set()
        self.done: set[int] = set()
        self.held_states = self.both = 0

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
        vhost = broker.vhosts["/"]
        exchange, queue = vhost.exchanges.get("d"), vhost.queues.get("q")
        if not isinstance(exchange, DelayedExchange) or queue is None:
            assert not self.confirmed
            return
        queued: set[int] = set()
        while (delivery := queue.get()) is not None:
            queued.add(number_of(delivery.message.body))
        held: set[int] = set()
        waiting = exchange._held
        assert waiting is not None
        while (deadline := waiting.first_deadline()) is not None:
            found = waiting.first()
            assert found is not None
            number = number_of(found.body)
            moment = deadline / 1_000_000 - self.clock.monotonic() + self.clock.time()
            assert moment == pytest.approx(self.due[number], abs=0.002)
            held.add(number)
            waiting.drop_first()
        assert self.confirmed - self.done <= held | queued
        self.held_states += bool(held)
        self.both += bool(held & queued)


def number_of(body: bytes) -> int:
    number, digest = body.split(b" ", 1)
    assert digest.startswith(sha256(number).digest())
    return int(number)


class Work:
    """A client that publishes to the exchange and takes from the queue."""

    def __init__(self, folder: Path, watch: DelayWatch) -> None:
        self.watch = watch
        self.world = World(store=CrashStore(folder, watch), clock=watch.clock)
        self._client = self.world.client()
        self._client.open(1)
        self._client.open(2)
        arguments = {"x-delayed-type": "fanout"}
        kind = {"exchange": "d", "exchange_type": "x-delayed-message", "durable": True, "arguments": arguments}
        self._client.call(1, commands.Exchange.Declare, commands.Exchange.DeclareOk, **kind)
        self._client.declare("q", durable=True)
        self._client.call(1, commands.Queue.Bind, commands.Queue.BindOk, queue="q", exchange="d")
        self._client.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
        self.world.hold_commits()
        self._count = 0

    def step(self) -> None:
        rng = self.watch.rng
        chance = rng.random()
        if chance < 0.4:
            self._publish(rng.choice(DELAYS))
        elif chance < 0.6:
            self._client.send(2, commands.Basic.Get, queue="q")
        elif chance < 0.75:
            self.world.advance(rng.random())
        elif self.world.held_commits:
            self.world.run_commit()
        self._listen()

    def _publish(self, delay: int) -> None:
        self._count += 1
        number = b"%d" % self._count
        self.watch.due[self._count] = self.watch.clock.time() + delay / 1000
        body = number + b" " + sha256(number).digest() * self.watch.rng.choice((1, 1, 2, 20))
        properties = Properties.of(delivery_mode=2, headers=Table.of({"x-delay": delay}))
        self._client.publish(1, "d", "", body, properties)

    def _listen(self) -> None:
        for _, item in self._client.received():
            if isinstance(item, Content):
                self.watch.done.add(number_of(item.body))
                assert isinstance(item.method, commands.Basic.GetOk)
                self._client.send(2, commands.Basic.Ack, delivery_tag=item.method.delivery_tag)
            elif isinstance(item, commands.Basic.Ack):
                last = item.delivery_tag or 0
                self.watch.confirmed |= set(range(1, last + 1)) if item.multiple else {last}
            else:
                assert isinstance(item, commands.Basic.GetEmpty), item.name


def test_what_was_confirmed_is_held_or_in_the_queue(tmp_path_factory: pytest.TempPathFactory) -> None:
    watches = []
    for seed in range(RUNS):
        watch = DelayWatch(random.Random(seed))
        work = Work(tmp_path_factory.mktemp("run"), watch)
        for _ in range(STEPS):
            work.step()
        assert work.world.observer.crashes == []
        watches.append(watch)
    assert sum(watch.states for watch in watches) >= STATES
    assert sum(watch.held_states for watch in watches) >= STATES // 2
    assert sum(watch.both for watch in watches) > 0, "the moment between the two was met"
    assert all(len(watch.confirmed) > 10 and len(watch.done) > 5 for watch in watches)
