"""What a verification has found, as plain values.

Rule: what may live here is told to people and machines by somebody else, and worked on by repair.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from amqpd.log.damage import Damage


class Finding(NamedTuple):
    """Something worth telling of a file or folder.

    Positions are octets of the file; a length of 0 means the file as a whole, or that something is missing there.
    """

    path: str
    """Relative to the data directory."""
    position: int
    length: int
    text: str
    """One sentence that a person understands."""


class Cure(Enum):
    """What can be done about a finding. Each keeps a copy of what it takes away."""

    REWRITE = "rewrite"
    """The whole records of a segment go to its next generation."""
    CUT = "cut"
    """The file ends at a position."""
    REMOVE = "remove"
    """The file goes."""
    REMOVE_FOLDER = "remove folder"
    """The folder goes, with all that is in it."""
    REPLACE_JOURNAL = "replace journal"
    """A new acknowledgement journal says what can be read of those in the folder."""
    REPLACE_CURSORS = "replace cursors"
    """A new file of cursors says what can be read of those in the folder."""


@dataclass(frozen=True)
class Mend:
    """One repair.

    Args:
        cure: what to do.
        path: of the file or folder, relative to the data directory.
        position: where to cut.
        undecodable: offsets of whole records that are no messages; a rewrite leaves them out.
        below: the lowest offset that is in the next segment.
    """

    cure: Cure
    path: str
    position: int = 0
    undecodable: tuple[int, ...] = ()
    below: int = 0


@dataclass
class Findings:
    """What was found in one place, and what can be done about it."""

    corrupt: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    """What is not as it should be, but costs no message: what a crash leaves, what a start mends by itself."""
    mends: list[Mend] = field(default_factory=list)
    incurable: int = 0
    """How many of the corrupt ones no mend is about."""

    def damaged(self, damage: Damage) -> None:
        """Something that the log could not read."""
        self.corrupt.append(Finding(damage.path, damage.position, damage.length, damage.text))

    def mend(self, mend: Mend) -> None:
        """This can be done. One thing is done to a file, the last one that is named."""
        self.mends = [other for other in self.mends if other.path != mend.path] + [mend]


@dataclass
class StoreReport(Findings):
    """A folder with a log and its acknowledgements: one lane of a queue.

    Attributes:
        octets: on the disk.
        records: whole ones.
        stored: of those, messages that survive a restart.
        live: of those, messages that are not acknowledged.
        bodies: octets of the bodies of the live ones.
        lost: messages that a checkpoint knows of, that are not acknowledged, and that are not there.
    """

    folder: str = ""
    segments: int = 0
    octets: int = 0
    records: int = 0
    stored: int = 0
    live: int = 0
    bodies: int = 0
    lost: int = 0


@dataclass
class CursorsReport(Findings):
    """The named cursors of a stream.

    Attributes:
        cursors: how many there are.
        octets: on the disk.
    """

    folder: str = ""
    cursors: int = 0
    octets: int = 0


@dataclass
class QueueReport:
    """A durable queue, or a durable exchange that holds messages.

    Args:
        name: None for a folder of which nothing else is known, because the catalog cannot be read.
        what: it is.
    """

    number: str
    vhost: str | None
    name: str | None
    kind: str | None
    what: str = "queue"
    stores: list[StoreReport] = field(default_factory=list)
    cursors: CursorsReport = field(default_factory=CursorsReport)

    @property
    def label(self) -> str:
        """The queue or exchange as reply texts call it."""
        return f"queue {self.number}" if self.name is None else f"{self.what} '{self.name}' in vhost '{self.vhost}'"


@dataclass
class CatalogReport(Findings):
    """The catalog.

    Attributes:
        readable: what it says of queues can be relied upon.
        counts: how many there are, by the name of the table.
        starts: how often a broker started with it, at least.
    """

    octets: int = 0
    schema: int = 0
    readable: bool = True
    starts: int = 0
    counts: dict[str, int] = field(default_factory=dict)


@dataclass
class Report:
    """A whole data directory."""

    directory: str
    format: int
    catalog: CatalogReport
    queues: list[QueueReport] = field(default_factory=list)
    rest: Findings = field(default_factory=Findings)
    """What is neither the catalog nor a queue's."""
    mended: list[str] = field(default_factory=list)
    """What --repair has done, a sentence each."""
    kept_in: str | None = None
    """Where the copies are of what was taken away."""

    @property
    def stores(self) -> list[StoreReport]:
        """All stores of all queues."""
        return [store for queue in self.queues for store in queue.stores]

    @property
    def parts(self) -> list[Findings]:
        """Everything that has findings."""
        return [self.catalog, *self.stores, *[queue.cursors for queue in self.queues], self.rest]

    @property
    def corrupt(self) -> list[Finding]:
        """All that is corrupt."""
        return [finding for part in self.parts for finding in part.corrupt]

    @property
    def notes(self) -> list[Finding]:
        """All notes."""
        return [finding for part in self.parts for finding in part.notes]

    @property
    def lost(self) -> int:
        """Messages that are known to be lost."""
        return sum(store.lost for store in self.stores)

    @property
    def incurable(self) -> int:
        """How many corrupt places cannot be mended."""
        return sum(part.incurable for part in self.parts)
