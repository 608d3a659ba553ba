"""What the clients know: what they published, what was confirmed and acknowledged, and what follows from that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

MOST_FAULTS: Final = 20
PUBLISHER_BITS: Final = 4
PRIORITIES: Final = 4  # of the priority queue, and their number
LARGE: Final = 40_000
DEAD: Final = "durability.dead"
QUEUES: Final[dict[str, dict[str, object]]] = {
    "durability.classic": {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": DEAD},
    "durability.quorum": {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000},
    "durability.priority": {"x-max-priority": PRIORITIES - 1},
    "durability.ttl": {"x-message-ttl": 3_600_000},
}
ALL_QUEUES: Final[dict[str, dict[str, object]]] = {**QUEUES, DEAD: {}}


class Letter(NamedTuple):
    """A message as it was published.

    Args:
        number: of all messages of its publisher, ascending, with the publisher in its lowest bits.
    """

    number: int
    queue: str
    priority: int

    @property
    def publisher(self) -> int:
        """Who published it."""
        return self.number & ((1 << PUBLISHER_BITS) - 1)

    @property
    def body(self) -> bytes:
        """Says what it is; how long it is depends on its number."""
        serial = self.number >> PUBLISHER_BITS
        size = LARGE if serial % 97 == 0 else serial % 400
        return f"{self.number} {self.queue} {self.priority} ".encode() + b"%d" % (serial % 10) * size


def letter_in(body: bytes) -> Letter:
    """The letter of which this is the body.

    Raises:
        ValueError: there is none.
    """
    number, queue, priority, _ = body.split(b" ", 3)
    letter = Letter(int(number), queue.decode(), int(priority))
    if letter.body != body:
        raise ValueError("changed")
    return letter


class Ledger:
    """All numbers of a run.

    Attributes:
        safe: acknowledged, and something that was published later on the same channel was confirmed.
        moved: rejected, so they may be in two queues.
        duplicates: deliveries of what had been acknowledged.
    """

    def __init__(self) -> None:
        self.published: dict[int, str] = {}
        self.confirmed: set[int] = set()
        self.acknowledged: set[int] = set()
        self.safe: set[int] = set()
        self.moved: set[int] = set()
        self.duplicates = 0
        self.redelivered = 0
        self.faults: list[str] = []
        self._serials: dict[int, int] = {}
        self._session = 0
        self._seen: dict[str, set[int]] = {}  # of this session, by queue
        self._highest: dict[tuple[str, int, int], int] = {}  # the same, by queue, publisher and priority
        self._backlogs = dict.fromkeys(ALL_QUEUES, 0)

    def new_session(self) -> None:
        """The broker runs again."""
        self._session += 1
        self._seen = {queue: set() for queue in ALL_QUEUES}
        self._highest = {}

    def write(self, publisher: int, queue: str, priority: int) -> Letter:
        """A letter that is published now."""
        serial = self._serials.get(publisher, 0)
        self._serials[publisher] = serial + 1
        letter = Letter(serial << PUBLISHER_BITS | publisher, queue, priority)
        self.published[letter.number] = queue
        self._backlogs[queue] += 1
        return letter

    def backlog(self, queue: str) -> int:
        """About how many messages are in a queue."""
        return self._backlogs[queue]

    def confirm(self, numbers: Iterable[int]) -> None:
        """They are the broker's."""
        self.confirmed.update(numbers)

    def acknowledge(self, numbers: Iterable[int]) -> None:
        """They are gone, unless the acknowledgement is lost."""
        for number in numbers:
            if number not in self.acknowledged:
                self.acknowledged.add(number)
                self._backlogs[self.published[number]] -= 1

    def deliver(self, queue: str, body: bytes, redelivered: bool) -> int:
        """A message has come; returns its number, -1 if it is none of ours."""
        try:
            letter = letter_in(body)
        except ValueError:
            self._fault(f"{queue}: a message that nobody published: {body[:60]!r}")
            return -1
        number = letter.number
        home = self.published.get(number)
        if home != letter.queue or (queue != home and not (queue == DEAD and number in self.moved)):
            self._fault(f"{queue}: {number} was never published there")
            return -1
        self.redelivered += redelivered
        self.duplicates += number in self.acknowledged
        if number in self.safe and number not in self.moved:
            self._fault(f"{queue}: {number} came back though its acknowledgement had been committed")
        self._check_order(queue, letter, redelivered)
        return number

    def lost(self) -> list[int]:
        """Confirmed and never acknowledged. After everything was drained there must be none."""
        return sorted(self.confirmed - self.acknowledged)

    def _check_order(self, queue: str, letter: Letter, redelivered: bool) -> None:
        """In one life of the broker, messages come for the first time in the order in which they were published."""
        number = letter.number
        seen = self._seen[queue]
        if number in seen:
            if not redelivered:
                self._fault(f"{queue}: {number} came twice, and was not flagged as redelivered")
            return
        seen.add(number)
        line = (queue, letter.publisher, letter.priority)
        if queue != DEAD and number < self._highest.get(line, -1):
            self._fault(f"{queue}: {number} came after {self._highest[line]}")
        self._highest[line] = number

    def _fault(self, text: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(f"session {self._session}: {text}")
