"""Counters: what has happened, as plain numbers that only grow.

Rule: what may live here adds numbers up and knows neither queues nor channels. Whoever does something counts it on
itself, mostly once for a run of equal messages; whoever wants to know asks at that moment. What an object that is gone
has counted stays in the totals of what it belonged to.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64, trait

# The upper bounds of the classes of message sizes; one class more is for everything above.
SIZE_BOUNDS: Final = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000, 100_000_000)
NO_BOUND: Final = 1 << 62

# What becomes of a message that dies, and what else is counted of it beside the reason of its death.
DISABLED: Final = "disabled"
AT_MOST_ONCE: Final = "at_most_once"
AT_LEAST_ONCE: Final = "at_least_once"
CONFIRMED: Final = "confirmed"


@final
class Traffic:
    """What happened to messages, under the names of RabbitMQ's message_stats (their deliver_get is a property).

    Attributes:
        publish: accepted from publishers.
        confirm: confirmed to them.
        return_unroutable, drop_unroutable: reached no queue, and were mandatory or not.
        deliver, deliver_no_ack: sent to consumers that acknowledge, or do not.
        get, get_no_ack, get_empty: basic.get, and what it found.
        redeliver: how many of all those had been delivered before.
        ack: acknowledged.
        confirmable: published on channels in confirm mode.
        routed: copies put into queues.
    """

    def __init__(self) -> None:
        self.publish: i64 = 0
        self.confirm: i64 = 0
        self.return_unroutable: i64 = 0
        self.drop_unroutable: i64 = 0
        self.deliver: i64 = 0
        self.deliver_no_ack: i64 = 0
        self.get: i64 = 0
        self.get_no_ack: i64 = 0
        self.get_empty: i64 = 0
        self.redeliver: i64 = 0
        self.ack: i64 = 0
        self.confirmable: i64 = 0
        self.routed: i64 = 0

    @property
    def deliver_get(self) -> int:
        """Everything that left for a client."""
        return int(self.deliver + self.deliver_no_ack + self.get + self.get_no_ack)

    @property
    def activity(self) -> i64:
        """A number that grows with all of them."""
        return self.publish + self.confirm + self.deliver_get + self.get_empty + self.ack

    def add(self, other: Traffic) -> None:
        """What another one has counted happened here, too."""
        self.publish += other.publish
        self.confirm += other.confirm
        self.return_unroutable += other.return_unroutable
        self.drop_unroutable += other.drop_unroutable
        self.deliver += other.deliver
        self.deliver_no_ack += other.deliver_no_ack
        self.get += other.get
        self.get_no_ack += other.get_no_ack
        self.get_empty += other.get_empty
        self.redeliver += other.redeliver
        self.ack += other.ack
        self.confirmable += other.confirmable
        self.routed += other.routed

    def add_deliveries(self, no_ack: bool, delivered: i64, redelivered: i64) -> None:
        """What one consumer got."""
        if no_ack:
            self.deliver_no_ack += delivered
        else:
            self.deliver += delivered
        self.redeliver += redelivered

    def add_get(self, no_ack: bool, redelivered: bool) -> None:
        """One basic.get that found a message."""
        if no_ack:
            self.get_no_ack += 1
        else:
            self.get += 1
        if redelivered:
            self.redeliver += 1

    def publish_side(self) -> dict[str, int]:
        """What message_stats say of publishing, without deliver_get."""
        return {
            "publish": int(self.publish),
            "confirm": int(self.confirm),
            "return_unroutable": int(self.return_unroutable),
            "drop_unroutable": int(self.drop_unroutable),
        }

    def deliver_side(self) -> dict[str, int]:
        """What message_stats say of deliveries."""
        return {
            "deliver": int(self.deliver),
            "deliver_no_ack": int(self.deliver_no_ack),
            "get": int(self.get),
            "get_no_ack": int(self.get_no_ack),
            "get_empty": int(self.get_empty),
            "deliver_get": self.deliver_get,
            "redeliver": int(self.redeliver),
            "ack": int(self.ack),
        }


@trait
class Sampled:
    """Something whose counters are looked at now and then; whoever looks notes here what it saw.

    Attributes:
        sampled: activity() at the last look.
        active_at: when a look first saw that it had grown, in milliseconds since the epoch; 0 for never.
    """

    sampled: i64
    active_at: i64

    def activity(self) -> i64:
        """A number that grows with everything that happens to the object, and is cheap to get."""
        raise NotImplementedError


@trait
class Counted:
    """Something that counts traffic while it lives: a channel."""

    def traffic(self) -> Traffic:
        """Everything up to now."""
        raise NotImplementedError


@final
class Totals(Sampled):
    """The traffic of everything that belongs to a virtual host, whether it is still there or not.

    Attributes:
        closed: the octets of connections that are gone.
    """

    def __init__(self) -> None:
        self.closed = Octets()
        self.sampled: i64 = 0
        self.active_at: i64 = 0
        self._past = Traffic()
        self._live: dict[Counted, None] = {}

    def join(self, counted: Counted) -> None:
        """It has come."""
        self._live[counted] = None

    def leave(self, counted: Counted) -> None:
        """It is gone; what it has counted stays. A second time this does nothing."""
        if counted in self._live:
            del self._live[counted]
            self._past.add(counted.traffic())

    def add(self, traffic: Traffic) -> None:
        """Something happened that no member counts."""
        self._past.add(traffic)

    def activity(self) -> i64:
        return self.traffic().activity

    def traffic(self) -> Traffic:
        """Everything up to now. Costs a look at every member."""
        total = Traffic()
        total.add(self._past)
        for counted in self._live:
            total.add(counted.traffic())
        return total


@final
class ExchangeTraffic(Sampled):
    """What was published to an exchange, and how many copies it has put into queues."""

    def __init__(self) -> None:
        self.publish_in: i64 = 0
        self.publish_out: i64 = 0
        self.sampled: i64 = 0
        self.active_at: i64 = 0

    def activity(self) -> i64:
        return self.publish_in + self.publish_out

    def add(self, messages: i64, copies: i64) -> None:
        """So many messages, and so many copies of all of them together."""
        self.publish_in += messages
        self.publish_out += copies


@final
class Sizes:
    """How large published messages are: how many are in which class of SIZE_BOUNDS, and the sum of their bodies."""

    def __init__(self) -> None:
        self.counts: list[i64] = [0] * (len(SIZE_BOUNDS) + 1)
        self.octets: i64 = 0

    def add(self, size_class: i64, messages: i64, octets: i64) -> None:
        """So many messages of one class."""
        self.counts[size_class] += messages
        self.octets += octets


@final
class Octets:
    """What connections have received and sent, and in how many reads and writes, under RabbitMQ's names."""

    def __init__(self) -> None:
        self.recv_oct: i64 = 0
        self.recv_cnt: i64 = 0
        self.send_oct: i64 = 0
        self.send_cnt: i64 = 0


