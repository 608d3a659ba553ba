"""amqpd bench: options, what it says, and that it says why it cannot."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from amqpd.bench.samples import Counts, Phase, Sample
from amqpd.bench.totals import Totals
from amqpd.cli.bench_options import ack_every
from amqpd.cli.bench_text import as_dict, live_text, milliseconds, summary
from amqpd.cli.command import cli
from tests.bench.conftest import uri  # noqa: F401 - the fixture
from tests.bench.test_plan import PLAN

SECOND = 1_000_000_000


def invoke(*args: str) -> Result:
    return CliRunner().invoke(cli, ["bench", *args])


def totals() -> Totals:
    """A run of two seconds."""
    found = Totals(1)
    published = {"published": 2_000, "delivered": 1_990, "octets": 199_000, "late": 7}
    found.add(0, Sample(Phase.MEASURED, SECOND, Counts(), [], 0, [], 0))
    found.add(0, Sample(Phase.DONE, 3 * SECOND, Counts(**published), [(100, 1_990)], 100, [], 0, "low on memory"))
    return found


def test_the_summary_is_two_aligned_tables_and_what_should_not_be_overlooked() -> None:
    assert list(summary(PLAN, totals())) == [
        "1 publisher, 1 consumer, 1 transient classic queue",
        "100 octets, as fast as possible, auto-ack",
        "measured for 2.0 s",
        "",
        "           MESSAGES  PER SECOND  MB PER SECOND",
        "published     2,000       1,000            0.1",
        "delivered     1,990         995            0.1",
        "",
        "MILLISECONDS       P50    P90    P99  P99.9    MAX     OF",
        "until delivered  0.000  0.000  0.000  0.000  0.000  1,990",
        "",
        "At the end 10 messages were in the queue or on the way.",
        "The publishers were late: 7 messages of the schedule had not been sent at the end, for the broker or this "
        "machine was too slow.",
    ]


def test_the_live_line_has_rates_lag_latency_and_what_is_wrong() -> None:
    assert live_text(PLAN, totals(), 3.04) == (
        "  3.0 s  published 0/s  delivered 0/s  lag 10  p50 0.000 ms  p99 0.000 ms  behind schedule by 7  "
        "blocked by the broker: low on memory"
    )


def test_programs_get_numbers() -> None:
    found = as_dict(PLAN, totals())
    assert json.loads(json.dumps(found)) == found
    assert (found["delivered_per_s"], found["lag"], found["confirm_ms"]) == (995.0, 10, None)


@pytest.mark.parametrize(
    ("ns", "text"), [(1_234, "0.001"), (1_234_000, "1.23"), (12_340_000, "12.3"), (1_234_000_000, "1,234")]
)
def test_milliseconds_have_three_digits_that_mean_something(ns: float, text: str) -> None:
    assert milliseconds(ns) == text


def test_acknowledgements_fit_the_prefetch() -> None:
    assert [ack_every(None, prefetch, "classic") for prefetch in (0, 1, 10, 500)] == [50, 1, 5, 50]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--publishers", "0", "--consumers", "0"], "there is nothing to do"),
        (["--ack", "11", "--prefetch", "10"], "--ack 11 waits for more than --prefetch 10 allows"),
        (["--ack", "0"], "neither a number above 0 nor auto"),
        (["--type", "stream", "--ack", "auto"], "Consumers of a stream need"),
        (["--fanout", "--exchange", "x"], "leave --exchange away"),
        (["--publishers", "3", "--count", "2"], "--count 2 is less than a message for each"),
    ],
)
def test_options_that_do_not_fit_together_are_refused_before_anything_is_tried(args: list[str], sentence: str) -> None:
    result = invoke("--uri", "amqp://127.0.0.1:1", *args)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_a_broker_that_is_not_there_is_one_sentence_and_status_1() -> None:
    result = invoke("--uri", "amqp://127.0.0.1:1")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "No broker answers at 127.0.0.1:1" in result.stderr


def test_a_short_run_from_end_to_end(uri: str) -> None:  # noqa: F811 - the fixture
    result = invoke("--uri", uri, "--count", "200", "--confirms", "10", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    said = json.loads(result.stdout)
    assert (said["published"], said["confirmed"], said["delivered"], said["lag"]) == (200, 200, 200, 0)
    assert 0 < said["latency_ms"]["p50"] <= said["latency_ms"]["max"]
