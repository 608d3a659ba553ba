"""What the processes of a run tell each other: plain values that go through a pipe."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

Entries = list[tuple[int, int]]  # classes of a Histogram, each with its number


@dataclass(frozen=True)
class Begin:
    """To a worker: the run begins.

    Args:
        moment: its monotonic nanosecond, which all processes of a machine have in common.
    """

    moment: int


@dataclass(frozen=True)
class Stop:
    """To a worker: publish nothing more, close, tell, and leave."""


@dataclass(frozen=True)
class Ready:
    """From a worker: its clients can begin."""


@dataclass(frozen=True)
class Failed:
    """From a worker: it cannot go on.

    Args:
        sentence: why.
    """

    sentence: str


class Phase(Enum):
    """Where in the run a sample was taken."""

    WARMUP = "warmup"
    MEASURED = "measured"  # the first one of these is where measuring begins
    DONE = "done"  # where it ended


@dataclass(frozen=True)
class Counts:
    """How many messages, since the run began, of some clients.

    Args:
        waiting: for a confirm.
        late: due, and not sent because the broker takes or confirms no more.
        octets: of delivered bodies.
    """

    published: int = 0
    confirmed: int = 0
    nacked: int = 0
    returned: int = 0
    delivered: int = 0
    octets: int = 0
    waiting: int = 0
    late: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(mine + theirs for mine, theirs in zip(values(self), values(other), strict=True)))

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(mine - theirs for mine, theirs in zip(values(self), values(other), strict=True)))


def values(counts: Counts) -> tuple[int, ...]:
    """The numbers in order."""
    return tuple(vars(counts).values())


@dataclass(frozen=True)
class Sample:
    """From a worker: how it stands.

    Args:
        moment: monotonic nanosecond.
        latencies, confirms: what was counted since the last sample, and the largest of it in nanoseconds.
        blocked: why the broker takes no messages at the moment; empty if it does.
    """

    phase: Phase
    moment: int
    counts: Counts
    latencies: Entries
    largest_latency: int
    confirms: Entries
    largest_confirm: int
    blocked: str = ""
