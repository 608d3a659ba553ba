"""The basic class (section 1.8), but for publish and ack, which come ready-made from the frame reader."""

from __future__ import annotations

from pamqp import commands

from amqpd.auth.permissions import Access
from amqpd.broker.arguments import check_consumer_arguments, consumer_priority
from amqpd.broker.queues.reply import REPLY_TO
from amqpd.errors import NotAllowed, NotImplementedByServer, PreconditionFailed
from amqpd.protocol.channel import Channel
from amqpd.protocol.consumer import ChannelConsumer
from amqpd.protocol.ledger import UNSIGNED
from amqpd.protocol.transaction import Outcome
from amqpd.wire.methods import arguments_of, make


def qos(channel: Channel, method: commands.Basic.Qos) -> None:
    """Limit unsettled deliveries: per consumer that starts from now on, or (``global``) of the whole channel."""
    if method.prefetch_size:
        raise NotImplementedByServer(f"prefetch_size!=0 ({method.prefetch_size})")
    if method.global_:
        channel.limit_prefetch(method.prefetch_count)
    else:
        channel.prefetch = method.prefetch_count
        channel.limit_prefetch(0)
    channel.send(make(commands.Basic.QosOk))


def consume(channel: Channel, method: commands.Basic.Consume) -> None:
    """Start a consumer. consume_ok is sent before its first delivery."""
    name = channel.queue_name(method.queue)
    tag = method.consumer_tag or channel.context.unique_name("amq.ctag")
    if name == REPLY_TO:
        consume_replies(channel, tag, method.no_ack)
    else:
        check_tag(channel, tag)
        limit = channel.session.consumer_max
        if limit is not None and len(channel.consumers) >= limit:
            raise NotAllowed(f"reached maximum ({limit}) of consumers per channel")
        channel.subscribe(new_consumer(channel, name, tag, method))
    if not method.nowait:
        channel.send(make(commands.Basic.ConsumeOk, consumer_tag=tag))


def consume_replies(channel: Channel, tag: str, no_ack: bool) -> None:
    """Start the reply consumer (RabbitMQ, direct reply-to).

    Raises:
        PreconditionFailed: there is one, or it wants to acknowledge.
        NotAllowed: another consumer has the tag.
    """
    if channel.reply_queue is not None:
        raise PreconditionFailed("reply consumer already set")
    if not no_ack:
        raise PreconditionFailed("reply consumer cannot acknowledge")
    check_tag(channel, tag)
    channel.open_reply_queue(tag)


def check_tag(channel: Channel, tag: str) -> None:
    """Refuse a consumer tag that is in use.

    Raises:
        NotAllowed: it is.
    """
    if tag in channel.consumers or (channel.reply_queue is not None and channel.reply_queue.tag == tag):
        raise NotAllowed(f"attempt to reuse consumer tag '{tag}'")


def new_consumer(channel: Channel, name: str, tag: str, method: commands.Basic.Consume) -> ChannelConsumer:
    """The consumer that basic.consume asks for, its queue and arguments checked."""
    channel.session.check_queue(Access.READ, name)
    queue = channel.vhost.unlocked_queue(name, channel.session)
    arguments = arguments_of(method)
    check_consumer_arguments(name, channel.vhost.name, queue.kind, arguments)
    queue.check_consumer(method.no_ack, channel.prefetch)
    if channel.prefetch_limit and not queue.supports_global_prefetch:
        raise NotImplementedByServer(f"{queue} does not support global qos")
    priority = consumer_priority(arguments)
    return ChannelConsumer(tag, queue, channel, method.no_ack, method.exclusive, priority, channel.prefetch, arguments)


def cancel(channel: Channel, method: commands.Basic.Cancel) -> None:
    """End a consumer; unknown tags are ended already."""
    channel.cancel(method.consumer_tag or "")
    if not method.nowait:
        channel.send(make(commands.Basic.CancelOk, consumer_tag=method.consumer_tag))


def cancel_ok(channel: Channel, method: commands.Basic.CancelOk) -> None:
    """A client answers the server's basic.cancel: nothing is left to do."""


def get(channel: Channel, method: commands.Basic.Get) -> None:
    """Fetch one message. Prefetch does not matter here."""
    name = channel.queue_name(method.queue)
    channel.session.check_queue(Access.READ, name)
    queue = channel.vhost.unlocked_queue(name, channel.session)
    delivery = queue.fetch(method.no_ack)
    if delivery is None:
        channel.past.get_empty += 1
        channel.send(make(commands.Basic.GetEmpty))
        return
    channel.past.add_get(method.no_ack, delivery.redelivered)
    tag = channel.ledger.skip() if method.no_ack else channel.ledger.add(delivery)
    message = delivery.message
    if delivery.deliveries:
        message = queue.presented(message, int(delivery.deliveries))
    if channel.vhost.firehose.on:
        channel.vhost.firehose.delivered(channel.origin(), message, name, delivery.redelivered)
    reply = make(
        commands.Basic.GetOk,
        delivery_tag=int(tag),
        redelivered=delivery.redelivered,
        exchange=message.exchange,
        routing_key=message.routing_key,
        message_count=queue.message_count,
    )
    channel.send(reply)
    channel.output.write(message.content_for(channel.number, channel.payload_max))


def ack(channel: Channel, method: commands.Basic.Ack) -> None:
    """A basic.ack that came while the channel waited for the disk; the others come from the frame reader."""
    channel.acknowledge(signed(method.delivery_tag), method.multiple)


def nack(channel: Channel, method: commands.Basic.Nack) -> None:
    """Refuse one delivery or several."""
    outcome = Outcome.REQUEUE if method.requeue else Outcome.REJECT
    channel.settle(signed(method.delivery_tag), method.multiple, outcome)


def reject(channel: Channel, method: commands.Basic.Reject) -> None:
    """Refuse one delivery."""
    channel.settle(signed(method.delivery_tag or 0), False, Outcome.REQUEUE if method.requeue else Outcome.REJECT)


def signed(tag: int) -> int:
    """A delivery tag as the ledger takes it: the 64 bits as a signed number. No delivery ever has a negative one."""
    return tag - UNSIGNED if tag >> 63 else tag


def recover(channel: Channel, method: commands.Basic.Recover) -> None:
    """Requeue everything unsettled; the answer goes out before the redeliveries do."""
    recover_async(channel, method)
    channel.send(make(commands.Basic.RecoverOk))


def recover_async(channel: Channel, method: commands.Basic.Recover | commands.Basic.RecoverAsync) -> None:
    """The same without an answer."""
    if not method.requeue:
        raise NotImplementedByServer("requeue=false")
    channel.recover()
