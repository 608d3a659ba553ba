"""The contract of a queue: every type is put through it, against its own model.

class ClassicMachine(QueueMachine):
    new_model = FifoModel
    def new_queue(self, world): ...

TestClassicMachine = ClassicMachine.TestCase
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amqpd.broker.message import Message
from amqpd.broker.queues.base import Queue
from amqpd.broker.queues.delivery import Delivery
from tests.broker.queues.models import ConsumerModel, Entry, QueueModel
from tests.broker.queues.takers import Taker, message
from tests.builders import World

OUTCOMES = ["acknowledge", "requeue", "reject"]


class Held:
    """An unsettled delivery, in the queue's eyes and in the model's."""

    def __init__(self, delivery: Delivery, entry: Entry, consumer: ConsumerModel | None) -> None:
        self.delivery = delivery
        self.entry = entry
        self.consumer = consumer


class QueueMachine(RuleBasedStateMachine):
    """Everything that can be done to a queue, in any order; turns end where hypothesis wants them to."""

    new_model: ClassVar[Callable[[], QueueModel]]

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.queue = self.new_queue(self.world)
        self.model = type(self).new_model()
        self.consumers: dict[Taker, ConsumerModel] = {}  # cancelled ones too
        self.held: list[Held] = []
        self.published = 0
        self.drain_at_end = True

    def new_queue(self, world: World) -> Queue:
        """An empty queue of the type."""
        raise NotImplementedError

    def new_message(self, number: int) -> Message:
        """The message of this number; its body must be the number in decimal."""
        return message(str(number).encode())

    @property
    def subscribed(self) -> list[Taker]:
        return [taker for taker, consumer in self.consumers.items() if consumer in self.model.ring.priorities]

    @initialize(drain=st.booleans())
    def choose_end(self, drain: bool) -> None:
        self.drain_at_end = drain

    @rule(count=st.integers(1, 5))
    def publish(self, count: int) -> None:
        for _ in range(count):
            assert self.queue.publish(self.new_message(self.published))
            self.model.enqueue(Entry(self.published))
            self.published += 1

    @rule()
    def get(self) -> None:
        redelivered = bool(self.model.ready) and self.model.ready[0].deliveries > 0
        delivery, entry = self.queue.get(), self.model.take()
        assert (delivery is None) == (entry is None)
        if delivery is not None and entry is not None:
            assert delivery.message.body == str(entry.number).encode()
            assert delivery.deliveries == entry.deliveries - 1
            assert delivery.redelivered == redelivered
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
                self.model.give_back(held.entry)
            if held.consumer is not None:
                held.consumer.unsettled -= 1
                self.model.ring.resume(held.consumer)

    @rule()
    def purge(self) -> None:
        assert self.queue.purge() == len(self.model.ready)
        self.model.ready = []

    @rule()
    def end_turn(self) -> None:
        self.world.finish()
        expected = self.model.pump()
        for taker, consumer in self.consumers.items():
            received = [(int(delivery.message.body), delivery.deliveries) for delivery in taker.deliveries]
            assert received == consumer.received
            self._hold(taker, [entry for other, entry in expected if other is consumer])
            taker.deliveries.clear()
            consumer.received.clear()

    @invariant()
    def counts_agree(self) -> None:
        assert self.queue.message_count == len(self.model.ready)
        assert len(self.queue.consumers) == len(self.subscribed)
        assert self.queue.consumers.all() == self.subscribed

    def teardown(self) -> None:
        """Compare what is left, or delete the queue with it; then nothing may come back."""
        self.end_turn()
        while self.drain_at_end and self.model.ready:
            self.get()
        subscribed = self.subscribed
        self.queue.close()
        self.world.finish()
        for place, held in enumerate(self.held):
            self._settle(held, OUTCOMES[place % 3])
        self.world.finish()
        assert (self.queue.message_count, len(self.queue.consumers)) == (0, 0)
        assert [taker for taker in self.consumers if taker.told_of_deletion] == subscribed
        assert all(taker.told_of_deletion <= 1 and not taker.deliveries for taker in self.consumers)

    def _hold(self, taker: Taker, entries: list[Entry]) -> None:
        if not taker.no_ack:
            pairs = zip(taker.deliveries, entries, strict=True)
            self.held += [Held(delivery, entry, self.consumers[taker]) for delivery, entry in pairs]

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
