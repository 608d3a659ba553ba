"""The types of exchange, one a file, and the table of those that exchange.declare knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.exchanges.delayed import DelayedExchange
from amqpd.broker.exchanges.immediate import IMMEDIATE_TYPES

EXCHANGE_TYPES: Final[Mapping[str, type[Exchange]]] = {**IMMEDIATE_TYPES, "x-delayed-message": DelayedExchange}
"""The classes of exchange by the type that exchange.declare asks for."""
