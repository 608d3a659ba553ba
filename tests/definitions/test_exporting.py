"""Exporting: RabbitMQ's shape, and what is left out."""

from __future__ import annotations

import json

from pamqp import commands

from tests.builders import World
from tests.definitions.documents import WHOLE, load, saved, whole


def test_what_was_imported_is_exported_in_the_same_shape() -> None:
    world = World()
    load(world.broker, world.users, whole())
    found = saved(world.broker, world.users)
    for section in ("topic_permissions", "policies", "queues", "exchanges", "bindings"):
        assert found[section] == WHOLE[section], section
    assert found["vhosts"] == [
        {
            "name": "/",
            "description": "",
            "tags": [],
            "default_queue_type": "undefined",
            "metadata": {"description": "", "tags": []},
            "limits": {},
        },
        *whole()["vhosts"],  # type: ignore[misc] # it is a list
    ]
    for section in ("users", "permissions", "parameters", "global_parameters"):
        rows, expected = found[section], WHOLE[section]
        assert isinstance(rows, list)
        assert isinstance(expected, list)
        assert [row for row in expected if row not in rows] == [], section


def test_the_head_tells_who_wrote_it_and_what_it_is() -> None:
    world = World()
    found = saved(world.broker, world.users)
    assert found["rabbit_version"] == found["rabbitmq_version"] == "4.0.5"
    assert (found["product_name"], found["product_version"]) == ("amqpd", "1.0")
    assert found["rabbitmq_definition_format"] == "cluster"
    assert found["original_cluster_name"] == world.broker.cluster_name


def test_the_document_of_one_vhost_has_rows_without_vhost() -> None:
    world = World()
    load(world.broker, world.users, whole())
    found = saved(world.broker, world.users, "shop")
    assert (found["rabbitmq_definition_format"], found["original_vhost_name"]) == ("single_virtual_host", "shop")
    assert (found["description"], found["limits"]) == ("the shop", {"max-queues": 10})
    assert "users" not in found
    for section in ("queues", "exchanges", "bindings"):
        expected = WHOLE[section]
        assert isinstance(expected, list)
        assert found[section] == [{key: value for key, value in row.items() if key != "vhost"} for row in expected]
    for section in ("policies", "parameters"):
        rows = found[section]
        assert isinstance(rows, list)
        assert rows
        assert [row for row in rows if "vhost" in row] == []


def test_what_a_broker_makes_by_itself_is_left_out() -> None:
    world = World()
    client = world.client()
    client.open()
    client.send(1, commands.Queue.Declare, queue="mine", exclusive=True)
    client.send(1, commands.Queue.Bind, queue="mine", exchange="amq.topic", routing_key="a")
    client.send(1, commands.Queue.Declare, queue="")
    client.send(1, commands.Queue.Declare, queue="shared")
    client.send(1, commands.Queue.Bind, queue="shared", exchange="amq.topic", routing_key="a")
    client.send(1, commands.Exchange.Declare, exchange="inner", exchange_type="topic", internal=True)
    found = saved(world.broker, world.users)
    assert [row["name"] for row in rows_of(found, "queues")] == ["shared"]
    assert [row["name"] for row in rows_of(found, "exchanges")] == ["inner"]
    assert [(row["source"], row["destination"]) for row in rows_of(found, "bindings")] == [("amq.topic", "shared")]


def test_a_document_is_json() -> None:
    world = World()
    load(world.broker, world.users, whole())
    found = saved(world.broker, world.users)
    assert json.loads(json.dumps(found)) == found


def rows_of(document: dict[str, object], section: str) -> list[dict[str, object]]:
    rows = document[section]
    assert isinstance(rows, list)
    return rows


def test_what_a_broker_keeps_for_itself_is_not_exported() -> None:
    world = World()
    world.broker.globals.set("internal_note", "x", "guest")
    world.broker.globals.set("note", "x", "guest")
    assert saved(world.broker, world.users)["global_parameters"] == [{"name": "note", "value": "x"}]
