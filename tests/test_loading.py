"""Definitions that are loaded at the start: what they bring, what they replace, what is told."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from amqpd.clock import ManualClock
from amqpd.definitions.faults import FileError
from amqpd.loading import Loading
from amqpd.logs import configure
from tests.builders import World
from tests.stores import Store

pytestmark = pytest.mark.usefixtures("loggers_as_before")


class Start:
    """One start with a file of definitions."""

    def __init__(self, path: Path, document: object, skip_if_unchanged: bool = False) -> None:
        path.write_text(json.dumps(document))
        self.stream = io.StringIO()
        logger = configure("info", "json", self.stream)
        where = path if path.name == "definitions.json" else path.parent
        self.loading = Loading(where, ManualClock(), logger, self.stream, skip_if_unchanged)

    def events(self) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [{key: value for key, value in line.items() if key not in ("time", "level")} for line in lines]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "definitions.json"


def test_a_file_is_imported_and_told_of(path: Path) -> None:
    rows = [{"name": "q", "vhost": "/"}, {"name": "amq.gen-1", "vhost": "/"}]
    start, world = Start(path, {"queues": rows}), World()
    start.loading.run(world.broker, world.users)
    assert "q" in world.broker.vhosts["/"].queues
    name = str(path)
    assert start.events() == [
        {
            "event": "definitions.skipped",
            "file": name,
            "row": "queues[1]",
            "reason": "the name 'amq.gen-1' is one that a broker makes",
        },
        {"event": "definitions.imported", "file": name, "rows": 2, "queues": 1},
    ]


def test_only_a_file_with_users_stands_in_for_the_first_one(path: Path) -> None:
    start = Start(path, {"users": [{"name": "u", "tags": ""}]})
    assert start.loading.brings_users
    start.loading.tell_of_first_user("guest")
    (found,) = start.events()
    assert found["state"] == "not created, for the definitions bring users"
    for document in ({}, {"users": []}, {"queues": []}):
        start = Start(path, document)
        assert not start.loading.brings_users
        start.loading.tell_of_first_user("guest")
        assert [found["state"] for found in start.events()] == ["created"]


def test_what_cannot_be_imported_is_told_with_its_file(path: Path) -> None:
    start, world = Start(path, {"queues": [{"name": "q", "vhost": "nope"}]}), World()
    with pytest.raises(FileError) as caught:
        start.loading.run(world.broker, world.users)
    assert str(caught.value) == (
        f"The definitions file {path} cannot be imported: queues[0] \"q\": there is no virtual host 'nope'."
    )


def test_files_that_are_those_of_the_last_start_are_not_imported_again(path: Path) -> None:
    world = World(store=Store(path.parent))
    document = {"queues": [{"name": "q", "vhost": "/"}]}
    Start(path, document, skip_if_unchanged=True).loading.run(world.broker, world.users)
    world.vhost.delete_queue(world.vhost.queues["q"])
    again, start = world.restarted(), Start(path, document, skip_if_unchanged=True)
    start.loading.run(again.broker, again.users)
    assert "q" not in again.vhost.queues
    assert [found["event"] for found in start.events()] == ["definitions.unchanged"]


def test_without_the_option_they_are_and_nothing_is_remembered(path: Path) -> None:
    world = World()
    document = {"queues": [{"name": "q", "vhost": "/"}]}
    for _ in range(2):
        Start(path, document).loading.run(world.broker, world.users)
        world.vhost.delete_queue(world.vhost.queues["q"])
    assert world.broker.globals.all() == {}


@pytest.mark.parametrize("name", ["definitions.json", "b.json"])
def test_a_file_that_has_changed_is_imported_and_so_is_another_one(path: Path, name: str) -> None:
    world = World()
    first = path if name == "definitions.json" else path.with_name("a.json")
    Start(first, {}, skip_if_unchanged=True).loading.run(world.broker, world.users)
    second = Start(path.with_name(name), {"queues": [{"name": "q", "vhost": "/"}]}, skip_if_unchanged=True)
    second.loading.run(world.broker, world.users)
    assert "q" in world.vhost.queues


def test_files_that_could_not_be_imported_do_not_count(path: Path) -> None:
    world = World()
    document = {"queues": [{"name": "q", "vhost": "later"}]}
    with pytest.raises(FileError):
        Start(path, document, skip_if_unchanged=True).loading.run(world.broker, world.users)
    world.broker.create_vhost("later")
    Start(path, document, skip_if_unchanged=True).loading.run(world.broker, world.users)
    assert "q" in world.broker.vhosts["later"].queues
