"""amqpd bench against real brokers: what it publishes arrives, is confirmed, and what it made is gone afterwards."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from typing import Any

import pytest

from interop.amqpd_server import ROOT
from interop.broker import Broker

MESSAGES = 3_000
COMMAND = shlex.split(os.environ.get("AMQPD_COMMAND", "")) or [sys.executable, "-m", "amqpd"]


def bench(broker: Broker, *options: str) -> Any:
    """What a run says."""
    uri = f"amqp://{broker.host}:{broker.port}"
    command = [*COMMAND, "bench", "--uri", uri, "--json", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "load",
    ["", "--type quorum --persistent", "--type stream --offset first", "--ack 1 --prefetch 10 --consumers 3"],
    ids=["classic", "quorum", "stream", "acks"],
)
@pytest.mark.timeout(150)
def test_everything_that_is_published_is_confirmed_and_delivered(broker: Broker, load: str) -> None:
    said = bench(broker, "--count", str(MESSAGES), "--confirms", "100", "--publishers", "2", *load.split())
    assert (said["published"], said["confirmed"], said["delivered"]) == (MESSAGES, MESSAGES, MESSAGES)
    assert 0 < said["latency_ms"]["p50"] <= said["latency_ms"]["p99"] <= said["latency_ms"]["max"]


@pytest.mark.timeout(150)
def test_a_rate_is_kept(broker: Broker) -> None:
    said = bench(broker, "--rate", "500", "--duration", "1", "--warmup", "0.2")
    assert 250 <= said["published_per_s"] <= 750
