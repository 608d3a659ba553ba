"""What ought to happen: which records are in which stream, and which of them a reader must and may have.

Rule: what may live here predicts; it talks to no broker. Where RabbitMQ 3.10 may do otherwise than amqpd, the allowed
set is computed here, and as narrow as clients can see it:

* RabbitMQ stores records in chunks. A chunk never has records of two batches, since a batch is confirmed before the
  next one is sent. So "last" is somewhere in the last batch, and credit may be overdrawn up to the end of a batch.
* Where segments are small, RabbitMQ spends offsets on records of its own, and what is kept depends on how much room a
  record takes: such a stream is read as a whole, and what is kept must be its end and about as much as was asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

MARGIN: Final = 0.2  # seconds between a timestamp that a reader asks for and the batches around it


@dataclass(frozen=True)
class Record:
    """A message in a stream."""

    body: str
    exchange: str
    routing_key: str
    properties: dict[str, Any]


@dataclass
class Batch:
    """Records that were confirmed together: the index of the first, and when they were written (seconds)."""

    first: int
    begun: float
    ended: float


@dataclass
class Stream:
    """A stream that both brokers have."""

    arguments: dict[str, Any]
    records: list[Record] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)

    @property
    def retains(self) -> bool:
        """Whether old records go, and how many is not the same in both."""
        return "x-max-length-bytes" in self.arguments

    def append(self, records: list[Record], begun: float, ended: float) -> None:
        """A batch was confirmed."""
        if records:
            self.batches.append(Batch(len(self.records), begun, ended))
            self.records += records

    def batch_of(self, index: int) -> tuple[int, int]:
        """The first record of the batch that a record is in, and the first one behind it."""
        starts = [batch.first for batch in self.batches] + [len(self.records)]
        place = max(number for number, start in enumerate(starts[:-1]) if start <= index)
        return starts[place], starts[place + 1]

    def second_before(self, number: int) -> int | None:
        """A whole second between the batch of that number (-1: the last) and the one before; None if there is none."""
        number += len(self.batches) if number < 0 else 0
        if not 0 < number < len(self.batches):
            return None
        second = int(self.batches[number].begun - MARGIN)
        return second if second > self.batches[number - 1].ended + MARGIN else None

    def age_before(self, number: int, now: float) -> int | None:
        """How many whole seconds ago was between that batch (-1: the last) and the one before; None if none."""
        number += len(self.batches) if number < 0 else 0
        if not 0 < number < len(self.batches):
            return None
        age = int(now - self.batches[number - 1].ended - MARGIN)
        return age if age > 0 and age > now - self.batches[number].begun + MARGIN else None


@dataclass
class Reader:
    """A consumer.

    Args:
        queue: what it reads.
        stream: the same.
        start: index of the first record that it must get.
        earliest: RabbitMQ may begin so early.
        prefetch: its credit.

    Attributes:
        acked: what it has acknowledged, by index.
    """

    queue: str
    stream: Stream
    start: int
    earliest: int
    prefetch: int
    acked: set[int] = field(default_factory=set)

    @property
    def end(self) -> int:
        """The first record that it must not have yet, nor may have in amqpd."""
        return max(min(len(self.stream.records), self.start + self.prefetch + len(self.acked)), self.start)

    @property
    def latest_end(self) -> int:
        """The first record that it may not have in RabbitMQ."""
        return self.stream.batch_of(self.end - 1)[1] if self.end > self.start else self.start

    @property
    def unacked(self) -> list[int]:
        """What it has in both and has not acknowledged."""
        return [index for index in range(self.start, self.end) if index not in self.acked]


@dataclass
class Exchange:
    """An exchange, and its bindings: key and queue."""

    kind: str
    bindings: set[tuple[str, str]] = field(default_factory=set)

    def route(self, key: str) -> set[str]:
        """The queues for a routing key."""
        match self.kind:
            case "fanout":
                return {queue for _, queue in self.bindings}
            case "direct":
                return {queue for pattern, queue in self.bindings if pattern == key}
        return {queue for pattern, queue in self.bindings if _matches(pattern, key)}


def _matches(pattern: str, key: str) -> bool:
    """Whether a topic pattern covers a key."""
    words = "".join(
        {"#": r"(\.[^.]*)*", "*": r"\.[^.]*"}.get(word, r"\." + re.escape(word)) for word in pattern.split(".")
    )
    return re.fullmatch(words, "." + key if key else "") is not None  # the empty key has no words


@dataclass
class World:
    """Everything that is declared, and everybody who reads, by consumer tag."""

    streams: dict[str, Stream] = field(default_factory=dict)
    exchanges: dict[str, Exchange] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)

    def routed(self, exchange: str, keys: list[str]) -> set[str]:
        """The streams that a message goes to.

        Args:
            exchange: "" is the default one.
            keys: routing key and CC.
        """
        if not exchange:
            return self.streams.keys() & set(keys)
        found = set().union(*(self.exchanges[exchange].route(key) for key in keys))
        return found & self.streams.keys()

    def delete(self, queue: str) -> list[str]:
        """A stream is deleted; returns the tags of those who read it."""
        del self.streams[queue]
        for exchange in self.exchanges.values():
            exchange.bindings = {binding for binding in exchange.bindings if binding[1] != queue}
        tags = [tag for tag, reader in self.readers.items() if reader.queue == queue]
        for tag in tags:
            del self.readers[tag]
        return tags
