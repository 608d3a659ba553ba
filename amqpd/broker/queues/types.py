"""The queue types by the name that x-queue-type gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from amqpd.broker.queues.base import Queue
from amqpd.broker.queues.classic import ClassicQueue
from amqpd.broker.queues.quorum import QuorumQueue
from amqpd.broker.queues.stream.queue import StreamQueue

QUEUE_TYPES: Final[Mapping[str, type[Queue]]] = {
    ClassicQueue.kind: ClassicQueue,
    QuorumQueue.kind: QuorumQueue,
    StreamQueue.kind: StreamQueue,
}
