"""However many objects there are, no answer is made in one piece: message traffic has its turn in between.

What is counted is not time but calls: with so many queues, whatever looks at all of them in one round of the event loop
calls something at least once for each. The calls that the broker's core makes are left out: a list of all bindings
takes a millisecond there, if compiled.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from pathlib import Path
from types import FrameType

import httpx
import pytest
from starlette.applications import Starlette

from amqpd import definitions, management
from amqpd.clock import SystemClock
from amqpd.management import slices
from amqpd.management.metrics.app import make_metrics_app
from amqpd.management.slices import STEP, Slices
from tests.management.api import API, GUEST

QUEUES = 1500
LISTS = [
    "/queues",
    "/queues?columns=name,messages",
    "/queues?page=2&page_size=500",
    "/queues?page=1&sort=name&sort_reverse=true",
    "/queues?page=1&sort=messages_details.rate",
    "/queues?page=1&sort=effective_policy_definition",
    "/queues?page=1&name=7",
    "/queues?page=1&name=7$&use_regex=true",
    "/bindings",
    "/exchanges?page=1",
    "/overview",
    "/definitions",
    "/definitions?columns=queues.name",
]
QUEUE_FAMILIES = "family=queue_coarse_metrics&family=queue_metrics&family=queue_delivery_metrics"
METRICS = ["/metrics", "/metrics/per-object", f"/metrics/detailed?{QUEUE_FAMILIES}"]


COUNTED = (str(Path(management.__file__).parent), str(Path(definitions.__file__).parent))


class Calls:
    """The calls that these packages make in this thread, counted while the event loop goes round."""

    def __init__(self) -> None:
        self._rounds = [0]

    async def watch(self) -> None:
        """Begin a new count in every round, until this is cancelled."""
        while True:
            await asyncio.sleep(0)
            self._rounds.append(0)

    def count(self, frame: FrameType, what: str, argument: object) -> None:
        if what in ("call", "c_call") and frame.f_code.co_filename.startswith(COUNTED):
            self._rounds[-1] += 1

    def most(self) -> int:
        """In one round."""
        return max(self._rounds)


async def most_calls(app: Starlette, path: str, body: object = None) -> int:
    """The most calls in one round of the event loop while a request is answered."""
    calls = Calls()
    watching = asyncio.create_task(calls.watch())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", auth=GUEST) as client:
        content = json.dumps(body).encode()
        sys.setprofile(calls.count)
        try:
            response = await (client.get(path) if body is None else client.post(path, content=content))
        finally:
            sys.setprofile(None)
    watching.cancel()
    assert response.is_success
    return calls.most()


def rows(prefix: str) -> dict[str, object]:
    """A document of as many queues, each bound."""
    names = [f"{prefix}{number:04}" for number in range(QUEUES)]
    return {
        "queues": [{"vhost": "/", "name": name} for name in names],
        "bindings": [
            {"vhost": "/", "source": "amq.direct", "destination": name, "destination_type": "queue"} for name in names
        ],
    }


@pytest.fixture(scope="module")
def api() -> API:
    api = API()
    assert api.post("/definitions", rows("q")).status_code == 204
    return api


@pytest.fixture(autouse=True)
def always_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is as long as a slice: the clock of these tests stands still."""
    monkeypatch.setattr(slices, "SLICE", 0.0)


@pytest.mark.parametrize("path", LISTS)
def test_no_list_is_made_in_one_piece(api: API, path: str) -> None:
    assert asyncio.run(most_calls(api.app, f"/api{path}")) < QUEUES


@pytest.mark.parametrize("path", METRICS)
def test_metrics_are_not_made_in_one_piece(api: API, path: str) -> None:
    assert asyncio.run(most_calls(make_metrics_app(api.node), path)) < QUEUES


def test_nothing_is_imported_in_one_piece() -> None:
    assert asyncio.run(most_calls(API().app, "/api/definitions", rows("imported"))) < QUEUES


def test_a_virtual_host_whose_deletion_is_cancelled_is_deleted_all_the_same() -> None:
    api = API()
    api.put("/vhosts/v")
    for number in range(50):
        api.put(f"/queues/v/{number}")
    queues = api.world.broker.vhosts["v"].queues

    async def cancelled() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api.app), auth=GUEST) as client:
            answer = asyncio.create_task(client.delete("http://localhost/api/vhosts/v"))
            for _ in range(20):
                await asyncio.sleep(0)
            assert 0 < len(queues) < 50
            answer.cancel()
            await asyncio.wait([answer])
            return len(queues)

    assert asyncio.run(cancelled()) == 0
    assert not api.world.broker.leaving


def test_a_virtual_host_is_not_deleted_in_one_piece() -> None:
    api = API()
    api.put("/vhosts/v")
    for number in range(50):
        api.put(f"/queues/v/{number}")
    queues, left = api.world.broker.vhosts["v"].queues, [50]

    async def delete() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api.app), auth=GUEST) as client:
            answer = asyncio.create_task(client.delete("http://localhost/api/vhosts/v"))
            while not answer.done():
                await asyncio.sleep(0)
                left.append(len(queues))
            return await answer

    assert asyncio.run(delete()).status_code == 204
    assert max(before - after for before, after in itertools.pairwise(left)) == 1
    assert left[-1] == 0, "it is answered when it is done"


def test_what_is_done_in_one_piece_is_noticed(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE", float("inf"))
    for path in ("/queues?page=1&sort=messages", "/bindings"):
        assert asyncio.run(most_calls(api.app, f"/api{path}")) > QUEUES
    assert asyncio.run(most_calls(make_metrics_app(api.node), "/metrics")) > QUEUES


def test_all_of_an_iterator_is_taken_in_steps() -> None:
    taken: list[int] = []
    seen: list[int] = []

    async def other() -> None:
        seen.append(len(taken))

    async def take() -> list[int]:
        turn = asyncio.create_task(other())
        numbers = (taken.append(number) or number for number in range(STEP * 3))
        found = await Slices(SystemClock()).all_of(numbers)
        await turn
        return found

    assert asyncio.run(take()) == list(range(STEP * 3))
    assert seen == [STEP]
