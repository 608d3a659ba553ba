"""Whole runs, short ones, against a broker in another process."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from pamqp import commands

from amqpd.bench.faults import BenchError
from amqpd.bench.fleet import Fleet
from amqpd.bench.plan import Address, Plan
from amqpd.bench.topology import Caller, RefusedError, prepare, remove
from amqpd.bench.totals import Totals
from amqpd.clock import SystemClock
from tests.bench.test_plan import PLAN


@pytest.fixture
def caller(uri: str) -> Iterator[Caller]:
    found = Caller(Address.of(uri))
    yield found
    found.close()


def run(caller: Caller, plan: Plan) -> Totals:
    """A run with its queues, which are gone afterwards."""
    made = prepare(plan, caller)
    try:
        return Fleet(plan, SystemClock(), lambda totals, seconds: None).run()
    finally:
        remove(made, caller)
        with pytest.raises(RefusedError, match="404"):
            caller.call(commands.Queue.Declare, queue=plan.queues[0], passive=True)


def plan_for(uri: str, **settings: object) -> Plan:
    """PLAN at this broker, with these settings."""
    return dataclasses.replace(PLAN, address=Address.of(uri), **settings)  # type: ignore[arg-type]  # tests name them


def test_every_message_of_a_count_arrives_once(uri: str, caller: Caller) -> None:
    load = {"publishers": 2, "consumers": 2, "queues": ("a", "b"), "window": 100, "ack_every": 10, "prefetch": 50}
    totals = run(caller, plan_for(uri, count=3_001, **load))
    counts = totals.measured
    assert (counts.published, counts.confirmed, counts.delivered) == (3_001, 3_001, 3_001)
    assert totals.latencies.count == totals.confirms.count == 3_001
    assert totals.latencies.largest < 30e9


def test_a_fanout_delivers_to_every_queue(uri: str, caller: Caller) -> None:
    fan = {"exchange": "fan", "fans_out": True, "queues": ("a", "b", "c"), "consumers": 3}
    assert run(caller, plan_for(uri, count=500, **fan)).measured.delivered == 1_500


def test_a_rate_is_kept_for_the_time_that_is_measured(uri: str, caller: Caller) -> None:
    totals = run(
        caller, plan_for(uri, rate=400.0, seconds=0.5, warmup=0.1, publishers=2, queue_type="quorum", durable=True)
    )
    assert totals.rates_measured.published == pytest.approx(400, rel=0.5)
    assert totals.seconds >= 0.5
    assert totals.counts.published > totals.measured.published  # the warm-up


def test_a_stream_is_read(uri: str, caller: Caller) -> None:
    stream = {"queue_type": "stream", "durable": True, "offset": "first", "ack_every": 10, "prefetch": 100}
    assert run(caller, plan_for(uri, count=300, **stream)).measured.delivered == 300


def test_a_queue_that_is_there_stays_as_it_is(uri: str, caller: Caller) -> None:
    caller.call(commands.Queue.Declare, queue="theirs", arguments={"x-max-length": 9})
    plan = plan_for(uri, queues=("theirs",), named=True)
    assert prepare(plan, caller).queues == []
    made = prepare(plan_for(uri, queues=("new",), named=True), caller)
    assert made.queues == ["new"]
    remove(made, caller)


def test_what_the_broker_refuses_is_a_sentence(uri: str, caller: Caller) -> None:
    caller.call(commands.Queue.Declare, queue="other", durable=True)
    with pytest.raises(BenchError, match=r"The broker refused queue 'other' \(406 .*: delete the queue"):
        prepare(plan_for(uri, queues=("other",)), caller)
    with pytest.raises(BenchError, match=r"to bind queue 'x' to exchange 'nowhere' \(404 .*: create it first"):
        prepare(plan_for(uri, queues=("x",), exchange="nowhere"), caller)


def test_a_broker_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(BenchError, match=r"No broker answers at 127.0.0.1:1 \(.*\): start one, or name another"):
        Caller(Address.of("amqp://127.0.0.1:1"))


def test_a_worker_that_fails_ends_the_run(uri: str, caller: Caller) -> None:
    plan = plan_for(uri, queues=("nowhere",), consumers=1, seconds=20.0)
    with pytest.raises(BenchError, match=r"NOT_FOUND - no queue 'nowhere'"):
        Fleet(plan, SystemClock(), lambda totals, seconds: None).run()
