"""What every exchange has: its declared facts, its bindings, and the question "where does this message go?".

Rule: what is the same for every type lives here, how a type matches lives in the type's own file. Nothing here follows
a message further than one exchange; that is broker/routing. What a type needs beyond its bindings it asks of an
ExchangeHost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from mypy_extensions import trait

from amqpd.broker.binding import Binding, Destination
from amqpd.broker.context import Context
from amqpd.broker.counters import ExchangeTraffic
from amqpd.broker.message import Message
from amqpd.wire.table import Table


@trait
class ExchangeHost:
    """Where exchanges live: the virtual host, as far as those types know it that ask for more than a match."""

    context: Context

    def forward(self, destination: Destination, keys: Sequence[str], message: Message) -> None:
        """Hand a message on that an exchange has kept.

        Args:
            destination: a queue gets it, an exchange routes it as if it had just been published there.
            keys: its routing keys; those from BCC are no longer to be seen in what is delivered.
            message: as match got it.
        """
        raise NotImplementedError

    def release(self, exchange: Exchange, message: Message) -> None:
        """Route a message again that an exchange has held, with the keys that it had.

        Args:
            message: as it is stored, without BCC.
        """
        raise NotImplementedError

    def exchange_failed(self, exchange: Exchange, error: OSError) -> None:
        """The disk failed for what an exchange keeps there."""
        raise NotImplementedError


class Exchange(Destination, ABC):
    """An exchange of one type; a type is a subclass that answers match.

    A type that needs an index of its own keeps it up to date in _added and _removed.

    Args:
        name: as declared.
        durable: survives a restart.
        auto_delete: to be deleted when its last binding goes; the virtual host sees to that.
        internal: clients cannot publish to it.
        arguments: as declared, checked with validate before.
    """

    kind_word: ClassVar[str] = "exchange"

    by_key: ClassVar[bool] = True
    """True when the result depends on the routing keys alone, so that it may be kept until the bindings change; False
    when the message's properties or chance have a say."""

    keeps_messages: ClassVar[bool] = False
    """It holds messages, which are to survive when it does."""

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name)
        self.durable = durable
        self.auto_delete = auto_delete
        self.internal = internal
        self.arguments = arguments
        self.folder = ""
        """Where its messages are kept; the virtual host sets it before attach(). Empty: nowhere."""
        self.declared_by = ""
        """The user who declared it, as far as that is known: it is not kept over a restart."""
        self.alternate: str | None = arguments.text("alternate-exchange")
        """Name of the exchange that gets what matches no binding; a policy may set it where the argument does not."""
        # Destinations come first, so that a deleted queue takes its bindings along without a search through all others.
        self._by_destination: dict[Destination, dict[tuple[str, Table], Binding]] = {}
        self._count = 0
        self.traffic = ExchangeTraffic()

    @classmethod
    def validate(cls, arguments: Table) -> None:
        """Check the arguments of exchange.declare that mean something to this type only.

        Raises:
            PreconditionFailed: an argument that the type cannot work with.
        """

    def check_binding(self, destination: Destination, key: str, arguments: Table) -> None:
        """Check a binding as far as it concerns this type only.

        Raises:
            PreconditionFailed: key or arguments that the type cannot work with.
            AccessRefused: the exchange takes no bindings.
        """

    @abstractmethod
    def match(self, keys: Sequence[str], message: Message, found: dict[Destination, None]) -> None:
        """Add the destinations of a message to found, an ordered set; what is in it already stays where it is.

        A type that is not by_key is asked once for every message that reaches the exchange.

        Args:
            keys: the routing keys of the message, its own first (see routing.keys_of).
            message: as it was published, BCC included.
            found: where to add.
        """

    def attach(self, host: ExchangeHost) -> None:
        """The exchange has come into a virtual host; called once, before anything else."""

    def recover(self) -> None:
        """Take in what is on the disk; called once, behind attach() and before everything else."""

    def close(self) -> None:
        """The exchange was deleted: let go of what it keeps beside its bindings."""

    @property
    def survives(self) -> bool:
        return self.durable

    @property
    def binding_count(self) -> int:
        """How many bindings have this exchange as their source."""
        return self._count

    def bind(self, destination: Destination, key: str, arguments: Table) -> bool:
        """Add a binding, and return False when it was there already.

        Raises:
            PreconditionFailed, AccessRefused: as check_binding.
        """
        self.check_binding(destination, key, arguments)
        bound = self._by_destination.setdefault(destination, {})
        if (key, arguments) in bound:
            return False
        binding = Binding(self, destination, key, arguments)
        bound[key, arguments] = binding
        self._count += 1
        self._added(binding)
        return True

    def unbind(self, destination: Destination, key: str, arguments: Table) -> bool:
        """Remove a binding, and return False when there was none."""
        bound = self._by_destination.get(destination)
        binding = None if bound is None else bound.pop((key, arguments), None)
        if bound is None or binding is None:
            return False
        if not bound:
            del self._by_destination[destination]
        self._count -= 1
        self._removed(binding)
        return True

    def remove_destination(self, destination: Destination) -> int:
        """Remove every binding to a destination, and return how many there were."""
        bound = self._by_destination.pop(destination, None)
        if bound is None:
            return 0
        self._count -= len(bound)
        for binding in bound.values():
            self._removed(binding)
        return len(bound)

    def find_binding(self, destination: Destination, key: str, arguments: Table) -> Binding | None:
        """The binding with this identity, or None."""
        bound = self._by_destination.get(destination)
        return None if bound is None else bound.get((key, arguments))

    def bindings(self) -> list[Binding]:
        """All bindings of which this exchange is the source, those to one destination side by side."""
        return [binding for bound in self._by_destination.values() for binding in bound.values()]

    def leads_to(self, destination: Destination) -> bool:
        """True if there is any binding to the destination."""
        return destination in self._by_destination

    def bindings_to(self, destination: Destination) -> list[Binding]:
        """The bindings to one destination, oldest first."""
        bound = self._by_destination.get(destination)
        return [] if bound is None else list(bound.values())

    def _added(self, binding: Binding) -> None:
        """A binding has come: for the type's own index."""

    def _removed(self, binding: Binding) -> None:
        """A binding has gone: for the type's own index."""


class HostedExchange(Exchange):
    """An exchange of a type that needs its surroundings: randomness, timers, a way to hand on what it kept."""

    host: ExchangeHost

    def attach(self, host: ExchangeHost) -> None:
        self.host = host
