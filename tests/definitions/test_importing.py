"""Importing: what is made, what is left alone, what is left out."""

from __future__ import annotations

import pytest

from amqpd.definitions.importing import MOST_WARNINGS, Import
from amqpd.definitions.reading import DefinitionsError, read
from amqpd.wire.json_values import json_of_table
from amqpd.wire.table import Field, Table
from tests.builders import World
from tests.definitions.documents import WHOLE, load, saved, whole


@pytest.fixture
def world() -> World:
    return World()


def test_everything_in_a_document_is_there_afterwards(world: World) -> None:
    loading, left_out = load(world.broker, world.users, whole())
    vhost = world.broker.vhosts["shop"]
    assert (vhost.metadata.description, vhost.metadata.default_queue_type, vhost.max_queues) == (
        "the shop",
        "quorum",
        10,
    )
    user = world.users.find("app")
    assert user is not None
    assert user.has_password(b"guest")
    assert (user.tags, user.limits) == (("management", "own"), {"max-connections": 5})
    permission = world.users.permissions.find("app", "shop")
    assert permission is not None
    assert permission.configure == "^app"
    assert world.users.topic_permissions.find("app", "shop", "events") is not None
    assert {name: queue.kind for name, queue in vhost.queues.items()} == {"orders": "classic", "log": "stream"}
    assert vhost.exchanges["events"].alternate == "amq.fanout"
    assert [bound.destination.name for bound in vhost.exchanges["events"].bindings()] == ["orders", "amq.topic"]
    assert vhost.policies.find("ttl") is not None
    assert vhost.policies.find("most", is_operator=True) is not None
    assert world.broker.cluster_name == "shop-cluster"
    assert left_out == []
    assert (loading.done, loading.total) == (loading.total, 14)


def test_an_export_imported_elsewhere_exports_the_same(world: World) -> None:
    load(world.broker, world.users, whole())
    first = saved(world.broker, world.users)
    other = World()
    load(other.broker, other.users, first)
    assert saved(other.broker, other.users) == first


def test_importing_an_own_export_changes_nothing(world: World) -> None:
    load(world.broker, world.users, whole())
    first = saved(world.broker, world.users)
    loading, left_out = load(world.broker, world.users, first)
    assert (+loading.counts, left_out) == ({}, [])
    assert saved(world.broker, world.users) == first


def test_a_binding_with_arguments_of_other_width_is_the_same_binding(world: World) -> None:
    vhost = world.broker.vhosts["/"]
    load(world.broker, world.users, {"queues": [{"name": "q", "vhost": "/"}]})
    source, queue = vhost.exchanges["amq.headers"], vhost.queues["q"]
    vhost.bind(source, queue, "k", Table.of({"n": Field("I", 7)}))
    loading, _ = load(world.broker, world.users, saved(world.broker, world.users))
    assert +loading.counts == {}
    assert source.binding_count == 1
    row = {"source": "amq.headers", "vhost": "/", "destination": "q", "destination_type": "queue", "routing_key": "k"}
    load(world.broker, world.users, {"bindings": [{**row, "arguments": {"n": 8}}, {**row, "arguments": {"n": 8}}]})
    assert [json_of_table(bound.arguments) for bound in source.bindings()] == [{"n": 7}, {"n": 8}]


