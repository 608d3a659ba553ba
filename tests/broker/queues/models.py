"""Queues and rings as one would write them if time and memory did not matter: what the real ones are compared with."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class RingModel(Generic[T]):
    """Members of equal priority in a line: whoever was served, or is new, goes to its end."""

    def __init__(self) -> None:
        self.priorities: dict[T, int] = {}
        self._lines: dict[int, deque[T]] = {}

    def add(self, member: T, priority: int) -> None:
        self.priorities[member] = priority
        self.resume(member)

    def remove(self, member: T) -> None:
        line = self._line(member)
        if member in line:
            line.remove(member)
        del self.priorities[member]

    def resume(self, member: T) -> None:
        """Wait again; one that waits already keeps its place, one that is no member is ignored."""
        if member in self.priorities and member not in self._line(member):
            self._line(member).append(member)

    def take(self, ready: Callable[[T], bool]) -> T | None:
        """Who is served; those in front of it that are not ready stop waiting."""
        for priority in sorted(self._lines, reverse=True):
            line = self._lines[priority]
            while line:
                member = line.popleft()
                if ready(member):
                    line.append(member)
                    return member
        return None

    def _line(self, member: T) -> deque[T]:
        return self._lines.setdefault(self.priorities[member], deque())


class Entry:
    """A message in a model: its number in the order of publishing, and how often it has been delivered."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.deliveries = 0


class ConsumerModel:
    """A consumer in a model."""

    def __init__(self, credit: int, no_ack: bool) -> None:
        self.credit = credit
        self.no_ack = no_ack
        self.stopped = False
        self.unsettled = 0
        self.received: list[tuple[int, int]] = []  # number, deliveries before

    def ready(self) -> bool:
        return not self.stopped and (self.no_ack or not self.credit or self.unsettled < self.credit)


class QueueModel:
    """What a queue of any type does; where messages go is the type's to say."""

    def __init__(self) -> None:
        self.ready: list[Entry] = []
        self.ring: RingModel[ConsumerModel] = RingModel()

    def enqueue(self, entry: Entry) -> None:
        """A new message."""
        raise NotImplementedError

    def give_back(self, entry: Entry) -> None:
        """A message that was delivered and is requeued."""
        raise NotImplementedError

    def take(self) -> Entry | None:
        """Deliver the head."""
        if not self.ready:
            return None
        entry = self.ready.pop(0)
        entry.deliveries += 1
        return entry

    def pump(self) -> list[tuple[ConsumerModel, Entry]]:
        """Deliver to consumers as long as one is ready; returns the deliveries that must be settled."""
        unsettled = []
        while self.ready and (consumer := self.ring.take(ConsumerModel.ready)) is not None:
            consumer.received.append((self.ready[0].number, self.ready[0].deliveries))
            entry = self.take()
            assert entry is not None
            if not consumer.no_ack:
                consumer.unsettled += 1
                unsettled.append((consumer, entry))
        return unsettled


class FifoModel(QueueModel):
    """A classic queue: a requeued message returns to where it was."""

    def enqueue(self, entry: Entry) -> None:
        self.ready.append(entry)

    def give_back(self, entry: Entry) -> None:
        self.ready = sorted([*self.ready, entry], key=lambda other: other.number)
