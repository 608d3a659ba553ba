"""What a backlog takes away from the disk, as jobs.

Rule: what may live here runs in the thread of the disk. It touches files and what it holds itself, nothing else.
"""

from __future__ import annotations

from typing import final

from amqpd.log.commit import FULL, Job
from amqpd.log.files import Files
from amqpd.log.journal_write import JournalWrite
from amqpd.log.rewrite import Rewrite
from amqpd.log.write import LogRemoval


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

    def take_removal(self) -> LogRemoval | None:
        """Leave the removal of files to somebody else."""
        removal, self._removal = self._removal, None
        return removal

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


@final
class Relief(Job):
    """Files of a backlog that can be removed at once, to make room."""

    def __init__(self, *removals: LogRemoval | None) -> None:
        self._removals = [removal for removal in removals if removal is not None]

    def run(self) -> None:
        for removal in self._removals:
            removal.run()
