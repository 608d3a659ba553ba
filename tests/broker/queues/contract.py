"""The contract of a queue: every type is put through it, against its own model.

class ClassicMachine(QueueMachine):
    arguments = st.just({"max_length": 3}) | st.just({})
    def new_model(self, rules): ...

TestClassicMachine = ClassicMachine.TestCase
TestClassicMachine.settings = THOROUGH

class StoredClassicMachine(StoredQueueMachine, ClassicMachine):
    pass
"""

from __future__ import annotations

import shutil
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amqpd.broker.message import Message
from amqpd.broker.policy import Policy
from amqpd.broker.queues.base import Queue
from amqpd.broker.queues.delivery import Delivery
from amqpd.errors import ResourceLocked
from amqpd.wire.properties import Properties
from tests.broker.queues.models import ConsumerModel, Entry, QueueModel, RingModel, Rules, SingleActiveModel
from tests.broker.queues.takers import Taker, accepts, drained_deliveries, make_queue, message
from tests.builders import World
from tests.stores import Store, quick_folder

THOROUGH = settings(max_examples=200, stateful_step_count=50, deadline=None)
OUTCOMES = ["acknowledge", "requeue", "reject"]
# Moments and times to live are whole steps, and a step is a whole number of milliseconds and of binary fractions.
STEP_MS = 125
TTLS = st.sampled_from([0, STEP_MS, 3 * STEP_MS])
LIMITS = {"message_ttl": TTLS, "max_length": st.integers(0, 4), "max_length_bytes": st.sampled_from([0, 5, 10])}
DEAD_LETTERS = {"dead_letter_exchange": "", "dead_letter_routing_key": "dead"}
OVERFLOWS = ["drop-head", "reject-publish", "reject-publish-dlx"]


def arguments_of(
    needed: dict[str, object], optional: dict[str, st.SearchStrategy[object]]
) -> st.SearchStrategy[dict[str, object]]:
    """Sets of arguments: only what is needed, or anything with it."""
    extensions: dict[str, st.SearchStrategy[object]] = {
        **LIMITS,
        "overflow": st.sampled_from(OVERFLOWS),
        "single_active_consumer": st.just(True),
        **optional,
    }
    drawn = st.fixed_dictionaries({}, optional=extensions)
    dead_letters = st.sampled_from([{}, DEAD_LETTERS])
    return st.just(needed) | st.builds(lambda some, dead: {**needed, **some, **dead}, drawn, dead_letters)


class Held:
    """An unsettled delivery, in the queue's eyes and in the model's."""

    def __init__(self, delivery: Delivery, entry: Entry, consumer: ConsumerModel | None) -> None:
        self.delivery = delivery
        self.entry = entry
        self.consumer = consumer


