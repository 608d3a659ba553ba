"""The classic queue: strict FIFO, a requeued message returns to its place (RabbitMQ, classic queues)."""

from __future__ import annotations

from typing import ClassVar, final

from amqpd.broker.context import Context
from amqpd.broker.message import Message
from amqpd.broker.queues.base import Queue, QueueSpec
from amqpd.broker.queues.delivery import Delivery
from amqpd.broker.queues.lane import Lane


@final
class ClassicQueue(Queue):
    """A queue in which an acknowledged message is gone."""

    kind: ClassVar[str] = "classic"

    def __init__(self, name: str, vhost_name: str, spec: QueueSpec, context: Context) -> None:
        super().__init__(name, vhost_name, spec, context)
        self._lane = Lane()

    @property
    def message_count(self) -> int:
        return self._lane.count

    def publish(self, message: Message) -> bool:
        # HOT: once per published message and queue
        self._lane.append(message)
        self.defer_pump()
        return True

    def get(self) -> Delivery | None:
        message = self._lane.take()
        if message is None:
            return None
        return Delivery(self, message, self._lane.position, self._lane.deliveries, None)

    def acknowledge(self, delivery: Delivery) -> None:
        pass  # it left the queue when it was delivered

    def requeue(self, delivery: Delivery) -> None:
        if not self.deleted:
            self._lane.put_back(delivery.message, delivery.position, delivery.deliveries + 1)
            self.defer_pump()

    def reject(self, delivery: Delivery) -> None:
        pass  # no dead-letter exchange: dropped

    def purge(self) -> int:
        self.defer_pump()  # for the publishers that were held
        return self._lane.clear()

    def pump(self) -> None:
        # HOT: the delivery loop
        lane = self._lane
        consumers = self.consumers
        while lane.count > 0:
            consumer = consumers.take()
            if consumer is None:
                break
            message = lane.take()
            assert message is not None  # count said so
            consumer.deliver(message, lane.position, lane.deliveries)
        self.check_congestion()
