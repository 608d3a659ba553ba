"""The bookkeeping of bindings against a set of tuples, whatever is declared, bound, unbound and deleted."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from amqpd.broker.binding import Destination
from amqpd.broker.declaration import ExchangeSpec
from amqpd.broker.queues.base import QueueSpec
from amqpd.broker.vhost import VHost
from amqpd.wire.table import EMPTY_TABLE, Table
from tests.builders import World, message

KEYS = st.sampled_from(["", "k"])
ARGUMENTS = st.sampled_from([EMPTY_TABLE, Table.of({"a": 1})])
NEVER_DELETED = set(World().vhost.exchanges)


class Bound(NamedTuple):
    """A binding in the model: by names."""

    source: str
    destination: tuple[str, str]  # kind_word and name
    key: str
    arguments: Table


def order(bound: Bound) -> tuple[str, tuple[str, str], str, bytes]:
    """An order that is the same in every run, which hypothesis wants."""
    return bound.source, bound.destination, bound.key, bound.arguments.raw


class Model:
    """What a virtual host holds, without any index."""

    def __init__(self) -> None:
        self.exchanges: dict[str, bool] = {}  # name: auto-delete
        self.queues: set[str] = set()
        self.bindings: set[Bound] = set()

    def delete_exchange(self, name: str) -> None:
        del self.exchanges[name]
        self.bindings = {bound for bound in self.bindings if bound.source != name}
        self.unbind({bound for bound in self.bindings if bound.destination == ("exchange", name)})

    def delete_queue(self, name: str) -> None:
        self.queues.remove(name)
        self.unbind({bound for bound in self.bindings if bound.destination == ("queue", name)})

    def unbind(self, gone: set[Bound]) -> None:
        """Remove bindings, and the auto-delete exchanges that lead nowhere because of that."""
        self.bindings -= gone
        for source in {bound.source for bound in gone}:
            if self.exchanges.get(source) and all(bound.source != source for bound in self.bindings):
                self.delete_exchange(source)


class BindingMachine(RuleBasedStateMachine):
    """A handful of names, so that deletions meet what is bound, redeclared and bound in circles."""

    def __init__(self) -> None:
        super().__init__()
        self.vhost: VHost = World().vhost
        self.model = Model()
        self.generation = -1
        self.routes: dict[tuple[str, str], list[str]] = {}

    @rule(name=st.sampled_from("abcd"), kind=st.sampled_from(["fanout", "direct"]), auto_delete=st.booleans())
    def declare_exchange(self, name: str, kind: str, auto_delete: bool) -> None:
        if name not in self.model.exchanges:
            self.vhost.create_exchange(name, ExchangeSpec(kind, False, auto_delete, False))
            self.model.exchanges[name] = auto_delete

    @rule(name=st.sampled_from("xyz"))
    def declare_queue(self, name: str) -> None:
        if name not in self.model.queues:
            self.vhost.create_queue(name, QueueSpec(False, None, False, EMPTY_TABLE))
            self.model.queues.add(name)

    @precondition(lambda self: self.model.exchanges)
    @rule(data=st.data(), key=KEYS, arguments=ARGUMENTS)
    def bind(self, data: st.DataObject, key: str, arguments: Table) -> None:
        bound = self._any_bound(data, key, arguments)
        self.vhost.bind(self.vhost.exchange(bound.source), self._destination(bound), key, arguments)
        self.model.bindings.add(bound)

    @precondition(lambda self: self.model.exchanges)
    @rule(data=st.data(), key=KEYS, arguments=ARGUMENTS)
    def unbind_what_may_not_be_there(self, data: st.DataObject, key: str, arguments: Table) -> None:
        self._unbind(self._any_bound(data, key, arguments))

    @precondition(lambda self: self.model.bindings)
    @rule(data=st.data())
    def unbind(self, data: st.DataObject) -> None:
        self._unbind(data.draw(st.sampled_from(sorted(self.model.bindings, key=order))))

    @precondition(lambda self: self.model.exchanges)
    @rule(data=st.data())
    def delete_exchange(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.exchanges)))
        self.vhost.delete_exchange(self.vhost.exchange(name))
        self.model.delete_exchange(name)

    @precondition(lambda self: self.model.queues)
    @rule(data=st.data())
    def delete_queue(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.queues)))
        self.vhost.delete_queue(self.vhost.queue(name))
        self.model.delete_queue(name)

    @invariant()
    def the_same_exchanges_and_queues_are_there(self) -> None:
        assert set(self.vhost.exchanges) - NEVER_DELETED == set(self.model.exchanges)
        assert set(self.vhost.queues) == self.model.queues

    @invariant()
    def every_exchange_has_its_bindings(self) -> None:
        found = set()
        for name in self.model.exchanges:
            exchange = self.vhost.exchange(name)
            bindings = exchange.bindings()
            assert len(bindings) == exchange.binding_count
            for binding in bindings:
                destination = (binding.destination.kind_word, binding.destination.name)
                found.add(Bound(name, destination, binding.key, binding.arguments))
        assert found == self.model.bindings

    @invariant()
    def the_sources_of_every_destination_are_known_and_nothing_else_is_kept(self) -> None:
        expected: dict[Destination, set[Destination]] = {}
        for bound in self.model.bindings:
            expected.setdefault(self._destination(bound), set()).add(self.vhost.exchange(bound.source))
        assert {destination: set(sources) for destination, sources in self.vhost._sources.items()} == expected

    @invariant()
    def the_generation_grows_when_a_route_changes(self) -> None:
        routes = {}
        for name, exchange in self.vhost.exchanges.items():
            for key in ("", "k", "x"):
                queues = self.vhost.route(exchange, [key], message()).queues
                routes[name, key] = sorted(queue.name for queue in queues)
        assert routes == self.routes or self.vhost.generation > self.generation
        self.routes, self.generation = routes, int(self.vhost.generation)

    def _any_bound(self, data: st.DataObject, key: str, arguments: Table) -> Bound:
        source = data.draw(st.sampled_from(sorted(self.model.exchanges)))
        exchanges = [("exchange", name) for name in sorted(self.model.exchanges)]
        queues = [("queue", name) for name in sorted(self.model.queues)]
        return Bound(source, data.draw(st.sampled_from(queues + exchanges)), key, arguments)

    def _destination(self, bound: Bound) -> Destination:
        kind, name = bound.destination
        return self.vhost.queue(name) if kind == "queue" else self.vhost.exchange(name)

    def _unbind(self, bound: Bound) -> None:
        source = self.vhost.exchange(bound.source)
        self.vhost.unbind(source, self._destination(bound), bound.key, bound.arguments)
        if bound in self.model.bindings:
            self.model.unbind({bound})


TestBindingMachine = BindingMachine.TestCase
