"""The types of exchange that route a message when it comes, and that x-delayed-message can therefore put off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.exchanges.consistent_hash import ConsistentHashExchange
from amqpd.broker.exchanges.direct import DirectExchange
from amqpd.broker.exchanges.fanout import FanoutExchange
from amqpd.broker.exchanges.headers import HeadersExchange
from amqpd.broker.exchanges.local_random import LocalRandomExchange
from amqpd.broker.exchanges.modulus_hash import ModulusHashExchange
from amqpd.broker.exchanges.random import RandomExchange
from amqpd.broker.exchanges.recent_history import RecentHistoryExchange
from amqpd.broker.exchanges.topic import TopicExchange

IMMEDIATE_TYPES: Final[Mapping[str, type[Exchange]]] = {
    "direct": DirectExchange,
    "fanout": FanoutExchange,
    "headers": HeadersExchange,
    "topic": TopicExchange,
    "x-consistent-hash": ConsistentHashExchange,
    "x-local-random": LocalRandomExchange,
    "x-modulus-hash": ModulusHashExchange,
    "x-random": RandomExchange,
    "x-recent-history": RecentHistoryExchange,
}
"""The classes of these exchanges by type."""
