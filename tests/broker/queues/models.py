"""Queues and rings as one would write them if time and memory did not matter: what the real ones are compared with."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
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
    """A message in a model.

    Args:
        number: in the order of publishing.
        ttl: what its expiration property says, in milliseconds.
    """

    def __init__(
        self, number: int, octets: int = 1, priority: int = 0, ttl: int | None = None, persistent: bool = False
    ) -> None:
        self.number = number
        self.octets = octets
        self.priority = priority
        self.ttl = ttl
        self.persistent = persistent
        self.deadline: int | None = None
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


class SingleActiveModel(RingModel[ConsumerModel]):
    """One member gets everything; by priority, one of a higher priority waits only for what is unsettled."""

    def __init__(self, by_priority: bool) -> None:
        super().__init__()
        self._by_priority = by_priority
        self.active: ConsumerModel | None = None

    def add(self, member: ConsumerModel, priority: int) -> None:
        self.priorities[member] = priority if self._by_priority else 0
        self.active = self.active or member

    def remove(self, member: ConsumerModel) -> None:
        del self.priorities[member]
        if self.active is member:
            self.active = self._first()

    def resume(self, member: ConsumerModel) -> None:
        pass

    def take(self, ready: Callable[[ConsumerModel], bool]) -> ConsumerModel | None:
        first = self._first()
        if first is None or self.active is None:
            return None
        if self.priorities[first] > self.priorities[self.active]:
            if self.active.unsettled:
                return None
            self.active = first
        return self.active if ready(self.active) else None

    def _first(self) -> ConsumerModel | None:
        """The oldest of those with the highest priority."""
        return max(self.priorities, key=lambda member: self.priorities[member], default=None)


class Rules:
    """What a queue's arguments and a policy come to. Names are those of make_queue()'s arguments."""

    def __init__(self, arguments: Mapping[str, object], policy: Mapping[str, object]) -> None:
        self.quorum = arguments.get("queue_type") == "quorum"
        self.ttl = least(arguments.get("message_ttl"), policy.get("message_ttl"))
        self.max_length = least(arguments.get("max_length"), policy.get("max_length"))
        self.max_octets = least(arguments.get("max_length_bytes"), policy.get("max_length_bytes"))
        self.limited = self.max_length is not None or self.max_octets is not None
        overflow = arguments.get("overflow", "drop-head")
        self.buries = overflow == "reject-publish-dlx" and not self.quorum
        self.rejects = self.limited and (self.buries or overflow == "reject-publish")
        self.drops = self.limited and not self.rejects
        self.dead_letters = "dead_letter_exchange" in arguments
        self.at_least_once = (
            self.dead_letters
            and overflow == "reject-publish"
            and arguments.get("dead_letter_strategy") == "at-least-once"
        )
        self.max_priority = least(arguments.get("max_priority"), None) or 0
        self.delivery_limit = least(arguments.get("delivery_limit"), 20 if self.quorum else None)

    def exceeded(self, messages: int, octets: int) -> bool:
        return (self.max_length is not None and messages > self.max_length) or (
            self.max_octets is not None and octets > self.max_octets
        )

    def eased(self, messages: int, octets: int) -> bool:
        return (self.max_length is None or messages <= self.max_length * 8 // 10) and (
            self.max_octets is None or octets <= self.max_octets * 8 // 10
        )


def least(one: object, other: object) -> int | None:
    """The smaller number, if there is any."""
    return min((number for number in (one, other) if isinstance(number, int)), default=None)


class QueueModel:
    """What a queue of any type does; in which order messages leave is the type's to say.

    ``deliveries`` are those that must be settled, ``dead`` what died and why; whoever compares them clears them.
    """

    def __init__(self, rules: Rules, ring: RingModel[ConsumerModel]) -> None:
        self.rules = rules
        self.ring = ring
        self.now = 0  # milliseconds
        self.deliveries: list[tuple[ConsumerModel, Entry]] = []
        self.dead: list[tuple[int, str]] = []

    # What a type says.

    @property
    def ready(self) -> list[Entry]:
        """All ready messages; the first is the head."""
        raise NotImplementedError

    def remove(self, entry: Entry) -> None:
        raise NotImplementedError

    def clear(self) -> None:
        raise NotImplementedError

    def publish(self, entry: Entry) -> bool:
        """A new message. False when it is refused."""
        raise NotImplementedError

    def requeue(self, entry: Entry) -> None:
        """A message that was delivered comes back."""
        raise NotImplementedError

    def restart(self, unsettled: list[Entry]) -> None:
        """The broker has restarted, while these were with consumers."""
        raise NotImplementedError

    # What all do.

    def get(self) -> Entry | None:
        self.expire()
        return self.take()

    def take(self) -> Entry | None:
        """Deliver the head."""
        if not self.ready:
            return None
        entry = self.ready[0]
        self.remove(entry)
        entry.deliveries += 1
        return entry

    def reject(self, entry: Entry) -> None:
        self.die(entry, "rejected")

    def purge(self) -> int:
        count = len(self.ready)
        self.clear()
        return count

    def end_turn(self) -> None:
        """Deliver and drop until there is nothing left to do."""
        before = -1
        while before != len(self.ready):
            before = len(self.ready)
            self.expire()
            self.deliver()
            self.drop_excess()

    def deliver(self) -> None:
        """Deliver to consumers as long as one is ready."""
        while self.ready and (consumer := self.ring.take(ConsumerModel.ready)) is not None:
            consumer.received.append((self.ready[0].number, self.ready[0].deliveries))
            entry = self.take()
            assert entry is not None
            if not consumer.no_ack:
                consumer.unsettled += 1
                self.deliveries.append((consumer, entry))
            self.expire()

    def expire(self) -> None:
        """Heads die whose time is over."""
        while self.ready and self.ready[0].deadline is not None and self.ready[0].deadline <= self.now:
            self.die_at_head("expired")

    def drop_excess(self) -> None:
        while self.rules.drops and self.rules.exceeded(len(self.ready), octets(self.ready)):
            self.die_at_head("maxlen")

    def die_at_head(self, reason: str) -> None:
        entry = self.ready[0]
        self.remove(entry)
        self.die(entry, reason)

    def die(self, entry: Entry, reason: str) -> None:
        if self.rules.dead_letters:
            self.dead.append((entry.number, reason))

    def set_deadline(self, entry: Entry) -> None:
        ttl = least(self.rules.ttl, entry.ttl)
        entry.deadline = None if ttl is None else self.now + ttl

    def is_plain(self, entry: Entry) -> bool:
        """Neither a limit nor a TTL concerns the message: it need not be judged before the end of the turn."""
        return self.rules.ttl is None and entry.ttl is None and not self.rules.limited


class ClassicModel(QueueModel):
    """A classic queue, with priorities or without: a requeued message returns to where it was."""

    def __init__(self, rules: Rules, ring: RingModel[ConsumerModel]) -> None:
        super().__init__(rules, ring)
        self._ready: list[Entry] = []
        self._overfull = False  # something came back under a limit

    @property
    def ready(self) -> list[Entry]:
        return self._ready

    def remove(self, entry: Entry) -> None:
        self._ready.remove(entry)

    def clear(self) -> None:
        self._ready = []

    def publish(self, entry: Entry) -> bool:
        if self.is_plain(entry):
            self._insert(entry)
            return True
        self._drop_requeued()
        self.expire()
        self.deliver()
        if self.rules.rejects and self.rules.exceeded(len(self.ready) + 1, octets(self.ready) + entry.octets):
            if self.rules.buries:
                self.die(entry, "maxlen")
            return False
        self.set_deadline(entry)
        self._insert(entry)
        self.deliver()
        self.drop_excess()
        self.expire()
        return True

    def get(self) -> Entry | None:
        self._drop_requeued()
        entry = super().get()
        self.expire()  # what stood behind it
        return entry

    def requeue(self, entry: Entry) -> None:
        self._insert(entry)
        self._overfull = self.rules.drops

    def end_turn(self) -> None:
        self._drop_requeued()
        super().end_turn()

    def restart(self, unsettled: list[Entry]) -> None:
        there = sorted(self._ready + unsettled, key=self._place)
        self._ready = [entry for entry in there if entry.persistent]
        self._overfull = False

    def _drop_requeued(self) -> None:
        """All that came back counts before anybody can take it."""
        if self._overfull:
            self._overfull = False
            self.drop_excess()

    def _insert(self, entry: Entry) -> None:
        self._ready = sorted([*self._ready, entry], key=self._place)

    def _place(self, entry: Entry) -> tuple[int, int]:
        return -min(entry.priority, self.rules.max_priority), entry.number


class QuorumModel(QueueModel):
    """A quorum queue: what was returned first, then two high ones for a normal one. Deliveries are limited."""

    def __init__(self, rules: Rules, ring: RingModel[ConsumerModel]) -> None:
        super().__init__(rules, ring)
        self.refusing = False
        self._returned: list[Entry] = []
        self._fresh: list[Entry] = []
        self._high_in_a_row = 0
        self._shelf: list[Entry] = []  # died in this turn, and still count

    @property
    def ready(self) -> list[Entry]:
        high = [entry for entry in self._fresh if entry.priority > 4]
        normal = [entry for entry in self._fresh if entry.priority <= 4]
        high_first = high and (self._high_in_a_row < 2 or not normal)
        return [*self._returned, *(high + normal if high_first else normal + high)]

    def remove(self, entry: Entry) -> None:
        if entry in self._returned:
            self._returned.remove(entry)
        else:
            self._fresh.remove(entry)
            self._high_in_a_row = self._high_in_a_row + 1 if entry.priority > 4 else 0

    def clear(self) -> None:
        self._returned, self._fresh = [], []

    def publish(self, entry: Entry) -> bool:
        if not self.is_plain(entry):
            self.expire()
            self.deliver()
            self.judge()
            if self.refusing:
                return False
        self.set_deadline(entry)
        self._fresh.append(entry)
        if not self.is_plain(entry):
            self.deliver()
            self.drop_excess()
            self.judge()
        return True

    def get(self) -> Entry | None:
        self.judge()
        entry = super().get()
        self.judge()
        return entry

    def judge(self) -> None:
        """Too much is there, or no longer too much."""
        if not self.rules.rejects or self.rules.eased(*self._load()):
            self.refusing = False
        if self.rules.rejects and self.rules.exceeded(*self._load()):
            self.refusing = True

    def requeue(self, entry: Entry) -> None:
        if self.rules.delivery_limit is not None and entry.deliveries > self.rules.delivery_limit:
            self.die(entry, "delivery_limit")
        else:
            self._returned.append(entry)

    def restart(self, unsettled: list[Entry]) -> None:
        self._fresh = sorted(self._fresh + self._returned + unsettled, key=lambda entry: entry.number)
        self._returned = []
        self._high_in_a_row = 0
        self.refusing = False

    def die(self, entry: Entry, reason: str) -> None:
        super().die(entry, reason)
        if self.rules.at_least_once:
            self._shelf.append(entry)

    def end_turn(self) -> None:
        super().end_turn()
        self.judge()
        self._shelf = []
        self.judge()

    def _load(self) -> tuple[int, int]:
        there = self.ready + self._shelf
        return len(there), octets(there)


def octets(entries: list[Entry]) -> int:
    return sum(entry.octets for entry in entries)
