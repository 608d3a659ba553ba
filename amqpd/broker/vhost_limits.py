"""Limits of virtual hosts: how many connections and queues one may have. RabbitMQ keeps them as a runtime parameter.

Rule: what may live here is how the limits are set. They are held against what there is where that grows: connections in
the handshake, queues in the virtual host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

from amqpd.broker.events import INTERNAL_USER, Events
from amqpd.broker.parameters import KeptComponent, ParameterError
from amqpd.broker.policy import json_term
from amqpd.broker.storage import Storage
from amqpd.broker.vhost import VHost

COMPONENT: Final = "vhost-limits"
PARAMETER: Final = "limits"  # its only one
VHOST_LIMITS: Final = ("max-connections", "max-queues")


@final
class VHostLimits(KeptComponent):
    """The component vhost-limits.

    Args:
        storage: where they are kept.
        events: told of changes.
    """

    def __init__(self, storage: Storage, events: Events) -> None:
        super().__init__(COMPONENT, storage, events)

    def of(self, vhost: VHost) -> dict[str, int]:
        """The limits that are set, negative ones (no limit) included."""
        found = vhost.parameters.get(COMPONENT, {}).get(PARAMETER)
        return {name: whole(value) for name, value in found.items()} if isinstance(found, dict) else {}

    def set_one(self, vhost: VHost, limit: str, value: int, actor: str = INTERNAL_USER) -> None:
        """Set one limit; a negative one is none. What there is already stays.

        Raises:
            ParameterError: there is no such limit.
        """
        self.set(vhost, PARAMETER, {**self.of(vhost), limit: value}, actor)

    def clear_one(self, vhost: VHost, limit: str, actor: str = INTERNAL_USER) -> None:
        """Take one limit away.

        Raises:
            ParameterError: there is no such limit.
        """
        if limit not in VHOST_LIMITS:
            raise ParameterError(f"there is no limit {limit}")
        left = {name: value for name, value in self.of(vhost).items() if name != limit}
        if left:
            self.set(vhost, PARAMETER, left, actor)
        else:
            self.clear(vhost, PARAMETER, actor)

    def validate(self, vhost: VHost, name: str, value: object) -> None:
        if name != PARAMETER:
            raise ParameterError(f"name {name} not recognised; the only one is {PARAMETER}")
        if not isinstance(value, dict):
            raise ParameterError(f"{name} not a list {json_term(value)}")
        unknown = [f"{{{json_term(key)},{json_term(value[key])}}}" for key in value if key not in VHOST_LIMITS]
        if unknown:
            raise ParameterError(f"Unrecognised terms [{','.join(unknown)}] in {name}")
        for limit, number in value.items():
            if not isinstance(number, int) or isinstance(number, bool):
                raise ParameterError(f"{limit} should be a number, actually was {json_term(number)}")

    def changed(self, vhost: VHost, name: str, value: object | None, actor: str) -> None:
        limits = self.of(vhost)
        vhost.max_connections = limit_of(limits, "max-connections")
        vhost.max_queues = limit_of(limits, "max-queues")
        if limits:
            self.events.vhost_limits_set(vhost.name, limits, actor)
        else:
            self.events.vhost_limits_cleared(vhost.name, actor)


def limit_of(limits: Mapping[str, int], name: str) -> int | None:
    """A limit as a number, or None: it is not set, or negative."""
    value = limits.get(name, -1)
    return None if value < 0 else value


def whole(value: object) -> int:
    """A value that was checked when it was set."""
    return value if isinstance(value, int) else -1
