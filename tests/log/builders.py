"""What tests of logs share: committing as a broker does, and reading everything back."""

from __future__ import annotations

from amqpd.log.files import Files
from amqpd.log.log import Log
from amqpd.log.ranges import Ranges
from amqpd.log.record import Record

FOLDER = "queues/one"


def opened(files: Files, segment_size: int = 1 << 24) -> Log:
    """A log that had nothing to complain of."""
    log = Log(files, FOLDER, segment_size)
    assert log.open() == []
    return log


def append(log: Log, offset: int, payload: bytes = b"payload", passing: bool = False, time: int = 1000) -> None:
    """A record that weighs its payload, which comes in two parts."""
    log.append(offset, time, len(payload), passing, payload[:3], payload[3:])


def fill(log: Log, first: int, last: int, payload: bytes = b"payload") -> None:
    for offset in range(first, last + 1):
        append(log, offset, payload)


def commit(log: Log, syncs: bool = True) -> None:
    """Bring to the disk what was gathered, then remove what was forgotten."""
    write = log.begin()
    if write is not None:
        write.run()
        if syncs:
            write.sync()
        log.finished(write)
    removal = log.begin_late()
    if removal is not None:
        removal.run()
        removal.sync()


def shut_down(log: Log) -> None:
    write = log.checkpoint()
    if write is not None:
        write.run()
        write.sync()
        log.finished(write)
    log.close()


def all_of(log: Log, octets: int = 1000, start: int = 0) -> list[Record]:
    """Everything there is to read, in as many reads as it takes."""
    found: list[Record] = []
    while records := log.read(start, octets):
        found += records
        start = records[-1].offset + 1
    return found


def offsets(log: Log, start: int = 0) -> list[int]:
    return [record.offset for record in all_of(log, start=start)]


def ranges(*intervals: tuple[int, int]) -> Ranges:
    result = Ranges()
    for first, last in intervals:
        result.add(first, last)
    return result
