"""A transaction: publishes and settlements that wait for tx.commit (AMQP 0-9-1 section 1.9, RabbitMQ's semantics).

Publishes were validated and routed when they came, delivery tags checked; only the effect waits.
"""

from __future__ import annotations

from enum import Enum
from typing import final

from amqpd.broker.message import Message
from amqpd.broker.queues.delivery import Delivery
from amqpd.broker.queues.sink import MessageSink
from amqpd.errors import PreconditionFailed


class Outcome(Enum):
    """How a delivery is settled."""

    ACKNOWLEDGE = "ack"
    REQUEUE = "requeue"
    REJECT = "reject"


@final
class HeldPublish:
    """A publish that waits for the commit."""

    def __init__(self, message: Message, sinks: list[MessageSink], mandatory: bool) -> None:
        self.message = message
        self.sinks = sinks
        self.mandatory = mandatory


@final
class HeldSettlement:
    """Deliveries that are settled with the commit."""

    def __init__(self, deliveries: list[Delivery], outcome: Outcome) -> None:
        self.deliveries = deliveries
        self.outcome = outcome


def incomplete() -> PreconditionFailed:
    """The error for a commit that not every queue had its part of."""
    return PreconditionFailed("partial tx completion")


@final
class Transaction:
    """What a channel in tx mode has gathered since the last commit or rollback."""

    def __init__(self) -> None:
        self.publishes: list[HeldPublish] = []
        self.settlements: list[HeldSettlement] = []

    def take_publishes(self) -> list[HeldPublish]:
        """The publishes, in order; afterwards there are none."""
        publishes, self.publishes = self.publishes, []
        return publishes

    def take_settlements(self) -> list[HeldSettlement]:
        """The settlements, in order; afterwards there are none."""
        settlements, self.settlements = self.settlements, []
        return settlements
