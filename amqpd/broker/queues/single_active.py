"""Single active consumer: one consumer gets everything, the others wait for it to leave (RabbitMQ)."""

from __future__ import annotations

from typing import final

from amqpd.broker.queues.consumers import Consumer, Consumers


@final
class SingleActiveConsumers(Consumers):
    """The consumers of a queue with x-single-active-consumer, in the order in which they came.

    Args:
        by_priority: the one with the highest x-priority is to be active (quorum queues). A newcomer with a higher
            priority takes over as soon as the active one has settled everything; until then nobody gets messages.
    """

    def __init__(self, by_priority: bool) -> None:
        super().__init__()
        self._by_priority = by_priority
        self.active: Consumer | None = None

    @property
    def single_active(self) -> bool:
        return True

    def is_active(self, consumer: Consumer) -> bool:
        return consumer is self.active

    def add(self, consumer: Consumer) -> None:
        self._all[consumer] = None
        if self.active is None:
            self.active = consumer

    def remove(self, consumer: Consumer) -> bool:
        if consumer not in self._all:
            return False
        del self._all[consumer]
        if self.active is consumer:
            self.active = self._best()
        return True

    def resume(self, consumer: Consumer) -> None:
        pass  # nobody is ever parked: there is only one to ask

    def take(self) -> Consumer | None:
        active = self.active
        if active is None:
            return None
        if self._by_priority:
            best = self._best()
            if best is not None and best.priority > active.priority:
                if active.unsettled:
                    return None
                self.active = active = best
        return active if active.ready() else None

    def _best(self) -> Consumer | None:
        """Who is to be active: the first that came, or the first of the highest priority."""
        best: Consumer | None = None
        for consumer in self._all:
            if best is None or (self._by_priority and consumer.priority > best.priority):
                best = consumer
        return best
