"""A channel: consumers, unsettled deliveries, and the modes that publishing can be in.

Rule: what may live here is the state of one channel and the changes that several methods share. What a single method
means stands in methods/.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import final

from mypy_extensions import i64
from pamqp import commands

from amqpd.broker.context import Context
from amqpd.broker.counters import Counted, Sampled, Traffic
from amqpd.broker.firehose import Origin
from amqpd.broker.message import Message
from amqpd.broker.queues.base import Queue
from amqpd.broker.queues.delivery import Delivery
from amqpd.broker.queues.reply import REPLY_TO, ReplyQueue
from amqpd.broker.queues.sink import MessageSink
from amqpd.errors import NotFound, PreconditionFailed
from amqpd.protocol.confirms import Confirms
from amqpd.protocol.consumer import ChannelConsumer, ReplyConsumer
from amqpd.protocol.content import Content
from amqpd.protocol.events import channel_closed, consumer_ended, consumer_started
from amqpd.protocol.held import Held
from amqpd.protocol.ledger import Ledger
from amqpd.protocol.patience import Patience
from amqpd.protocol.publishing import Publishing
from amqpd.protocol.session import Session
from amqpd.protocol.throttle import Throttle
from amqpd.protocol.transaction import HeldSettlement, Outcome, Transaction
from amqpd.wire.methods import Method, encode, make
from amqpd.wire.output import Output


class ChannelState(Enum):
    """Where a channel stands. A number without a channel is closed."""

    OPEN = "open"
    CLOSING = "closing"  # the server sent channel.close and waits for channel.close_ok


@final
class Channel(Counted, Sampled):
    """One open channel of a connection.

    Args:
        number: 1 to 65535.
        session: whose channel it is.
        output: the connection's.
        throttle: the connection's, for queues that have to slow it down.
        context: the broker's surroundings.
        patience: how long deliveries may wait for their acknowledgement.
    """

    def __init__(
        self, number: i64, session: Session, output: Output, throttle: Throttle, context: Context, patience: Patience
    ) -> None:
        self.number: i64 = number
        self.session = session
        self.vhost = session.vhost
        self.output = output
        self.throttle = throttle
        self.context = context
        self.payload_max: i64 = session.payload_max
        self.state = ChannelState.OPEN
        self.receptive = True  # open, and not in the middle of a message
        self.content = Content(int(number), int(session.max_message_size))
        self.publishing = Publishing(self)
        self.ledger = Ledger()
        self.patience = patience
        self.consumers: dict[str, ChannelConsumer] = {}
        self.reply_queue: ReplyQueue | None = None
        self.confirms: Confirms | None = None
        self.transaction: Transaction | None = None
        self.prefetch = 0  # of consumers that start from now on
        self.prefetch_limit: i64 = 0  # of all consumers of the channel together
        self.unsettled: i64 = 0  # deliveries to consumers, in the ledger or settled in an open transaction
        self.last_queue: str | None = None
        self.created_at: i64 = context.now()
        # Counters. Deliveries are counted by their consumers, and end up in ``past`` with what basic.get took.
        self.past = Traffic()
        self.acks: i64 = 0
        self.sampled: i64 = 0
        self.active_at: i64 = 0
        self.returned_unroutable: i64 = 0
        self.held: Held | None = None  # an answer waits for the disk, and all that comes waits for the answer
        self.on_resume: Callable[[Channel, Held], None] | None = None  # the wait is over

    @property
    def exhausted(self) -> bool:
        """The limit that all consumers share is reached."""
        return self.prefetch_limit > 0 and self.unsettled >= self.prefetch_limit

    def origin(self) -> Origin:
        """Who publishes and gets messages here, as the firehose tells it."""
        return Origin(self.session.name, int(self.number), self.session.user.name)

    def send(self, method: Method) -> None:
        """Answer with a method."""
        self.output.write(encode(int(self.number), method))

    def send_after(self, commit: i64, method: Method, sinks: list[list[MessageSink]]) -> None:
        """Answer once a commit is done; until then the channel does nothing else.

        Args:
            sinks: where messages went that are safe then.
        """
        if commit <= self.context.storage.commits.done:
            self.send(method)
            return
        self.held = Held(self, encode(int(self.number), method), sinks)
        self.receptive = False
        self.context.storage.commits.wait(self.held)

    def send_when_kept(self, method: Method) -> None:
        """Answer a change of the topology once it is safe."""
        self.send_after(self.context.storage.topology_ticket, method, [])

    def resumed(self, held: Held) -> None:
        """The disk is done: send the answer, and go on with what was kept."""
        if self.on_resume is not None:
            self.on_resume(self, held)

    def return_message(self, message: Message) -> None:
        """Send a mandatory message back that no queue took (section 1.8.3.9)."""
        returned = make(
            commands.Basic.Return,
            reply_code=312,
            reply_text="NO_ROUTE",
            exchange=message.exchange,
            routing_key=message.routing_key,
        )
        self.returned_unroutable += 1
        self.send(returned)
        self.output.write(message.content_for(self.number, self.payload_max))

    def queue_name(self, name: str) -> str:
        """The queue that a method means: an empty name is the one that the channel declared last (section 1.7.2).

        Raises:
            NotFound: there is no such.
        """
        if name:
            return name
        if self.last_queue is None:
            raise NotFound("no previously declared queue")
        return self.last_queue

    # Settling.

    def acknowledge(self, tag: i64, multiple: bool) -> None:
        """basic.ack (section 1.8.3.13).

        Raises:
            PreconditionFailed: unknown delivery tag.
        """
        # HOT: once per basic.ack
        if self.transaction is None and not multiple:
            delivery = self.ledger.settle(tag)
            self.acks += 1
            delivery.queue.acknowledge(delivery)
            if delivery.consumer is not None:
                delivery.consumer.settled()
            return
        self.settle(tag, multiple, Outcome.ACKNOWLEDGE)

    def settle(self, tag: i64, multiple: bool, outcome: Outcome) -> None:
        """Settle one delivery, or all up to a tag; in a transaction the effect waits for the commit.

        Raises:
            PreconditionFailed: unknown delivery tag; nothing was settled.
        """
        deliveries = self.ledger.settle_up_to(tag) if multiple else [self.ledger.settle(tag)]
        if self.transaction is not None:
            self.transaction.settlements.append(HeldSettlement(deliveries, outcome))
        else:
            self.apply(deliveries, outcome)

    def apply(self, deliveries: list[Delivery], outcome: Outcome) -> None:
        """Carry a settlement out."""
        # HOT: the loop over acknowledged messages
        acknowledged = outcome is Outcome.ACKNOWLEDGE
        if acknowledged:
            self.acks += len(deliveries)
        for delivery in deliveries:
            queue = delivery.queue
            if acknowledged:
                queue.acknowledge(delivery)
            elif outcome is Outcome.REQUEUE:
                queue.requeue(delivery)
            else:
                queue.reject(delivery)
            if delivery.consumer is not None:
                delivery.consumer.settled()

    def recover(self) -> None:
        """Requeue every unsettled delivery (section 1.8.3.15)."""
        self.apply(self.ledger.settle_all(), Outcome.REQUEUE)

    def limit_prefetch(self, count: int) -> None:
        """Set the limit that all consumers of the channel share; 0 removes it."""
        self.prefetch_limit = count
        self.resume_consumers()

    def resume_consumers(self) -> None:
        """There may be credit or room in the output again."""
        for consumer in self.consumers.values():
            if not consumer.in_ring:
                consumer.queue.resume(consumer)

    # Consuming.

    def subscribe(self, consumer: ChannelConsumer) -> None:
        """Start a consumer.

        Raises:
            AccessRefused: the queue is in exclusive use.
        """
        consumer.queue.subscribe(consumer)
        self.consumers[consumer.tag] = consumer
        consumer_started(self, consumer)

    def cancel(self, tag: str) -> None:
        """Stop a consumer, if there is one. Unsettled deliveries stay with the channel (section 1.8.3.5)."""
        consumer = self.consumers.pop(tag, None)
        if consumer is not None:
            self._unsubscribe(consumer)
        elif self.reply_queue is not None and self.reply_queue.tag == tag:
            self._drop_reply_queue()

    def consumer_cancelled(self, consumer: ChannelConsumer) -> None:
        """The broker ended a consumer, its queue was deleted (RabbitMQ, consumer cancellation notification)."""
        del self.consumers[consumer.tag]
        self._ended(consumer)
        if self.session.notify_cancel:
            self.send(make(commands.Basic.Cancel, consumer_tag=consumer.tag, nowait=True))
        consumer_ended(self, consumer)

    def reply_address(self) -> str:
        """The address that replaces ``amq.rabbitmq.reply-to`` in a message published here.

        Raises:
            PreconditionFailed: the channel has no reply consumer.
        """
        if self.reply_queue is None:
            raise PreconditionFailed("fast reply consumer does not exist")
        return self.reply_queue.name

    def open_reply_queue(self, tag: str) -> None:
        """Start the reply consumer of this channel, which has none (RabbitMQ, direct reply-to)."""
        name = self.context.unique_name(REPLY_TO + ".g") + "." + self.context.unique_name("k")
        self.reply_queue = ReplyQueue(name, tag, ReplyConsumer(self, tag))
        self.vhost.add_reply_queue(self.reply_queue)

    # Counting.

    def activity(self) -> i64:
        return self.traffic().activity

    def traffic(self) -> Traffic:
        self.publishing.count()
        traffic = Traffic()
        traffic.add(self.past)
        traffic.publish = self.publishing.published
        traffic.routed = self.publishing.routed
        traffic.return_unroutable = self.returned_unroutable
        traffic.drop_unroutable = self.publishing.unroutable - self.returned_unroutable
        traffic.ack = self.acks
        if self.confirms is not None:
            traffic.confirmable = self.confirms.received
            traffic.confirm = self.confirms.confirmed
        for consumer in self.consumers.values():
            traffic.add_deliveries(consumer.no_ack, consumer.delivered, consumer.redelivered)
        return traffic

    # Ending.

    def close(self) -> None:
        """Release everything: consumers end, unsettled deliveries return to their queues, what was held is dropped."""
        self.held = None
        for consumer in list(self.consumers.values()):
            del self.consumers[consumer.tag]
            self._unsubscribe(consumer)
        self._drop_reply_queue()
        if self.transaction is not None:
            for held in self.transaction.take_settlements():
                self.ledger.restore(held.deliveries)  # so that all return in the order of their delivery
        for delivery in self.ledger.settle_all():
            delivery.queue.requeue(delivery)
        if self.confirms is not None:
            self.confirms.close()
        self.publishing.end()
        self.vhost.totals.leave(self)
        if self.state is ChannelState.OPEN:  # else the broker has closed it before
            self.context.counters.churn.channel_closed += 1
            channel_closed(self)

    def _unsubscribe(self, consumer: ChannelConsumer) -> None:
        self._ended(consumer)
        queue: Queue = consumer.queue
        last = queue.unsubscribe(consumer)
        consumer_ended(self, consumer)
        if last and queue.spec.auto_delete:
            self.vhost.delete_queue(queue)

    def _ended(self, consumer: ChannelConsumer) -> None:
        """Keep what a consumer has counted."""
        self.past.add_deliveries(consumer.no_ack, consumer.delivered, consumer.redelivered)

    def _drop_reply_queue(self) -> None:
        if self.reply_queue is not None:
            self.vhost.remove_reply_queue(self.reply_queue)
            self.reply_queue = None
