"""Who has come and is not in yet: sockets that were accepted and whose AMQP handshake is not complete, or which have no
HTTP request under way.

Their number is bounded. When it is reached, the one that has waited longest makes room, if it has had PATIENCE seconds:
a client that is alive needs milliseconds. Until then nobody else is accepted; the kernel keeps those who come.

Rule: what may live here counts arrivals and decides who has to go. It knows no sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from amqpd.clock import Clock

PATIENCE: Final = 1.0
NOT_OPEN: Final = "too many connections are not open yet (handshake_max)"


class Arrival:
    """One that has come and is not in yet.

    Args:
        gate: where it came.
        since: the monotonic second of its coming.
    """

    def __init__(self, gate: Gate, since: float) -> None:
        self._gate = gate
        self.since = since
        self.cut: Callable[[], None] | None = None  # closes whatever it is by now

    def age(self) -> float:
        """Seconds since it came."""
        return self._gate.clock.monotonic() - self.since

    def leave(self) -> None:
        """It is in, or gone. May be called again."""
        self._gate.remove(self)

    def come_back(self) -> None:
        """It was in, and waits again."""
        self.since = self._gate.clock.monotonic()
        self._gate.add(self)


class Gate:
    """All arrivals of a broker.

    Args:
        clock: tells how long they have waited.
        most: how many there may be.
        complaint: what the log says when there are.
    """

    def __init__(self, clock: Clock, most: int, complaint: str = NOT_OPEN) -> None:
        self.clock = clock
        self.complaint = complaint
        self._most = most
        self._arrivals: dict[Arrival, None] = {}  # in the order of their coming
        self.turned_out = 0  # how many had to make room, ever

    def __len__(self) -> int:
        return len(self._arrivals)

    @property
    def full(self) -> bool:
        """Nobody may come before somebody has left."""
        return len(self._arrivals) >= self._most

    def enter(self) -> Arrival:
        """One more has come."""
        arrival = Arrival(self, self.clock.monotonic())
        self.add(arrival)
        return arrival

    def add(self, arrival: Arrival) -> None:
        """It waits, and everybody else has waited longer."""
        self._arrivals.pop(arrival, None)
        self._arrivals[arrival] = None

    def remove(self, arrival: Arrival) -> None:
        """It is in, or gone."""
        self._arrivals.pop(arrival, None)

    def make_room(self) -> float:
        """See to it that one more may come.

        Returns:
            0.0 if there is room; otherwise so many seconds later there will be.
        """
        while self.full:
            oldest = next(iter(self._arrivals))
            left = PATIENCE - oldest.age()
            if left > 0:
                return left
            self._turn_out(oldest)
        return 0.0

    def _turn_out(self, arrival: Arrival) -> None:
        self.remove(arrival)
        self.turned_out += 1
        if arrival.cut is not None:
            arrival.cut()

    def close(self) -> None:
        """Turn everybody out."""
        for arrival in list(self._arrivals):
            self._turn_out(arrival)
