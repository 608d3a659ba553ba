"""Exchanges: /api/exchanges."""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from pamqp import commands

from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.vhost import VHost
from amqpd.management.actions import channel
from amqpd.management.answer import ABSENT, DONE, Answer, Columns, Listing, One, put_answer
from amqpd.management.errors import Missing
from amqpd.management.request import Request
from amqpd.management.resources.bindings import listing as binding_listing
from amqpd.management.router import route
from amqpd.management.statistics import exchange_stat, exchange_stats
from amqpd.management.values import plain, text
from amqpd.wire.methods import make


class ExchangeIn:
    """An exchange and the virtual host that it is in."""

    __slots__ = ("exchange", "vhost")

    def __init__(self, exchange: Exchange, vhost: VHost) -> None:
        self.exchange = exchange
        self.vhost = vhost


def policy_of(request: Request, item: ExchangeIn) -> object:
    """The name of the policy that applies; there is no key without one."""
    policy = item.vhost.policies.policy_for_exchange(item.exchange.name) if item.exchange.name else None
    return ABSENT if policy is None else policy.name


COLUMNS: Final = Columns(
    {
        "arguments": lambda request, item: plain(item.exchange.arguments),
        "auto_delete": lambda request, item: item.exchange.auto_delete,
        "durable": lambda request, item: item.exchange.durable,
        "internal": lambda request, item: item.exchange.internal,
        "message_stats": lambda request, item: exchange_stats(request, item.exchange.traffic),
        "name": lambda request, item: text(item.exchange.name),
        "policy": policy_of,
        "type": lambda request, item: item.exchange.kind,
        "user_who_performed_action": lambda request, item: text(item.exchange.declared_by),
        "vhost": lambda request, item: item.vhost.name,
    },
    basic=frozenset({"arguments", "auto_delete", "durable", "internal", "name", "policy", "type", "vhost"}),
    parts={"message_stats": lambda request, item, key: exchange_stat(request, item.exchange.traffic, key)},
)
# What came in by which channel, and went out to which queue, is counted only with RabbitMQ's detailed rates.
SINGLE: Final = COLUMNS.plus(incoming=lambda request, item: [], outgoing=lambda request, item: [])


def show_list(request: Request) -> Listing:
    """All exchanges, or those of one virtual host, by name."""
    items = (ExchangeIn(exchange, vhost) for vhost in request.vhosts() for exchange in list(vhost.exchanges.values()))
    order = attrgetter("vhost.name", "exchange.name")
    return Listing(COLUMNS, items, paged=True, name=attrgetter("exchange.name"), order=order)


def find(request: Request, variable: str = "exchange") -> ExchangeIn:
    """The exchange of the path.

    Raises:
        Missing: there is none.
    """
    vhost = request.vhost()
    found = vhost.exchanges.get(request.name(variable))
    if found is None:
        raise Missing
    return ExchangeIn(found, vhost)


def show(request: Request) -> One:
    """One exchange."""
    return One(SINGLE, find(request))


def declare(request: Request) -> Answer:
    """Declare an exchange."""
    vhost = request.vhost_to_change()
    name = request.name("exchange")
    created = name not in vhost.exchanges
    method = make(
        commands.Exchange.Declare,
        exchange=name,
        exchange_type=request.text("type", "direct"),
        durable=request.boolean("durable"),
        auto_delete=request.boolean("auto_delete"),
        internal=request.boolean("internal"),
        arguments=request.table("arguments"),
        nowait=True,
    )
    with channel(request, vhost) as opened:
        opened.do(method)
    return put_answer(created)


def delete(request: Request) -> Answer:
    """Delete an exchange."""
    item = find(request)
    method = make(
        commands.Exchange.Delete, exchange=item.exchange.name, if_unused=request.flag("if-unused"), nowait=True
    )
    with channel(request, item.vhost) as opened:
        opened.do(method)
    return DONE


def outgoing(request: Request) -> Listing:
    """The bindings of which it is the source."""
    item = find(request)
    return binding_listing(item.vhost, item.exchange.bindings())


def incoming(request: Request) -> Listing:
    """The bindings that lead to it."""
    item = find(request)
    return binding_listing(item.vhost, item.vhost.bindings_to(item.exchange))


ROUTES: Final = (
    route("/exchanges", get=show_list),
    route("/exchanges/{vhost}", get=show_list),
    route("/exchanges/{vhost}/{exchange}", get=show, put=declare, delete=delete),
    route("/exchanges/{vhost}/{exchange}/bindings/source", get=outgoing),
    route("/exchanges/{vhost}/{exchange}/bindings/destination", get=incoming),
)
