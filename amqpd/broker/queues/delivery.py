"""A message on its way: taken from its queue, not yet settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from mypy_extensions import i64

from amqpd.broker.message import Message

if TYPE_CHECKING:
    from amqpd.broker.queues.base import Queue
    from amqpd.broker.queues.consumers import Consumer


@final
class Delivery:
    """What a queue needs back to acknowledge, requeue or reject a message.

    Args:
        queue: where it came from; the queue may be gone when it is settled.
        position: its place in that queue.
        deliveries: how often it had been delivered before this time.
        deadline: when it expires should it come back, in milliseconds since the epoch; 0 is never.
        consumer: who has it; None when it was fetched with basic.get.

    ``tag`` is the delivery tag; the channel's ledger sets it.
    """

    def __init__(
        self,
        queue: Queue,
        message: Message,
        position: i64,
        deliveries: i64,
        deadline: i64,
        consumer: Consumer | None,
    ) -> None:
        self.queue = queue
        self.message = message
        self.position: i64 = position
        self.deliveries: i64 = deliveries
        self.deadline: i64 = deadline
        self.consumer = consumer
        self.tag: i64 = 0

    @property
    def redelivered(self) -> bool:
        """The flag that goes with it."""
        return self.deliveries > 0
