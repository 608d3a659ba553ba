"""Celery Flower: its client for the broker, and its page about queues."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.request

import pika  # type: ignore[import-untyped] # it has no types
from flower.utils.broker import RabbitMQ  # type: ignore[import-untyped] # it has no types

from interop.management.api import API
from interop.names import unique
from interop.waiting import eventually, free_port

START_SECONDS = 25.0


def filled_queue(api: API, messages: int) -> str:
    """A new queue with so many messages."""
    queue = unique("flower")
    with pika.BlockingConnection(pika.URLParameters(api.broker.url)) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        for _ in range(messages):
            channel.basic_publish("", queue, b"task")
    eventually(lambda: api.get(f"/queues/%2F/{queue}").get("messages") == messages, "the messages are counted")
    return queue


def test_flowers_client_reads_the_queues(api: API) -> None:
    queue = filled_queue(api, 3)
    client = RabbitMQ(api.broker.url, f"{api.url}/api/", io_loop=None)
    rows = asyncio.run(client.queues([queue]))
    assert [(row["name"], row["messages"], row["messages_ready"], row["consumers"]) for row in rows] == [
        (queue, 3, 3, 0)
    ]


def test_flowers_page_shows_them(api: API) -> None:
    queue, port = filled_queue(api, 4), free_port()
    command = [sys.executable, "-W", "ignore", "-m", "celery", "--broker", api.broker.url, "flower"]
    options = [f"--port={port}", "--address=127.0.0.1", f"--broker-api={api.url}/api/", f"--task-default-queue={queue}"]
    with subprocess.Popen([*command, *options[:3]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as flower:
        try:
            page = eventually(lambda: broker_page(port), "Flower shows its page", START_SECONDS)
        finally:
            flower.terminate()
    assert "Broker" in page
    assert api.broker.host in page
    assert queue not in page or "4" in page


def broker_page(port: int) -> str | None:
    """Flower's page about the broker, once it is there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/broker", timeout=5) as response:
            text: str = response.read().decode()
    except OSError:
        return None
    return text
