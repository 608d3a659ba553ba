"""A short run of the random programs about streams; a long one is `python -m interop.differential.streams`."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.amqpd_server import AmqpdServer
from interop.differential.program import Step, parse, script
from interop.differential.streams.campaign import StreamCampaign
from interop.differential.streams.generate import program
from interop.differential.streams.known import KNOWN
from interop.differential.streams.model import Batch, Exchange, Reader, Record, Stream
from interop.differential.streams.pair import StreamPair
from interop.differential.streams.side import StreamSide
from interop.rabbitmq.server import RabbitMQServer

COMPATIBILITY = Path(__file__).parents[3] / "docs" / "compatibility.md"
PROGRAMS = 60
SEED = "interop"


@pytest.fixture
def pair() -> Iterator[StreamPair]:
    """Both brokers."""
    if shutil.which("epmd") is None:
        pytest.skip("no RabbitMQ here")
    with AmqpdServer() as amqpd, RabbitMQServer() as rabbitmq:
        pair = StreamPair(StreamSide("amqpd", amqpd.port), StreamSide("rabbitmq", rabbitmq.port))
        yield pair
        pair.close()


@pytest.mark.timeout(240)  # it starts two brokers, and a failure is shrunk
def test_random_programs_about_streams_have_the_same_effect_on_amqpd_and_rabbitmq(pair: StreamPair) -> None:
    campaign = StreamCampaign(pair)
    campaign.run_many(SEED, PROGRAMS, most_failures=1)
    assert not campaign.failures, campaign.failures[0]
    assert campaign.programs == PROGRAMS


def test_the_documentation_names_every_difference_that_is_allowed() -> None:
    section = COMPATIBILITY.read_text().partition("\n### Streams\n")[2].partition("\n## ")[0]
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in section.splitlines() if line.startswith("| ")}
    del rows["difference"]
    assert sorted(rows) == sorted(one.name for one in KNOWN)
    for one in KNOWN:
        assert set(re.findall(r"J\d+", one.reason)) <= set(re.findall(r"J\d+", rows[one.name]))


def test_a_script_says_all_about_its_program() -> None:
    for number in range(PROGRAMS):
        steps = program(f"{SEED}:{number}")
        assert parse(script(steps)) == steps
        assert program(f"{SEED}:{number}") == steps


# The model.


def stream_of(*batches: int) -> Stream:
    """A stream with batches of that many records, ten seconds apart, the last a moment ago."""
    stream = Stream({})
    now = time.time()
    for number, count in enumerate(batches):
        written = now - 10 * (len(batches) - 1 - number)
        records = [Record(f"{number}.{place}", "", "s", {}) for place in range(count)]
        stream.append(records, written - 0.1, written)
    return stream


def test_amqpd_delivers_as_much_as_there_is_credit_for_and_rabbitmq_to_the_end_of_a_batch() -> None:
    reader = Reader("s", stream_of(5, 1, 4), start=2, earliest=2, prefetch=2)
    assert (reader.end, reader.latest_end, reader.unacked) == (4, 5, [2, 3])
    reader.acked |= {2, 3}
    assert (reader.end, reader.latest_end, reader.unacked) == (6, 6, [4, 5])
    reader.acked |= {4, 5}
    assert (reader.end, reader.latest_end) == (8, 10)


def test_a_reader_beyond_the_end_has_nothing() -> None:
    reader = Reader("s", stream_of(5), start=9, earliest=9, prefetch=2)
    assert (reader.end, reader.latest_end, reader.unacked) == (9, 9, [])


def test_times_between_batches_are_found_only_where_there_is_a_second_between_them() -> None:
    stream = stream_of(1, 1)
    second = stream.second_before(-1)
    assert second is not None
    assert stream.batches[0].ended < second < stream.batches[1].begun
    age = stream.age_before(1, time.time())
    assert age is not None
    assert stream.batches[0].ended < time.time() - age < stream.batches[1].begun
    stream.batches[1] = Batch(1, stream.batches[0].ended + 0.3, stream.batches[0].ended + 0.4)
    assert stream.second_before(1) is None
    assert stream.second_before(0) is None
    assert stream.age_before(1, time.time()) is None


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("#", "", True),
        ("*", "", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.#", "a", True),
        ("b", "b.b", False),
    ],
)
def test_topics_are_matched_as_in_amqp(pattern: str, key: str, matches: bool) -> None:
    assert (Exchange("topic", {(pattern, "s")}).route(key) == {"s"}) is matches


def test_a_difference_in_what_is_replied_is_found() -> None:
    step = Step("X", 1, "queue.declare", {"queue": "@s1"})
    ok = ["queue.declare_ok", {"queue": "@s1", "consumer_count": 0}]
    other = ["queue.declare_ok", {"queue": "@s1", "consumer_count": 1}]
    assert not any(known.explains(step, other, ok) for known in KNOWN)
