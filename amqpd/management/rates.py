"""Rates: counters sampled every five seconds, and what RabbitMQ's ``_details`` say of them.

Sampling is one timer of the broker's, whose work is done in slices: however many objects there are, traffic waits for
none of it longer than a slice. An object with which nothing happens costs one comparison a sample, and no memory.

Rule: what may live here knows when to sample and how to answer; where objects and their counters are is subjects.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from amqpd.clock import Clock, Timers
from amqpd.management.series import TICK_SECONDS, Level, Series
from amqpd.management.subjects import BASIC, Kind, Subject

# All objects together have at most so many rows, but each of them FEWEST: a million take 44 to 73 MB.
MOST_ROWS: Final = 1_000_000
FEWEST: Final = 13
SLICE_SECONDS: Final = 0.001
PAUSE_SECONDS: Final = 0.004  # between two slices
LOOK_EVERY: Final = 64  # objects between two looks at the clock


class Asked(Protocol):
    """Which samples somebody wants: ranges.Range."""

    @property
    def age(self) -> int:
        """So many seconds back."""

    @property
    def incr(self) -> int:
        """So many seconds apart."""


Part: TypeAlias = tuple[Subject, Mapping[str, int]]


def ticks_of(asked: Asked, last: int) -> list[int]:
    """The ticks of the samples, newest first."""
    apart = max(asked.incr // TICK_SECONDS, 1)
    return [last - apart * place for place in range(asked.age // (apart * TICK_SECONDS) + 1)]


class History:
    """The series of one object, one for each level."""

    __slots__ = ("seen", "series")

    def __init__(self, levels: tuple[Level, ...], tick: int, counts: Mapping[str, int]) -> None:
        self.series = [Series(level, tick, counts) for level in levels]
        self.seen = tick

    def add(self, tick: int, counts: Mapping[str, int], most: int) -> None:
        """Note what the counters are now."""
        for series in self.series:
            if tick % series.level.step == 0:
                series.add(tick, counts)
                series.forget(tick, most if series.level.step == 1 else series.level.most + 1)
        self.seen = tick

    def idle(self, tick: int) -> bool:
        """There is nothing to remember."""
        return all(series.idle(tick) for series in self.series)

    def best(self, seconds: int) -> Series:
        """The finest series that reaches so far back, or the one that reaches farthest."""
        return next((series for series in self.series if series.level.seconds >= seconds), self.series[-1])


class Rates:
    """The sampler.

    Args:
        clock: the broker's.
        timers: the broker's.
        kinds: what is sampled.
    """

    def __init__(self, clock: Clock, timers: Timers, kinds: tuple[Kind, ...]) -> None:
        self._clock = clock
        self._timers = timers
        self._kinds = kinds
        self._histories: dict[Subject, History] = {}
        self._begun = clock.monotonic()
        self._first = int(clock.time()) // TICK_SECONDS * TICK_SECONDS  # second since the epoch of tick 0
        self._tick = 0  # the last one that is complete
        self._work: Iterator[None] | None = None
        self._sampling = 0
        self.running = False

    def start(self) -> None:
        """Sample from now on."""
        if self.running:
            return
        self.running = True
        moment = int(self._clock.time() * 1000)
        for kind in self._kinds:
            for subject in kind.subjects():  # what a restart has brought back did not come just now
                subject.sampled = subject.activity()
                subject.active_at = moment
        self._begin()

    def details(self, subject: Subject, counts: Mapping[str, int], asked: Asked | None = None) -> dict[str, object]:
        """The counts of one subject, each with its ``_details``; see sums()."""
        if asked is not None:
            return self.sums([(subject, counts)], asked)
        history = self._histories.get(subject)  # rows are made of this: once for all of its counters
        found: dict[str, object] = {}
        for name, count in counts.items():
            change = 0 if history is None else history.series[0].change(name, self._tick)
            found[name] = count
            found[f"{name}_details"] = {"rate": change / TICK_SECONDS}
        return found

    def sums(self, parts: Sequence[Part], asked: Asked | None = None) -> dict[str, object]:
        """The counts of several subjects together, each with its ``_details``.

        Args:
            parts: what was sampled, with what its counters are at this moment: a queue, a channel, a connection, the
                traffic of an exchange, the totals of a virtual host, the counters of the broker. At least one.
            asked: adds samples, newest first, and their averages.
        """
        found: dict[str, object] = {}
        for name in parts[0][1]:
            found[name] = sum(counts[name] for _, counts in parts)
            found[f"{name}_details"] = self._of(parts, name, asked)
        return found

    def rate(self, subject: Subject, name: str) -> float:
        """By how much a counter grew in a second before the last sample; 0 for one that there is not."""
        return self._change((subject,), name) / TICK_SECONDS

    def idle_since(self, subject: Subject) -> int | None:
        """The milliseconds since the epoch at which something last happened; None while things happen.

        A sampler notices that five seconds late at most.
        """
        active = int(subject.activity()) != int(subject.sampled)
        return None if active or not subject.active_at else int(subject.active_at)

    def _of(self, parts: Sequence[Part], name: str, asked: Asked | None) -> dict[str, object]:
        details: dict[str, object] = {"rate": self._change([subject for subject, _ in parts], name) / TICK_SECONDS}
        if asked is not None:
            ticks = ticks_of(asked, self._tick)
            values = self._values(parts, name, asked.age, ticks)
            details["samples"] = [
                {"sample": sample, "timestamp": (self._first + tick * TICK_SECONDS) * 1000}
                for sample, tick in zip(values, ticks, strict=True)
            ]
            seconds = (ticks[0] - ticks[-1]) * TICK_SECONDS
            details["avg_rate"] = (values[0] - values[-1]) / seconds if seconds else 0.0
            details["avg"] = sum(values) / len(values)
        return details

    def _change(self, subjects: Iterable[Subject], name: str) -> int:
        """By how much a counter of all subjects together grew before the last sample."""
        change = 0
        for subject in subjects:
            history = self._histories.get(subject)
            if history is not None:
                change += history.series[0].change(name, self._tick)
        return change

    def _values(self, parts: Sequence[Part], name: str, age: int, ticks: Sequence[int]) -> list[int]:
        """What a counter of all parts together was. One without a history has long been what it is."""
        found = [0] * len(ticks)
        for subject, counts in parts:
            history = self._histories.get(subject)
            values = [counts[name]] * len(ticks) if history is None else history.best(age).values(name, ticks)
            found = [total + value for total, value in zip(found, values, strict=True)]
        return found

    # Sampling.

    def _begin(self) -> None:
        """It is time for a sample."""
        now = self._clock.monotonic()
        self._sampling = int((now - self._begun) / TICK_SECONDS + 0.001)
        self._work = self._sample(self._sampling)
        self._go_on()

    def _go_on(self) -> None:
        """Do a slice of it."""
        until = self._clock.monotonic() + SLICE_SECONDS
        assert self._work is not None  # it has begun
        for _ in self._work:
            if self._clock.monotonic() >= until:
                self._timers.call_later(PAUSE_SECONDS, self._go_on)
                return
        self._tick = self._sampling
        left = self._begun + (self._tick + 1) * TICK_SECONDS - self._clock.monotonic()
        self._timers.call_later(max(left, 0.0), self._begin)

    def _sample(self, tick: int) -> Iterator[None]:
        """Look at every object; yields now and then."""
        most = max(min(BASIC[0].most + 1, MOST_ROWS // max(len(self._histories), 1)), FEWEST)
        moment = int(self._clock.time() * 1000)
        steps = 0
        for kind in self._kinds:
            for subject in kind.subjects():
                self._look(kind, subject, tick, most, moment)
                steps += 1
                if steps % LOOK_EVERY == 0:
                    yield
        for step, (subject, history) in enumerate(list(self._histories.items())):
            if history.seen != tick:  # it is gone
                self._histories.pop(subject, None)
            if step % LOOK_EVERY == 0:
                yield

    def _look(self, kind: Kind, subject: Subject, tick: int, most: int, moment: int) -> None:
        activity = subject.activity()
        history = self._histories.get(subject)
        if activity != subject.sampled:
            counts = kind.counts(subject)
            # A new object began with nothing; what one had before that has long been idle nobody has kept.
            before = counts if subject.sampled else dict.fromkeys(counts, 0)
            subject.sampled = activity
            subject.active_at = moment
            if history is None:
                history = self._histories[subject] = History(kind.levels, tick - 1, before)
        if history is None:
            return
        history.add(tick, kind.counts(subject), most)
        if history.idle(tick):
            del self._histories[subject]
