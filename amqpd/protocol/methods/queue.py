"""The queue class (section 1.7)."""

from __future__ import annotations

from typing import Final

from pamqp import commands

from amqpd.auth.permissions import Access
from amqpd.broker.arguments import invalid_type, with_effective_type
from amqpd.broker.declaration import RESERVED_PREFIX, check_alive, check_equivalent_queue, check_lock
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.queues.base import Queue, QueueSpec
from amqpd.broker.queues.reply import REPLY_TO, is_reply_name
from amqpd.errors import AccessRefused, NotFound, PreconditionFailed
from amqpd.protocol.channel import Channel
from amqpd.protocol.methods.exchange import clean, refuse_default
from amqpd.wire.methods import arguments_of, make
from amqpd.wire.table import Table

# Types whose queues are meant to outlive whoever would know a name that the server made up.
NAMED_TYPES: Final = frozenset({"quorum", "stream"})


def declare(channel: Channel, method: commands.Queue.Declare) -> None:
    """Create a queue, or see that it is there; the channel remembers it as its last one."""
    name = clean(method.queue)
    if is_reply_name(name):
        declare_reply_queue(channel, name, method.nowait)
        return
    if method.passive:
        queue = channel.vhost.unlocked_queue(name, channel.session)
    else:
        queue = declare_active(channel, name, method)
    queue.declared()
    channel.last_queue = queue.name
    if not method.nowait:
        consumers = len(queue.consumers) if queue.tells_consumers else 0
        declare_ok(channel, queue.name, queue.message_count, consumers)


def declare_active(channel: Channel, name: str, method: commands.Queue.Declare) -> Queue:
    """The checks stand in RabbitMQ's order, which decides what a client is told."""
    session, vhost = channel.session, channel.vhost
    owner = session if method.exclusive else None
    durable = method.durable and not method.exclusive
    default_type = vhost.metadata.queue_type(durable, method.exclusive, method.auto_delete)
    arguments = with_effective_type(arguments_of(method), default_type)
    if name.startswith(RESERVED_PREFIX):
        raise AccessRefused(f"queue name '{name}' contains reserved prefix 'amq.*'")
    kind = arguments.text("x-queue-type")
    if not name and kind in NAMED_TYPES:
        raise PreconditionFailed(f"Cannot declare a server-named queue for type rabbit_{kind}_queue")
    name = name or channel.context.unique_name("amq.gen")
    session.check_queue(Access.CONFIGURE, name)
    channel.context.counters.churn.queue_declared += 1
    spec = QueueSpec(durable, owner, method.auto_delete, arguments)
    existing = vhost.queues.get(name)
    if existing is not None:
        check_alive(existing)
        check_lock(existing, session)
        check_equivalent_queue(vhost.name, existing, spec)
        return existing
    vhost.check_queue_limit(name)
    check_dead_letter_access(channel, name, arguments)
    return vhost.create_queue(name, spec, session.user.name)


def check_dead_letter_access(channel: Channel, name: str, arguments: Table) -> None:
    """Whoever sets up dead-lettering must be able to do by hand what the queue will do.

    Raises:
        PreconditionFailed: x-dead-letter-exchange is no longstr.
        AccessRefused: no read permission on the queue or no write permission on that exchange.
    """
    exchange = arguments.get("x-dead-letter-exchange")
    if exchange is None:
        return
    if not isinstance(exchange.value, str):
        raise invalid_type("queue", "x-dead-letter-exchange", name, channel.vhost.name, exchange)
    channel.session.check_queue(Access.READ, name)
    channel.session.check_exchange(Access.WRITE, exchange.value)


def declare_reply_queue(channel: Channel, name: str, nowait: bool) -> None:
    """A responder may ask whether the requester is still there (RabbitMQ, direct reply-to).

    Raises:
        NotFound: it is not.
    """
    alive = channel.vhost.reply_queue(name) is not None
    if not alive and name != REPLY_TO:
        raise NotFound(f"no {channel.vhost.queue_text(name)}")
    if not nowait:
        declare_ok(channel, name, 0, 1)


def declare_ok(channel: Channel, name: str, messages: int, consumers: int) -> None:
    """The answer to both kinds of declare."""
    channel.send_when_kept(make(commands.Queue.DeclareOk, queue=name, message_count=messages, consumer_count=consumers))


def bind(channel: Channel, method: commands.Queue.Bind) -> None:
    """Bind a queue to an exchange."""
    name, key = binding_ends(channel, method.queue, method.routing_key)
    source = source_of(channel, name, method.exchange, key)
    if source is None:
        channel.vhost.exchange(clean(method.exchange))
    else:
        queue = channel.vhost.queue(name)
        arguments = arguments_of(method)
        source.check_binding(queue, key, arguments)
        check_lock(queue, channel.session)
        channel.vhost.bind(source, queue, key, arguments, channel.session.user.name)
    if not method.nowait:
        channel.send_when_kept(make(commands.Queue.BindOk))


def unbind(channel: Channel, method: commands.Queue.Unbind) -> None:
    """Remove a binding; one that does not exist is removed already."""
    name, key = binding_ends(channel, method.queue, method.routing_key)
    source = source_of(channel, name, method.exchange, key)
    queue = channel.vhost.queues.get(name)
    arguments = arguments_of(method)
    if source is not None and queue is not None and source.find_binding(queue, key, arguments) is not None:
        check_lock(queue, channel.session)
        channel.vhost.unbind(source, queue, key, arguments, channel.session.user.name)
    channel.send_when_kept(make(commands.Queue.UnbindOk))


def binding_ends(channel: Channel, queue: str, key: str) -> tuple[str, str]:
    """Queue name and binding key that bind and unbind mean: both empty stand for the channel's last queue."""
    name = channel.queue_name(clean(queue))
    return name, name if not queue and not key else key


def source_of(channel: Channel, queue: str, exchange: str, key: str) -> Exchange | None:
    """The source of a queue's binding, None where there is none, after all permissions."""
    exchange = clean(exchange)
    channel.session.check_queue(Access.WRITE, queue)
    refuse_default(exchange)
    channel.session.check_exchange(Access.READ, exchange)
    source = channel.vhost.exchanges.get(exchange)
    if source is not None:
        channel.session.check_topic(Access.READ, source, key)
    return source


def purge(channel: Channel, method: commands.Queue.Purge) -> None:
    """Drop a queue's ready messages."""
    name = channel.queue_name(method.queue)
    channel.session.check_queue(Access.READ, name)
    count = channel.vhost.unlocked_queue(name, channel.session).purge()
    if not method.nowait:
        channel.send(make(commands.Queue.PurgeOk, message_count=count))


def delete(channel: Channel, method: commands.Queue.Delete) -> None:
    """Delete a queue; one that does not exist is deleted already."""
    name = channel.queue_name(clean(method.queue))
    count = 0
    if not is_reply_name(name):
        channel.session.check_queue(Access.CONFIGURE, name)
        queue = channel.vhost.queues.get(name)
        if queue is not None:
            check_lock(queue, channel.session)
            user = channel.session.user.name
            count = channel.vhost.delete_queue(queue, method.if_unused, method.if_empty, user)
    if not method.nowait:
        channel.send_when_kept(make(commands.Queue.DeleteOk, message_count=count))
