"""Deaths: why a message had to leave its queues, as the broker knows it and as consumers read it (x-death, RabbitMQ).

Rule: what may live here turns a message that died into the one that goes on, and remembers what it died of. When a
message dies is its queue's business; where the dead-letter exchange sends it is routing's.
"""

from __future__ import annotations

from typing import Final, final

from amqpd.broker.message import Message
from amqpd.wire.table import EMPTY_TABLE, Field, Table

REJECTED: Final = "rejected"
EXPIRED: Final = "expired"
MAXLEN: Final = "maxlen"
DELIVERY_LIMIT: Final = "delivery_limit"

_LONGEST_KEY: Final = 255  # octets of a shortstr
_NOT_PASSED_ON: Final = frozenset({"BCC"})


@final
class Death:
    """What a message died of in one queue; it never changes.

    Args:
        queue: where.
        reason: REJECTED, EXPIRED, MAXLEN or DELIVERY_LIMIT.
        exchange: the exchange that the message had been published to, before this death.
        routing_keys: the message's own routing key and those of its CC header; never those of BCC.
        time: seconds since the epoch.
        original_expiration: the message's expiration property, which a dead letter no longer has; None without one.
        count: how often the message died of this in this queue. All the rest tells about the first time.
    """

    def __init__(
        self,
        queue: str,
        reason: str,
        exchange: str,
        routing_keys: tuple[str, ...],
        time: int,
        original_expiration: str | None = None,
        count: int = 1,
    ) -> None:
        self.queue = queue
        self.reason = reason
        self.exchange = exchange
        self.routing_keys = routing_keys
        self.time = time
        self.original_expiration = original_expiration
        self.count = count
        self._field: Field | None = None

    def once_more(self) -> Death:
        """The same death, counted one higher."""
        return Death(
            self.queue,
            self.reason,
            self.exchange,
            self.routing_keys,
            self.time,
            self.original_expiration,
            self.count + 1,
        )

    def field(self) -> Field:
        """The death as consumers read it in x-death, its fields in the order of RabbitMQ 4.0."""
        if self._field is None:  # a message that died often carries all of its deaths along every time
            self._field = self._made_field()
        return self._field

    def _made_field(self) -> Field:
        values: dict[str, object] = {}
        if self.original_expiration is not None:
            values["original-expiration"] = self.original_expiration
        values["count"] = Field.long(self.count)  # Java's client reads a Long here, whatever the number
        values["reason"] = self.reason
        values["queue"] = self.queue
        values["time"] = Field("T", self.time)
        values["exchange"] = self.exchange
        values["routing-keys"] = list(self.routing_keys)
        return Field("F", Table.of(values))


@final
class DeathHistory:
    """What a message died of so far; it never changes. A message that has not died yet has none.

    Args:
        deaths: one for each queue and reason, the most recent first.
        first: the first death of all.
        last: the most recent death, with the exchange and the routing keys that the message had this time.
        routing_keys: the routing keys that the message has since then, its own first. Those of CC stay among them until
            a queue's dead-letter routing key takes the place of all; the header itself stays in any case.
    """

    def __init__(self, deaths: tuple[Death, ...], first: Death, last: Death, routing_keys: tuple[str, ...]) -> None:
        self.deaths = deaths
        self.first = first
        self.last = last
        self.routing_keys = routing_keys

    @staticmethod
    def opened(death: Death, routing_keys: tuple[str, ...]) -> DeathHistory:
        """The history of a message that died for the first time; routing_keys are those it has from now on."""
        return DeathHistory((death,), death, death, routing_keys)

    def recorded(self, death: Death, routing_keys: tuple[str, ...]) -> DeathHistory:
        """The history with one more death; routing_keys are those that the message has from now on.

        A queue and reason that are in it already are counted and come to the front; what else is known about them stays
        as it was at the first time.
        """
        front = death
        others: list[Death] = []
        for known in self.deaths:
            if known.queue == death.queue and known.reason == death.reason:
                front = known.once_more()
            else:
                others.append(known)
        return DeathHistory((front, *others), self.first, death, routing_keys)

    def would_cycle(self, target_queue: str) -> bool:
        """True if the message, sent to this queue now, would be going round in a circle that no consumer has a part in.

        The target is then left out. A consumer's rejection since the message was last in the target makes it a retry.
        """
        for death in self.deaths:
            if death.reason == REJECTED:
                return False
            if death.queue == target_queue:
                return True
        return False

    def headers(self) -> dict[str, Field]:
        """The headers that tell consumers."""
        deaths = [death.field() for death in self.deaths]
        first, last = self.first, self.last
        return {
            "x-death": Field("A", tuple(deaths)),
            "x-first-death-exchange": Field("S", first.exchange),
            "x-first-death-queue": Field("S", first.queue),
            "x-first-death-reason": Field("S", first.reason),
            "x-last-death-exchange": Field("S", last.exchange),
            "x-last-death-queue": Field("S", last.queue),
            "x-last-death-reason": Field("S", last.reason),
        }


def dead_letter(
    message: Message,
    history: DeathHistory | None,
    queue: str,
    reason: str,
    exchange: str,
    routing_key: str | None,
    time: int,
) -> tuple[Message, DeathHistory]:
    """The message as it goes on after its death, and its history; they give the routing keys to route it with.

    Headers of the same names that its publisher set are replaced, and are no part of the history. All other headers and
    properties keep their exact octets, but for the expiration, which does not count any more.

    Args:
        message: as it was in the queue.
        history: what it died of before; None if it did not.
        queue: where it died.
        reason: of what.
        exchange: the dead-letter exchange.
        routing_key: the queue's dead-letter routing key; None leaves the message its own keys. What is beyond the 255
            octets that basic.deliver can carry is cut off.
        time: seconds since the epoch.

    Raises:
        ValueError: the exchange's name is longer than any exchange's can be.
    """
    properties = message.properties
    keys = _routing_keys(message) if history is None else history.routing_keys
    onward = keys if routing_key is None else (_shortened(routing_key),)
    death = Death(queue, reason, message.exchange, keys, time, properties.expiration)
    history = DeathHistory.opened(death, onward) if history is None else history.recorded(death, onward)
    headers = properties.headers or EMPTY_TABLE
    headers = headers.replaced(history.headers(), _NOT_PASSED_ON)
    letter = message.with_route(exchange, onward[0])
    letter = letter.with_properties(properties.replaced(headers=headers, expiration=None))
    if routing_key is not None:
        letter.blind_keys = ()
    return letter, history


def _routing_keys(message: Message) -> tuple[str, ...]:
    """The message's own routing key and those of its CC header, which was checked when it was published."""
    keys = [message.routing_key]
    headers = message.properties.headers
    copies = None if headers is None else headers.get("CC")
    if copies is not None and isinstance(copies.value, tuple):
        elements = [element for element in copies.value if isinstance(element, Field) and element.tag == "S"]
        keys.extend([element.value for element in elements if isinstance(element.value, str)])
    return tuple(keys)


def _shortened(key: str) -> str:
    """The key, or as many of its whole characters as a shortstr holds: an argument or policy may set a longer one."""
    octets = key.encode("utf-8", "surrogateescape")
    return key if len(octets) <= _LONGEST_KEY else octets[:_LONGEST_KEY].decode("utf-8", "ignore")
