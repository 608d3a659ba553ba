"""A stream's store: its log and its cursors, what of it is safe, and what has had its time.

Rule: what may live here knows messages and offsets, not who reads them. What is written can be read once its commit is
done, and not before: an offset that somebody has seen belongs to its message for good.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.message import Message
from amqpd.broker.queues.disk import Disk, Kept
from amqpd.broker.queues.late import FolderRemoval
from amqpd.broker.queues.stream.filters import Filter
from amqpd.broker.queues.stream.page import Page, Tail, page_in
from amqpd.broker.queues.stream.retention import Retention
from amqpd.broker.queues.stream.segment_filters import SegmentFilters
from amqpd.broker.queues.stream.stamp import Stamp
from amqpd.broker.records import PLAIN, RecordDecoder
from amqpd.broker.settings import QueueSettings
from amqpd.clock import Timer
from amqpd.errors import AMQPError
from amqpd.log.block import Block
from amqpd.log.commit import SAFE, Job
from amqpd.log.cursors import Cursors
from amqpd.log.damage import Damage
from amqpd.log.journal_write import JournalWrite
from amqpd.log.log import Log
from amqpd.log.ranges import Ranges
from amqpd.log.scan import BODY_FRONT, Scan
from amqpd.log.segment import Segment
from amqpd.log.write import LogRemoval, LogWrite

# A record beside the message's content: its own front, the route. What a commit counts for it.
_OVERHEAD: Final = 64


@final
class StreamStore(Kept):
    """What one stream consists of.

    Args:
        disk: where it is.
        folder: which is made when it is needed.
        durable: what is in it comes back after a restart.
        settings: of the stream.
        on_end: called when there is more to read.
        on_failure: called when the disk fails for good; nothing can be kept from then on.

    Attributes:
        first: the offset of the first record that is kept.
        end: records below this offset are safe, and can be read.
    """

    def __init__(
        self,
        disk: Disk,
        folder: str,
        durable: bool,
        settings: QueueSettings,
        on_end: Callable[[], None],
        on_failure: Callable[[OSError], None],
    ) -> None:
        super().__init__()
        self.first: i64 = 0
        self.end: i64 = 0
        self._disk = disk
        self._folder = folder
        self._durable = durable
        self._on_end = on_end
        self._on_failure = on_failure
        self._log = Log(disk.files, f"{folder}/0", settings.max_segment_size_bytes)
        self.cursors = Cursors(disk.files, folder, disk.journal_size)
        self._stamp = Stamp()
        self._decoder = RecordDecoder()
        self._route = b""
        self._head = PLAIN
        self._tail: Tail | None = None
        self._filters = SegmentFilters(self._log, settings.filter_size_bytes)
        self._retention = Retention(settings)
        self._judged = 0  # segments when retention was looked at last
        self._gone = Ranges()
        self._timer: Timer | None = None
        self._late: StreamLate | None = None  # that is under way
        self._ended = False
        self._to_remove = False
        disk.kept[self] = None

    @property
    def next_offset(self) -> i64:
        """The offset that the next message gets."""
        return self._log.next_offset

    def recover(self) -> None:
        """Find out what is there. Blocks."""
        for damage in self._log.open() + self.cursors.open():
            self._disk.damaged(damage)
        segments = self._log.segments()
        if segments:
            self.first = segments[0].base
            self.end = self._log.next_offset
        for segment in segments:
            self._filters.recover(segment)
        self._make_safe()
        self._look()

    def _make_safe(self) -> None:
        """A process that was killed may have written what it did not sync, and from now on it can be read."""
        job = self._log.checkpoint()  # which syncs
        if job is None:
            return
        try:
            job.run()
            job.sync()
        except OSError as error:
            self._give_up(error)
            return
        self._log.finished(job)

    def append(self, message: Message, now: i64) -> i64:
        """Take a message in; return the commit after which it is safe.

        Args:
            now: milliseconds since the epoch.
        """
        # HOT: once per message published to a stream
        log = self._log
        stamp = self._stamp
        offset = log.next_offset
        content = stamp.content(message, offset)
        route = message.route
        if route is not self._route:
            self._route = route
            self._head = PLAIN + route
        log.append(offset, now, message.body_size, False, self._head, content)
        self._filters.note(stamp.filter_value)
        size: i64 = len(content)
        if self._tail is not None:
            self._tail.add(message.with_content(content, stamp.header_end), size)
        disk = self._disk
        disk.commits.join(self, size + _OVERHEAD)
        return disk.commits.number if disk.waits else SAFE

    # Reading.

    def keep_tail(self) -> None:
        """Somebody reads: from now on the latest messages stay in memory for a while."""
        if self._tail is None:
            self._tail = Tail(self._log.next_offset, self._disk.tail_octets, self._disk.tail_page_octets)

    def drop_tail(self) -> None:
        """Nobody reads any more."""
        self._tail = None
        self._disk.pages.drop(self._folder)

    def page_at(self, offset: i64) -> Page | None:
        """The page that has an offset, or else the first one behind it; None if there is nothing to be read.

        Blocks for a read of the file, unless somebody has read there just before. What is on a page may not be safe
        yet: only what is below ``end`` is to be used.
        """
        tail = self._tail
        if tail is not None and offset >= tail.first:
            return tail.page_of(offset)
        while not self._ended:
            block = self._log.block_at(offset)
            if block is None:
                break
            page = page_in(self._pages_of(block), offset)
            if page is not None:
                return page
            if not block.whole:
                break
            offset = block.next  # what was there is damaged
        return None

    def next_match(self, offset: i64, wanted: Filter) -> i64:
        """The first offset, from this one on, at which something wanted may be."""
        return self._filters.next_match(offset, wanted)

    def offset_at(self, time: i64) -> i64:
        """The first offset that was written at a time (milliseconds since the epoch) or later, or the next one."""
        return max(self._log.offset_at(time), self.first)

    def _pages_of(self, block: Block) -> list[Page]:
        cache = self._disk.pages
        place = int(block.number) if block.whole else -int(block.end)
        key = (self._folder, int(block.segment.base), place)
        pages = cache.get(key)
        if pages is None:
            pages = self._read(block)
            cache.put(key, pages)
        return pages

    def _read(self, block: Block) -> list[Page]:
        pages: list[Page] = []
        try:
            scan = self._log.scan_block(block)
            page = Page(-1)
            while scan.next():
                message = self._message_of(scan)
                if message is None:
                    continue
                offset = scan.offset
                if page.next != offset or not page.messages:
                    page = Page(offset)
                    pages.append(page)
                page.add(message, scan.size)
            self._log.scanned(scan)
        except OSError as error:
            self._give_up(error)
        self._report_damage()
        return pages

    def _message_of(self, scan: Scan) -> Message | None:
        """The message of the record that a scan is at; None if it is none, which is told of."""
        # HOT: once per message that is read back
        try:
            message = self._decoder.plain(scan.body, BODY_FRONT)
            reason = "it has a deadline"
        except (ValueError, IndexError, AMQPError) as fault:
            message = None
            reason = str(fault)
        if message is None:
            where = f"{self._folder}/0, record {int(scan.offset)}"
            self._disk.damaged(Damage(where, 0, int(scan.size), f"it is no message of a stream ({reason})"))
        return message

    def _report_damage(self) -> None:
        if self._log.damages:
            for damage in self._log.damages:
                self._disk.damaged(damage)
            self._log.damages.clear()

    # Retention.

    def changed(self) -> None:
        """A cursor has moved: the next commit is to know it."""
        self._disk.commits.join(self, 0)

    def apply(self, settings: QueueSettings) -> None:
        """Keep what these settings say from now on."""
        self._retention = Retention(settings)
        self._judged = 0
        if self._log.next_offset > 0:
            self._disk.commits.join(self, 0)

    def _look(self) -> None:
        """See whether something has had its time, and when to look again."""
        self._timer = None
        self._judged = 0
        self._disk.commits.join(self, 0)

    def _retain(self) -> None:
        segments = self._log.segments()
        leftover = len(segments) > 0 and segments[0].base < self.first  # it was not written to its end the last time
        if len(segments) == self._judged and not leftover:
            return
        kept = [segment for segment in segments if segment.base >= self.first]
        now: i64 = int(self._disk.clock.time() * 1000)
        count = self._retention.outlived(kept, now)
        if count > 0:
            self.first = kept[count].base
            self._gone.add(0, self.first - 1)
        if segments and segments[0].base < self.first:
            self._log.forget(self._gone)
            self._filters.forget_below(self.first)
        self._judged = len(self._log.segments())
        self._set_timer(kept[count:], now)

    def _set_timer(self, kept: list[Segment], now: i64) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        moment = self._retention.next_moment(kept)
        if moment is not None:
            delay = max(moment - int(now), 1) / 1000
            self._timer = self._disk.commits.timers.call_later(delay, self._look)

    # What commits call.

    def begin(self) -> Job | None:
        if self._ended:
            return None
        self._retain()
        return self._log.begin()

    def begin_late(self) -> Job | None:
        if self._to_remove:
            self._to_remove = False
            return FolderRemoval(self._disk.files, self._folder)
        if self._ended:
            return None
        removal = self._log.begin_late()
        if removal is not None:
            removal.in_order = True
        cursors = self.cursors.begin() if self._durable else None
        self._late = None if removal is None and cursors is None else StreamLate(removal, cursors)
        return self._late

    def finished(self, job: Job) -> None:
        if self._ended:
            return
        if isinstance(job, LogWrite):
            self._log.finished(job)
            self.end = self._log.written + 1
            self._on_end()
        elif isinstance(job, StreamLate) and job.cursors is not None:
            self.cursors.finished(job.cursors)

    def failed(self, job: Job, error: OSError) -> None:
        if isinstance(job, LogWrite) and self._late is not None:
            self._late.given_up = True
        self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """The disk failed for good."""
        if not self._ended:
            self._ended = True
            self._on_failure(error)

    def checkpoint(self) -> Job | None:
        return None if self._ended else self._log.checkpoint()

    def close(self) -> None:
        self._ended = True
        self.drop_tail()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._disk.kept.pop(self, None)
        self._log.close()
        if not self._durable:  # that of a durable stream goes after the catalog knows that the stream is gone
            self._to_remove = True
            self._disk.commits.join(self, 0)


@final
class StreamLate(Job):
    """What takes something away from a stream, or need not be as safe as a message: old segments, moved cursors.

    Attributes:
        given_up: the records of the same commit are lost. Without them the old segments are all there is, and what
            tells the next start which offsets were used; and no cursor may stand behind the end.
    """

    def __init__(self, removal: LogRemoval | None, cursors: JournalWrite | None) -> None:
        self.removal = removal
        self.cursors = cursors
        self.given_up = False

    def run(self) -> None:
        if self.given_up:
            return
        if self.removal is not None:
            self.removal.run()
        if self.cursors is not None:
            self.cursors.run()

    def sync(self) -> None:
        if self.cursors is not None and not self.given_up:
            self.cursors.sync()
