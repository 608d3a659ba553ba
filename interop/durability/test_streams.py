"""A stream and the named cursors of its readers, over restarts of the broker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from interop.clients.streams import Reading, declare, publish, read
from interop.durability.victim import Victim
from interop.waiting import eventually

ENDS: dict[str, Callable[[Victim], None]] = {"SIGTERM": Victim.stop, "SIGKILL": Victim.kill}


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    """An amqpd with a data directory, running."""
    victim = Victim(tmp_path, os.environ.get("AMQPD_COMMAND", ""))
    victim.begin()
    victim.wait_until_ready()
    yield victim
    victim.kill()


@contextmanager
def channel_of(victim: Victim) -> Iterator[BlockingChannel]:
    """A channel that need not be open at the end."""
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", victim.port))
    yield connection.channel()
    if connection.is_open:
        connection.close()


def again(victim: Victim, end: str) -> None:
    """Let it end, and start it."""
    ENDS[end](victim)
    victim.begin()
    victim.wait_until_ready()


@pytest.mark.timeout(90)
@pytest.mark.parametrize("end", ENDS)
def test_a_stream_goes_on_where_it_was(victim: Victim, end: str) -> None:
    bodies: list[str] = []
    for start in range(0, 90, 30):
        with channel_of(victim) as channel:
            declare(channel, "log", stream_max_segment_size_bytes=1000)
            more = [f"m{number}" for number in range(start, start + 30)]
            publish(channel, "log", more)
            bodies += more
        again(victim, end)
        with channel_of(victim) as channel:
            reading = read(channel, "log", len(bodies))
            assert (reading.bodies, reading.offsets) == (bodies, list(range(len(bodies))))
            assert read(channel, "log", 5, start + 25).bodies == bodies[-5:]


@pytest.mark.timeout(90)
def test_a_cursor_is_where_it_was_after_a_stop(victim: Victim) -> None:
    with channel_of(victim) as channel:
        declare(channel, "log")
        publish(channel, "log", [f"m{number}" for number in range(10)])
        reading = Reading(channel, "log", acks=False, cursor="me")
        reading.wait(10)
        reading.channel.basic_ack(4, multiple=True)
        reading.close()
        reading = Reading(channel, "log", acks=False, group="team")
        reading.wait(10)
        reading.channel.basic_ack(7, multiple=True)
        reading.close()
    again(victim, "SIGTERM")
    with channel_of(victim) as channel:
        assert read(channel, "log", 6, None, cursor="me").offsets == [4, 5, 6, 7, 8, 9]
        assert read(channel, "log", 3, None, group="team").offsets == [7, 8, 9]


@pytest.mark.timeout(90)
def test_a_cursor_never_runs_ahead_of_its_reader_and_keeps_what_is_older_than_a_second(victim: Victim) -> None:
    with channel_of(victim) as channel:
        declare(channel, "log")
        publish(channel, "log", [f"m{number}" for number in range(10)])
        reading = Reading(channel, "log", acks=False, cursor="me")
        reading.wait(10)
        reading.channel.basic_ack(4, multiple=True)
        channel.connection.sleep(2.5)  # the promise is about time: what is older than a second mostly survives
        reading.channel.basic_ack(6, multiple=True)
        reading.settled()
    again(victim, "SIGKILL")
    with channel_of(victim) as channel:
        reading = Reading(channel, "log", None, cursor="me")
        eventually(lambda: reading.look() and reading.offsets[-1] == 9, "the last message")
        assert 4 <= reading.offsets[0] <= 6
        assert reading.offsets == list(range(reading.offsets[0], 10))
