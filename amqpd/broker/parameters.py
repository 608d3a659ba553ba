"""Runtime parameters: values that are set while the broker runs, for a component and a virtual host.

A component says what may be set, and what then happens. RabbitMQ's plugins (shovel, federation) have components of
their own; here are those of the broker itself.

Rule: what may live here is the way to a component, and what components have in common.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, Final, NamedTuple, final

from mypy_extensions import mypyc_attr

from amqpd.broker.events import Events
from amqpd.broker.policy import Policy, PolicyError, json_term
from amqpd.broker.storage import Storage
from amqpd.broker.vhost import VHost
from amqpd.catalog.rows import ParameterRow

# What RabbitMQ wants of an operator policy that comes as a parameter.
_NEEDED_KEYS: Final = ("definition", "pattern", "priority")
_POLICY_KEYS: Final = frozenset({*_NEEDED_KEYS, "apply-to"})


class ParameterError(ValueError):
    """A parameter that cannot be. The text is RabbitMQ's, without the words ``Validation failed`` in front."""


class Parameter(NamedTuple):
    """One parameter as it is listed."""

    vhost: str
    component: str
    name: str
    value: Any  # mypyc looks for "object" among the module's own names, and fails
    """A JSON value."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Component(ABC):
    """What parameters are for.

    Args:
        name: unique.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def set(self, vhost: VHost, name: str, value: object, actor: str) -> None:
        """Set a parameter, kept before the next commit is done.

        Raises:
            ParameterError: the component does not take this name, or this value.
        """

    @abstractmethod
    def clear(self, vhost: VHost, name: str, actor: str) -> bool:
        """Clear a parameter; False if it was not set."""

    @abstractmethod
    def values(self, vhost: VHost) -> dict[str, object]:
        """All that are set in a virtual host, by name."""


@mypyc_attr(allow_interpreted_subclasses=True)
class KeptComponent(Component):
    """A component whose parameters are kept as they are set. A subclass says which are right, and what they do.

    Args:
        name: unique.
        storage: where they are kept.
        events: told of changes.
    """

    def __init__(self, name: str, storage: Storage, events: Events) -> None:
        super().__init__(name)
        self.storage = storage
        self.events = events

    def validate(self, vhost: VHost, name: str, value: object) -> None:
        """Raises ParameterError if the parameter is not right."""

    def changed(self, vhost: VHost, name: str, value: object | None, actor: str) -> None:
        """Make a value work that was set, or (None) cleared."""

    def set(self, vhost: VHost, name: str, value: object, actor: str) -> None:
        self.validate(vhost, name, value)
        catalog = self.storage.changing()
        if catalog is not None:
            catalog.add_parameter(ParameterRow(vhost.name, self.name, name, json.dumps(value)))
        vhost.parameters.setdefault(self.name, {})[name] = value
        self.changed(vhost, name, value, actor)
        self.events.parameter_set(vhost.name, self.name, name, value, actor)

    def clear(self, vhost: VHost, name: str, actor: str) -> bool:
        kept = vhost.parameters.get(self.name, {})
        if name not in kept:
            return False
        del kept[name]
        catalog = self.storage.changing()
        if catalog is not None:
            catalog.remove_parameter(vhost.name, self.name, name)
        self.changed(vhost, name, None, actor)
        self.events.parameter_cleared(vhost.name, self.name, name, actor)
        return True

    def values(self, vhost: VHost) -> dict[str, object]:
        return dict(vhost.parameters.get(self.name, {}))


@final
class OperatorPolicies(Component):
    """Operator policies as parameters: RabbitMQ lists them so, and takes them so."""

    def __init__(self) -> None:
        super().__init__("operator_policy")

    def set(self, vhost: VHost, name: str, value: object, actor: str) -> None:
        if not isinstance(value, dict):
            raise ParameterError(f"{name} not a list {json_term(value)}")
        unknown = [f"{{{json_term(key)},{json_term(value[key])}}}" for key in value if key not in _POLICY_KEYS]
        faults = [f"Unrecognised terms [{','.join(unknown)}] in {name}"] if unknown else []
        faults += [f'Key "{key}" not found in {name}' for key in _NEEDED_KEYS if key not in value]
        if faults:
            raise ParameterError("\n".join(faults))
        try:
            policy = Policy(
                name,
                value.get("pattern"),
                value.get("definition"),
                value.get("priority", 0),
                value.get("apply-to", "all"),
                is_operator=True,
            )
        except PolicyError as error:
            raise ParameterError(str(error)) from None
        vhost.set_policy(policy, actor)

    def clear(self, vhost: VHost, name: str, actor: str) -> bool:
        return vhost.delete_policy(name, True, actor)

    def values(self, vhost: VHost) -> dict[str, object]:
        return {policy.name: policy_value(policy) for policy in vhost.policies.operator_policies()}


def policy_value(policy: Policy) -> dict[str, object]:
    """A policy as a parameter's value."""
    return {
        "pattern": policy.pattern,
        "definition": policy.definition,
        "priority": policy.priority,
        "apply-to": policy.apply_to,
    }


@final
class Parameters:
    """All components, by name."""

    def __init__(self) -> None:
        self._components: dict[str, Component] = {}

    def register(self, component: Component) -> None:
        """There is one more component."""
        self._components[component.name] = component

    def components(self) -> list[str]:
        """The names of all components, sorted."""
        return sorted(self._components)

    def component(self, name: str) -> Component:
        """The component of this name.

        Raises:
            ParameterError: there is none.
        """
        found = self._components.get(name)
        if found is None:
            raise ParameterError(f"component {name} not found")
        return found

    def set(self, component: str, vhost: VHost, name: str, value: object, actor: str) -> bool:
        """Set a parameter. Returns False if it was set before.

        Raises:
            ParameterError: there is no such component, or it does not take this name or value.
        """
        found = self.component(component)
        is_new = name not in found.values(vhost)
        found.set(vhost, name, value, actor)
        return is_new

    def clear(self, component: str, vhost: VHost, name: str, actor: str) -> bool:
        """Clear a parameter; False if it was not set, or if there is no such component."""
        found = self._components.get(component)
        return found is not None and found.clear(vhost, name, actor)

    def find(self, component: str, vhost: VHost, name: str) -> Parameter | None:
        """One parameter, or None."""
        return next((found for found in self.of(vhost, component) if found.name == name), None)

    def of(self, vhost: VHost, component: str | None = None) -> list[Parameter]:
        """All parameters of a virtual host, or those for one component, sorted."""
        return [
            Parameter(vhost.name, name, key, value)
            for name in self.components()
            if component is None or name == component
            for key, value in sorted(self._components[name].values(vhost).items())
        ]
