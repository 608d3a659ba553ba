"""The types of exchange, one a file, and the table of those that exchange.declare knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.exchanges.direct import DirectExchange
from amqpd.broker.exchanges.fanout import FanoutExchange
from amqpd.broker.exchanges.headers import HeadersExchange
from amqpd.broker.exchanges.topic import TopicExchange

EXCHANGE_TYPES: Final[Mapping[str, type[Exchange]]] = {
    "direct": DirectExchange,
    "fanout": FanoutExchange,
    "headers": HeadersExchange,
    "topic": TopicExchange,
}
"""The classes of exchange by the type that exchange.declare asks for."""
