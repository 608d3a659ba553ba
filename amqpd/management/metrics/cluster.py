"""Families that list what there is: /metrics/detailed has them under the prefix rabbitmq_cluster_.

Rule: what may live here counts objects of virtual hosts, not messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from amqpd.management.metrics.family import Family, Row, Scope, gauge


def vhost_rows(scope: Scope) -> Iterator[Row]:
    """Every virtual host runs."""
    for vhost in scope.vhosts:
        yield (vhost.name,), (1,)


def exchange_name_rows(scope: Scope) -> Iterator[Row]:
    """Every exchange."""
    for vhost in scope.vhosts:
        for exchange in list(vhost.exchanges.values()):
            yield (vhost.name, exchange.name, exchange.kind), (1,)


def exchange_binding_rows(scope: Scope) -> Iterator[Row]:
    """How many bindings every exchange has; the default exchange's are not counted."""
    for vhost in scope.vhosts:
        for exchange in list(vhost.exchanges.values()):
            yield (vhost.name, exchange.name, exchange.kind), (exchange.binding_count if exchange.name else 0,)


EXCHANGE: Final = ("vhost", "exchange", "type")
CLUSTER: Final = (
    Family(
        "vhost_status",
        ("vhost",),
        (gauge("vhost_status", "Whether a given vhost is running"),),
        vhost_rows,
        summed=False,
    ),
    Family(
        "exchange_names",
        EXCHANGE,
        (gauge("exchange_name", "Enumerates exchanges without any additional info. This value is cluster-wide."),),
        exchange_name_rows,
        summed=False,
    ),
    Family(
        "exchange_bindings",
        EXCHANGE,
        (gauge("exchange_bindings", "Number of bindings for an exchange. This value is cluster-wide."),),
        exchange_binding_rows,
        summed=False,
    ),
)
