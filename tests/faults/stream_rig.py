"""A few streams on one disk that fails, and what is known of their records and cursors."""

from __future__ import annotations

import random

from amqpd.broker.arguments import QueueArguments
from amqpd.broker.message import make_message
from amqpd.broker.queues.backlog import Disk
from amqpd.broker.queues.stream.filters import Filter
from amqpd.broker.queues.stream.page import PageCache
from amqpd.broker.queues.stream.stamp import filter_value_of
from amqpd.broker.queues.stream.store import StreamLate, StreamStore
from amqpd.broker.settings import QueueSettings
from amqpd.clock import ManualClock, Timers
from amqpd.log.commit import Commit, Commits
from amqpd.turn import Turn
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from amqpd.wire.table import Table
from tests.log.faults import MemoryFiles

SEGMENT = 500  # octets: a few records
JOURNAL = 60  # octets that a file of cursors has before it is replaced
# What the streams keep. The last one keeps everything.
LIMITS: list[dict[str, object]] = [{"x-max-length-bytes": 1200}, {"x-stream-max-length": 9}, {"x-max-age": "2s"}, {}]
STREAMS = len(LIMITS)
NAMES = ("one", "two")
TAGGED = Properties.of(headers=Table.of({"x-stream-filter-value": "a"}))


def settings_of(limits: dict[str, object]) -> QueueSettings:
    arguments = {**limits, "x-queue-type": "stream", "x-stream-max-segment-size-bytes": SEGMENT}
    return QueueSettings("stream", QueueArguments.of(Table.of(arguments)), {})


