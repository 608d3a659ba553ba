"""Bindings and the things they lead to.

Rule: what may live here is what a binding is, not how a type of exchange finds it (that is exchanges/). Destination
is the common ground of exchanges and queues, which lets both be bound without either knowing the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from amqpd.broker.argument_checks import integer_of
from amqpd.wire.table import Table

if TYPE_CHECKING:
    from amqpd.broker.exchanges.base import Exchange

PARTITION_ORDER: Final = "x-stream-partition-order"
"""The argument of a super stream's bindings that tells which partition they lead to."""


class Destination:
    """What a binding can lead to: a queue or an exchange.

    Equality and hash are those of identity: a queue that is deleted and declared again is another destination, so that
    nothing kept for the old one can reach the new one.

    Args:
        name: as it stands on the wire.
    """

    kind_word: ClassVar[str]
    """What reply texts and the management API call it: "queue" or "exchange"."""

    kind: ClassVar[str] = ""
    """Its type as declared: "classic", "quorum", ..., "direct", "fanout", ..."""

    local: ClassVar[bool] = False
    """A queue of a type that keeps its messages on one node only, and that is this one."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def survives(self) -> bool:
        """It is there again after a restart, and so are bindings to it, if their source is."""
        return False


@final
class Binding:
    """One rule of an exchange: messages that match key and arguments go to the destination.

    Within its source a binding is identified by destination, key and arguments: the same key with other arguments is a
    second binding.
    """

    def __init__(self, source: Exchange, destination: Destination, key: str, arguments: Table) -> None:
        self.source = source
        self.destination = destination
        self.key = key
        self.arguments = arguments

    @property
    def partition(self) -> int:
        """Which partition of a super stream it leads to, from 0 on; -1 if it says nothing of that."""
        order = integer_of(self.arguments.get(PARTITION_ORDER))
        return -1 if order is None or order < 0 else order
