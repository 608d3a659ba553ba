"""The disk, as all backlogs share it: where their folders are, how much may be in memory, who waits for it.

Rule: what may live here is the same for all queues.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mypy_extensions import i64, mypyc_attr

from amqpd.broker.publisher import Publisher
from amqpd.broker.queues.stream.page import TAIL, TAIL_PAGE, PageCache
from amqpd.clock import Clock
from amqpd.log.commit import Commits, Job, Member, Waiter
from amqpd.log.damage import Damage
from amqpd.log.files import Files
from amqpd.log.journal_write import SMALL
from amqpd.log.log import SEGMENT_SIZE

# Octets of memory that wait to be written: publishers are not read from while there are more.
HOLD_ABOVE: Final = 24 * 1024 * 1024
RELEASE_BELOW: Final = 8 * 1024 * 1024
SPILL: Final = "spill"  # the folder of all that does not outlive the process
PAGE_OCTETS: Final = 1024 * 1024  # read back at a time
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
        self.tail_octets: i64 = TAIL
        self.tail_page_octets: i64 = TAIL_PAGE
        # Folders of closed backlogs, with the commit before which they must not be removed: some of what was in them
        # has moved elsewhere with that commit.
        self.leaving: dict[str, i64] = {}
        self.messages: i64 = MESSAGES
        self.octets: i64 = OCTETS
        self.page_octets: i64 = PAGE_OCTETS
        self.segment_size: i64 = SEGMENT_SIZE
        self.journal_size: int = SMALL
        self.on_damage: Callable[[Damage], None] | None = None
        self._held: dict[Publisher, None] = {}
        self._spilled: i64 = 0
        commits.resting = self._members

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

    def may_remove(self, folder: str) -> bool:
        """Nothing in a folder of closed backlogs has to wait for anything to be written elsewhere."""
        leaving = {path: commit for path, commit in self.leaving.items() if commit > self.commits.done}
        self.leaving = leaving
        return not any(path.startswith(folder + "/") for path in leaving)

    def _members(self) -> list[Member]:
        return list(self.kept)

    def spill_folder(self) -> str:
        """A new folder for what does not outlive the process."""
        self._spilled += 1
        return f"{SPILL}/{self._spilled}"