def test_what_cannot_change_is_left_alone_and_what_can_is_overwritten(world: World) -> None:
    load(world.broker, world.users, whole())
    other = {
        "users": [{"name": "app", "tags": "policymaker", "password": "new"}],
        "vhosts": [{"name": "shop", "description": "new"}],
        "permissions": [{"user": "app", "vhost": "shop", "configure": "", "write": "", "read": ""}],
        "policies": [{"vhost": "shop", "name": "ttl", "pattern": "^o", "definition": {"message-ttl": 5}}],
        "queues": [{"name": "orders", "vhost": "shop", "durable": False, "arguments": {"x-max-length": 9}}],
        "exchanges": [{"name": "events", "vhost": "shop", "type": "fanout"}],
    }
    loading, left_out = load(world.broker, world.users, other)
    vhost, user = world.broker.vhosts["shop"], world.users.find("app")
    assert json_of_table(vhost.queues["orders"].spec.arguments) == {"x-max-length": 5, "x-queue-type": "classic"}
    assert vhost.exchanges["events"].kind == "topic"
    assert user is not None
    assert (user.tags, user.has_password(b"new"), user.limits) == (("policymaker",), True, {"max-connections": 5})
    assert (vhost.metadata.description, vhost.metadata.tags, vhost.max_queues) == ("new", ("a",), 10)
    policy = vhost.policies.find("ttl")
    assert policy is not None
    assert policy.definition == {"message-ttl": 5}
    assert +loading.counts == {"users": 1, "vhosts": 1, "permissions": 1, "policies": 1}
    assert left_out == []


def test_the_same_plain_password_keeps_its_hash(world: World) -> None:
    document = {"users": [{"name": "u", "tags": "", "password": "secret"}]}
    load(world.broker, world.users, document)
    first = world.users.find("u")
    loading, _ = load(world.broker, world.users, document)
    second = world.users.find("u")
    assert first is not None
    assert second is not None
    assert first.password_hash == second.password_hash != ""
    assert +loading.counts == {}


def test_bindings_to_what_is_missing_are_left_out_with_a_warning(world: World) -> None:
    row = {"vhost": "/", "routing_key": "", "arguments": {}}
    document = {
        "bindings": [
            {**row, "source": "nope", "destination": "q", "destination_type": "queue"},
            {**row, "source": "amq.topic", "destination": "q", "destination_type": "queue"},
            {**row, "source": "amq.topic", "destination": "x", "destination_type": "exchange"},
        ]
    }
    loading, left_out = load(world.broker, world.users, document)
    assert left_out == [
        ("bindings[0]", "there is no exchange 'nope' in vhost '/'"),
        ("bindings[1]", "there is no queue 'q' in vhost '/'"),
        ("bindings[2]", "there is no exchange 'x' in vhost '/'"),
    ]
    assert +loading.counts == {}


def test_of_many_rows_that_are_left_out_the_first_are_told(world: World) -> None:
    _, left_out = load(world.broker, world.users, {"queues": [{"name": "amq.gen-a", "vhost": "/"}] * 25})
    assert len(left_out) == MOST_WARNINGS + 1
    assert left_out[-1] == ("others", "5 more rows were left out")


def test_a_queue_without_a_type_gets_that_of_its_vhost(world: World) -> None:
    document = {
        "vhosts": [{"name": "v", "default_queue_type": "quorum"}],
        "queues": [{"name": "a", "vhost": "v"}, {"name": "b", "vhost": "v", "auto_delete": True}],
    }
    load(world.broker, world.users, document)
    assert {name: queue.kind for name, queue in world.broker.vhosts["v"].queues.items()} == {
        "a": "quorum",
        "b": "classic",
    }


def test_a_document_without_permissions_leaves_new_vhosts_to_who_imports_it(world: World) -> None:
    load(world.broker, world.users, {"vhosts": [{"name": "v"}]})
    assert world.users.permissions.find("guest", "v") is not None
    load(world.broker, world.users, {"vhosts": [{"name": "w"}], "permissions": []})
    assert world.users.permissions.find("guest", "w") is None


def test_limits_are_cleared_by_an_empty_object(world: World) -> None:
    load(world.broker, world.users, whole())
    empty = {"vhost": "shop", "component": "vhost-limits", "name": "limits", "value": []}
    load(world.broker, world.users, {"parameters": [empty]})
    assert world.broker.vhosts["shop"].max_queues is None
    load(world.broker, world.users, {"vhosts": [{"name": "shop", "limits": {"max-connections": 2}}]})
    assert world.broker.vhosts["shop"].max_connections == 2


