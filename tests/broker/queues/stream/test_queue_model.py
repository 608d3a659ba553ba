"""A stream behind real connections against its model: everything that can be done to it, in any order."""

from __future__ import annotations

import shutil

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pamqp import base, commands

from amqpd.broker.policy import Policy
from amqpd.broker.queues.stream.queue import StreamQueue
from amqpd.wire.properties import Properties
from amqpd.wire.table import Field, Table
from tests.broker.queues.stream.models import GroupModel, ReaderModel, Record, octets_on_disk, pieces_of
from tests.builders import Content, World, publish_bytes
from tests.stores import Store, quick_folder

NAME = "q"
EXCHANGE = "parts"  # the stream is a partition behind it
TAIL = 2000  # octets that are in memory: a few messages
STEP = 0.25  # seconds
NAMES = st.sampled_from(["one", "two"])
VALUES = [None, "a", "b", "c"]
AGES = {"1s": 1000, "3s": 3000, "1m": 60_000}
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "max-age": st.sampled_from(sorted(AGES)),
        "max-length-bytes": st.sampled_from([0, 1000, 50_000]),
        "stream-max-length": st.sampled_from([0, 5, 20]),
    },
)
SETTLEMENTS = st.sampled_from(["ack", "ack", "ack", "nack", "reject", "requeue"])


