"""Runtime parameters, the limits of virtual hosts, operator policies, and parameters of the whole broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from amqpd.broker.global_parameters import GlobalParameterError
from amqpd.broker.parameters import KeptComponent, Parameter, ParameterError
from amqpd.broker.queues.base import QueueSpec
from amqpd.broker.vhost import VHost
from amqpd.wire.table import EMPTY_TABLE
from tests.builders import World
from tests.listener import Listener
from tests.stores import Store

POLICY: dict[str, object] = {"pattern": "^q", "definition": {"max-length": 5}, "priority": 2, "apply-to": "queues"}


class Colours(KeptComponent):
    """A component as a plugin would have one."""

    def validate(self, vhost: VHost, name: str, value: object) -> None:
        if value not in ("red", "green"):
            raise ParameterError(f"{value} is no colour")


@pytest.fixture
def world() -> World:
    world = World()
    world.broker.parameters.register(Colours("colours", world.storage, world.broker.events))
    return world


# A store with components.


def test_a_parameter_is_kept_for_its_component_virtual_host_and_name(world: World) -> None:
    parameters, other = world.broker.parameters, world.broker.create_vhost("other")
    assert parameters.set("colours", world.vhost, "a", "red", "someone")
    assert parameters.set("colours", other, "a", "green", "someone")
    assert not parameters.set("colours", other, "a", "red", "someone")
    assert parameters.find("colours", world.vhost, "a") == Parameter("/", "colours", "a", "red")
    assert parameters.of(other) == [Parameter("other", "colours", "a", "red")]
    assert parameters.find("colours", world.vhost, "b") is None


def test_a_parameter_that_was_cleared_is_gone(world: World) -> None:
    parameters = world.broker.parameters
    parameters.set("colours", world.vhost, "a", "red", "someone")
    assert parameters.clear("colours", world.vhost, "a", "someone")
    assert not parameters.clear("colours", world.vhost, "a", "someone")
    assert not parameters.clear("smells", world.vhost, "a", "someone")
    assert parameters.of(world.vhost) == []


def test_what_the_component_refuses_is_not_set(world: World) -> None:
    with pytest.raises(ParameterError, match="blue is no colour"):
        world.broker.parameters.set("colours", world.vhost, "a", "blue", "someone")
    assert world.broker.parameters.of(world.vhost) == []


def test_a_component_that_does_not_exist_is_named(world: World) -> None:
    with pytest.raises(ParameterError, match=r"^component shovel not found$"):
        world.broker.parameters.set("shovel", world.vhost, "a", {}, "someone")
    assert world.broker.parameters.components() == ["colours", "operator_policy", "vhost-limits"]


def test_changes_are_told(world: World) -> None:
    listener = Listener(world)
    world.broker.parameters.set("colours", world.vhost, "a", "red", "someone")
    world.broker.parameters.clear("colours", world.vhost, "a", "another")
    fields = {"component": "colours", "name": "a", "vhost": "/"}
    assert [(event.key, event.plain) for event in listener.heard()] == [
        ("parameter.set", {**fields, "value": "red", "user_who_performed_action": "someone"}),
        ("parameter.cleared", {**fields, "user_who_performed_action": "another"}),
    ]


# The limits of virtual hosts.


def test_limits_are_numbers_on_the_virtual_host_and_one_parameter(world: World) -> None:
    limits, vhost = world.broker.limits, world.vhost
    assert (vhost.max_queues, vhost.max_connections) == (None, None)
    limits.set_one(vhost, "max-queues", 3)
    limits.set_one(vhost, "max-connections", 0)
    assert (vhost.max_queues, vhost.max_connections) == (3, 0)
    value = {"max-queues": 3, "max-connections": 0}
    assert world.broker.parameters.of(vhost) == [Parameter("/", "vhost-limits", "limits", value)]
    limits.clear_one(vhost, "max-queues")
    assert (vhost.max_queues, limits.of(vhost)) == (None, {"max-connections": 0})
    limits.clear_one(vhost, "max-connections")
    assert world.broker.parameters.of(vhost) == []


def test_a_negative_limit_is_shown_and_limits_nothing(world: World) -> None:
    world.broker.limits.set_one(world.vhost, "max-queues", -1)
    assert world.broker.limits.of(world.vhost) == {"max-queues": -1}
    assert world.vhost.max_queues is None


# As RabbitMQ 3.10.8 answers.
WRONG_LIMITS = [
    ({"max-queues": "x"}, 'max-queues should be a number, actually was <<"x">>'),
    ({"max-queues": 1.5}, "max-queues should be a number, actually was 1.5"),
    ({"max-queues": True}, "max-queues should be a number, actually was true"),
    ({"bogus": 1}, 'Unrecognised terms [{<<"bogus">>,1}] in limits'),
    (5, "limits not a list 5"),
]


@pytest.mark.parametrize(("value", "text"), WRONG_LIMITS)
def test_wrong_limits_are_refused_in_rabbitmqs_words(world: World, value: object, text: str) -> None:
    world.broker.limits.set_one(world.vhost, "max-queues", 3)
    with pytest.raises(ParameterError) as caught:
        world.broker.parameters.set("vhost-limits", world.vhost, "limits", value, "someone")
    assert str(caught.value) == text
    assert world.vhost.max_queues == 3


@pytest.mark.parametrize("name", ["other", ""])
def test_there_is_one_parameter_of_limits(world: World, name: str) -> None:
    with pytest.raises(ParameterError, match="the only one is limits"):
        world.broker.parameters.set("vhost-limits", world.vhost, name, {}, "someone")
    with pytest.raises(ParameterError, match="no limit max-fun"):
        world.broker.limits.clear_one(world.vhost, "max-fun")


def test_changes_of_limits_are_told_with_their_own_events_too(world: World) -> None:
    listener = Listener(world)
    world.broker.limits.set_one(world.vhost, "max-queues", 3, "someone")
    world.broker.limits.clear_one(world.vhost, "max-queues", "someone")
    keys = ["vhost.limits.set", "parameter.set", "vhost.limits.cleared", "parameter.cleared"]
    assert [event.key for event in listener.heard()] == keys


# Operator policies.


def test_an_operator_policy_can_be_set_as_a_parameter(world: World) -> None:
    parameters = world.broker.parameters
    assert parameters.set("operator_policy", world.vhost, "p", POLICY, "someone")
    assert not parameters.set("operator_policy", world.vhost, "p", {**POLICY, "priority": 3}, "someone")
    policy = world.vhost.policies.find("p", is_operator=True)
    assert policy is not None
    assert (policy.pattern, policy.priority, policy.apply_to) == ("^q", 3, "queues")
    assert parameters.of(world.vhost) == [Parameter("/", "operator_policy", "p", {**POLICY, "priority": 3})]
    assert parameters.clear("operator_policy", world.vhost, "p", "someone")
    assert world.vhost.policies.operator_policies() == []


# As RabbitMQ 3.10.8 answers.
WRONG_POLICIES = [
    (7, "p not a list 7"),
    ({"pattern": "q", "definition": {"max-length": 1}}, 'Key "priority" not found in p'),
    (
        {"pattern": "q", "definition": {"max-length": 1}, "bogus": 1},
        'Unrecognised terms [{<<"bogus">>,1}] in p\nKey "priority" not found in p',
    ),
    ({**POLICY, "definition": {"ha-mode": "all"}}, '[{<<"ha-mode">>,<<"all">>}] are not recognised policy settings'),
]


@pytest.mark.parametrize(("value", "text"), WRONG_POLICIES)
def test_wrong_operator_policies_are_refused_in_rabbitmqs_words(world: World, value: object, text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        world.broker.parameters.set("operator_policy", world.vhost, "p", value, "someone")
    assert str(caught.value) == text


# Parameters of the whole broker.


def test_the_cluster_name_is_a_global_parameter(world: World) -> None:
    broker = world.broker
    assert broker.cluster_name == "amqpd@test"
    assert broker.globals.set("cluster_name", "here", "someone")
    assert not broker.globals.set("cluster_name", "there", "someone")
    assert (broker.cluster_name, broker.globals.find("cluster_name")) == ("there", "there")
    assert broker.globals.clear("cluster_name", "someone")
    assert not broker.globals.clear("cluster_name", "someone")
    assert broker.cluster_name == "amqpd@test"


def test_a_cluster_name_is_a_text_and_everything_else_any_value(world: World) -> None:
    with pytest.raises(GlobalParameterError, match="the cluster name is a text"):
        world.broker.globals.set("cluster_name", 5, "someone")
    world.broker.globals.set("x", {"a": [1, None]}, "someone")
    assert world.broker.globals.all() == {"x": {"a": [1, None]}}


# Kept.


def test_all_of_them_are_there_after_a_start(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    other = world.broker.create_vhost("other")
    world.broker.limits.set_one(other, "max-queues", 7)
    world.broker.parameters.set("operator_policy", other, "p", POLICY, "someone")
    world.broker.globals.set("cluster_name", "here", "someone")
    world.broker.globals.set("x", [1], "someone")
    world.broker.globals.set("gone", [1], "someone")
    world.broker.globals.clear("gone", "someone")
    world.finish()
    again = world.killed().broker
    assert again.parameters.of(again.vhosts["other"]) == world.broker.parameters.of(other)
    assert again.vhosts["other"].max_queues == 7
    assert again.globals.all() == {"cluster_name": "here", "x": [1]}
    assert again.cluster_name == "here"


def test_a_parameter_of_a_component_that_is_gone_is_left_out_and_told(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    world.broker.parameters.register(Colours("colours", world.storage, world.broker.events))
    world.broker.parameters.set("colours", world.vhost, "a", "red", "someone")
    world.finish()
    again = world.killed()
    assert again.recovered.left_out == [("parameter 'a' of colours in virtual host '/'", "component colours not found")]
    assert again.broker.parameters.of(again.vhost) == []


def test_more_queues_than_the_limit_come_back(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    for name in ("a", "b"):
        world.vhost.create_queue(name, QueueSpec(True, None, False, EMPTY_TABLE))
    world.broker.limits.set_one(world.vhost, "max-queues", 1)
    world.finish()
    assert list(world.killed().vhost.queues) == ["a", "b"]
