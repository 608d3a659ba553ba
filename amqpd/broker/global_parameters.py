"""Global parameters: values of the whole broker that are set while it runs, its cluster name among them.

Rule: what may live here is a name, a JSON value, and what the broker does with those that it knows.
"""

from __future__ import annotations

import json
from typing import Final, final

from amqpd.broker.events import Events
from amqpd.broker.storage import Storage
from amqpd.catalog.rows import GlobalParameterRow

CLUSTER_NAME: Final = "cluster_name"


class GlobalParameterError(ValueError):
    """A value that a global parameter cannot have."""


@final
class GlobalParameters:
    """All of them.

    Args:
        storage: where they are kept.
        events: told of changes.
        node: what the cluster is called as long as nobody gave it a name.
    """

    def __init__(self, storage: Storage, events: Events, node: str) -> None:
        self._storage = storage
        self._events = events
        self._node = node
        self._values: dict[str, object] = {}

    @property
    def cluster_name(self) -> str:
        """What clients are told they are connected to."""
        found = self._values.get(CLUSTER_NAME)
        return found if isinstance(found, str) else self._node

    def set(self, name: str, value: object, actor: str) -> bool:
        """Set a parameter. Returns False if it was set before.

        Raises:
            GlobalParameterError: the cluster name is no text.
        """
        if name == CLUSTER_NAME and not isinstance(value, str):
            raise GlobalParameterError("the cluster name is a text")
        is_new = name not in self._values
        catalog = self._storage.changing()
        if catalog is not None:
            catalog.add_global_parameter(GlobalParameterRow(name, json.dumps(value)))
        self._values[name] = value
        self._events.parameter_set(None, None, name, value, actor)
        return is_new

    def clear(self, name: str, actor: str) -> bool:
        """Clear a parameter; False if it was not set."""
        if name not in self._values:
            return False
        catalog = self._storage.changing()
        if catalog is not None:
            catalog.remove_global_parameter(name)
        del self._values[name]
        self._events.parameter_cleared(None, None, name, actor)
        return True

    def find(self, name: str) -> object | None:
        """The value of a parameter, or None."""
        return self._values.get(name)

    def all(self) -> dict[str, object]:
        """All that are set, by name."""
        return dict(sorted(self._values.items()))
