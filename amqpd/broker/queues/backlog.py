"""A lane's backlog: its messages on the disk, in one folder.

Two kinds of messages get here. Those that must survive a restart are kept: they are written, and stay in memory as
well while they stand near the head. Those for which there is no room in memory are spilled: they are written and read
back when their turn comes. A message that is gone before its commit begins is never written.

Rule: what may live here knows positions and messages, not the order in which they are delivered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.message import Message
from amqpd.broker.queues.dead import Dead, find_dead
from amqpd.broker.queues.disk import Disk, Kept
from amqpd.broker.queues.late import FolderRemoval, LateJobs, Relief
from amqpd.broker.queues.readback import ReadBack
from amqpd.broker.queues.ready import Ready
from amqpd.broker.queues.unwritten import Gathered, Unwritten
from amqpd.broker.records import RecordEncoder, Stored
from amqpd.log.acks import Acks
from amqpd.log.commit import SAFE, Job
from amqpd.log.journal_write import JournalWrite
from amqpd.log.log import NOT_WORTH_A_SYNC, Log
from amqpd.log.ranges import Ranges, ranges_of
from amqpd.log.write import LogRemoval, LogWrite

# A commit waits if of a hundred messages kept before, so many were settled before they were safe: while commits do not
# wait, that takes consumers as fast as the disk; while they do, consumers that keep it up.
WAITS_FROM: Final = 50
GOES_ON_FROM: Final = 90
OVERHEAD: Final = 600  # octets of memory that a message takes beside its body until it is written, about


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
        self._reading = ReadBack(disk, folder, self._log, self._acks, self._give_up)
        self._pending = Gathered()  # for the next commit
        self._writing = Gathered()  # in the commit that is under way
        self._passed: i64 = 0  # every position below this one is in the log, or never will be
        self._kept: i64 = 0  # messages since the last commit began
        self._spared: i64 = 0  # messages that were settled before they were safe, since then
        self._worth_waiting = False  # most of them are
        self._asked: i64 = 0  # aged() was, when this was the next position
        self._moved: list[i64] = []  # settled, and gone elsewhere with the commit that is being gathered
        self._moving: list[i64] = []  # the same with the one that is under way
        self._late: LateJobs | None = None  # under way
        self.dead: list[Dead] = []  # that a restart has found; whoever takes them empties it
        self._folder = folder
        self._to_remove = False
        disk.kept[self] = None

    def recover(self, most_deliveries: i64) -> tuple[int, int, int]:
        """Find out what is there: messages, octets of their bodies, and the next free position.

        Args:
            most_deliveries: a message that was delivered more often is one of the dead.
        """
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
        self.dead = find_dead(self._acks, self._reading, most_deliveries)
        count, octets = self._log.live(gone)
        for dead in self.dead:
            count -= 1
            octets -= dead.message.body_size
        self._log.forget(gone)
        self._passed = next_position
        return int(count), int(octets), int(next_position)

    def start(self, position: i64) -> None:
        """Begin with this position: whatever has a lower one will never be written."""
        if position > 0:
            self._acks.gone.add(0, position - 1)
            self._reading.through = position - 1
            self._passed = position

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
        commits = self._disk.commits
        receipt = commits.receipt if lasting and self._disk.waits else None  # else it counts as safe already
        self._pending.add(Unwritten(position, deadline, message, lasting, receipt))
        self._kept += 1
        commits.join(self, message.body_size + OVERHEAD)

    def settle(self, position: i64) -> None:
        """A message is gone for good. If it is not safe yet, nobody has to wait for that any more.

        One that has gone elsewhere (Commits.moving) is not written here either; but who waits for it goes on to wait,
        for the commit that has it there.
        """
        # HOT: once per settled message of a durable queue
        commits = self._disk.commits
        acks = self._acks
        item = self._pending.take(position)
        if item is not None:
            commits.leave(item.message.body_size + OVERHEAD)
            if acks.counts or acks.marks:
                acks.settle(position)  # for what is noted of it
        else:
            acks.settle(position)
            if commits.moving:
                self._moved.append(position)
            if not self.joined:
                commits.join(self, 0)
            if self._writing.count == 0:
                return
            item = self._writing.take(position)
            if item is None:
                return
        self._spared += 1
        if item.receipt is not None and not commits.moving:
            item.receipt.settled()

    def leaves_again(self, position: i64, deliveries: i64) -> None:
        """A message is delivered, so often by now, and not for the first time: of that progress() tells."""
        self._acks.returned(position, deliveries)
        self._disk.commits.join(self, 0)

    def progress(self) -> None:
        """Messages were delivered; after a restart they are flagged as redelivered, should they still be there."""
        if not self.joined and not self._log.empty and self._lane.handed_out() > self._acks.delivered:
            self._disk.commits.join(self, 0)

    def died(self, position: i64, reason: int) -> None:
        """A message is not ready any more, but has not gone elsewhere yet: after a restart it is among the dead."""
        self._acks.mark(position, reason)
        self._disk.commits.join(self, 0)

    def settle_range(self, first: i64, last: i64) -> None:
        """All messages of these positions are gone, of which none had been delivered."""
        if last >= first:
            self._spare(first, last)
            self._acks.settle_range(first, last)
            self._disk.commits.join(self, 0)

    def _spare(self, first: i64, last: i64) -> None:
        """Do not write what is gone for good."""
        commits = self._disk.commits
        for item in self._pending.take_range(first, last):
            commits.leave(item.message.body_size + OVERHEAD)
            if item.receipt is not None and not commits.moving:
                item.receipt.settled()

    @property
    def next_to_read(self) -> i64:
        """No position below this one will be read back."""
        return self._reading.through + 1

    def read_from(self, position: i64) -> None:
        """What is to be read back begins here: everything before it is in memory."""
        self._reading.through = position - 1

    def skip_to(self, position: i64) -> None:
        """What is to be read back begins here: everything not read before it is gone."""
        first = self._reading.through + 1
        if self._durable:
            dropped = Ranges()
            dropped.add(first, position - 1)
            for start, end in dropped.without(self._marked()).intervals():
                self.settle_range(start, end)
        self._reading.through = position - 1
        self._spare(first, position - 1)  # what is before that may be with a consumer
        if not self._durable:
            self._drop_read()

    def page(self) -> list[Stored]:
        """The next messages that were not read back yet, in the order of their positions; none when there are none."""
        page = self._reading.page()
        if not page and not self.ended:
            page = self._unwritten_page()
        elif not self._durable:
            self._drop_read()
        return page

    def fetch(self, positions: list[int], octets: i64) -> list[Stored]:
        """The messages of some positions, as far as they can be read; it makes no difference to page().

        Args:
            positions: ascending.
            octets: about how much to return; one message at least, if there is one.
        """
        found = self._reading.fetch(positions, octets)
        written = self._log.written
        wanted = set(positions)
        unwritten = [item for item in self._unwritten() if item.position > written]
        found += [Stored(item.position, item.deadline, item.message) for item in unwritten if item.position in wanted]
        return found

    def _unwritten_page(self) -> list[Stored]:
        """What has to be read back is not written yet. What need not survive a restart never will be."""
        page: list[Stored] = []
        for item in self._unwritten():
            if item.position > self._reading.through:
                self._reading.through = item.position
                page.append(Stored(item.position, item.deadline, item.message))
        for item in self._pending.all():
            if not item.lasting:
                self._spare(item.position, item.position)
        return page

    def _unwritten(self) -> list[Unwritten]:
        """What is not known to be written yet, in order."""
        return self._writing.all() + self._pending.all()

    def _marked(self) -> Ranges:
        """The positions of dead letters."""
        result = Ranges()
        for position in sorted(self._acks.marks):
            result.add(position, position)
        return result

    def _drop_read(self) -> None:
        """A message that was read back from a backlog that does not outlive the process is never read again."""
        self._acks.gone.add(0, self._reading.through)
        self._disk.commits.join(self, 0)

    # What commits call.

    def hurries(self) -> bool:
        """Unless consumers have been so quick that most of what came lately never had to be written."""
        return self.ended or self._to_remove or (self._pending.count > 0 and not self._worth_waiting)

    def aged(self) -> bool:
        pending = self._pending
        aged = pending.count > 0 and pending.first < self._asked
        self._asked = pending.end
        return aged

    def begin(self) -> Job | None:
        if self.ended:
            return None
        if self._kept > 0:
            needed: i64 = GOES_ON_FROM if self._worth_waiting else WAITS_FROM
            self._worth_waiting = self._spared * 100 >= self._kept * needed
            self._kept = 0
            self._spared = 0
        self._acks.gather()
        self._moving, self._moved = self._moved, []  # the commit before is done
        self._append()
        self._log.forget(self._acks.gone)
        return self._log.begin()

    def _append(self) -> None:
        """Hand what is pending to the log. What was taken out again since it came is gone, though no file says so."""
        # HOT: the loop over stored messages
        gone = self._acks.gone
        log = self._log
        encoder = self._encoder
        now: i64 = int(self._disk.clock.time() * 1000)
        passed = self._passed
        end = self._pending.end
        for item in self._pending.all():
            position = item.position
            if position > passed:
                gone.add(passed, position - 1)
            passed = position + 1
            message = item.message
            head = encoder.head(message, item.deadline)
            log.append(position, now, message.body_size, not item.lasting, head, message.content)
        if end > passed:
            gone.add(passed, end - 1)
            passed = end
        self._passed = passed
        self._writing = self._pending
        self._pending = Gathered()

    def begin_late(self) -> Job | None:
        if self._to_remove:
            self._to_remove = False
            return FolderRemoval(self._disk.files, self._folder)
        if self.ended:
            return None
        acks: JournalWrite | None = None
        if self._durable:
            if not self._log.empty:  # else there is nothing that could come back
                self._acks.handed_out(self._lane.handed_out())
            acks = self._acks.begin()
        removal = self._log.begin_late()
        rewrite = self._log.rewrite(self._acks.gone)
        if acks is None and removal is None and rewrite is None:
            return None
        self._late = LateJobs(acks, removal, rewrite)
        return self._late

    def relieve(self) -> Job | None:
        if self._to_remove:
            self._to_remove = False
            return FolderRemoval(self._disk.files, self._folder)
        if self.ended:
            return None
        acks, log, late = self._acks, self._log, self._late
        acks.gather()
        moved = self._moving + self._moved
        moved.sort()
        log.relieve(acks.gone.without(ranges_of(moved)) if moved else acks.gone)
        removal: LogRemoval | None = None
        if late is not None:
            if not self._moving:  # else what is gone may have to wait
                removal = late.take_removal()
            if late.rewrite is not None and log.give_up_rewrite(late.rewrite):
                late.rewrite = None
        more = log.begin_late()
        return None if removal is None and more is None else Relief(removal, more)

    def finished(self, job: Job) -> None:
        if self.ended:
            return
        if isinstance(job, LogWrite):
            self._log.finished(job)
            self._writing.clear()
        elif isinstance(job, LateJobs):
            self._late = None
            self._moving = []
            if job.acks is not None:
                self._acks.finished(job.acks)
            if job.rewrite is not None:
                self._log.finished_rewrite(job.rewrite)
                self._reading.report_damage()
                self._disk.commits.join(self, 0)  # to remove the old file

    def failed(self, job: Job, error: OSError) -> None:
        self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """The disk failed for good."""
        if self.ended:
            return  # another queue may have its name by now
        self.ended = True
        self._pending.clear()
        self._writing.clear()
        self._on_failure(error)

    def checkpoint(self) -> Job | None:
        """A job after which the next start has next to nothing to scan; only while no commit is under way."""
        return self._log.checkpoint(NOT_WORTH_A_SYNC)

    def close(self) -> None:
        """Write nothing any more."""
        self.ended = True
        self._pending.clear()
        self._disk.kept.pop(self, None)
        if self._moving or self._moved:
            self._disk.leaving[self._folder] = self._disk.commits.number
        self._log.close()
        if not self._durable:  # those of durable queues go after the catalog knows that the queues are gone
            self._to_remove = True
            self._disk.commits.join(self, 0)
