"""A short run of the differential test; a long one is `python -m interop.differential`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.amqpd_server import AmqpdServer
from interop.differential.allowed import ALLOWED
from interop.differential.campaign import Campaign
from interop.differential.generate import program
from interop.differential.pair import PLUGINS, Pair
from interop.differential.program import Step, parse, script
from interop.differential.side import Side
from interop.rabbitmq.server import RabbitMQServer

COMPATIBILITY = Path(__file__).parents[2] / "docs" / "compatibility.md"
PROGRAMS = 100
SEED = "interop"


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Both brokers: every test of the interoperability suite but this one meets one at a time."""
    if shutil.which("epmd") is None:
        pytest.skip("no RabbitMQ here")
    with AmqpdServer() as amqpd, RabbitMQServer(plugins=PLUGINS) as rabbitmq:
        pair = Pair(Side("amqpd", amqpd.port), Side("rabbitmq", rabbitmq.port))
        yield pair
        pair.close()


@pytest.mark.timeout(180)  # it starts two brokers, and a failure is shrunk
def test_random_programs_have_the_same_effect_on_amqpd_and_rabbitmq(pair: Pair) -> None:
    campaign = Campaign(pair)
    campaign.run_many(SEED, PROGRAMS, most_failures=1)
    assert not campaign.failures, campaign.failures[0]
    assert campaign.programs == PROGRAMS


def test_the_first_queue_of_a_new_side_is_watched_like_all_others() -> None:
    with AmqpdServer() as amqpd:
        side = Side("amqpd", amqpd.port)
        side.begin("first_")
        side.send(Step("A", 1, "queue.declare", {"queue": "@q1"}))
        while side.waiting:
            for link in side.links:
                link.read()
            side.absorb()
        assert side.queues == ["@q1"]
        side.close()


def test_the_documentation_names_every_difference_that_is_allowed() -> None:
    section = COMPATIBILITY.read_text().partition("\n## Random programs beside RabbitMQ\n")[2].partition("\n##")[0]
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in section.splitlines() if line.startswith("| ")}
    del rows["difference"]
    assert sorted(rows) == sorted(one.name for one in ALLOWED)
    for one in ALLOWED:
        assert set(re.findall(r"J\d+", one.reason)) <= set(re.findall(r"J\d+", rows[one.name]))


def test_a_script_says_all_about_its_program() -> None:
    for number in range(PROGRAMS):
        steps = program(f"{SEED}:{number}")
        assert parse(script(steps)) == steps


def test_a_seed_always_gives_the_same_program() -> None:
    assert script(program("same")) == script(program("same"))
    assert script(program("same")) != script(program("other"))
