"""Families: metrics that belong together, because one look at an object gives all of them.

Rule: what may live here describes metrics; it knows neither the broker nor how they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from amqpd.broker.vhost import VHost
from amqpd.management.node import Node

GAUGE: Final = "gauge"
COUNTER: Final = "counter"
UNTYPED: Final = "unknown"  # prometheus-client's word for it

# A value that an object does not have is None.
Values: TypeAlias = Sequence[float | None]
Row: TypeAlias = tuple[Sequence[str], Values]
# None is a step of the work behind which there is no row yet: whoever wants the rows may do something else first.
Rows: TypeAlias = Iterable[Row | None]


@dataclass(frozen=True)
class Scope:
    """What somebody wants to know of.

    Args:
        names: of virtual hosts; None is all of them.
        endpoint: RabbitMQ's name of the path: aggregated, per-object, detailed.
    """

    node: Node
    names: frozenset[str] | None
    endpoint: str

    @property
    def vhosts(self) -> list[VHost]:
        """The virtual hosts that are meant."""
        return [vhost for vhost in self.node.broker.vhosts.values() if self.names is None or vhost.name in self.names]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Args:
        name: behind the prefix; a counter's ends in _total.
        kind: GAUGE, COUNTER or UNTYPED.
    """

    name: str
    kind: str
    help: str


@dataclass(frozen=True)
class Family:
    """Metrics that have the same labels.

    Args:
        name: with which /metrics/detailed is asked for it.
        labels: their names.
        metrics: in the order of a row's values.
        rows: one for each object.
        total: the values of all objects together, if they are not the sum of the rows: counters of objects that are
            gone must stay in it.
        summed: whether there is anything to be said of all objects together.
        whole: the rows are about the broker, and not about its objects: they are there whatever is asked for.
    """

    name: str
    labels: tuple[str, ...]
    metrics: tuple[Metric, ...]
    rows: Callable[[Scope], Rows]
    total: Callable[[Scope], Values] | None = None
    summed: bool = True
    whole: bool = False


def gauge(name: str, text: str) -> Metric:
    """A number that goes up and down."""
    return Metric(name, GAUGE, text)


def counter(name: str, text: str) -> Metric:
    """A number that only grows."""
    return Metric(name, COUNTER, text)