class QueueMachine(RuleBasedStateMachine):
    """Everything that can be done to a queue, in any order; turns end where hypothesis wants them to."""

    arguments: ClassVar[st.SearchStrategy[dict[str, object]]]
    durable: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.world = self.new_world()
        self.dead = make_queue(self.world, "dead")
        self.consumers: dict[Taker, ConsumerModel] = {}  # cancelled ones too
        self.held: list[Held] = []
        self.published = 0
        self.drain_at_end = True

    def new_world(self) -> World:
        """Where the queue lives."""
        return World()

    def new_model(self, rules: Rules, ring: RingModel[ConsumerModel]) -> QueueModel:
        """The model of the type."""
        raise NotImplementedError

    @property
    def subscribed(self) -> list[Taker]:
        return [taker for taker, consumer in self.consumers.items() if consumer in self.model.ring.priorities]

    @initialize(data=st.data(), drain=st.booleans())
    def declare(self, data: st.DataObject, drain: bool) -> None:
        self.given = data.draw(type(self).arguments)
        self.queue: Queue = make_queue(self.world, durable=self.durable, **self.given)
        rules = Rules(self.given, {})
        self.model = self.new_model(rules, self.new_ring(rules))
        self.locked = rules.quorum and "single_active_consumer" in self.given  # for basic.get
        self.drain_at_end = drain and not self.locked

    def new_ring(self, rules: Rules) -> RingModel[ConsumerModel]:
        """The model of whose turn it is, without consumers."""
        return SingleActiveModel(rules.quorum) if "single_active_consumer" in self.given else RingModel()

    @rule(
        count=st.integers(1, 5),
        size=st.sampled_from([1, 1, 4, 7]),
        priority=st.sampled_from([None, None, 0, 1, 4, 5, 9]),
        ttl=st.none() | st.none() | TTLS,
        persistent=st.booleans(),
    )
    def publish(self, count: int, size: int, priority: int | None, ttl: int | None, persistent: bool) -> None:
        for _ in range(count):
            entry = Entry(self.published, max(size, len(str(self.published))), priority or 0, ttl, persistent)
            assert accepts(self.queue, message_of(entry, priority)) == self.model.publish(entry)
            self.published += 1

    @rule()
    def get(self) -> None:
        if self.locked:
            with pytest.raises(ResourceLocked):
                self.queue.get()
            return
        delivery, entry = self.queue.get(), self.model.get()
        assert (delivery is None) == (entry is None)
        if delivery is not None and entry is not None:
            assert number_of(delivery) == entry.number
            assert delivery.deliveries == entry.deliveries - 1
            assert delivery.redelivered == (entry.deliveries > 1)
            self.held.append(Held(delivery, entry, None))

    @precondition(lambda self: len(self.subscribed) < 5)
    @rule(credit=st.integers(0, 3), no_ack=st.booleans(), priority=st.sampled_from([0, 0, 0, 5, -1]))
    def consume(self, credit: int, no_ack: bool, priority: int) -> None:
        taker = Taker(f"c{len(self.consumers)}", self.queue, credit, no_ack, priority=priority)
        self.queue.subscribe(taker)
        self.consumers[taker] = ConsumerModel(credit, no_ack)
        self.model.ring.add(self.consumers[taker], priority)

    @precondition(lambda self: self.subscribed)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        taker = data.draw(st.sampled_from(self.subscribed))
        was_last = self.queue.unsubscribe(taker)
        self.model.ring.remove(self.consumers[taker])
        assert was_last == (not self.subscribed)
        assert not self.queue.unsubscribe(taker)

    @precondition(lambda self: self.subscribed)
    @rule(data=st.data())
    def stop_or_resume(self, data: st.DataObject) -> None:
        """The output of a consumer's connection gets full, or has room again."""
        taker = data.draw(st.sampled_from(self.subscribed))
        taker.stopped = self.consumers[taker].stopped = not taker.stopped
        if not taker.stopped:
            taker.resume()
            self.model.ring.resume(self.consumers[taker])

    @precondition(lambda self: self.held)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def settle(self, data: st.DataObject, outcome: str) -> None:
        """Some deliveries, in any order, as basic.ack and basic.nack come."""
        chosen = data.draw(st.lists(st.sampled_from(self.held), min_size=1, max_size=6, unique_by=id))
        for held in chosen:
            self.held.remove(held)
            self._settle(held, outcome)
            if outcome == "requeue":
                self.model.requeue(held.entry)
            elif outcome == "reject":
                self.model.reject(held.entry)
            if held.consumer is not None:
                held.consumer.unsettled -= 1
                self.model.ring.resume(held.consumer)

    @rule()
    def purge(self) -> None:
        assert self.queue.purge() == self.model.purge()

    @rule(policy=st.fixed_dictionaries({}, optional={"message_ttl": TTLS, "max_length": st.integers(0, 4)}))
    def change_policy(self, policy: dict[str, object]) -> None:
        """It counts at once, but a message keeps the deadline that it has."""
        definition = {key.replace("_", "-"): value for key, value in policy.items()}
        if definition:
            self.world.vhost.set_policy(Policy("p", "^q$", definition))
        else:
            self.world.vhost.delete_policy("p")
        self.model.rules = Rules(self.given, policy)

    @rule()
    def end_turn(self) -> None:
        self.world.finish()
        self.world.advance(0.0)  # timers that are due already
        self.model.end_turn()
        self._compare_deliveries()

    @rule(steps=st.integers(1, 4))
    def wait(self, steps: int) -> None:
        self.end_turn()
        for _ in range(steps):
            self.world.advance(STEP_MS / 1000)
            self.model.now += STEP_MS
            self.model.end_turn()
        self._compare_deliveries()

    @invariant()
    def counts_agree(self) -> None:
        assert self.queue.message_count == len(self.model.ready)
        assert len(self.queue.consumers) == len(self.subscribed)
        assert self.queue.consumers.all() == self.subscribed

    def teardown(self) -> None:
        """Compare what is left, or delete the queue with it; then nothing may come back or be dead-lettered."""
        self.end_turn()
        while self.drain_at_end and self.model.ready:
            self.get()
        subscribed = self.subscribed
        self.end_turn()
        assert self.world.vhost.delete_queue(self.queue) == len(self.model.ready)
        self.world.finish()
        for place, held in enumerate(self.held):
            self._settle(held, OUTCOMES[place % 3])
        self.world.advance(60.0)
        assert (self.queue.message_count, len(self.queue.consumers), self.dead.message_count) == (0, 0, 0)
        assert [taker for taker in self.consumers if taker.told_of_deletion] == subscribed
        assert all(taker.told_of_deletion <= 1 and not taker.deliveries for taker in self.consumers)
        assert self.world.timers.next_deadline() is None

    def _compare_deliveries(self) -> None:
        """What consumers got since the last time, and what was dead-lettered."""
        for taker, consumer in self.consumers.items():
            received = [(number_of(delivery), delivery.deliveries) for delivery in taker.deliveries]
            assert received == consumer.received
            if not taker.no_ack:
                entries = [entry for other, entry in self.model.deliveries if other is consumer]
                pairs = zip(taker.deliveries, entries, strict=True)
                self.held += [Held(delivery, entry, consumer) for delivery, entry in pairs]
            taker.deliveries.clear()
            consumer.received.clear()
        self.model.deliveries.clear()
        assert [obituary(delivery) for delivery in drained_deliveries(self.dead)] == self.model.dead
        self.model.dead.clear()

    def _settle(self, held: Held, outcome: str) -> None:
        delivery = held.delivery
        if outcome == "acknowledge":
            self.queue.acknowledge(delivery)
        elif outcome == "requeue":
            self.queue.requeue(delivery)
        else:
            self.queue.reject(delivery)
        if delivery.consumer is not None:
            delivery.consumer.settled()


