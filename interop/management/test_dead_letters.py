"""Messages that die: RabbitMQ and amqpd count them under the same reason, type of queue and strategy."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from contextlib import closing

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from interop.amqpd_server import AmqpdServer
from interop.broker import Broker
from interop.rabbitmq.server import RabbitMQServer
from interop.waiting import eventually, free_port

COUNTER = re.compile(r"rabbitmq_global_messages_dead_lettered_(\w+)_total\{(.*)\} ([0-9.]+)")
LABELS = re.compile(r'(\w+)="(\w+)"')
SECONDS = 20.0  # RabbitMQ's dead letters that must not get lost are confirmed at leisure
TO_DEAD = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
WAYS: list[dict[str, object]] = [{}, dict(TO_DEAD), {"x-dead-letter-exchange": "nowhere"}]
CAREFUL = {
    **TO_DEAD,
    "x-queue-type": "quorum",
    "x-overflow": "reject-publish",
    "x-dead-letter-strategy": "at-least-once",
    "x-message-ttl": 50,
}
# Of the three ways one has a dead-letter exchange, and two have none, or one that does not exist.
OF_ONE_WAY = {"expired": 2, "rejected": 2, "maxlen": 2}
EXPECTED = {
    **{(reason, "classic", "at_most_once"): count for reason, count in OF_ONE_WAY.items()},
    **{(reason, "classic", "disabled"): 2 * count for reason, count in OF_ONE_WAY.items()},
    **{(reason, "quorum", "at_most_once"): count for reason, count in OF_ONE_WAY.items()},
    **{(reason, "quorum", "disabled"): 2 * count for reason, count in OF_ONE_WAY.items()},
    ("delivery_limit", "quorum", "at_most_once"): 1,
    ("delivery_limit", "quorum", "disabled"): 2,
    ("expired", "quorum", "at_least_once"): 2,
    ("confirmed", "quorum", "at_least_once"): 2,
    ("rejected", "quorum", "at_least_once"): 0,
    ("delivery_limit", "quorum", "at_least_once"): 0,
}


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def scraped(broker: Broker, metrics_port: int) -> Iterator[Broker]:
    """A broker of its own that tells its metrics."""
    server: AmqpdServer | RabbitMQServer
    if broker.name == "amqpd":
        server = AmqpdServer(management_port=free_port(), options=("--metrics-port", str(metrics_port)))
    else:
        config = f"prometheus.tcp.port = {metrics_port}\nprometheus.tcp.ip = 127.0.0.1"
        server = RabbitMQServer(config=config, plugins=("rabbitmq_prometheus",))
    with server as running:
        yield running


class Mortuary:
    """Lets messages die, each in a queue of its own kind."""

    def __init__(self, channel: BlockingChannel) -> None:
        self._channel = channel
        self._made = 0

    def queue(self, messages: int, **arguments: object) -> str:
        """A queue into which so many messages were published."""
        self._made += 1
        name = f"q{self._made}"
        table = {f"x-{key.replace('_', '-')}" if not key.startswith("x-") else key: v for key, v in arguments.items()}
        self._channel.queue_declare(name, durable=True, arguments=table)
        for _ in range(messages):
            self._channel.basic_publish("", name, b"m")
        return name

    def refuse(self, name: str, times: int, requeue: bool) -> None:
        """Get the head so many times, and refuse it."""
        for _ in range(times):
            tag = eventually(lambda: self._get(name), f"a message in {name}")
            self._channel.basic_reject(tag, requeue=requeue)

    def _get(self, name: str) -> int | None:
        method, _, _ = self._channel.basic_get(name)
        return None if method is None else method.delivery_tag

    def all_ways(self, kind: str, arguments: dict[str, object]) -> None:
        """Two messages die of every reason that this type of queue knows."""
        arguments = {**arguments, "x-queue-type": kind}
        self.queue(2, **arguments, message_ttl=50)
        self.queue(3, **arguments, max_length=1)
        self.refuse(self.queue(2, **arguments), 2, requeue=False)
        if kind == "quorum":
            self.refuse(self.queue(1, **arguments, delivery_limit=1), 2, requeue=True)


def counted(port: int) -> dict[tuple[str, str, str], int]:
    """What the metrics say."""
    found = {}
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        for reason, labels, value in COUNTER.findall(answer.read().decode()):
            named = dict(LABELS.findall(labels))
            kind = named["queue_type"].removeprefix("rabbit_").removesuffix("_queue")
            found[reason, kind, named["dead_letter_strategy"]] = int(float(value))
    return found


def test_messages_that_die_are_counted_as_rabbitmq_counts_them(scraped: Broker, metrics_port: int) -> None:
    with closing(pika.BlockingConnection(pika.ConnectionParameters(scraped.host, scraped.port))) as connection:
        channel = connection.channel()
        channel.queue_declare("dead", durable=True)
        mortuary = Mortuary(channel)
        for kind in ("classic", "quorum"):
            for way in WAYS:
                mortuary.all_ways(kind, way)
        mortuary.queue(2, **CAREFUL)
        purged = mortuary.queue(1, **TO_DEAD)
        channel.queue_purge(purged)
        channel.queue_delete(purged)
        eventually(lambda: counted(metrics_port) == EXPECTED or None, f"{EXPECTED}", SECONDS)
