"""A few lanes on one disk that fails, and what is known of the messages in them."""

from __future__ import annotations

import random

from amqpd.broker.message import make_message
from amqpd.broker.queues.disk import Disk
from amqpd.broker.queues.lane import Lane
from amqpd.broker.queues.room import PERSISTENT, Room
from amqpd.clock import ManualClock, Timers
from amqpd.log.commit import Commit, Commits, Receipt
from amqpd.turn import Turn
from amqpd.wire.properties import Properties
from tests.log.faults import MemoryFiles

LANES = 3
IN_MEMORY = 6  # messages of a lane: few, so that most are read back


class Rig:
    """Lanes, as they are after a start on these files.

    Args:
        patience: of its commits.

    Attributes:
        places: by message, the lanes it was put into.
        tickets: by message, the commit with which it is safe.
        settled: messages that may be gone.
        alive: by message, the lanes in which somebody may still want it.
        spared: messages that were settled everywhere before they were safe, so that nobody had to wait for the disk.
        failures: lanes that failed.
    """

    def __init__(self, files: MemoryFiles, patience: float = 0.0) -> None:
        self.files = files
        self.clock = ManualClock()
        self.timers = Timers(self.clock)
        self.turn = Turn()
        self.commits = Commits(self.turn, self.timers)
        self.commits.patience = patience
        self.underway: Commit | None = None
        self.commits.execute = self._keep
        self.disk = Disk(files, self.commits, self.clock, True)
        self.damages: list[str] = []
        self.disk.on_damage = lambda damage: self.damages.append(str(damage))
        self.failures: list[int] = []
        self.lanes = [self._lane(number) for number in range(LANES)]
        self.places: dict[int, set[int]] = {}
        self.tickets: dict[int, int] = {}
        self.settled: set[int] = set()
        self.alive: dict[int, set[int]] = {}
        self.spared: set[int] = set()
        self.orders: list[list[int]] = [[] for _ in range(LANES)]
        self.out: list[tuple[int, int, int]] = []  # lane, position and message

    def _lane(self, number: int) -> Lane:
        room = Room(
            self.disk, f"queues/{number}", PERSISTENT, lambda name, _: self.failures.append(int(name)), str(number)
        )
        room.messages = IN_MEMORY
        lane = Lane(room)
        lane.recover()
        return lane

    def _keep(self, commit: Commit) -> None:
        self.underway = commit

    def publish(self, numbers: list[int], message: int) -> None:
        """Put a message into some lanes; its publisher waits for all of them."""
        receipt = Told(self, message)
        self.commits.receipt = receipt
        for number in numbers:
            self.append(number, message)
        self.commits.receipt = None
        receipt.outstanding = len(numbers)

    def append(self, number: int, message: int) -> None:
        ticket = self.lanes[number].append(
            make_message("", "", Properties.of(delivery_mode=2), b"%d " % message + b"x" * (message % 50)), 0
        )
        self.tickets.setdefault(message, int(ticket))
        self.places.setdefault(message, set()).add(number)
        self.alive.setdefault(message, set()).add(number)
        self.orders[number].append(message)

    def take(self, number: int) -> int | None:
        lane = self.lanes[number]
        taken = lane.take()
        if taken is None:
            return None
        message = int(taken.body.split()[0])
        self.out.append((number, int(lane.position), message))
        return message

    def settle(self, place: int) -> None:
        number, position, message = self.out.pop(place)
        self.alive[message].discard(number)
        self.lanes[number].settle(position)
        self.settled.add(message)

    def move(self, place: int, target: int) -> None:
        """As a dead letter goes: into the other lane first, in the same turn."""
        number, position, message = self.out.pop(place)
        self.alive[message].discard(number)
        self.append(target, message)
        self.commits.moving = True
        self.lanes[number].settle(position)
        self.commits.moving = False

    def commit(self) -> None:
        """Run the commit that is under way, and those that it was in the way of, once each."""
        self.turn.finish()
        if self.underway is not None:
            commit, self.underway = self.underway, None
            commit.run()
            self.commits.finished(commit)

    @property
    def idle(self) -> bool:
        return self.commits.idle and self.underway is None

    def safe(self) -> set[int]:
        """Messages that must survive whatever comes."""
        done = self.commits.done
        return {message for message, ticket in self.tickets.items() if ticket <= done} - self.settled

    def know_what_is_there(self) -> None:
        """After a start on files that another rig wrote: what is there now must stay."""
        probe = Rig(self.files)  # it commits nothing
        for number in range(LANES):
            while (message := probe.take(number)) is not None:
                self.orders[number].append(message)
                self.places.setdefault(message, set()).add(number)
                self.alive.setdefault(message, set()).add(number)
                self.tickets[message] = 0

    def check(self, files: MemoryFiles, excused: frozenset[int] = frozenset()) -> None:
        """Start on what is left, and look for everything that must be there.

        Args:
            excused: lanes that may have lost something.
        """
        after = Rig(files)
        found: set[int] = set()
        for number, order in enumerate(self.orders):
            expected = iter(order)
            while (message := after.take(number)) is not None:
                assert message in expected, f"{message} is not where it was in lane {number}"  # consumes what is before
                found.add(message)
        missing = {message for message in self.safe() - found if not self.places[message] & excused}
        assert not missing, f"lost: {sorted(missing)}"


class Told(Receipt):
    """A publisher that is told of one message: never while somebody may want it and it is not safe."""

    def __init__(self, rig: Rig, message: int) -> None:
        super().__init__()
        self._rig = rig
        self._message = message

    def complete(self) -> None:
        assert not self._rig.alive[self._message], f"{self._message} was confirmed, and is neither safe nor settled"
        self._rig.spared.add(self._message)


def play(rig: Rig, rng: random.Random, first: int) -> None:
    """Do something random. Messages get numbers from the first on."""
    lane = rng.randrange(LANES)
    chance = rng.random()
    if chance < 0.4:
        for message in range(first, first + rng.randint(1, 4)):
            rig.publish(rng.choice(([lane], [lane], list(range(LANES)))), message)
    elif chance < 0.6:
        for _ in range(rng.randint(1, 6)):
            rig.take(lane)
    elif chance < 0.7 and rig.out:
        for _ in range(min(rng.randint(1, 3), len(rig.out))):
            rig.settle(rng.randrange(len(rig.out)))
    elif chance < 0.8 and rig.out:
        rig.move(rng.randrange(len(rig.out)), lane)
    elif chance < 0.9:
        rig.turn.finish()
    else:
        rig.clock.advance(rng.random())
        rig.timers.run_due()
        rig.commit()