class StreamMachine(RuleBasedStateMachine):
    """Turns end with each rule; commits when hypothesis wants them to, once it has said so."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = quick_folder()
        self.world = World(store=Store(self.folder, tail=TAIL))
        self.records: list[Record] = []
        self.end = 0  # records below are safe
        self.first = 0
        self.floor = 0  # what was first when something was done last: it is read before retention goes on
        self.readers: list[ReaderModel] = []  # whose channels are open
        self.groups: dict[str, GroupModel] = {}
        self.holders: dict[str, ReaderModel] = {}
        self.cursors: dict[str, int] = {}
        self.history: dict[str, set[int | None]] = {}  # where a cursor may be found after a kill

    @initialize(
        segment=st.sampled_from([400, 2000, 200_000]),
        limits=LIMITS,
        partition=st.integers(0, 2),
        filter_size=st.sampled_from([16, 200]),
    )
    def declare(self, segment: int, limits: dict[str, object], partition: int, filter_size: int) -> None:
        self.segment = segment
        self.partition = partition
        arguments = {"x-" + key: value for key, value in limits.items()}
        arguments |= {
            "x-queue-type": "stream",
            "x-stream-max-segment-size-bytes": segment,
            "x-stream-filter-size-bytes": filter_size,
        }
        self.connect()
        self.publisher.declare(NAME, durable=True, arguments=arguments)
        call = self.publisher.call
        call(
            1,
            commands.Exchange.Declare,
            commands.Exchange.DeclareOk,
            exchange=EXCHANGE,
            exchange_type="direct",
            durable=True,
        )
        order = {"x-stream-partition-order": partition}
        call(1, commands.Queue.Bind, commands.Queue.BindOk, queue=NAME, exchange=EXCHANGE, arguments=order)

    def connect(self) -> None:
        """The publisher of a new World; all before it is confirmed or lost."""
        self.publisher = self.world.client()
        self.publisher.open()
        self.publisher.call(1, commands.Confirm.Select, commands.Confirm.SelectOk)
        self.unconfirmed: list[int] = []
        self.published = 0

    @property
    def queue(self) -> StreamQueue:
        queue = self.world.vhost.queue(NAME)
        assert isinstance(queue, StreamQueue)
        return queue

    @property
    def now(self) -> int:
        return int(self.world.clock.time() * 1000)

    # Publishing.

    @rule(
        count=st.integers(1, 6),
        size=st.sampled_from([0, 5, 5, 100, 30_000]),
        value=st.sampled_from(VALUES),
        routed=st.booleans(),
    )
    def publish(self, count: int, size: int, value: str | None, routed: bool) -> None:
        headers = {} if value is None else {"headers": Table.of({"x-stream-filter-value": value})}
        properties = Properties.of(delivery_mode=2, **headers)
        exchange, key = (EXCHANGE, "") if routed else ("", NAME)
        data = b""
        for _ in range(count):
            offset = len(self.records)
            body = (b"%d" % offset).ljust(size, b".") if size else b""
            octets = octets_on_disk(exchange, key, len(properties.raw), value is not None, len(body))
            self.records.append(Record(offset, self.now, exchange, value, body, octets))
            self.published += 1
            self.unconfirmed.append(self.published)
            data += publish_bytes(1, exchange, key, body, properties)
        self.publisher.feed(data)
        self.look()

    # Consuming.

    @precondition(lambda self: sum(reader.live for reader in self.readers) < 4)
    @rule(
        prefetch=st.sampled_from([1, 2, 5, 100]),
        values=st.none() | st.lists(st.sampled_from(["a", "b", "zz"]), min_size=1, max_size=2, unique=True),
        unfiltered=st.booleans(),
        place=st.sampled_from(["", "", "cursor", "group"]),
        name=NAMES,
        data=st.data(),
    )
    def consume(
        self,
        prefetch: int,
        values: list[str] | None,
        unfiltered: bool,
        place: str,
        name: str,
        data: st.DataObject,
    ) -> None:
        client = self.world.client()
        client.open()
        client.call(1, commands.Basic.Qos, commands.Basic.QosOk, prefetch_count=prefetch)
        wanted, start = self.start(data)
        arguments: dict[str, object] = {} if wanted is None else {"x-stream-offset": wanted}
        if values is not None:
            filters = values[0] if len(values) == 1 else values
            arguments |= {"x-stream-filter": filters, "x-stream-match-unfiltered": unfiltered}
        if place:
            arguments["x-stream-" + place] = name
        client.send(1, commands.Basic.Consume, queue=NAME, consumer_tag="c", arguments=arguments)
        if place and self.is_refused(name, place):
            refused = (403, f"ACCESS_REFUSED - cursor '{name}' of queue 'q' in vhost '/' in exclusive use")
            assert client.channel_closed() == refused
            return
        reader = ReaderModel(client, prefetch, values, unfiltered)
        if place:
            reader.cursor = name
            start = self.cursors.setdefault(name, start)
            self.note(name)
        reader.begin(start)
        self.readers.append(reader)
        if place == "group":
            reader.group = self.groups.setdefault(name, GroupModel())
            reader.group.members.append(reader)
            self.elect(name)
        elif place == "cursor":
            self.holders[name] = reader
        received = client.received()
        assert isinstance(received[0][1], commands.Basic.ConsumeOk)
        self.take(reader, [item for _, item in received[1:]])
        self.look()

    def start(self, data: st.DataObject) -> tuple[object, int]:
        """A value of x-stream-offset, None for none, and what it means."""
        first, count = self.queue.first_offset, len(self.records)
        kind = data.draw(st.sampled_from(["none", "first", "first", "last", "next", "number", "time", "interval"]))
        if kind in ("none", "next"):
            return None if kind == "none" else "next", count
        if kind == "first":
            return "first", first
        if kind == "last":
            return "last", max(self.end - 1, first)
        if kind == "number":
            number = data.draw(st.integers(-1, count + 3))
            return number, max(number, first)
        if kind == "interval":
            seconds = data.draw(st.integers(1, 6))
            return f"{seconds}s", self.since(self.now - seconds * 1000)
        moment = self.now // 1000 - data.draw(st.integers(-1, 6))
        return Field("T", moment), self.since(moment * 1000)

    def since(self, moment: int) -> int:
        """Where the records of a time begin. Of those that are not safe it is the first, whatever its time."""
        late = [record.offset for record in self.records if record.time >= moment]
        safe = [offset for offset in late if self.queue.first_offset <= offset < self.end]
        if safe:
            return safe[0]
        return max(self.end if late and late[-1] >= self.end else len(self.records), self.queue.first_offset)

    def is_refused(self, name: str, place: str) -> bool:
        holder = self.holders.get(name)
        return holder is not None and holder.live and (place == "cursor" or holder.group is None)

    def elect(self, name: str) -> None:
        group = self.groups.get(name)
        if group is not None:
            begins = group.elect(self.partition)
            if begins is not None:
                begins.begin(self.cursors[name])
                self.holders[name] = begins

    @precondition(lambda self: any(reader.live for reader in self.readers))
    @rule(data=st.data(), how=st.sampled_from(["cancel", "lose", "close"]))
    def leave(self, data: st.DataObject, how: str) -> None:
        reader = data.draw(st.sampled_from([reader for reader in self.readers if reader.live]))
        if how == "cancel":
            reader.client.call(1, commands.Basic.Cancel, commands.Basic.CancelOk, consumer_tag="c")
        elif how == "close":
            reader.client.call(1, commands.Channel.Close, commands.Channel.CloseOk)
        else:
            reader.client.lose()
        reader.live = False
        if how != "cancel":
            self.readers.remove(reader)
        if reader.group is not None:
            reader.group.members.remove(reader)
            assert reader.cursor is not None
            if not reader.group.members:
                del self.groups[reader.cursor]
            self.elect(reader.cursor)
        self.look()

    # Settling.

    @precondition(lambda self: any(reader.unsettled for reader in self.readers))
    @rule(data=st.data(), how=SETTLEMENTS, multiple=st.booleans())
    def settle(self, data: st.DataObject, how: str, multiple: bool) -> None:
        reader = data.draw(st.sampled_from([reader for reader in self.readers if reader.unsettled]))
        tag = data.draw(st.sampled_from(sorted(reader.unsettled)))
        multiple = multiple and how != "reject"
        method: type[base.Frame] = commands.Basic.Ack if how == "ack" else commands.Basic.Nack
        arguments: dict[str, object] = {"delivery_tag": tag, "multiple": multiple}
        if how == "reject":
            method, arguments = commands.Basic.Reject, {"delivery_tag": tag, "requeue": False}
        elif how != "ack":
            arguments["requeue"] = how == "requeue"
        tags = [number for number in reader.unsettled if number == tag or (multiple and number < tag)]
        self.settled(reader, tags, how == "requeue")
        reader.client.send(1, method, **arguments)
        self.look()

    @precondition(lambda self: any(reader.unsettled for reader in self.readers))
    @rule(data=st.data())
    def recover(self, data: st.DataObject) -> None:
        reader = data.draw(st.sampled_from([reader for reader in self.readers if reader.unsettled]))
        self.settled(reader, list(reader.unsettled), True)
        reader.client.send(1, commands.Basic.Recover, requeue=True)
        received = [item for _, item in reader.client.received()]
        assert isinstance(received[0], commands.Basic.RecoverOk)
        self.take(reader, received[1:])
        self.look()

    def settled(self, reader: ReaderModel, tags: list[int], comes_back: bool) -> None:
        offsets = {reader.unsettled.pop(tag) for tag in tags}
        name = reader.cursor
        if comes_back:
            reader.stuck |= offsets
        elif name is not None and self.holders.get(name) is reader:
            self.cursors[name] = reader.place
            self.note(name)
        if name is not None:
            self.elect(name)

    # Cursors.

    def note(self, name: str) -> None:
        self.history.setdefault(name, {None}).add(self.cursors.get(name))

    def in_use(self, name: str) -> bool:
        return name in self.groups or (name in self.holders and self.holders[name].live)

    @precondition(lambda self: not (self.in_use("one") and self.in_use("two")))
    @rule(name=NAMES, data=st.data())
    def reset_cursor(self, name: str, data: st.DataObject) -> None:
        if self.in_use(name):
            return
        wanted, start = self.start(data)
        assert self.queue.reset_cursor(name, Field.of("next" if wanted is None else wanted)) == start
        self.cursors[name] = start
        self.holders.pop(name, None)
        self.note(name)
        self.world.finish()
        self.look()

    @rule(name=NAMES)
    def delete_cursor(self, name: str) -> None:
        if self.in_use(name):
            return
        assert self.queue.delete_cursor(name) == (name in self.cursors)
        self.cursors.pop(name, None)
        self.holders.pop(name, None)
        self.note(name)
        self.world.finish()
        self.look()

    # Time, limits, the disk, and the end.

    @rule(steps=st.integers(1, 20))
    def wait(self, steps: int) -> None:
        for _ in range(steps):
            self.world.advance(STEP)
            self.look()

    @rule(limits=LIMITS, filter_size=st.sampled_from([None, 16, 99]))
    def change_policy(self, limits: dict[str, object], filter_size: int | None) -> None:
        definition = dict(limits) if filter_size is None else {**limits, "stream-filter-size-bytes": filter_size}
        if definition:
            self.world.vhost.set_policy(Policy("p", "^q$", definition))
        else:
            self.world.vhost.delete_policy("p")
        self.world.finish()
        self.look()

    @rule()
    def let_commits_wait(self) -> None:
        self.world.hold_commits()

    @precondition(lambda self: self.world.held_commits)
    @rule()
    def run_commit(self) -> None:
        self.world.run_commit()
        self.look()

    @precondition(lambda self: self.world.held_commits)
    @rule()
    def run_commits(self) -> None:
        while self.world.held_commits:
            self.run_commit()

    @rule()
    def kill(self) -> None:
        """What was not confirmed is lost, and its offsets are free."""
        self.world = self.world.killed()
        del self.records[self.end :]
        found = self.queue.cursor_places()
        for name in {*found, *self.cursors}:
            assert found.get(name) in self.history[name], (name, found, self.history)
        self.cursors = found
        self.begin_again()

    @rule()
    def restart(self) -> None:
        self.world = self.world.restarted()
        self.end = len(self.records)
        assert self.queue.cursor_places() == self.cursors
        self.begin_again()

    def begin_again(self) -> None:
        self.readers.clear()
        self.groups.clear()
        self.holders.clear()
        self.history = {name: {place} for name, place in self.cursors.items()}
        self.first = self.floor = min(self.first, self.queue.first_offset)
        assert self.queue.next_offset == len(self.records)
        self.connect()
        self.look()

    def teardown(self) -> None:
        store = self.world.store
        assert store is not None
        try:
            if hasattr(self, "segment"):
                while self.world.held_commits:
                    self.world.run_commit()
                    self.look()
                for connection in self.world.services.connections.all():
                    connection.force_close("the end")
                self.world.vhost.delete_queue(self.queue)
                self.world.finish()
                while self.world.held_commits:
                    self.world.run_commit()
                assert store.files.names("queues") == []
                self.world.advance(60.0)
                assert self.world.timers.next_deadline() is None
            assert store.damages == []
            assert self.world.observer.crashes == []
        finally:
            store.abandon(self.world.storage)
            shutil.rmtree(self.folder)

    # Looking.

    def look(self) -> None:
        """Compare everything that can be seen."""
        self.take_confirms()
        self.check_retention()
        for reader in self.readers:
            self.take(reader, [item for _, item in reader.client.received()])
            if reader.reads and len(reader.unsettled) < reader.prefetch:
                missed = [record.offset for record in self.between(reader, self.end) if record.offset >= self.first]
                assert not missed, f"{missed} were not delivered"
                reader.next = max(reader.next, self.end)
        self.floor = self.first
        if self.world.storage.commits.idle:
            self.history = {name: {place} for name, place in self.cursors.items()}

    def take_confirms(self) -> None:
        for _, item in self.publisher.received():
            assert isinstance(item, commands.Basic.Ack), item.name
            tag = item.delivery_tag or 0
            self.unconfirmed = [
                number for number in self.unconfirmed if number > tag or (number < tag and not item.multiple)
            ]
        self.end = len(self.records) - len(self.unconfirmed)
        assert not self.unconfirmed or self.unconfirmed[-1] - self.unconfirmed[0] == len(self.unconfirmed) - 1

    def take(self, reader: ReaderModel, items: list[base.Frame | Content]) -> None:
        """Deliveries to a reader, which are the next ones that it wants."""
        self.take_confirms()
        for item in items:
            assert isinstance(item, Content)
            assert isinstance(item.method, commands.Basic.Deliver)
            assert reader.reads
            offset = self.check_content(item)
            skipped = [record.offset for record in self.between(reader, offset)]
            assert all(number < self.queue.first_offset for number in skipped), f"{skipped} were left out"
            assert reader.next <= offset < self.end
            reader.next = offset + 1
            reader.unsettled[item.method.delivery_tag or 0] = offset
            assert len(reader.unsettled) <= reader.prefetch

    def check_content(self, content: Content) -> int:
        method, headers = content.method, content.properties.headers
        assert isinstance(method, commands.Basic.Deliver)
        assert headers is not None
        offset = headers.items()[-1][1].value
        assert isinstance(offset, int)
        record = self.records[offset]
        assert offset >= self.floor
        assert content.body == record.body
        sent = [] if record.value is None else [("x-stream-filter-value", Field.of(record.value))]
        assert headers.items() == [*sent, ("x-stream-offset", Field("l", offset))]
        key = "" if record.exchange else NAME
        assert (method.exchange, method.routing_key, method.redelivered) == (record.exchange, key, False)
        return offset

    def between(self, reader: ReaderModel, end: int) -> list[Record]:
        """What a reader wants of the records up to an offset."""
        return [record for record in self.records[reader.next : end] if reader.wants(record)]

    def check_retention(self) -> None:
        """Whole segments went, each for a reason, and not the last one; and no more is there than may be."""
        first, limits = self.queue.first_offset, self.queue.settings
        pieces = pieces_of(self.records, self.segment)
        assert first >= self.first
        assert first in [piece.base for piece in pieces] or first == 0
        kept = [piece for piece in pieces if piece.base >= first]
        octets, records = sum(piece.size for piece in kept), sum(piece.records for piece in kept)
        if first > self.first:
            last = next(piece for piece in reversed(pieces) if piece.base < first)
            assert (
                (limits.max_length_bytes is not None and octets + last.size > limits.max_length_bytes)
                or (limits.max_records is not None and records + last.records > limits.max_records)
                or (limits.max_age is not None and last.latest < self.now - limits.max_age)
            )
        self.first = first
        if self.world.storage.commits.idle and len(kept) > 1:
            newest = kept[-1]
            assert limits.max_length_bytes is None or octets - newest.size <= limits.max_length_bytes
            assert limits.max_records is None or records - newest.records <= limits.max_records
            assert limits.max_age is None or kept[0].latest >= self.now - limits.max_age

    @invariant()
    def numbers_agree(self) -> None:
        if not hasattr(self, "segment"):
            return
        queue = self.queue
        assert queue.next_offset == len(self.records)
        assert queue.message_count == max(self.end - queue.first_offset, 0)
        assert len(queue.consumers) == sum(reader.live for reader in self.readers)
        assert self.same_places(queue.cursor_places())

    def same_places(self, found: dict[str, int]) -> bool:
        """What retention has passed over may count as settled or not, as long as nothing is left there."""
        for name, place in found.items():
            assert name in self.cursors
            expected = self.cursors[name]
            assert place == expected or expected < place <= self.first, (name, place, expected)
            self.cursors[name] = place
            self.note(name)
        return len(found) == len(self.cursors)


TestStreamMachine = StreamMachine.TestCase
TestStreamMachine.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
