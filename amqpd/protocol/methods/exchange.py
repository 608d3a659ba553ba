"""The exchange class (section 1.6) with RabbitMQ's exchange-to-exchange bindings."""

from __future__ import annotations

from typing import Final

from pamqp import commands

from amqpd.auth.permissions import Access
from amqpd.broker.arguments import invalid_type
from amqpd.broker.declaration import RESERVED_PREFIX, ExchangeSpec, check_equivalent_exchange, check_new_exchange
from amqpd.broker.exchanges import EXCHANGE_TYPES
from amqpd.broker.exchanges.base import Exchange
from amqpd.errors import AccessRefused, PreconditionFailed
from amqpd.protocol.channel import Channel
from amqpd.wire.methods import arguments_of, make

NO_LINE_BREAKS: Final = str.maketrans("", "", "\r\n")


def declare(channel: Channel, method: commands.Exchange.Declare) -> None:
    """Create an exchange, or see that it is there."""
    if method.passive:
        name = clean(method.exchange)
        refuse_default(name)
        channel.vhost.exchange(name)
    else:
        declare_active(channel, method)
    if not method.nowait:
        channel.send_when_kept(make(commands.Exchange.DeclareOk))


def declare_active(channel: Channel, method: commands.Exchange.Declare) -> None:
    """The checks stand in RabbitMQ's order, which decides what a client is told."""
    check_type(method.exchange_type)
    name = clean(method.exchange)
    refuse_default(name)
    session, vhost = channel.session, channel.vhost
    session.check_exchange(Access.CONFIGURE, name)
    spec = ExchangeSpec(method.exchange_type, method.durable, method.auto_delete, method.internal, arguments_of(method))
    existing = vhost.exchanges.get(name)
    if existing is not None:
        check_equivalent_exchange(vhost.name, existing, spec)
        return
    check_new_exchange(name)
    alternate = spec.arguments.get("alternate-exchange")
    if alternate is not None:
        if not isinstance(alternate.value, str):
            raise invalid_type("exchange", "alternate-exchange", name, vhost.name, alternate)
        session.check_exchange(Access.READ, name)
        session.check_exchange(Access.WRITE, alternate.value)
    vhost.create_exchange(name, spec, session.user.name)


def delete(channel: Channel, method: commands.Exchange.Delete) -> None:
    """Delete an exchange; one that does not exist is deleted already."""
    name = clean(method.exchange)
    refuse_default(name)
    vhost = channel.vhost
    if name.startswith(RESERVED_PREFIX):
        raise AccessRefused(f"deletion of system {vhost.exchange_text(name)} not allowed")
    channel.session.check_exchange(Access.CONFIGURE, name)
    existing = vhost.exchanges.get(name)
    if existing is not None:
        vhost.delete_exchange(existing, method.if_unused, channel.session.user.name)
    if not method.nowait:
        channel.send_when_kept(make(commands.Exchange.DeleteOk))


def bind(channel: Channel, method: commands.Exchange.Bind) -> None:
    """Bind an exchange to an exchange."""
    source, destination = ends(channel, method.source, method.destination, method.routing_key)
    key, arguments = method.routing_key, arguments_of(method)
    if source is None or destination is None:
        channel.vhost.exchange(clean(method.source) if source is None else clean(method.destination))
    else:
        channel.vhost.bind(source, destination, key, arguments, channel.session.user.name)
    if not method.nowait:
        channel.send_when_kept(make(commands.Exchange.BindOk))


def unbind(channel: Channel, method: commands.Exchange.Unbind) -> None:
    """Remove a binding; one that does not exist is removed already."""
    source, destination = ends(channel, method.source, method.destination, method.routing_key)
    if source is not None and destination is not None:
        arguments = arguments_of(method)
        channel.vhost.unbind(source, destination, method.routing_key, arguments, channel.session.user.name)
    if not method.nowait:
        channel.send_when_kept(make(commands.Exchange.UnbindOk))


def ends(channel: Channel, source: str, destination: str, key: str) -> tuple[Exchange | None, Exchange | None]:
    """Source and destination of an exchange-to-exchange binding, None where there is none, after all permissions."""
    source, destination = clean(source), clean(destination)
    channel.session.check_exchange(Access.WRITE, destination)
    refuse_default(destination)
    refuse_default(source)
    channel.session.check_exchange(Access.READ, source)
    exchanges = channel.vhost.exchanges
    found = exchanges.get(source)
    if found is not None:
        channel.session.check_topic(Access.READ, found, key)
    return found, exchanges.get(destination)


def check_type(kind: str) -> None:
    """Refuse what is no exchange type.

    Raises:
        PreconditionFailed: with RabbitMQ's two texts; an empty name is the one that Erlang knows as an atom.
    """
    if kind not in EXCHANGE_TYPES:
        raise PreconditionFailed(f"{'unknown' if kind else 'invalid'} exchange type '{kind}'")


def refuse_default(name: str) -> None:
    """Nobody declares, deletes or binds the default exchange.

    Raises:
        AccessRefused: this is it.
    """
    if not name:
        raise AccessRefused("operation not permitted on the default exchange")


def clean(name: str) -> str:
    """RabbitMQ removes line breaks from names in methods that change the topology."""
    return name.translate(NO_LINE_BREAKS)
