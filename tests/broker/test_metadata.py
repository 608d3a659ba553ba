"""What is known of a virtual host beside its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pamqp import commands

from amqpd.broker.metadata import VHostMetadata, metadata_of
from tests.builders import World
from tests.stores import Store


def plain(metadata: VHostMetadata) -> tuple[str, tuple[str, ...], str | None]:
    return metadata.description, metadata.tags, metadata.default_queue_type


@pytest.mark.parametrize("metadata", [VHostMetadata(), VHostMetadata("d", ["a", "b"], "quorum"), VHostMetadata("grün")])
def test_it_comes_back_from_the_catalog_as_it_was(metadata: VHostMetadata) -> None:
    assert plain(metadata_of(metadata.as_json())) == plain(metadata)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", ("", (), None)),
        ('{"description": 1, "tags": "a", "default_queue_type": "rabbit"}', ("", (), None)),
        ('{"tags": ["a", 1], "later": true}', ("", ("a",), None)),
    ],
)
def test_what_makes_no_sense_is_left_out(text: str, found: tuple[str, tuple[str, ...], str | None]) -> None:
    assert plain(metadata_of(text)) == found


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        metadata_of("[]")


def test_a_default_queue_type_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no queue type rabbit"):
        VHostMetadata(default_queue_type="rabbit")


@pytest.mark.parametrize(
    ("default", "flags", "kind"),
    [
        (None, {"durable": True}, "classic"),
        ("quorum", {"durable": True}, "quorum"),
        ("stream", {"durable": True}, "stream"),
        ("classic", {"durable": False}, "classic"),
        ("quorum", {"durable": False}, "classic"),
        ("quorum", {"durable": True, "exclusive": True}, "classic"),
        ("quorum", {"durable": True, "auto_delete": True}, "classic"),
    ],
)
def test_a_queue_that_names_no_type_gets_the_default_one_if_that_can_be(
    default: str | None, flags: dict[str, bool], kind: str
) -> None:
    world = World()
    world.broker.update_vhost("/", VHostMetadata(default_queue_type=default))
    client = world.client()
    client.open(1)
    client.send(1, commands.Queue.Declare, queue="q", **flags)
    client.receive_one(1, commands.Queue.DeclareOk)
    assert world.vhost.queues["q"].kind == kind


def test_a_queue_that_names_its_type_gets_it() -> None:
    world = World()
    world.broker.update_vhost("/", VHostMetadata(default_queue_type="quorum"))
    client = world.client()
    client.open(1)
    client.send(1, commands.Queue.Declare, queue="q", durable=True, arguments={"x-queue-type": "classic"})
    client.receive_one(1, commands.Queue.DeclareOk)
    assert world.vhost.queues["q"].kind == "classic"


def test_changes_are_kept(tmp_path: Path) -> None:
    world = World(store=Store(tmp_path))
    world.broker.create_vhost("other", VHostMetadata("old"))
    world.broker.update_vhost("other", VHostMetadata("new", ["t"], "stream"))
    world.broker.update_vhost("/", VHostMetadata("root"))
    world.finish()
    again = world.killed()
    assert plain(again.broker.vhosts["other"].metadata) == ("new", ("t",), "stream")
    assert again.vhost.metadata.description == "root"


def test_a_virtual_host_that_does_not_exist_has_none() -> None:
    with pytest.raises(KeyError):
        World().broker.update_vhost("none", VHostMetadata())
