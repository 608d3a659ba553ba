"""Messages that wait in a delayed exchange while the broker is killed, and while there is none."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from interop.amqpd_server import ROOT
from interop.durability.victim import Victim

MESSAGES = 2000
SOON, LATER = 1000, 6000  # milliseconds
PATIENCE = 30.0


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    started = Victim(tmp_path, os.environ.get("AMQPD_COMMAND", ""))
    start(started)
    yield started
    started.kill()


def start(victim: Victim) -> None:
    victim.begin()
    victim.wait_until_ready()


def channel_to(victim: Victim) -> BlockingChannel:
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", victim.port)).channel()


def publish(channel: BlockingChannel, numbers: range, delay: int) -> None:
    """Publish with confirms, one after the other as pika's blocking channel does."""
    properties = pika.BasicProperties(delivery_mode=2, headers={"x-delay": delay})
    for number in numbers:
        channel.basic_publish("later", "", b"%d" % number, properties)


def collect(channel: BlockingChannel, count: int) -> list[int]:
    """So many messages, in the order in which they come."""
    found: list[int] = []
    for method, _, body in channel.consume("q", inactivity_timeout=PATIENCE):
        assert method is not None, f"only {len(found)} of {count} came"
        channel.basic_ack(method.delivery_tag)
        found.append(int(body))
        if len(found) == count:
            break
    channel.cancel()
    return found


def stored(home: Path) -> dict[str, int]:
    """How many messages are where, as check-data tells."""
    program = shlex.split(os.environ.get("AMQPD_COMMAND", "")) or [sys.executable, "-m", "amqpd"]
    told = subprocess.run(
        [*program, "check-data", str(home / "data"), "--json"], cwd=ROOT, check=True, capture_output=True
    )
    return {queue["name"]: queue["live"] for queue in json.loads(told.stdout)["queues"]}


@pytest.mark.timeout(180)
def test_what_waits_survives_kill_9_and_comes_when_it_is_due(victim: Victim, tmp_path: Path) -> None:
    channel = channel_to(victim)
    channel.exchange_declare("later", "x-delayed-message", durable=True, arguments={"x-delayed-type": "fanout"})
    channel.queue_declare("q", durable=True)
    channel.queue_bind("q", "later")
    channel.confirm_delivery()
    publish(channel, range(MESSAGES // 2, MESSAGES), 60_000 + LATER)
    publish(channel, range(10), SOON)
    begun = time.monotonic()
    publish(channel, range(10, 20), LATER)
    victim.kill()
    assert stored(tmp_path) == {"later": MESSAGES // 2 + 20, "q": 0}
    time.sleep(SOON / 1000)  # the first ones are due while there is no broker
    start(victim)
    channel = channel_to(victim)
    assert collect(channel, 20) == list(range(20))
    assert time.monotonic() - begun >= LATER / 1000
    victim.kill()
    start(victim)
    channel = channel_to(victim)
    channel.exchange_delete("later")  # with all that still waits
    channel.connection.close()
    victim.stop()
    assert set(stored(tmp_path)) == {"q"}
