"""Definitions that are loaded at the start: what they bring, what they replace, what is told."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from amqpd.clock import ManualClock
from amqpd.definitions.files import FileError
from amqpd.loading import Loading
from amqpd.logs import configure
from tests.builders import World

pytestmark = pytest.mark.usefixtures("loggers_as_before")


class Start:
    """One start with a file of definitions."""

    def __init__(self, path: Path, document: object) -> None:
        path.write_text(json.dumps(document))
        self.stream = io.StringIO()
        logger = configure("info", "json", self.stream)
        self.loading = Loading(path, ManualClock(), logger, self.stream)

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


def test_without_definitions_nothing_happens() -> None:
    stream, world = io.StringIO(), World()
    loading = Loading(None, ManualClock(), configure("info", "json", stream), stream)
    loading.tell_of_first_user("guest")
    loading.run(world.broker, world.users)
    assert (loading.brings_users, stream.getvalue()) == (False, "")


def test_what_cannot_be_imported_is_told_with_its_file(path: Path) -> None:
    start, world = Start(path, {"queues": [{"name": "q", "vhost": "nope"}]}), World()
    with pytest.raises(FileError) as caught:
        start.loading.run(world.broker, world.users)
    assert str(caught.value) == (
        f"The definitions file {path} cannot be imported: queues[0] \"q\": there is no virtual host 'nope'."
    )
