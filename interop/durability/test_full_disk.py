"""A real disk that is full: publishers are blocked, consumers go on, and with room everything is confirmed and kept.

When it is full of messages, consuming them or deleting their queue makes room.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from interop.durability.clients import Link, linked
from interop.durability.victim import Victim
from interop.waiting import eventually_async

QUEUE = "full"
DISK = 48 << 20
LEFT = 4 << 20  # octets that the ballast leaves free
AT_ONCE = 10
MOST = 400  # messages: all have room without the ballast
OVERFLOWING = 2000  # messages: not all have room
BODY = 64 << 10
DEADLINE = 30.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    mounted = tmp_path / "data"
    mounted.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "amqpd-test", str(mounted)]
    try:
        subprocess.run(options, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    yield mounted
    subprocess.run(["umount", "--lazy", str(mounted)], check=True)


@pytest.fixture
def victim(disk: Path) -> Iterator[Victim]:
    """A broker on it that blocks nobody as long as it can write."""
    program = os.environ.get("AMQPD_COMMAND") or f"{sys.executable} -m amqpd"
    started = Victim(disk.parent, f"{program} --disk-free-limit 1")
    start(started)
    yield started
    started.kill()


def start(victim: Victim) -> None:
    victim.begin()
    victim.wait_until_ready()


class Publisher:
    """Publishes, and notes what comes back.

    Attributes:
        published: how many.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.blocked = False
        self.published = 0
        link.channel.connection.add_on_connection_blocked_callback(self._on_blocked)
        link.channel.connection.add_on_connection_unblocked_callback(self._on_unblocked)

    async def publish_until_blocked(self, most: int) -> None:
        properties = pika.BasicProperties(delivery_mode=2)
        while not self.blocked:
            assert self.published < most, "the disk is not full"
            for _ in range(AT_ONCE):
                self.link.channel.basic_publish("", QUEUE, b"%d " % self.published + os.urandom(BODY), properties)
                self.published += 1
            await asyncio.sleep(0.05)

    def _on_blocked(self, connection: Any, method: Any) -> None:
        self.blocked = True

    def _on_unblocked(self, connection: Any, method: Any) -> None:
        self.blocked = False


class Consumer:
    """Takes what comes, and acknowledges so many."""

    def __init__(self, link: Link, acknowledges: int) -> None:
        self._acknowledges = acknowledges
        self.numbers: list[int] = []
        self.acknowledged: list[int] = []
        link.channel.basic_consume(QUEUE, self._on_message)

    def _on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        number = int(body.split(b" ", 1)[0])
        self.numbers.append(number)
        if len(self.acknowledged) < self._acknowledges:
            self.acknowledged.append(number)
            channel.basic_ack(method.delivery_tag)


async def fill_and_free(victim: Victim, make_room: Callable[[], None]) -> tuple[int, list[int]]:
    """Publish more than there is room for, then make room; returns how many, and what was acknowledged of it."""
    publishing, consuming = await linked(victim.port, 2)
    declared = asyncio.get_running_loop().create_future()
    publishing.channel.queue_declare(QUEUE, durable=True, callback=declared.set_result)
    await declared
    publisher = Publisher(publishing)
    await publisher.publish_until_blocked(MOST)
    confirmed = publishing.confirmed
    assert confirmed < publisher.published
    assert confirmed * BODY < LEFT
    consumer = Consumer(consuming, 5)
    await eventually_async(lambda: len(consumer.acknowledged) == 5, "the consumer gets messages", DEADLINE)
    assert publisher.blocked
    assert publishing.confirmed == confirmed, "there is no room to make anything safe"
    make_room()
    await eventually_async(lambda: publishing.confirmed == publisher.published, "everything is confirmed", DEADLINE)
    await eventually_async(lambda: not publisher.blocked, "the publisher is not blocked any more", DEADLINE)
    assert not publishing.refused
    return publisher.published, consumer.acknowledged


async def drain(victim: Victim) -> list[int]:
    """What is there after another start."""
    (link,) = await linked(victim.port, 1)
    counted = asyncio.get_running_loop().create_future()
    link.channel.queue_declare(QUEUE, passive=True, callback=lambda frame: counted.set_result(frame))
    count = (await counted).method.message_count
    link.channel.basic_qos(prefetch_count=0)
    consumer = Consumer(link, MOST)
    await eventually_async(lambda: len(consumer.numbers) == count, "all messages come", DEADLINE)
    await link.close()
    return consumer.numbers


@pytest.mark.timeout(120)
def test_a_full_disk_blocks_publishers_and_keeps_what_was_confirmed(disk: Path, victim: Victim) -> None:
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    ballast.write_bytes(bytes(free - LEFT))
    published, acknowledged = asyncio.run(fill_and_free(victim, ballast.unlink))
    assert "disk.full" in victim.log.read_text()
    victim.kill()
    start(victim)
    numbers = asyncio.run(drain(victim))
    assert numbers == sorted(numbers)
    assert set(range(published)) - set(numbers) <= set(acknowledged)
    victim.stop()


async def fill(victim: Victim) -> tuple[Publisher, Link]:
    """Publish until there is no room; returns who did, and a link for somebody else."""
    publishing, other = await linked(victim.port, 2)
    declared = asyncio.get_running_loop().create_future()
    publishing.channel.queue_declare(QUEUE, durable=True, callback=declared.set_result)
    await declared
    publisher = Publisher(publishing)
    await publisher.publish_until_blocked(OVERFLOWING)
    assert publishing.confirmed < publisher.published
    return publisher, other


async def recovered(publisher: Publisher) -> None:
    link = publisher.link
    await eventually_async(lambda: link.confirmed == publisher.published, "everything is confirmed", DEADLINE)
    await eventually_async(lambda: not publisher.blocked, "the publisher is not blocked any more", DEADLINE)
    assert not link.refused


async def fill_and_consume(victim: Victim) -> None:
    publisher, other = await fill(victim)
    consumer = Consumer(other, OVERFLOWING)
    await recovered(publisher)
    await eventually_async(lambda: len(consumer.numbers) == publisher.published, "all messages come", DEADLINE)
    assert consumer.numbers == list(range(publisher.published))


async def fill_and_delete(victim: Victim) -> None:
    publisher, other = await fill(victim)
    deleted = asyncio.get_running_loop().create_future()
    other.channel.queue_delete(QUEUE, callback=deleted.set_result)
    await asyncio.wait_for(deleted, DEADLINE)
    await recovered(publisher)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("make_room", [fill_and_consume, fill_and_delete])
def test_a_disk_full_of_messages_has_room_when_they_leave(
    disk: Path, victim: Victim, make_room: Callable[[Victim], Coroutine[Any, Any, None]]
) -> None:
    asyncio.run(make_room(victim))
    assert "disk.full" in victim.log.read_text()
    assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > DISK / 2
    victim.stop()
