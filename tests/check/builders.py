"""Data directories as a broker leaves them, made without one."""

from __future__ import annotations

from pathlib import Path

from amqpd.broker.records import RecordEncoder
from amqpd.catalog.catalog import Catalog
from amqpd.catalog.directory import DataDirectory
from amqpd.catalog.rows import ExchangeRow, QueueRow
from amqpd.check.directory import DirectoryCheck
from amqpd.check.findings import Report
from amqpd.log.acks import Acks
from amqpd.log.commit import Job
from amqpd.log.cursors import Cursors
from amqpd.log.files import DiskFiles
from amqpd.log.log import Log
from amqpd.wire.properties import Properties
from amqpd.wire.table import Table
from tests.builders import message

SEGMENT = 4000  # octets: about 20 records
BODY = b"b" * 100
PERSISTENT = Properties.of(delivery_mode=2, content_type="text/plain")


class Made:
    """A data directory that is being made; queues are stored in it one by one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.directory = DataDirectory.open(path)
        self.catalog = Catalog.open(self.directory.catalog_path, False)
        self.files = DiskFiles(path, syncs=False)

    def queue(self, name: str, kind: str = "classic") -> int:
        """Declare a queue; its id."""
        number = self.catalog.next_queue_id()
        self.catalog.add_queue(QueueRow(number, "/", name, kind, False, b""))
        return number

    def delayed(self, name: str) -> int:
        """Declare an exchange that holds messages; its id."""
        number = self.catalog.next_queue_id()
        arguments = Table.of({"x-delayed-type": "fanout"}).raw
        self.catalog.add_exchange(ExchangeRow("/", name, "x-delayed-message", False, False, arguments, number))
        return number

    def store(self, number: int, messages: int, acknowledged: int = 0, checkpoint: bool = True) -> Path:
        """Put messages into a queue, of which the first ones are acknowledged; where they are."""
        folder = f"queues/{number}/0"
        log = Log(self.files, folder, SEGMENT)
        log.open()
        encoder = RecordEncoder()
        sent = message(PERSISTENT, BODY)
        for offset in range(messages):
            log.append(offset, 1000 + offset, len(BODY), False, encoder.head(sent, 0), sent.content)
        write = log.begin()
        if write is not None:
            run(write)
            log.finished(write)
        if checkpoint and (write := log.checkpoint()) is not None:
            run(write)
            log.finished(write)
        acks = Acks(self.files, folder)
        for gone in (acknowledged // 2, acknowledged):  # a snapshot, then what is added to it
            acks.settle_range(0, gone - 1)
            acks.handed_out(gone)
            job = acks.begin()
            if job is not None:
                run(job)
                acks.finished(job)
        return self.path / folder

    def stream(self, name: str, messages: int, *moves: tuple[str, int], checkpoint: bool = True) -> Path:
        """A stream with so many messages whose cursors have moved; its folder."""
        number = self.queue(name, "stream")
        self.store(number, messages, 0, checkpoint)
        cursors = Cursors(self.files, f"queues/{number}")
        for cursor, offset in moves:
            cursors.move(cursor, offset)
            job = cursors.begin()
            assert job is not None
            run(job)
            cursors.finished(job)
        return self.path / f"queues/{number}"

    def close(self) -> None:
        """The broker ends."""
        write = self.catalog.begin()
        if write is not None:
            write.run()
            self.catalog.finished(write)
        self.catalog.close()
        self.files.close()
        self.directory.close()


def run(job: Job) -> None:
    """Do a job to its end."""
    job.run()
    job.sync()


def stored(
    path: Path, messages: int = 50, acknowledged: int = 10, kind: str = "classic", checkpoint: bool = True
) -> Path:
    """A directory with one queue, "jobs"; the folder with its messages."""
    made = Made(path)
    folder = made.store(made.queue("jobs", kind), messages, acknowledged, checkpoint)
    made.close()
    return folder


def checked(path: Path) -> Report:
    """The report of a check."""
    return DirectoryCheck(DataDirectory.inspect(path), lambda octets: None).run()


def texts(report: Report) -> list[str]:
    """What is said to be corrupt."""
    return [finding.text for finding in report.corrupt]


def live(report: Report) -> int:
    """Messages that are not acknowledged."""
    return sum(store.live for store in report.stores)


def flip(path: Path, position: int) -> None:
    """Change one octet of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 0x40
    path.write_bytes(bytes(data))


def segments(folder: Path) -> list[Path]:
    """The segments in a folder."""
    return sorted(folder.glob("*.log"))


def tree(path: Path) -> dict[str, bytes]:
    """Every file with its content."""
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