def test_what_vanishes_between_two_steps_is_left_out(world: World) -> None:
    left_out: list[tuple[str, str]] = []
    definitions = read({"vhosts": [{"name": "v"}], "queues": [{"name": "q", "vhost": "v"}]})
    loading = Import(
        world.broker, world.users, definitions, "guest", lambda row, reason: left_out.append((row, reason))
    )
    for _ in loading.steps():
        if "v" in world.broker.vhosts:
            world.broker.delete_vhost("v")
    assert left_out == [("queues[0]", "there is no virtual host 'v'")]


@pytest.mark.parametrize(
    ("section", "row", "text"),
    [
        ("queues", {"name": "q", "vhost": "nope"}, "there is no virtual host 'nope'"),
        (
            "permissions",
            {"user": "nope", "vhost": "/", "configure": "", "write": "", "read": ""},
            "there is no user 'nope'",
        ),
        (
            "topic_permissions",
            {"user": "nope", "vhost": "/", "exchange": "", "write": "", "read": ""},
            "there is no user 'nope'",
        ),
        (
            "queues",
            {"name": "q", "vhost": "/", "type": "quorum", "durable": False},
            "invalid property 'non-durable' for queue 'q' in vhost '/'",
        ),
        (
            "queues",
            {"name": "q", "vhost": "/", "arguments": {"x-message-ttl": "soon"}},
            "invalid arg 'x-message-ttl' for queue 'q' in vhost '/': \"expected integer, got longstr\"",
        ),
    ],
)
def test_nothing_is_done_if_anything_cannot_be(world: World, section: str, row: dict[str, object], text: str) -> None:
    document = {**whole(), section: [row]}
    before = saved(world.broker, world.users)
    with pytest.raises(DefinitionsError) as caught:
        load(world.broker, world.users, document)
    assert [fault.partition(": ")[2] for fault in caught.value.faults if text in fault] == [text]
    assert saved(world.broker, world.users) == before


@pytest.mark.parametrize(
    "limits",
    [
        {"vhosts": [{"name": "v", "limits": {"max-queues": 1}}]},
        {
            "vhosts": [{"name": "v"}],
            "parameters": [{"vhost": "v", "component": "vhost-limits", "name": "limits", "value": {"max-queues": 1}}],
        },
    ],
)
def test_more_queues_than_the_limit_are_refused_before_anything_is_done(
    world: World, limits: dict[str, object]
) -> None:
    document = {**limits, "queues": [{"name": "a", "vhost": "v"}, {"name": "b", "vhost": "v"}]}
    with pytest.raises(
        DefinitionsError, match="adding 2 would exceed the limit in vhost 'v': 1 are allowed, 0 are there"
    ):
        load(world.broker, world.users, document)
    assert "v" not in world.broker.vhosts


def test_a_binding_that_its_exchange_refuses_is_found_before_anything_is_done(world: World) -> None:
    document = {
        "exchanges": [{"name": "x", "vhost": "/", "type": "x-consistent-hash"}],
        "queues": [{"name": "q", "vhost": "/"}],
        "bindings": [
            {"source": "x", "vhost": "/", "destination": "q", "destination_type": "queue", "routing_key": "heavy"}
        ],
    }
    with pytest.raises(DefinitionsError, match=r"bindings\[0\]"):
        load(world.broker, world.users, document)
    assert "q" not in world.broker.vhosts["/"].queues


def test_a_document_of_one_vhost_is_imported_into_another(world: World) -> None:
    load(world.broker, world.users, whole())
    world.broker.create_vhost("copy")
    load(world.broker, world.users, saved(world.broker, world.users, "shop"), "copy")
    one, two = saved(world.broker, world.users, "shop"), saved(world.broker, world.users, "copy")
    for section in ("queues", "exchanges", "bindings"):
        assert one[section] == two[section] != []
    assert whole() == WHOLE