class StoredQueueMachine(QueueMachine):
    """The same for a durable queue of which next to nothing is in memory, on a disk that may take its time.

    And the broker may restart: the queue is as it was then, but for messages that need not survive. What was with
    consumers is back in its place and flagged as redelivered.
    """

    durable = True

    def __init__(self) -> None:
        self.folder = quick_folder()
        super().__init__()

    def new_world(self) -> World:
        return World(store=Store(self.folder, messages=3, page=150))

    @rule()
    def let_commits_wait(self) -> None:
        self.world.hold_commits()

    @precondition(lambda self: self.world.held_commits)
    @rule()
    def run_commit(self) -> None:
        self.world.run_commit()
        self.end_turn()

    @rule()
    def kill(self) -> None:
        """Once everything has got to the disk."""
        self._run_commits()
        self._acknowledge_last_deliveries()
        self.world = self.world.killed()
        self._begin_again([held.entry for held in self.held])

    @rule()
    def restart(self) -> None:
        """Consumers go first, and what they had comes back."""
        self.end_turn()
        for taker in self.subscribed:
            self.queue.unsubscribe(taker)
            self.model.ring.remove(self.consumers[taker])
        for held in self.held:
            self.queue.requeue(held.delivery)
            self.model.requeue(held.entry)
        self.held.clear()
        self._run_commits()
        self.world = self.world.restarted()
        self._begin_again([])

    def teardown(self) -> None:
        store = self.world.store
        assert store is not None
        try:
            super().teardown()
            while self.world.held_commits:
                self.world.run_commit()
            assert store.files.names("queues") == []
            assert store.damages == []
        finally:
            store.abandon(self.world.storage)
            shutil.rmtree(self.folder)

    def _run_commits(self) -> None:
        self.end_turn()
        self.world.finish()  # what was taken from the dead letters' queue
        while self.world.held_commits:
            self.run_commit()
        assert self.world.storage.commits.idle

    def _acknowledge_last_deliveries(self) -> None:
        """What is out for the last time would die of the kill; tests/broker/test_recovery.py has that."""
        limit = self.model.rules.delivery_limit
        for held in [held for held in self.held if limit is not None and held.entry.deliveries > limit]:
            self.held.remove(held)
            self._settle(held, "acknowledge")
            if held.consumer is not None:
                held.consumer.unsettled -= 1
                self.model.ring.resume(held.consumer)
        self._run_commits()

    def _begin_again(self, unsettled: list[Entry]) -> None:
        """The broker has started."""
        self.held.clear()
        self.consumers.clear()
        self.dead = make_queue(self.world, "dead")
        self.queue = self.world.vhost.queue("q")
        self.model.ring = self.new_ring(self.model.rules)
        self.model.restart(unsettled)
        self.counts_agree()
        self.end_turn()


def message_of(entry: Entry, priority: int | None) -> Message:
    """The message of an entry: its number, padded."""
    expiration = None if entry.ttl is None else str(entry.ttl)
    mode = 2 if entry.persistent else None
    properties = Properties.of(priority=priority, expiration=expiration, delivery_mode=mode)
    return message(b"%d" % entry.number + b" " * (entry.octets - len(str(entry.number))), properties)


def number_of(delivery: Delivery) -> int:
    """The number of the message in a delivery."""
    return int(delivery.message.body)


def obituary(delivery: Delivery) -> tuple[int, str]:
    """Number and reason of a dead letter, which starts anew as a message: not redelivered, and without a TTL."""
    headers = delivery.message.properties.headers
    assert headers is not None
    reason = headers.text("x-last-death-reason")
    assert reason is not None
    assert (delivery.redelivered, delivery.message.properties.expiration, delivery.deadline) == (False, None, 0)
    return number_of(delivery), reason
