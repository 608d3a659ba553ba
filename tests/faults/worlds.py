"""A whole broker that loses power, and what is known of it: queues, bindings, and every message in them.

watch = Watch(random.Random(1))
life = Life(CrashStore(folder, watch), Known())     # its files let the watch look before each call to the disk
life.set_up()                                       # declare everything
life.step()                                         # something random
life = life.end(other_folder)                       # power loss or death, and another start
"""

from __future__ import annotations

import random
import sqlite3
from hashlib import sha256
from pathlib import Path
from typing import Self

from pamqp import base, commands

from amqpd.broker.broker import Broker
from amqpd.broker.context import Context
from amqpd.broker.queues.disk import Disk
from amqpd.broker.recovery import Recovery
from amqpd.broker.storage import Storage
from amqpd.catalog.catalog import Catalog, CatalogWrite
from amqpd.catalog.rows import Topology
from amqpd.clock import ManualClock, Timers
from amqpd.log.commit import PATIENCE_SECONDS, RETRY_SECONDS, Commits
from amqpd.log.files import Files
from amqpd.turn import Turn
from amqpd.wire.properties import Properties
from tests.builders import Content, World
from tests.log.faults import MemoryFiles, MemoryFolder
from tests.stores import KeptProgress, Store

EXCHANGE = "fan"
DEAD = "dead"
DYING = "dying"
QUEUES: dict[str, dict[str, object]] = {
    "classic": {},
    DYING: {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": DEAD},
    "quorum": {"x-queue-type": "quorum", "x-delivery-limit": 1000},
    "priority": {"x-max-priority": 3},
    "ttl": {"x-message-ttl": 3_600_000},
    DEAD: {},
}
BOUND = ("classic", "quorum", "priority")  # from the beginning
IN_MEMORY = 5  # messages of a queue: few, so that most are read back
PAGE = 300  # octets
SEGMENT = 1000  # octets: a few messages
JOURNAL = 100  # octets that a journal has before it is replaced
CATALOG = ("catalog.db", "catalog.db-wal")
TOPOLOGY, PUBLISHES, GETS = 1, 2, 3  # channels


class PowerLost(Exception):
    """Raised in the middle of a commit."""


class Home:
    """One life of a queue, from its declaration to its deletion.

    Attributes:
        sure: the declaration was answered.
        leaving: its deletion was asked for.
        left: and answered.
        bound: to the exchange. None: that was asked for, one way or the other, and not answered.
        order: the messages that were put into it, with their levels; levels do not overtake each other's messages.
        seen: messages that may be flagged as redelivered.
        passing: messages that must not survive.
    """

    def __init__(self, name: str, folder: str) -> None:
        self.name = name
        self.folder = folder
        self.sure = False
        self.leaving = False
        self.left = False
        self.bound: bool | None = False
        self.order: list[tuple[int, int]] = []
        self.seen: set[int] = set()
        self.passing: set[int] = set()

    @property
    def must_be(self) -> bool:
        """Whoever starts has to find it."""
        return self.sure and not self.leaving

    def put(self, message: int, priority: int, persistent: bool) -> None:
        self.order.append((message, level_of(self.name, priority)))
        if not persistent and self.name != "quorum":
            self.passing.add(message)

    def check(self, found: list[tuple[int, int, bool]]) -> None:
        """What was found in it, in this order: messages, their priorities, whether they are flagged as redelivered."""
        lines: dict[int, list[int]] = {}
        for message, level in self.order:
            lines.setdefault(level, []).append(message)
        rests = {level: iter(line) for level, line in lines.items()}
        for message, priority, redelivered in found:
            level = level_of(self.name, priority)
            # "in" consumes what is before it
            assert message in rests.get(level, iter(())), f"{message} is not where it was in {self.name}: {found}"
            assert message not in self.passing, f"{message} in {self.name} was transient"
            assert not redelivered or message in self.seen, f"{message} in {self.name} was never delivered"
        if self.name == "priority":
            levels = [level_of(self.name, priority) for _, priority, _ in found]
            assert levels == sorted(levels, reverse=True)


class Known:
    """What must be there, whatever happens.

    Attributes:
        homes: by folder.
        current: by name.
        needs: by message, groups of queues; in one of each group it has to be.
        confirmed: messages that count; the others may be there.
        last: the number of the last message.
    """

    def __init__(self) -> None:
        self.homes: dict[str, Home] = {}
        self.current: dict[str, Home] = {}
        self.needs: dict[int, list[set[Home]]] = {}
        self.confirmed: set[int] = set()
        self.last = 0

    def release(self, message: int, home: Home) -> None:
        """It may be gone from there."""
        groups = self.needs.get(message, [])
        self.needs[message] = [group for group in groups if home not in group]

    def release_all(self, home: Home) -> None:
        for message, _ in home.order:
            self.release(message, home)

    def move(self, message: int, home: Home, target: Home) -> None:
        """Until that is committed it is in one place or the other, or in both."""
        target.put(message, 0, message not in home.passing)
        for group in self.needs.get(message, []):
            if home in group:
                group.add(target)

    def forgive_moves(self, target: Home) -> None:
        """The disk failed for a queue: dead letters on their way there are lost, for nobody confirms them."""
        for message, groups in self.needs.items():
            self.needs[message] = [group for group in groups if target not in group or len(group) == 1]

    def check(self, found: Found) -> None:
        missing = [home.name for home in self.homes.values() if home.must_be and home.folder not in found.queues]
        assert not missing, f"queues are lost: {missing}"
        for folder, messages in found.queues.items():
            home = self.homes.get(folder)
            assert home is not None, f"{folder} was never declared"
            assert not home.left, f"{home.name} was deleted"
            home.check(messages)
            if home.bound is not None and home.must_be:
                assert (folder in found.bound) == home.bound, f"the binding of {home.name} is wrong"
        for message in self.confirmed:
            for group in self.needs[message]:
                there = any(message in found.messages(home) for home in group)
                assert there, f"lost: {message} from {[home.name for home in group]}"

    def after(self, found: Found, powered: bool) -> Known:
        """What is known to whoever starts on what was found.

        Args:
            powered: only the process died. Then what was not synced is there, and may still be lost.
        """
        known = Known()
        known.last = self.last
        for folder, messages in found.queues.items():
            before = self.homes[folder]
            home = Home(before.name, folder)
            home.sure = True
            home.bound = folder in found.bound
            home.order = [(message, level_of(home.name, priority)) for message, priority, _ in messages]
            home.seen = {message for message, _, redelivered in messages if redelivered}
            if powered:  # a message may be back when its acknowledgement gets lost
                home.order, home.passing = before.order, before.passing
                home.seen |= before.seen
            known.homes[folder] = known.current[home.name] = home
        for message in self.confirmed if powered else found.all_messages:
            known.confirmed.add(message)
            homes = {home for home in known.homes.values() if message in found.messages(home)}
            if powered:
                folders = [{home.folder for home in group} for group in self.needs[message]]
                known.needs[message] = [{home for home in homes if home.folder in group} for group in folders]
            else:
                known.needs[message] = [{home} for home in homes]
        return known


class Found:
    """What a start finds."""

    def __init__(self, files: Files, topology: Topology, clock: ManualClock) -> None:
        timers, turn = Timers(clock), Turn()
        commits = Commits(turn, timers)
        commits.execute = lambda commit: None  # nothing is written any more
        storage = Storage(commits, small_disk(files, commits, clock))
        broker = Broker(Context(clock, timers, turn, lambda size: bytes(size), storage), "amqpd@found")
        progress = KeptProgress()
        Recovery(broker, topology, progress).run()
        assert progress.left_out == []
        vhost = broker.vhosts["/"]
        self.queues: dict[str, list[tuple[int, int, bool]]] = {}
        for queue in vhost.queues.values():
            messages = self.queues[queue.spec.folder] = []
            count = queue.message_count
            while (delivery := queue.get()) is not None:
                number, priority, _ = delivery.message.body.split(b" ", 2)
                messages.append((int(number), int(priority), delivery.deliveries > 0))
            assert len(messages) == count, f"{queue.name} said it had {count} messages: {messages}"
        fan = vhost.exchanges.get(EXCHANGE)
        destinations = [] if fan is None else [binding.destination.name for binding in fan.bindings()]
        self.bound = {vhost.queues[name].spec.folder for name in destinations}
        self._sets = {folder: {message for message, _, _ in found} for folder, found in self.queues.items()}

    @property
    def all_messages(self) -> set[int]:
        return set().union(*self._sets.values())

    def messages(self, home: Home) -> set[int]:
        return self._sets.get(home.folder, set())


class Watch:
    """Looks, before each call to the disk, at what a power loss would leave.

    Args:
        every: so many states each time.

    Attributes:
        states: that it has looked at.
        torn: those of them in which a commit of the catalog was cut.
        lose_in: so many looks from now PowerLost is raised; never at 0.
    """

    def __init__(self, rng: random.Random, every: int = 2) -> None:
        self.rng = rng
        self.every = every
        self.states = 0
        self.torn = 0
        self.lose_in = 0
        self.clock = ManualClock()
        self.known = Known()
        self.files = MemoryFiles()
        self.topology = Topology()  # that was committed last

    def look(self) -> None:
        for _ in range(self.every):
            self._look(self.topology)
        if self.lose_in:
            self.lose_in -= 1
            if self.lose_in == 0:
                raise PowerLost

    def look_torn(self, topology: Topology) -> None:
        """A commit of the catalog was cut, and this is what SQLite makes of it."""
        self.torn += 1
        self._look(topology)

    def _look(self, topology: Topology) -> None:
        self.states += 1
        self.known.check(Found(self.files.crashes(self.rng), topology, self.clock))


class WatchedFiles(MemoryFiles):
    """Files that the watch looks at."""

    def __init__(self, watch: Watch, root: MemoryFolder | None = None) -> None:
        super().__init__(root)
        self._watch = watch
        watch.files = self

    def _count(self, call: str, path: str) -> bool:
        self._watch.look()
        return super()._count(call, path)


class WatchedWrite(CatalogWrite):
    """A commit of the catalog, which the watch looks at when it is cut anywhere."""

    def __init__(self, catalog: WatchedCatalog, write: CatalogWrite) -> None:
        super().__init__(write._connection, catalog.path, write._steps)
        self._catalog = catalog

    def run(self) -> None:
        watch = self._catalog.watch
        begin = len(self._catalog.octets()[1])
        before = watch.topology
        if self._catalog.errors:
            raise OSError(self._catalog.errors.pop(), "as the test wants it", str(self._catalog.path))
        super().run()
        after = self._catalog.load()
        database, wal = self._catalog.octets()
        assert len(wal) > begin, "every commit makes the log longer"
        cut = wal[: watch.rng.randint(begin, len(wal))]
        topology = topology_in(self._catalog.path.parent / "torn", database, cut)
        assert topology in (before, after)
        if watch.every:
            watch.look_torn(topology)
        watch.topology = after


class WatchedCatalog(Catalog):
    """A catalog whose commits are watched.

    Attributes:
        errors: with which the next commits fail, the last one first.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, created: bool, start: int) -> None:
        super().__init__(connection, path, created, start)
        self.errors: list[int] = []
        self.watch = Watch(random.Random(0))

    def begin(self) -> CatalogWrite | None:
        write = super().begin()
        if write is not None:
            write = self._writing = WatchedWrite(self, write)
        return write

    def octets(self) -> list[bytes]:
        """Of its two files."""
        return [(self.path.parent / name).read_bytes() for name in CATALOG]


class CrashStore(Store):
    """A store on which everything is small, so that all that can happen happens soon.

    Args:
        folder: of the catalog.
        watch: looks at it.
        root: files that are there.
    """

    catalog: WatchedCatalog

    def __init__(self, folder: Path, watch: Watch, root: MemoryFolder | None = None) -> None:
        super().__init__(folder)
        self.folder = folder
        self.watch = watch
        self.files = WatchedFiles(watch, root)

    def open(self, turn: Turn, timers: Timers) -> Storage:
        commits = Commits(turn, timers)
        commits.patience = PATIENCE_SECONDS * self.watch.rng.randint(0, 1)
        catalog = WatchedCatalog.open(self.folder / CATALOG[0], syncs=False)
        assert isinstance(catalog, WatchedCatalog)
        catalog.watch = self.watch
        self.watch.topology = catalog.load()
        self.catalog = catalog
        return Storage(commits, small_disk(self.files, commits, self.watch.clock), catalog)


class Life:
    """A broker from its start to its end, a client with three channels, and what both must know.

    Attributes:
        known: what must be there.
        refused: messages whose publisher got basic.nack.
        broken: names of queues that the disk failed for; nothing is asked of them any more.
    """

    def __init__(self, store: CrashStore, known: Known) -> None:
        self.store = store
        self.watch = store.watch
        self.rng = store.watch.rng
        self.known = store.watch.known = known
        self.refused: set[int] = set()
        self.broken: set[str] = set()
        self.world = World(store=store, clock=store.watch.clock)
        self.world.hold_commits()
        self._client = self.world.client()
        for channel in (TOPOLOGY, PUBLISHES, GETS):
            self._client.open(channel)
        self._client.call(PUBLISHES, commands.Confirm.Select, commands.Confirm.SelectOk)
        self._unconfirmed: dict[int, int] = {}  # tags and messages
        self._published = 0
        self._here: list[tuple[int, int, Home]] = []  # delivery tags, messages, queues
        self._getting: tuple[Home, bool] | None = None  # the queue, and whether that settles it
        self._pending: tuple[type[base.Frame], Home | None] | None = None  # the answer that the topology waits for

    def set_up(self) -> None:
        """Declare everything."""
        self._declare_exchange()
        self.finish()
        for name in QUEUES:
            self._declare(name)
            self.finish()
        for name in BOUND:
            self._bind(self.known.current[name])
            self.finish()
        assert self.answered

    def step(self) -> None:
        """Do something random."""
        chance = self.rng.random()
        if chance < 0.35:
            for _ in range(self.rng.randint(1, 3)):
                self._publish(self.rng.choice([*self.known.current, EXCHANGE]))
        elif chance < 0.55:
            for _ in range(self.rng.randint(1, 4)):
                self._get()
        elif chance < 0.75:
            self._settle()
        elif chance < 0.85:
            if self._pending is None:
                self._change_topology()
        else:
            self.world.advance(self.rng.random())
            self.commit()
        self._listen()

    def commit(self) -> None:
        """Run the commit that is under way."""
        if self.world.held_commits:
            self.world.run_commit()

    def finish(self) -> None:
        """Commit until nothing is left to do, waiting where the disk is full.

        Raises:
            AssertionError: there is no end.
        """
        for _ in range(50):
            self.commit()
            self._listen()
            if self.world.storage.commits.idle:
                return
            self.world.advance(RETRY_SECONDS)
        raise AssertionError("there is no end")

    @property
    def answered(self) -> bool:
        """Nobody waits for a confirm or for another answer."""
        return not self._unconfirmed and self._pending is None

    def publish_to(self, name: str) -> bool:
        """Publish one message; True if it is confirmed, False if it is refused."""
        self._publish(name)
        self.finish()
        assert self.answered
        return self.known.last in self.known.confirmed

    def end(self, folder: Path) -> Self:
        """Lose power, or die, and start again.

        Args:
            folder: for the catalog.
        """
        assert not self.refused
        powered = self.rng.random() < 0.3
        files = self.store.memory.killed() if powered else self.store.memory.crashes(self.rng)
        folder.mkdir()
        for name, octets in zip(CATALOG, self.store.catalog.octets(), strict=True):
            (folder / name).write_bytes(octets)
        topology = topology_in(folder / "read", *self.store.catalog.octets())
        found = Found(files, topology, self.watch.clock)  # cuts off torn tails, as the start would
        self.known.check(found)
        self.close()
        return type(self)(CrashStore(folder, self.watch, files.root), self.known.after(found, powered))

    def close(self) -> None:
        assert self.world.observer.crashes == []
        self.store.catalog.close()

    # What a step may be.

    def _publish(self, target: str) -> None:
        known = self.known
        if target == EXCHANGE:
            homes = [home for home in known.current.values() if self._is_bound(home)]
        else:
            homes = [known.current[target]]
        known.last += 1
        message, priority = known.last, self.rng.choice((0, 0, 1, 3, 7))
        persistent = self.rng.random() < 0.9
        for home in homes:
            home.put(message, priority, persistent)
        known.needs[message] = [{home} for home in homes if message not in home.passing]
        self._published += 1
        self._unconfirmed[self._published] = message
        exchange, key = (EXCHANGE, "") if target == EXCHANGE else ("", target)
        # No two bodies end alike: else the end of a new record could make an old one whole that was torn there.
        body = b"%d %d " % (message, priority) + sha256(b"%d" % message).digest() * self.rng.choice((1, 1, 2, 20))
        properties = Properties.of(delivery_mode=2 if persistent else 1, priority=priority)
        self._client.publish(PUBLISHES, exchange, key, body, properties)
        self._listen()

    def _is_bound(self, home: Home) -> bool:
        vhost = self.world.vhost
        bindings = vhost.exchanges[EXCHANGE].bindings()
        return any(binding.destination is vhost.queues[home.name] for binding in bindings)

    def _get(self) -> None:
        if self.known.current:
            home = self.rng.choice(list(self.known.current.values()))
            settles = self.rng.random() < 0.1
            if home.name in self.broken:
                return
            self._getting = home, settles
            self._client.send(GETS, commands.Basic.Get, queue=home.name, no_ack=settles)
            self._listen()

    def _settle(self) -> None:
        if not self._here:
            return
        place = self.rng.randrange(len(self._here))
        chance = self.rng.random()
        if chance < 0.25:
            tag, _, _ = self._here.pop(place)
            self._client.send(GETS, commands.Basic.Nack, delivery_tag=tag, requeue=True)
        elif chance < 0.6:
            tag, message, home = self._here.pop(place)
            dead = self.known.current.get(DEAD)
            if home.name == DYING and not home.leaving and dead is not None:
                self.known.move(message, home, dead)
            else:
                self.known.release(message, home)
            self._client.send(GETS, commands.Basic.Reject, delivery_tag=tag, requeue=False)
        else:
            tag = self._here[place][0]
            for _, message, home in self._here[: place + 1]:
                self.known.release(message, home)
            del self._here[: place + 1]
            self._client.send(GETS, commands.Basic.Ack, delivery_tag=tag, multiple=True)

    def _change_topology(self) -> None:
        name = self.rng.choice(list(QUEUES))
        home = self.known.current.get(name)
        chance = self.rng.random()
        if name in self.broken:
            return
        if home is None:
            self._declare(name)
        elif chance < 0.3:
            self.known.release_all(home)
            home.seen |= {message for message, _ in home.order}  # those that come back are flagged
            self._ask(commands.Queue.Purge, commands.Queue.PurgeOk, home, queue=name)
        elif chance < 0.55 and name != DEAD:  # else a message could be there twice
            self._bind(home)
        elif chance < 0.75:
            home.bound = None
            self._ask(commands.Queue.Unbind, commands.Queue.UnbindOk, home, queue=name, exchange=EXCHANGE)
        else:
            del self.known.current[name]
            self.known.release_all(home)
            home.leaving = True
            self._ask(commands.Queue.Delete, commands.Queue.DeleteOk, home, queue=name)

    def _declare_exchange(self) -> None:
        arguments = {"exchange": EXCHANGE, "exchange_type": "fanout", "durable": True}
        self._ask(commands.Exchange.Declare, commands.Exchange.DeclareOk, None, **arguments)

    def _declare(self, name: str) -> None:
        arguments = {"queue": name, "durable": True, "arguments": QUEUES[name]}
        self._ask(commands.Queue.Declare, commands.Queue.DeclareOk, None, **arguments)
        # Commits are held, so nobody can have looked yet.
        folder = self.world.vhost.queues[name].spec.folder
        home = self.known.homes[folder] = self.known.current[name] = Home(name, folder)
        self._pending = (commands.Queue.DeclareOk, home)

    def _bind(self, home: Home) -> None:
        home.bound = home.bound or None
        self._ask(commands.Queue.Bind, commands.Queue.BindOk, home, queue=home.name, exchange=EXCHANGE)

    def _ask(self, command: type[base.Frame], answer: type[base.Frame], home: Home | None, **arguments: object) -> None:
        self._pending = (answer, home)
        self._client.send(TOPOLOGY, command, **arguments)

    # What comes.

    def _listen(self) -> None:
        for channel, item in self._client.received():
            if isinstance(item, Content):
                self._got(item)
            elif isinstance(item, commands.Basic.Ack):
                self._confirm(item.delivery_tag or 0, item.multiple, self.known.confirmed)
            elif isinstance(item, commands.Basic.Nack):
                self._confirm(item.delivery_tag or 0, item.multiple, self.refused)
            elif channel == TOPOLOGY:
                self._answered(item)
            else:
                assert isinstance(item, commands.Basic.GetEmpty), item.name

    def _got(self, content: Content) -> None:
        assert isinstance(content.method, commands.Basic.GetOk)
        assert self._getting is not None
        home, settles = self._getting
        message = int(content.body.split(b" ")[0])
        assert message in {message for message, _ in home.order}
        assert not content.method.redelivered or message in home.seen
        home.seen.add(message)
        if settles:
            self.known.release(message, home)
        else:
            self._here.append((content.method.delivery_tag or 0, message, home))

    def _confirm(self, tag: int, multiple: bool, outcome: set[int]) -> None:
        for number in [number for number in self._unconfirmed if number == tag or (multiple and number < tag)]:
            outcome.add(self._unconfirmed.pop(number))

    def _answered(self, answer: base.Frame) -> None:
        assert self._pending is not None
        kind, home = self._pending
        assert isinstance(answer, kind), answer.name
        self._pending = None
        if home is None:
            return
        if kind is commands.Queue.DeclareOk:
            home.sure = True
        elif kind is commands.Queue.DeleteOk:
            home.left = True
        elif kind is commands.Queue.BindOk:
            home.bound = True
        elif kind is commands.Queue.UnbindOk:
            home.bound = False


def small_disk(files: Files, commits: Commits, clock: ManualClock) -> Disk:
    """A disk on which everything that is large otherwise is small."""
    disk = Disk(files, commits, clock, True)
    disk.messages = IN_MEMORY
    disk.page_octets = PAGE
    disk.segment_size = SEGMENT
    disk.journal_size = JOURNAL
    return disk


def topology_in(folder: Path, database: bytes, wal: bytes) -> Topology:
    """What is in a catalog that consists of these files."""
    folder.mkdir(exist_ok=True)
    for name, octets in zip(CATALOG, (database, wal), strict=True):
        (folder / name).write_bytes(octets)
    catalog = Catalog.open(folder / CATALOG[0], syncs=False)
    try:
        return catalog.load()
    finally:
        catalog.close()


def level_of(name: str, priority: int) -> int:
    """Messages of different levels of a queue have no order."""
    if name == "priority":
        return min(priority, 3)
    return int(priority > 4) if name == "quorum" else 0
