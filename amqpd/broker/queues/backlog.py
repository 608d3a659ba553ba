"""A lane's backlog: its messages on the disk, in one folder.

Two kinds of messages get here. Those that must survive a restart are kept: they are written, and stay in memory as
well while they stand near the head. Those for which there is no room in memory are spilled: they are written and read
back when their turn comes. A message that is gone before its commit begins is never written.

Rule: what may live here knows positions and messages, not the order in which they are delivered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64, mypyc_attr

from amqpd.broker.message import Message
from amqpd.broker.publisher import Publisher
from amqpd.broker.queues.ready import Ready
from amqpd.broker.queues.stream.page import PageCache
from amqpd.broker.records import RecordDecoder, RecordEncoder, Stored
from amqpd.clock import Clock
from amqpd.errors import AMQPError
from amqpd.log.acks import Acks
from amqpd.log.commit import FULL, SAFE, Commits, Job, Member, Waiter
from amqpd.log.damage import Damage
from amqpd.log.files import Files
from amqpd.log.journal_write import SMALL, JournalWrite
from amqpd.log.log import SEGMENT_SIZE, Log
from amqpd.log.record import Record
from amqpd.log.rewrite import Rewrite
from amqpd.log.write import LogRemoval, LogWrite

# Octets of memory that wait to be written: publishers are not read from while there are more.
HOLD_ABOVE: Final = 24 * 1024 * 1024
RELEASE_BELOW: Final = 8 * 1024 * 1024
OVERHEAD: Final = 600  # octets of memory that a message takes beside its body until it is written, about
SPILL: Final = "spill"  # the folder of all that does not outlive the process
PAGE_OCTETS: Final = 1024 * 1024  # read back at a time
# Of messages that are wanted by position: those no farther apart are read together, so many octets at a time.
NEAR: Final = 64
TOGETHER: Final = 64 * 1024
# How much of a queue may be in memory. The number is above what a crowded queue gets before its publishers are held
# (flow.HOLD_ABOVE), so that nothing is written just because consumers need a moment.
MESSAGES: Final = 16384
OCTETS: Final = 16 * 1024 * 1024


@mypyc_attr(allow_interpreted_subclasses=True)
class Kept(Member):
    """Something with files of its own, from its making until close()."""

    def checkpoint(self) -> Job | None:
        """A job after which the next start has nothing to scan; only while no commit is under way."""
        return None

    def close(self) -> None:
        """Write nothing any more."""
        raise NotImplementedError


class Disk(Waiter):
    """What all that is kept has in common.

    Args:
        files: where their folders are.
        commits: bring them to the disk.
        clock: for the times of records.
        waits: a commit is waited for; False makes everything safe at once.
    """

    def __init__(self, files: Files, commits: Commits, clock: Clock, waits: bool) -> None:
        self.files = files
        self.commits = commits
        self.clock = clock
        self.waits = waits
        self.kept: dict[Kept, None] = {}  # what is open
        self.pages = PageCache()
        self.messages: i64 = MESSAGES
        self.octets: i64 = OCTETS
        self.page_octets: i64 = PAGE_OCTETS
        self.segment_size: i64 = SEGMENT_SIZE
        self.journal_size: int = SMALL
        self.on_damage: Callable[[Damage], None] | None = None
        self._held: dict[Publisher, None] = {}
        self._spilled: i64 = 0

    @property
    def behind(self) -> bool:
        """The disk is slower than what is published."""
        return self.commits.octets > HOLD_ABOVE

    def hold(self, publisher: Publisher) -> None:
        """Hold a publisher back until the disk has caught up."""
        if publisher not in self._held and publisher.hold():
            if not self._held:
                self.commits.wait(self)
            self._held[publisher] = None

    def committed(self) -> None:
        if self.commits.octets > RELEASE_BELOW:
            self.commits.wait(self)
            return
        held = list(self._held)
        self._held.clear()
        for publisher in held:
            publisher.release()

    def damaged(self, damage: Damage) -> None:
        """Something on the disk could not be read, and is left out."""
        if self.on_damage is not None:
            self.on_damage(damage)

    def spill_folder(self) -> str:
        """A new folder for what does not outlive the process."""
        self._spilled += 1
        return f"{SPILL}/{self._spilled}"


@final
class Unwritten:
    """A message that is to be written."""

    def __init__(self, position: i64, deadline: i64, message: Message, lasting: bool) -> None:
        self.position: i64 = position
        self.deadline: i64 = deadline
        self.message = message
        self.lasting = lasting


@final
class Backlog(Kept):
    """The messages of one lane on the disk.

    Args:
        disk: where it is.
        folder: which is made when it is needed.
        durable: what is in it comes back after a restart.
        lane: whose messages they are.
        on_failure: called when the disk fails for good; nothing can be kept from then on.
    """

    def __init__(
        self,
        disk: Disk,
        folder: str,
        durable: bool,
        lane: Ready,
        on_failure: Callable[[OSError], None],
    ) -> None:
        super().__init__()
        self._disk = disk
        self._durable = durable
        self._lane = lane
        self._on_failure = on_failure
        self._log = Log(disk.files, folder, disk.segment_size)
        self._acks = Acks(disk.files, folder, disk.journal_size)
        self._encoder = RecordEncoder()
        self._decoder = RecordDecoder()
        self._pending: list[Unwritten] = []  # for the next commit
        self._writing: list[Unwritten] = []  # in the commit that is under way
        self._read_through: i64 = -1  # everything up to here was read back
        self._ended = False
        self._folder = folder
        self._to_remove = False
        disk.kept[self] = None

    def recover(self) -> tuple[int, int, int]:
        """Find out what is there: messages, octets of their bodies, and the next free position."""
        for damage in self._acks.open():
            self._disk.damaged(damage)
        for damage in self._log.open():
            self._disk.damaged(damage)
        gone = self._acks.gone
        next_position = max(self._log.next_offset, self._acks.next_position)
        present = self._log.present()
        below: i64 = 0
        for first, last in present.intervals():  # what is not there any more, or need not be, is gone
            if first > below:
                gone.add(below, first - 1)
            below = i64(last) + 1
        if next_position > below:
            gone.add(below, next_position - 1)
        count, octets = self._log.live(gone)
        self._log.forget(gone)
        return int(count), int(octets), int(next_position)

    def start(self, position: i64) -> None:
        """Begin with this position: whatever has a lower one will never be written."""
        if position > 0:
            self._acks.gone.add(0, position - 1)
            self._read_through = position - 1

    @property
    def ticket(self) -> i64:
        """The commit after which everything that was kept so far is safe."""
        return self._disk.commits.number if self._disk.waits else SAFE

    def keep(self, position: i64, deadline: i64, message: Message, lasting: bool) -> None:
        """Write a message with the next commit.

        Args:
            position: above all before.
            lasting: it survives a restart.
        """
        # HOT: once per stored message
        self._pending.append(Unwritten(position, deadline, message, lasting))
        self._disk.commits.join(self, message.body_size + OVERHEAD)

    def settle(self, position: i64) -> None:
        """A message is gone for good."""
        # HOT: once per settled message of a durable queue
        self._acks.settle(position)
        if not self.joined:
            self._disk.commits.join(self, 0)

    def returned(self, position: i64, deliveries: i64) -> None:
        """A message came back that was delivered so often."""
        self._acks.returned(position, deliveries)
        self._disk.commits.join(self, 0)

    def progress(self) -> None:
        """Messages were delivered; after a restart they are flagged as redelivered, should they still be there."""
        if not self.joined and self._lane.handed_out() > self._acks.delivered:
            self._disk.commits.join(self, 0)

    def settle_range(self, first: i64, last: i64) -> None:
        """All messages of these positions are gone, of which none had been delivered."""
        if last >= first:
            self._acks.settle_range(first, last)
            self._disk.commits.join(self, 0)

    @property
    def next_to_read(self) -> i64:
        """No position below this one will be read back."""
        return self._read_through + 1

    def read_from(self, position: i64) -> None:
        """What is to be read back begins here: everything before it is in memory."""
        self._read_through = position - 1

    def skip_to(self, position: i64) -> None:
        """What is to be read back begins here: everything not read before it is gone."""
        first = self._read_through + 1
        if self._durable:
            self.settle_range(first, position - 1)
        self._read_through = position - 1
        # What is before that may be with a consumer.
        self._pending = [item for item in self._pending if item.position < first or item.position >= position]
        if not self._durable:
            self._drop_read()

    def page(self) -> list[Stored]:
        """The next messages that were not read back yet, in the order of their positions; none when there are none."""
        while True:
            try:
                records = self._log.read(self._read_through + 1, self._disk.page_octets)
            except OSError as error:
                self._give_up(error)
                return []
            self._report_damage()
            if not records:
                return self._unwritten_page()
            page: list[Stored] = []
            gone = self._acks.gone
            for record in records:
                self._read_through = record.offset
                if not gone.covers(record.offset):
                    self._add_stored(page, record)
            if not self._durable:
                self._drop_read()
            if page:
                return page

    def fetch(self, positions: list[int], octets: i64) -> list[Stored]:
        """The messages of some positions, as far as they can be read; it makes no difference to page().

        Args:
            positions: ascending.
            octets: about how much to return; one message at least, if there is one.
        """
        found: list[Stored] = []
        wanted = set(positions)
        at = 0
        while at < len(positions) and octets > 0:
            near = at + 1 < len(positions) and positions[at + 1] - positions[at] < NEAR
            try:
                records = self._log.read(positions[at], TOGETHER if near else 1)
            except OSError as error:
                self._give_up(error)
                return found
            if not records:
                break
            for record in records:
                if record.offset in wanted and octets > 0:
                    octets -= len(record.payload)
                    self._add_stored(found, record)
            while at < len(positions) and positions[at] <= record.offset:
                at += 1
        self._report_damage()
        written = self._log.written
        unwritten = [item for item in self._writing + self._pending if item.position > written]
        found += [Stored(item.position, item.deadline, item.message) for item in unwritten if item.position in wanted]
        return found

    def _add_stored(self, page: list[Stored], record: Record) -> None:
        """Add the message of a record; one that is no message is left out, and told of."""
        position = record.offset
        try:
            stored = self._decoder.stored(position, record.payload)
        except (ValueError, IndexError, AMQPError) as error:
            path = f"{self._folder}, record {int(position)}"
            self._disk.damaged(Damage(path, 0, len(record.payload), f"it is no message ({error})"))
            return
        if position < self._acks.delivered:
            stored.deliveries = i64(self._acks.counts.get(int(position), 1))
        page.append(stored)

    def _unwritten_page(self) -> list[Stored]:
        """What has to be read back is not written yet. What need not survive a restart never will be."""
        page: list[Stored] = []
        for item in self._writing + self._pending:
            if item.position > self._read_through:
                self._read_through = item.position
                page.append(Stored(item.position, item.deadline, item.message))
        self._pending = [item for item in self._pending if item.lasting]
        return page

    def _drop_read(self) -> None:
        """A message that was read back from a backlog that does not outlive the process is never read again."""
        self._acks.gone.add(0, self._read_through)
        self._disk.commits.join(self, 0)

    def _report_damage(self) -> None:
        if self._log.damages:
            for damage in self._log.damages:
                self._disk.damaged(damage)
            self._log.damages.clear()

    # What commits call.

    def begin(self) -> Job | None:
        # HOT: the loop over stored messages
        if self._ended:
            return None
        acks = self._acks
        acks.gather()
        gone = acks.gone
        log = self._log
        encoder = self._encoder
        now: i64 = int(self._disk.clock.time() * 1000)
        pending, self._pending = self._pending, []
        check = gone.count > 0 and len(pending) > 0 and gone.last() >= pending[0].position
        for item in pending:
            if check and gone.covers(item.position):
                continue
            message = item.message
            head = encoder.head(message, item.deadline)
            log.append(item.position, now, message.body_size, not item.lasting, head, message.content)
        self._writing = pending
        log.forget(gone)
        return log.begin()

    def begin_late(self) -> Job | None:
        if self._to_remove:
            self._to_remove = False
            return FolderRemoval(self._disk.files, self._folder)
        if self._ended:
            return None
        acks: JournalWrite | None = None
        if self._durable:
            self._acks.handed_out(self._lane.handed_out())
            acks = self._acks.begin()
        removal = self._log.begin_late()
        rewrite = self._log.rewrite(self._acks.gone)
        if acks is None and removal is None and rewrite is None:
            return None
        return LateJobs(acks, removal, rewrite)

    def finished(self, job: Job) -> None:
        if self._ended:
            return
        if isinstance(job, LogWrite):
            self._log.finished(job)
            self._writing = []
        elif isinstance(job, LateJobs):
            if job.acks is not None:
                self._acks.finished(job.acks)
            if job.rewrite is not None:
                self._log.finished_rewrite(job.rewrite)
                self._report_damage()
                self._disk.commits.join(self, 0)  # to remove the old file

    def failed(self, job: Job, error: OSError) -> None:
        self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """The disk failed for good."""
        if self._ended:
            return  # another queue may have its name by now
        self._ended = True
        self._pending.clear()
        self._writing.clear()
        self._on_failure(error)

    def checkpoint(self) -> Job | None:
        """A job after which the next start has nothing to scan; only while no commit is under way."""
        return self._log.checkpoint()

    def close(self) -> None:
        """Write nothing any more."""
        self._ended = True
        self._pending.clear()
        self._disk.kept.pop(self, None)
        self._log.close()
        if not self._durable:  # those of durable queues go after the catalog knows that the queues are gone
            self._to_remove = True
            self._disk.commits.join(self, 0)


@final
class FolderRemoval(Job):
    """A backlog that nobody needs any more."""

    def __init__(self, files: Files, folder: str) -> None:
        self._files = files
        self._folder = folder

    def run(self) -> None:
        self._files.remove_folder(self._folder)


@final
class LateJobs(Job):
    """What takes something away from a backlog: acknowledgements, files in which nothing lives, survivors that move."""

    def __init__(self, acks: JournalWrite | None, removal: LogRemoval | None, rewrite: Rewrite | None) -> None:
        self.acks = acks
        self.rewrite = rewrite
        self._removal = removal

    def run(self) -> None:
        if self._removal is not None:
            self._removal.run()  # first, for on a full disk it makes room: what is in the files is gone either way
        if self.acks is not None:
            self.acks.run()
        if self.rewrite is not None:
            self._run_rewrite(self.rewrite)

    def _run_rewrite(self, rewrite: Rewrite) -> None:
        try:
            rewrite.run()
        except OSError as error:
            if error.errno not in FULL:
                raise
            rewrite.give_up()  # nothing is lost without it, and commits need not wait until there is room for it
            self.rewrite = None

    def sync(self) -> None:
        if self.acks is not None:
            self.acks.sync()