class StreamRig:
    """Streams, as they are after a start on these files.

    Attributes:
        first: the first offset of each, when they were opened.
        records: of each stream, by offset: the number of the message and the commit with which it is safe.
        places: of each stream, by cursor: where it may be found after power loss; None is nowhere.
        failures: streams that failed, with the commit that was done by then: what was to come is not confirmed.
    """

    def __init__(self, files: MemoryFiles) -> None:
        self.files = files
        self.clock = ManualClock()
        self.timers = Timers(self.clock)
        self.turn = Turn()
        self.commits = Commits(self.turn, self.timers)
        self.underway: Commit | None = None
        self.commits.execute = self._keep
        self.disk = Disk(files, self.commits, self.clock, True)
        self.disk.journal_size = JOURNAL
        self.disk.tail_octets, self.disk.tail_page_octets = 800, 300
        self.disk.pages = PageCache(2000)
        self.damages: list[str] = []
        self.disk.on_damage = lambda damage: self.damages.append(str(damage))
        self.failures: dict[int, int] = {}
        self._begun: Commit | None = None
        self._snapshots: dict[int, dict[str, int]] = {}
        self.streams = [self._stream(number, limits) for number, limits in enumerate(LIMITS)]
        self.first = [int(stream.first) for stream in self.streams]
        self.records: list[dict[int, tuple[int, int]]] = [{} for _ in LIMITS]
        self.places: list[dict[str, list[int | None]]] = [
            {name: [stream.cursors.all().get(name)] for name in NAMES} for stream in self.streams
        ]

    def _stream(self, number: int, limits: dict[str, object]) -> StreamStore:
        def failed(error: OSError) -> None:
            self.failures[number] = int(self.commits.done)

        store = StreamStore(self.disk, f"queues/{number}", True, settings_of(limits), lambda: None, failed)
        store.recover()
        return store

    def _keep(self, commit: Commit) -> None:
        """A commit begins: its jobs have what cursors say at this moment."""
        self.underway = commit
        if commit is self._begun:
            return  # again: the disk was full
        self._begun = commit
        self._snapshots = {}
        for step in commit.late:
            if isinstance(step.job, StreamLate) and step.job.cursors is not None:
                assert isinstance(step.member, StreamStore)
                self._snapshots[self.streams.index(step.member)] = step.member.cursors.all()

    def append(self, number: int, message: int) -> None:
        store = self.streams[number]
        offset = int(store.next_offset)
        properties = TAGGED if message % 3 == 0 else EMPTY_PROPERTIES
        # No two bodies end alike: else the end of a new record could make an old one whole that was torn there.
        body = b"%d " % message + b"x" * (message % 50) + b" %d" % message
        ticket = store.append(make_message("", "", properties, body), int(self.clock.time() * 1000))
        self.records[number][offset] = (message, int(ticket))

    def move(self, number: int, name: str, offset: int) -> None:
        self.streams[number].cursors.move(name, offset)
        self.streams[number].changed()
        self.places[number][name].append(offset)

    def remove(self, number: int, name: str) -> None:
        if self.streams[number].cursors.remove(name):
            self.streams[number].changed()
            self.places[number][name].append(None)

    def commit(self) -> None:
        """Run the commit that is under way, and those that it was in the way of, once each."""
        self.turn.finish()
        if self.underway is not None:
            commit, self.underway = self.underway, None
            late = [(step.member, step.job) for step in commit.late]
            snapshots = self._snapshots
            commit.run()
            self.commits.finished(commit)
            for member, job in late:
                if isinstance(job, StreamLate) and job.cursors is not None and job.cursors.safe:
                    self._is_safe(self.streams.index(member), snapshots)

    def _is_safe(self, number: int, snapshots: dict[int, dict[str, int]]) -> None:
        """Nothing before what was synced may be found any more."""
        for name, places in self.places[number].items():
            safe = snapshots[number].get(name)
            while places[0] != safe or safe not in places[:1]:
                del places[0]

    @property
    def idle(self) -> bool:
        return self.commits.idle and self.underway is None

    def know_what_is_there(self) -> None:
        """After a start on files that another rig wrote: what is there now must stay."""
        for number in range(STREAMS):
            self.records[number] = {offset: (message, 0) for offset, message in self.content(number)}

    def content(self, number: int) -> list[tuple[int, int]]:
        """Offsets and messages that can be read, in order."""
        store = self.streams[number]
        found: list[tuple[int, int]] = []
        offset = int(store.first)
        while offset < store.end:
            page = store.page_at(offset)
            if page is None:
                break
            offset = max(offset, int(page.first))
            while offset < min(int(page.next), int(store.end)):
                message = page.messages[offset - int(page.first)]
                headers = message.properties.headers
                assert headers is not None
                assert headers.items()[-1][1].value == offset
                found.append((offset, int(message.body.split()[0])))
                offset += 1
        return found

    def check(self, files: MemoryFiles) -> None:
        """Start on what is left, and look for everything that must be there."""
        after = StreamRig(files)
        for number, records in enumerate(self.records):
            store = after.streams[number]
            found = after.content(number)
            for offset, message in found:
                assert offset in records, f"nobody was given offset {offset} of {number}"
                assert records[offset][0] == message, f"offset {offset} of {number} has changed"
            offsets = {offset for offset, _ in found}
            self._check_confirmed(number, store, offsets)
            self._check_filters(store, found)
            for name in NAMES:
                place = store.cursors.all().get(name)
                assert place in self.places[number][name], f"{name} of {number} is at {place}"
                assert place is None or place <= store.next_offset

    def _check_confirmed(self, number: int, store: StreamStore, found: set[int]) -> None:
        first = int(self.streams[number].first)
        done = self.failures.get(number, self.commits.done)
        safe = {offset for offset, (_, ticket) in self.records[number].items() if ticket <= done}
        missing = {offset for offset in safe if offset >= first} - found
        assert not missing, f"lost from {number}: {sorted(missing)}"
        assert store.first <= first or not safe
        if safe:
            assert store.next_offset > max(safe), f"offsets of {number} would be given again"
            # What is kept has no holes, but for those that power loss made in what nobody had been promised.
            assert {offset for offset in safe if offset >= store.first} <= found

    def _check_filters(self, store: StreamStore, found: list[tuple[int, int]]) -> None:
        wanted = Filter(("a",), False)
        tagged = [offset for offset, message in found if message % 3 == 0]
        offset = int(store.first)
        for there in tagged:
            assert store.next_match(offset, wanted) <= there
            page = store.page_at(there)
            assert page is not None
            assert filter_value_of(page.messages[there - int(page.first)].properties) == "a"
            offset = there + 1


def play(rig: StreamRig, rng: random.Random, first: int) -> None:
    """Do something random. Messages get numbers from the first on."""
    number = rng.randrange(STREAMS)
    chance = rng.random()
    if chance < 0.35:
        for message in range(first, first + rng.randint(1, 6)):
            rig.append(number, message)
    elif chance < 0.65:
        store = rig.streams[number]
        name = rng.choice(NAMES)
        if rng.random() < 0.1:
            rig.remove(number, name)
        elif rng.random() < 0.2:
            rig.move(number, name, int(store.next_offset))  # a new one that wants what comes next
        else:
            rig.move(number, name, rng.randint(min(int(store.first), int(store.end)), int(store.end)))
    elif chance < 0.75:
        rig.turn.finish()
    else:
        rig.clock.advance(rng.random())
        rig.timers.run_due()
        rig.commit()
