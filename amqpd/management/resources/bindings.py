"""Bindings: /api/bindings, and the key that names one of them among those between the same two ends.

That key (RabbitMQ's properties_key) is made of the routing key and a hash of the arguments. Arguments are compared by
their value in JSON: a binding made over AMQP with a 32-bit number is the one that JSON describes with the same number.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, quote_plus, unquote_plus

from pamqp import commands

from amqpd.broker.binding import Binding, Destination
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.vhost import VHost
from amqpd.management.actions import channel
from amqpd.management.answer import DONE, Answer, Columns, Listing, One
from amqpd.management.errors import Missing
from amqpd.management.request import Request
from amqpd.management.router import route
from amqpd.management.values import plain, text
from amqpd.wire.methods import Method, make
from amqpd.wire.table import Table

HASH_LENGTH: Final = 6
NO_KEY: Final = "~"  # neither routing key nor arguments
KINDS: Final = {"q": "queue", "e": "exchange"}
BIND: Final[Mapping[str, type[Method]]] = {"q": commands.Queue.Bind, "e": commands.Exchange.Bind}
UNBIND: Final[Mapping[str, type[Method]]] = {"q": commands.Queue.Unbind, "e": commands.Exchange.Unbind}


class BindingIn:
    """A binding and the virtual host that it is in."""

    __slots__ = ("binding", "vhost")

    def __init__(self, binding: Binding, vhost: VHost) -> None:
        self.binding = binding
        self.vhost = vhost


COLUMNS: Final = Columns(
    {
        "source": lambda request, item: text(item.binding.source.name),
        "vhost": lambda request, item: item.vhost.name,
        "destination": lambda request, item: text(item.binding.destination.name),
        "destination_type": lambda request, item: item.binding.destination.kind_word,
        "routing_key": lambda request, item: text(item.binding.key),
        "arguments": lambda request, item: plain(item.binding.arguments),
        "properties_key": lambda request, item: properties_key(item.binding.key, item.binding.arguments),
    }
)


def properties_key(key: str, arguments: Table) -> str:
    """The name of a binding among those between the same ends, as lists have it; a path has it encoded once more."""
    quoted = quote_plus(key, errors="surrogateescape").replace("~", "%7E")
    if arguments:
        return quoted + "~" + arguments_hash(arguments)
    return quoted or NO_KEY


def arguments_hash(arguments: Table) -> str:
    """Six characters that are the same for arguments that are the same in JSON."""
    written = json.dumps(plain(arguments), sort_keys=True).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(written).digest())[:HASH_LENGTH].decode()


def order(item: BindingIn) -> tuple[str, ...]:
    """By what bindings are sorted, as RabbitMQ does."""
    binding = item.binding
    destination = binding.destination
    return item.vhost.name, binding.source.name, destination.kind_word, destination.name, binding.key


def listing(vhost: VHost, bindings: Iterable[Binding]) -> Listing:
    """A list of bindings of one virtual host."""
    return show_bindings(BindingIn(binding, vhost) for binding in bindings)


def show_bindings(items: Iterable[BindingIn]) -> Listing:
    """A list of bindings, which RabbitMQ never pages."""
    return Listing(COLUMNS, items, order=order)


def show_list(request: Request) -> Listing:
    """All bindings, or those of one virtual host."""
    return show_bindings(
        BindingIn(binding, vhost)
        for vhost in request.vhosts()
        for source in list(vhost.exchanges.values())
        for binding in source.bindings()
    )


def find_source(request: Request) -> Exchange | None:
    """The exchange that the bindings of the path come from."""
    return request.vhost().exchanges.get(request.name("source"))


def find_destination(request: Request) -> Destination | None:
    """What they lead to.

    Raises:
        Missing: the path says neither ``q`` nor ``e``.
    """
    vhost, kind, name = request.vhost(), KINDS.get(request.path["kind"]), request.path["destination"]
    if kind is None:
        raise Missing
    return vhost.queues.get(name) if kind == "queue" else vhost.exchanges.get(name)


def between(request: Request) -> list[BindingIn]:
    """The bindings between the two ends of the path.

    Raises:
        Missing: there is no such end.
    """
    source, destination = find_source(request), find_destination(request)
    if source is None or destination is None:
        raise Missing
    vhost = request.vhost()
    return sorted((BindingIn(binding, vhost) for binding in source.bindings_to(destination)), key=order)


def show_between(request: Request) -> Listing:
    """The bindings between two ends."""
    return show_bindings(between(request))


def find(request: Request) -> list[BindingIn]:
    """Those that the path names: one, or a few whose arguments differ in type only.

    Raises:
        Missing: there is none.
    """
    wanted = request.path["props"]
    items = [(item, properties_key(item.binding.key, item.binding.arguments)) for item in between(request)]
    found = [item for item, key in items if key == wanted]
    # Some clients put it into the path as it is, and it arrives decoded; RabbitMQ takes that too.
    found = found or [item for item, key in items if unquote_plus(key) == unquote_plus(wanted)]
    if not found:
        raise Missing
    return found


def show(request: Request) -> One:
    """One binding."""
    return One(COLUMNS, find(request)[0])


def bind(request: Request) -> Answer:
    """Bind. The location of the new binding is relative, and encoded as Terraform expects it."""
    vhost = request.vhost_to_change()
    key, arguments = request.text("routing_key", ""), request.table("arguments")
    source, destination = find_source(request), find_destination(request)
    if source is not None and destination is not None:
        arguments = same_arguments(source.bindings_to(destination), key, arguments)
    name = request.path["destination"]
    with channel(request, vhost) as opened:
        opened.do(method_of(BIND, request.path["kind"], request.name("source"), name, key, arguments))
    located = f"{quote(name, safe='')}/{quote(properties_key(key, arguments), safe='')}"
    return Answer(201, headers={"location": located})


def method_of(
    commands_by_kind: Mapping[str, type[Method]], kind: str, source: str, destination: str, key: str, arguments: Table
) -> Method:
    """The method that binds or unbinds two ends; those of queues and of exchanges have other names for them."""
    ends = {"queue": destination, "exchange": source}
    if kind == "e":
        ends = {"destination": destination, "source": source}
    nowait = {} if commands_by_kind[kind] is commands.Queue.Unbind else {"nowait": True}
    return make(commands_by_kind[kind], routing_key=key, arguments=arguments, **ends, **nowait)


def same_arguments(bindings: list[Binding], key: str, arguments: Table) -> Table:
    """The arguments of the binding that is there with this key and equal values, or else those that were given."""
    wanted = properties_key(key, arguments)
    for binding in bindings:
        if binding.key == key and properties_key(key, binding.arguments) == wanted:
            return binding.arguments
    return arguments


def unbind(request: Request) -> Answer:
    """Unbind."""
    vhost = request.vhost_to_change()
    found = find(request)
    with channel(request, vhost) as opened:
        for item in found:
            ends = request.path["kind"], item.binding.source.name, item.binding.destination.name
            opened.do(method_of(UNBIND, *ends, item.binding.key, item.binding.arguments))
    return DONE


ROUTES: Final = (
    route("/bindings", get=show_list),
    route("/bindings/{vhost}", get=show_list),
    route("/bindings/{vhost}/e/{source}/{kind}/{destination}", get=show_between, post=bind),
    route("/bindings/{vhost}/e/{source}/{kind}/{destination}/{props}", get=show, delete=unbind),
)
