"""Celery Flower: its client for the broker, and its page about queues."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import urllib.request

import pika
import pytest
from flower.utils.broker import RabbitMQ  # type: ignore[import-untyped] # it has no types

from interop.management.api import API
from interop.names import unique
from interop.waiting import eventually, free_port

pytestmark = pytest.mark.timeout(120)  # the broker of these tests is started within the first one

START_SECONDS = 60.0
DEFAULT_QUEUE = "celery"  # which Flower shows as long as no worker tells of others


def filled(api: API, queue: str, messages: int) -> str:
    """Make a queue with so many messages; returns its name."""
    with pika.BlockingConnection(pika.URLParameters(api.broker.url)) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        for _ in range(messages):
            channel.basic_publish("", queue, b"task")
    eventually(lambda: api.get(f"/queues/%2F/{queue}").get("messages") == messages, "the messages are counted")
    return queue


def celery_url(api: API) -> str:
    """The broker as Celery's users write it: Flower does not know that %2F is a slash."""
    return api.broker.url.replace("%2F", "/")


def test_flowers_client_reads_the_queues(api: API) -> None:
    queue = filled(api, unique("flower"), 3)
    client = RabbitMQ(celery_url(api), f"{api.url}/api/", io_loop=None)
    (row,) = asyncio.run(client.queues([queue]))
    assert (row["name"], row["messages"], row["messages_ready"], row["consumers"]) == (queue, 3, 3, 0)


def test_flowers_page_shows_them(api: API) -> None:
    filled(api, DEFAULT_QUEUE, 31)
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "celery", "--broker", celery_url(api), "flower"]
    options = [f"--port={port}", "--address=127.0.0.1", f"--broker-api={api.url}/api/"]
    with subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as flower:
        try:
            page = eventually(lambda: broker_page(port), "Flower shows its page", START_SECONDS)
        finally:
            flower.terminate()
    cells = re.findall(r"<td>\s*([^<]*?)\s*</td>", page)
    assert cells[:3] == [DEFAULT_QUEUE, "31", "0"]


def broker_page(port: int) -> str | None:
    """Flower's page about the broker, once it is there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/broker", timeout=5) as response:
            text: str = response.read().decode()
    except OSError:
        return None
    return text