@final
class Churn:
    """What has come and gone."""

    def __init__(self) -> None:
        self.connection_created: i64 = 0
        self.connection_closed: i64 = 0
        self.channel_created: i64 = 0
        self.channel_closed: i64 = 0
        self.queue_declared: i64 = 0
        self.queue_created: i64 = 0
        self.queue_deleted: i64 = 0

    def as_dict(self) -> dict[str, int]:
        """Under RabbitMQ's names."""
        return {
            "connection_created": int(self.connection_created),
            "connection_closed": int(self.connection_closed),
            "channel_created": int(self.channel_created),
            "channel_closed": int(self.channel_closed),
            "queue_declared": int(self.queue_declared),
            "queue_created": int(self.queue_created),
            "queue_deleted": int(self.queue_deleted),
        }


@final
class Deaths:
    """Messages that left a queue without having been taken care of, by type of queue, strategy and reason.

    The strategy is RabbitMQ's word for what was to become of them: DISABLED means that they went nowhere, because there
    was no dead-letter exchange.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], i64] = {}

    def add(self, kind: str, strategy: str, reason: str) -> None:
        """One message died, or one that had died arrived everywhere (CONFIRMED)."""
        key = (kind, strategy, reason)
        self._counts[key] = self._counts.get(key, 0) + 1

    def count(self, kind: str, strategy: str, reason: str) -> int:
        """How many there were."""
        return int(self._counts.get((kind, strategy, reason), 0))


@final
class NodeCounters(Sampled):
    """What is counted for the whole broker.

    Attributes:
        deaths: messages that died.
        past: the traffic of virtual hosts that are gone.
        deleted_queues: that of their queues, by type.
        closed: the octets of connections that are gone.
    """

    def __init__(self) -> None:
        self.churn = Churn()
        self.sizes = Sizes()
        self.deaths = Deaths()
        self.past = Traffic()
        self.deleted_queues: dict[str, Traffic] = {}
        self.closed = Octets()
        self.sampled: i64 = 0
        self.active_at: i64 = 0

    def activity(self) -> i64:
        """Grows with every look: something always happens to a broker."""
        return self.sampled + 1

    def vhost_gone(self, totals: Totals, deleted_queues: dict[str, Traffic]) -> None:
        """A virtual host is no more; what was counted in it stays."""
        self.past.add(totals.traffic())
        for kind, traffic in deleted_queues.items():
            self.deleted_queues.setdefault(kind, Traffic()).add(traffic)


def size_range(place: i64) -> tuple[i64, i64]:
    """The smallest and the largest size of a class."""
    smallest: i64 = 0 if place == 0 else SIZE_BOUNDS[place - 1] + 1
    largest: i64 = NO_BOUND if place == len(SIZE_BOUNDS) else SIZE_BOUNDS[place]
    return smallest, largest


def size_class(size: i64) -> i64:
    """The place in Sizes.counts of a message with a body of so many octets."""
    place: i64 = 0
    for bound in SIZE_BOUNDS:
        if size <= bound:
            break
        place += 1
    return place
